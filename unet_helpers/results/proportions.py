"""Shapes of objects in true proportions, where pixels are not square."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from ..images.image import MedicalImage
from ..images.stack import to_stack

# Pixels count as square if height / width differs from 1 by at most this.
SQUARE_TOLERANCE = 0.02

SQUARE = (1.0, 1.0)

# Properties of 2D objects that depend on the proportions of a pixel: numbers, and lengths in px.
RATIOS = ("eccentricity", "solidity", "orientation")
LENGTHS = ("perimeter", "axis_major_length", "axis_minor_length")


def proportions_of(image: MedicalImage) -> tuple[float, float]:
    """Return height and width of a displayed pixel, whose product is 1; 1 and 1 if unknown."""
    spacing = to_stack(image).spacing
    if not spacing or abs(spacing[-2] / spacing[-1] - 1) <= SQUARE_TOLERANCE:
        return SQUARE
    side = float(np.sqrt(spacing[-2] * spacing[-1]))
    return float(spacing[-2]) / side, float(spacing[-1]) / side


def true_shapes(
    objects: np.ndarray,
    proportions: tuple[float, float],
    measure: Callable[[np.ndarray], Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Measure ``RATIOS`` and ``LENGTHS`` of ids (H, W) in square pixels, in the order of the ids.

    ``measure`` returns them, and others, by their names. Pixels are divided along their longer
    side. Lengths are in px, where a px is the side of a square as large as a stored pixel.
    """
    rows, columns = proportions
    finest = min(rows, columns)
    height, width = objects.shape
    size = (round(width * columns / finest), round(height * rows / finest))

    # float32 holds all ids below 2**24.
    divided = cv2.resize(
        objects.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT
    ).astype(np.int32)
    measured = measure(divided)
    ratios = {name: measured[name] for name in RATIOS}
    lengths = {name: measured[name] * finest for name in LENGTHS}
    return ratios | lengths
