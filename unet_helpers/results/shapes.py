"""Sizes and shapes of flat objects, of all objects together: seconds for ten thousand nuclei.

The definitions, and the values, are those of scikit-image's ``regionprops``, which goes through
objects one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import find_objects

# Weights of the pixels of an outline in its length, by their neighbours in the outline: 1 for
# itself, 2 for each along rows and columns, 10 for each along diagonals (Benkrid and Crookes 2000,
# Design and FPGA implementation of a perimeter estimator).
STRAIGHT_CODES = (5, 7, 15, 17, 25, 27)
DIAGONAL_CODES = (21, 33)
MIXED_CODES = (13, 23)
HIGHEST_CODE = 50

# px: rounding errors of the crossings of a hull with the rows of pixels.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of all objects of an (H, W) array of ids."""

    numbers: np.ndarray  # (N,) ids of the objects, ascending
    rows: np.ndarray  # (P,) of each pixel
    columns: np.ndarray  # (P,) of each pixel
    index: np.ndarray  # (P,) of its object, 0 to N - 1

    def total(self, values: np.ndarray | None = None) -> np.ndarray:
        """Add up values (P,) for each object, or count its pixels: (N,) floats."""
        return np.bincount(self.index, values, len(self.numbers)).astype(float)


def pixels_of(ids: np.ndarray) -> Pixels:
    """List the pixels of all objects."""
    rows, columns = np.nonzero(ids)
    values = ids[rows, columns]
    present = np.bincount(values) > 0
    numbers = np.flatnonzero(present)
    position = np.cumsum(present) - 1
    return Pixels(numbers, rows, columns, position[values])


def flat_shapes(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return a column for each property, by the names of ``regionprops_table``."""
    pixels = pixels_of(ids)
    area = pixels.total()
    row = pixels.total(pixels.rows) / area
    column = pixels.total(pixels.columns) / area
    down = pixels.rows - row[pixels.index]
    right = pixels.columns - column[pixels.index]
    ellipse = ellipses(
        along_rows=pixels.total(right * right) / area,
        along_columns=pixels.total(down * down) / area,
        mixed=pixels.total(down * right) / area,
    )
    boxes = [box for box in find_objects(ids) if box is not None]

    columns = {
        "label": pixels.numbers,
        "area": area,
        "centroid-0": row,
        "centroid-1": column,
        "equivalent_diameter_area": np.sqrt(4 / np.pi * area),
        "eccentricity": ellipse.pop("eccentricity"),
        "solidity": area / areas_of_hulls(ids, pixels.numbers, boxes),
        "perimeter": perimeters(ids, pixels),
        **ellipse,
    }
    edges = np.array([(y.start, x.start, y.stop, x.stop) for y, x in boxes]).reshape(-1, 4)
    return columns | {f"bbox-{i}": edges[:, i] for i in range(4)}


def ellipses(
    along_rows: np.ndarray, along_columns: np.ndarray, mixed: np.ndarray
) -> dict[str, np.ndarray]:
    """Return columns of the ellipses of the same second moments, by scikit-image's names.

    The arguments (N,) are the variances of the positions of the pixels from left to right and from
    top to bottom, and their covariance, in px². The orientation is the angle from the direction of
    the columns (down) to the long axis, counter-clockwise, in radians.
    """
    # Eigenvalues of [[along_rows, mixed], [mixed, along_columns]].
    mean = (along_rows + along_columns) / 2
    half_difference = np.hypot((along_rows - along_columns) / 2, mixed)
    major = mean + half_difference
    minor = np.maximum(mean - half_difference, 0)
    return {
        "eccentricity": np.sqrt(1 - minor / np.where(major > 0, major, 1)) * (major > 0),
        "axis_major_length": 4 * np.sqrt(major),
        "axis_minor_length": 4 * np.sqrt(minor),
        "orientation": 0.5 * np.arctan2(2 * mixed, along_columns - along_rows),
    }


def degrees_from_rows(orientation: np.ndarray) -> np.ndarray:
    """Turn orientations in radians to degrees, 0 to 180: 0 is along the rows, 45 rises rightwards.

    This is ImageJ's angle of a fitted ellipse.
    """
    return (np.rad2deg(orientation) + 90) % 180


def perimeters(ids: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return the length (N,) of the outline of each object in px, of (H, W) ids."""
    padded = np.pad(ids, 1)
    outline = np.zeros(padded.shape, bool)
    inner = (slice(1, -1), slice(1, -1))
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        outline[inner] |= neighbours(padded, step) != ids
    outline &= padded > 0
    outlined = np.where(outline, padded, 0)

    own = outlined[inner]
    code = np.where(own > 0, 1, 0)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if (down, right) == (0, 0):
                continue
            weight = 2 if 0 in (down, right) else 10
            code += weight * ((neighbours(outlined, (down, right)) == own) & (own > 0))

    length = np.zeros(HIGHEST_CODE)
    length[list(STRAIGHT_CODES)] = 1
    length[list(DIAGONAL_CODES)] = np.sqrt(2)
    length[list(MIXED_CODES)] = (1 + np.sqrt(2)) / 2
    return pixels.total(length[code[pixels.rows, pixels.columns]])


def neighbours(padded: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """Return the value of each pixel's neighbour, ``step`` = (down, right) px away."""
    height, width = padded.shape
    down, right = step
    return padded[1 + down : height - 1 + down, 1 + right : width - 1 + right]


def areas_of_hulls(
    ids: np.ndarray, numbers: np.ndarray, boxes: list[tuple[slice, slice]]
) -> np.ndarray:
    """Return the number (N,) of pixels in the convex hull of each object of (H, W) ids."""
    areas = [area_of_hull(ids[box] == number) for number, box in zip(numbers, boxes, strict=True)]
    return np.array(areas, float)


def area_of_hull(mask: np.ndarray) -> int:
    """Count the pixels whose middle lies in the convex hull of an (h, w) mask, or on its border."""
    return pixels_inside(corners_of_hull(mask), np.arange(len(mask)))


def corners_of_hull(mask: np.ndarray) -> np.ndarray:
    """Return the corners (K, 2) of the convex hull of an (h, w) mask: x and y in half px.

    Of each pixel, the middles of its four sides belong to the hull.
    """
    rows = np.arange(len(mask))
    first = mask.argmax(axis=1)
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    filled = mask.any(axis=1)
    rows, first, last = rows[filled], first[filled], last[filled]

    # In half px, so that all points are whole numbers.
    corners = [(2 * first - 1, 2 * rows), (2 * last + 1, 2 * rows)]
    for end in (first, last):
        corners += [(2 * end, 2 * rows - 1), (2 * end, 2 * rows + 1)]
    points = np.concatenate([np.column_stack(corner) for corner in corners])
    return cv2.convexHull(points.astype(np.int32)).reshape(-1, 2)


def pixels_inside(hull: np.ndarray, rows: np.ndarray) -> int:
    """Count the pixels of some rows (R,) whose middle is inside a hull (K, 2) in half px."""
    following = np.roll(hull, -1, axis=0)
    x, y = hull[:, :1], hull[:, 1:]
    next_x, next_y = following[:, :1], following[:, 1:]
    rise = next_y - y

    # Where each edge (K) crosses each row (R).
    middles = 2 * rows
    crosses = (np.minimum(y, next_y) <= middles) & (middles <= np.maximum(y, next_y)) & (rise != 0)
    crossing = x + (middles - y) * (next_x - x) / np.where(rise == 0, 1, rise)
    left = np.where(crosses, crossing, np.inf).min(axis=0)
    right = np.where(crosses, crossing, -np.inf).max(axis=0)
    counts = np.floor(right / 2 + ROUNDING) - np.ceil(left / 2 - ROUNDING) + 1
    return int(counts.sum())
