"""Fill single missing values (NaN, infinite) from their neighbours, before anything is resized."""

import cv2
import numpy as np

# A missing value is filled if at least so many of its 8 neighbours are finite: single ones and
# small groups, not the inside or the straight edge of a large region without values.
FINITE_NEIGHBOURS = 4


def fill_missing(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W[, C]) pixels in which missing values are the mean of their finite neighbours.

    Pixels without missing values, or without floats, are returned unchanged.
    """
    if pixels.dtype.kind != "f":
        return pixels
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels

    values = np.where(finite, pixels, 0)
    totals = sum_of_neighbours(values)
    counts = sum_of_neighbours(finite.astype(pixels.dtype))
    is_filled = ~finite & (counts >= FINITE_NEIGHBOURS)
    return np.where(is_filled, totals / np.maximum(counts, 1), pixels)


def sum_of_neighbours(values: np.ndarray) -> np.ndarray:
    """Add up 3 × 3 values around each pixel; beyond the border they are 0."""
    sums = cv2.boxFilter(values, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return sums.reshape(values.shape)
