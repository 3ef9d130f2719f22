"""Scale huge values before their squares are computed, which single precision cannot hold."""

import numpy as np

# Values up to this have squares, and sums of squares, that are finite in single precision.
LARGEST_VALUE = 1e12


def within_floats(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return pixels as float32, all scaled if some are huge, and the factor by which they are.

    NaN, infinities, and what single precision cannot hold, are returned as NaN or infinities.
    """
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(pixels, np.float32)
    is_small_integer = pixels.dtype.kind in "bui" and pixels.dtype.itemsize < 8
    if is_small_integer:
        return floats, 1.0

    is_finite = np.isfinite(floats)
    highest = float(np.max(floats, where=is_finite, initial=0))
    lowest = float(np.min(floats, where=is_finite, initial=0))
    largest = max(highest, -lowest)
    if largest <= LARGEST_VALUE:
        return floats, 1.0
    factor = LARGEST_VALUE / largest
    return floats * np.float32(factor), factor
