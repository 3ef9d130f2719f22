"""Check an image's values: warn if it is empty, a mask, overexposed or has few grey levels."""

import numpy as np

# About how many values are checked, evenly spread over the image: enough for shares in percent.
CHECKED_VALUES = 4_000_000

# About how many values ``shows_something`` checks.
GLANCE_VALUES = 100_000

# Grey levels are counted in so many of the checked values, because sorting them takes milliseconds.
COUNTED_VALUES = 100_000

# px: the networks find nothing in an image with a shorter side.
MIN_SIDE = 16

# An image is overexposed or clipped if a larger share of its values is at the maximum.
CLIPPED_SHARE = 0.2

# An image with at most so many levels has many values at its maximum without being clipped.
FEW_LEVELS = 8

# An image of 16 or more bits whose range of values is below this was probably exported wrongly.
MIN_GREY_LEVELS = 32


def evenly_spread(values: np.ndarray, at_most: int) -> np.ndarray:
    """Take every n-th entry along the first axis, a view of about ``at_most`` values."""
    return values[:: max(1, values.size // at_most)]


def check_pixels(pixels: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """Return warnings about pixels of the spatial ``shape``, one sentence each."""
    values = evenly_spread(pixels.reshape(-1), CHECKED_VALUES)
    warnings = []

    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            share = 1 - finite.mean()
            warnings.append(
                f"{share:.1%} of the values are not finite (NaN or infinite); "
                "single ones are filled, others count as 0."
            )
            values = values[finite]

    if values.size == 0 or values.min() == values.max():
        warnings.append(
            "all values are the same: there is nothing to see, and the answer will be empty."
        )
        return warnings

    if min(sides(shape)) < MIN_SIDE:
        warnings.append(
            "fewer than 16 pixels on a side: far too small for a network to see anything."
        )
    return warnings + contrast_warnings(values)


def contrast_warnings(values: np.ndarray) -> list[str]:
    """Return warnings about the distribution of finite ``values`` that are not all equal."""
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
    if is_deep and np.ptp(values.astype(np.int64)) < MIN_GREY_LEVELS:
        warnings.append("fewer than 32 grey levels in a 16-bit file: check how it was exported.")
    return warnings


def middle_range(values: np.ndarray) -> float:
    """Return the range of the middle 99 % of the values."""
    if values.dtype.kind in "iu" and values.dtype.itemsize > 1:
        # Percentiles of int16 are interpolated with differences that overflow.
        values = values.astype(np.float64)
    low, high = np.percentile(values, [0.5, 99.5])
    return float(high - low)


def has_values_between(values: np.ndarray) -> bool:
    """Return whether any value is between the lowest and the highest; in a mask none is."""
    return bool(((values > values.min()) & (values < values.max())).any())


def sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the two largest lengths: those of a slice, whichever axis counts the slices."""
    return tuple(sorted(shape)[-2:])


def shows_something(pixels: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Return whether pixels of the spatial ``shape`` are neither tiny, nor empty, nor a mask."""
    values = evenly_spread(pixels.reshape(-1), GLANCE_VALUES)
    values = values[np.isfinite(values)]
    if values.size == 0 or min(sides(shape)) < MIN_SIDE:
        return False
    return middle_range(values) > 0 and has_values_between(values)
