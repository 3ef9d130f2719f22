"""What is suspicious about pixels, before a network is run on them."""

import numpy as np

SAMPLE = 4_000_000  # values looked at, evenly spread; enough for a share, and fast


def check_pixels(pixels: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """Warnings about pixels of the spatial ``shape``, one sentence each; empty where all looks well."""
    values = pixels.reshape(-1)[:: max(1, pixels.size // SAMPLE)]
    warnings = []
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        share = 1 - np.isfinite(values).mean()
        warnings.append(f"{share:.1%} of the values are not finite (NaN or infinite); they count as 0.")
        values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        return [*warnings, "all values are the same: there is nothing to see, and the answer will be empty."]
    if min(sides(shape)) < 16:
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


def sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The two largest extents: those of a slice, wherever the file has its slices."""
    return tuple(sorted(shape)[-2:])


def shows_something(pixels: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Neither tiny, nor empty, nor a mask."""
    values = pixels.reshape(-1)[:: max(1, pixels.size // 100_000)]
    values = values[np.isfinite(values)]
    if values.size == 0 or min(sides(shape)) < 16:
        return False
    low, high = np.percentile(values, [0.5, 99.5])
    return bool(high > low and len(np.unique(values)) > 2)
