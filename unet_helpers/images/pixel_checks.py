"""What the values of an image show: nothing, a mask, clipped light, too few grey levels."""

import numpy as np

# Values that are looked at, evenly spread over the image: enough for shares in percent, and fast.
CHECKED_VALUES = 4_000_000

# Values for the short question whether there is anything to see.
GLANCE_VALUES = 100_000

# Sampled values whose different levels are counted: sorting them takes milliseconds.
COUNTED_VALUES = 100_000

# px on a side, below which no network sees anything.
SMALLEST_SIDE = 16

# Share of values at the maximum, above which an image is overexposed or clipped.
CLIPPED_SHARE = 0.2

# An image of so few levels has many values at its maximum without being clipped.
FEW_LEVELS = 8

# Grey levels in a file of 16 bit or more, below which its export was probably wrong.
FEWEST_GREY_LEVELS = 32


def evenly_spread(values: np.ndarray, at_most: int) -> np.ndarray:
    """Take about ``at_most`` of the values, by steps along the first axis; a view."""
    return values[:: max(1, values.size // at_most)]


def check_pixels(pixels: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """Warn about pixels of the spatial ``shape``, one sentence each; empty where all looks well."""
    values = evenly_spread(pixels.reshape(-1), CHECKED_VALUES)
    warnings = []

    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            share = 1 - finite.mean()
            warnings.append(
                f"{share:.1%} of the values are not finite (NaN or infinite); they count as 0."
            )
            values = values[finite]

    if values.size == 0 or values.min() == values.max():
        warnings.append(
            "all values are the same: there is nothing to see, and the answer will be empty."
        )
        return warnings

    if min(sides(shape)) < SMALLEST_SIDE:
        warnings.append(
            "fewer than 16 pixels on a side: far too small for a network to see anything."
        )
    return warnings + contrast_warnings(values)


def contrast_warnings(values: np.ndarray) -> list[str]:
    """Warn about how the finite, not all equal ``values`` are distributed."""
    warnings = []
    nearly_constant = middle_range(values) == 0
    if nearly_constant:
        warnings.append(
            "99 % of the values are the same: an almost empty image, or a mask instead of an image."
        )

    share_at_maximum = np.count_nonzero(values == values.max()) / values.size
    if not nearly_constant and share_at_maximum > CLIPPED_SHARE:
        levels = len(np.unique(values[:COUNTED_VALUES]))
        if levels > FEW_LEVELS:
            warnings.append(
                f"{share_at_maximum:.0%} of the values are at the maximum: overexposed or clipped; "
                "details are lost there."
            )

    if not has_values_between(values):
        warnings.append("only two different values: this looks like a mask, not like an image.")

    is_deep = values.dtype.kind in "ui" and values.dtype.itemsize > 1
    if is_deep and np.ptp(values.astype(np.int64)) < FEWEST_GREY_LEVELS:
        warnings.append("fewer than 32 grey levels in a 16-bit file: check how it was exported.")
    return warnings


def middle_range(values: np.ndarray) -> float:
    """Measure how far the middle 99 % of the values reach."""
    low, high = np.percentile(values, [0.5, 99.5])
    return float(high - low)


def has_values_between(values: np.ndarray) -> bool:
    """Tell whether any value lies between the lowest and the highest, as none does in a mask."""
    return bool(((values > values.min()) & (values < values.max())).any())


def sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Find the two largest extents: those of a slice, wherever the file has its slices."""
    return tuple(sorted(shape)[-2:])


def shows_something(pixels: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Tell whether pixels of the spatial ``shape`` are neither tiny, nor empty, nor a mask."""
    values = evenly_spread(pixels.reshape(-1), GLANCE_VALUES)
    values = values[np.isfinite(values)]
    if values.size == 0 or min(sides(shape)) < SMALLEST_SIDE:
        return False
    return middle_range(values) > 0 and has_values_between(values)
