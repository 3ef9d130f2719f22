"""The input check: what is suspicious about an image, before a network is run on it."""

import numpy as np

from .images import MedicalImage

SAMPLE = 4_000_000  # values looked at, evenly spread; enough for a share, and fast


def check_pixels(image: MedicalImage) -> list[str]:
    """Warnings, one friendly sentence each; empty where all looks well."""
    values = image.pixels.reshape(-1)[:: max(1, image.pixels.size // SAMPLE)]
    warnings = []
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        share = 1 - np.isfinite(values).mean()
        warnings.append(f"{share:.1%} of the values are not finite (NaN or infinite); they count as 0.")
        values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        return [*warnings, "all values are the same: there is nothing to see, and the answer will be empty."]
    if min(image.spatial_shape[-2:]) < 16:
        warnings.append("fewer than 16 pixels on a side: far too small for a network to see anything.")
    low, high = np.percentile(values, [0.5, 99.5])
    if high == low:
        warnings.append("99 % of the values are the same: an almost empty image, or a mask instead of an image.")
    top = np.count_nonzero(values == values.max()) / values.size
    if high > low and top > 0.2 and len(np.unique(values[:100_000])) > 8:
        warnings.append(f"{top:.0%} of the values are at the maximum: overexposed or clipped; details are lost there.")
    if len(np.unique(values[:1_000_000])) == 2:
        warnings.append("only two different values: this looks like a mask, not like an image.")
    if values.dtype.kind in "ui" and values.dtype.itemsize > 1 and np.ptp(values.astype(np.int64)) < 32:
        warnings.append("fewer than 32 grey levels in a 16-bit file: check how it was exported.")
    return warnings


def check_channels(image: MedicalImage, card) -> list[str]:
    """Warnings about channels that the card's network was not trained on."""
    reads, photograph = card.reading.channels, "colour" in card.modality
    if reads == "green" and photograph and image.channels == 1:
        return ["a grey image, but the network reads the green channel of a colour photograph: used as it is."]
    if image.channels == 3 and reads in ("grey", "green") and not photograph:
        sample = image.pixels.reshape(-1, 3)[:: max(1, image.pixels.size // SAMPLE)]
        if (sample != sample[:, :1]).any():
            used = "its brightness" if reads == "grey" else "the second of its three channels (the FLAIR of TCGA files)"
            return [f"a colour image, but {card.name} reads grey ones: {used} is used."]
    return []


def check_scale(image: MedicalImage, card) -> list[str]:
    """Warnings about an image far smaller or larger than the card's working scale."""
    side, size = max(image.spatial_shape[-2:]), card.reading.size
    if card.reading.scale in ("square", "field of view") and side < size / 4:
        return [f"only {side} px wide, while the network works at {size} px: enlarged, it shows no more detail."]
    if card.reading.scale == "native" and card.reading.planes == "three" and side > 128:
        return [f"{side} voxels wide; the network knows small crops around the structure. Cut one out first."]
    return []


def check_familiarity(image: MedicalImage, card) -> list[str]:
    """A warning about an image unlike those that the card's network learnt from."""
    if not shows_something(image):
        return []  # which check_pixels says
    from .familiarity import warn_unfamiliar

    warning = warn_unfamiliar(image, card)
    return [warning] if warning else []


def shows_something(image: MedicalImage) -> bool:
    """Neither tiny, nor empty, nor a mask."""
    values = image.pixels.reshape(-1)[:: max(1, image.pixels.size // 100_000)]
    values = values[np.isfinite(values)]
    if values.size == 0 or min(image.spatial_shape[-2:]) < 16:
        return False
    low, high = np.percentile(values, [0.5, 99.5])
    return bool(high > low and len(np.unique(values)) > 2)


def check_input(image: MedicalImage, card) -> list[str]:
    """All warnings for an image and the network that is to read it."""
    checks = (check_channels, check_scale, check_familiarity)
    return [*check_pixels(image), *(warning for check in checks for warning in check(image, card))]
