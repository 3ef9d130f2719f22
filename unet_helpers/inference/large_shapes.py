"""Shapes of objects that are found block by block: their ellipse, perimeter, hull and edges.

Of each block, sums over the pixels of its objects are kept, and the corners of their hulls. Those
of an object's parts are added up, which gives what ``results.shapes`` measures of the whole object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import find_objects

from ..results.proportions import SQUARE
from ..results.shapes import (
    Pixels,
    corners_of_hull,
    degrees_from_rows,
    ellipses,
    perimeters,
    pixels_inside,
)

# Rows of an object whose crossings with its hull are computed together, which bounds the memory.
ROWS_TOGETHER = 1024


@dataclass(frozen=True, eq=False)
class Hulls:
    """The boxes and convex hulls of the objects of a block, see ``ShapeSums``."""

    boxes: np.ndarray  # (N, 4)
    corners: np.ndarray  # (K, 2) int32
    owners: np.ndarray  # (K,)

    @classmethod
    def of_objects(cls, ids: np.ndarray, count: int, top: int, left: int) -> Hulls:
        """Find those of ``count`` objects in a block (h, w) with ids from 1 and 0 for background.

        ``top`` and ``left`` are the first row and column of the block in the image. An object
        without a pixel in the block has a box of zeros and no corners.
        """
        boxes = np.zeros((count, 4))
        corners: list[np.ndarray] = [np.zeros((0, 2), np.int32)]
        owners: list[np.ndarray] = [np.zeros(0, np.int64)]
        for number, box in enumerate(find_objects(ids)):
            if box is None:
                continue
            rows, columns = box
            first_row, first_column = rows.start + top, columns.start + left
            last_row, last_column = rows.stop - 1 + top, columns.stop - 1 + left
            boxes[number] = first_row, first_column, -last_row, -last_column

            # The corners are in half px.
            offset = np.array([2 * first_column, 2 * first_row])
            hull = corners_of_hull(ids[box] == number + 1) + offset
            corners.append(hull.astype(np.int32))
            owners.append(np.full(len(hull), number))
        return cls(boxes, np.concatenate(corners), np.concatenate(owners))


@dataclass(frozen=True, eq=False)
class ShapeSums:
    """Sums over the pixels of each object, (N,), and the corners of the hulls of its parts."""

    count: np.ndarray  # number of pixels
    rows: np.ndarray  # sum of the rows of the pixels, in the image
    columns: np.ndarray  # sum of the columns of the pixels, in the image
    row_squares: np.ndarray  # sum of the squares of the rows
    column_squares: np.ndarray  # sum of the squares of the columns
    products: np.ndarray  # sum of rows times columns
    perimeter: np.ndarray  # px
    boxes: np.ndarray  # (N, 4) first row, first column, -last row, -last column
    corners: np.ndarray  # (K, 2) int32, x and y of the corners of hulls in half px of the image
    owners: np.ndarray  # (K,) the object of each corner

    @classmethod
    def of_block(
        cls,
        ids: np.ndarray,
        first_id: int,
        inner: tuple[slice, slice],
        core: tuple[slice, slice],
    ) -> ShapeSums:
        """Sum over the objects of a block and its halo, (h, w) ``ids`` contiguous from a first.

        ``inner`` is the block in ``ids``, and ``core`` in the image.
        """
        own = ids[inner]
        rows, columns = np.nonzero(own)
        index = own[rows, columns] - first_id
        count = max(0, int(own.max(initial=0)) - first_id + 1)

        # The halo shows where an outline goes on, so that no border of a block is part of one.
        seen = Pixels(
            numbers=np.arange(count),
            rows=rows + inner[0].start,
            columns=columns + inner[1].start,
            index=index,
        )
        length = perimeters(ids, seen)

        top, left = core[0].start, core[1].start
        hulls = Hulls.of_objects(np.where(own > 0, own - first_id + 1, 0), count, top, left)
        rows = (rows + top).astype(float)
        columns = (columns + left).astype(float)
        return cls(
            count=np.bincount(index, minlength=count).astype(float),
            rows=np.bincount(index, rows, count),
            columns=np.bincount(index, columns, count),
            row_squares=np.bincount(index, rows**2, count),
            column_squares=np.bincount(index, columns**2, count),
            products=np.bincount(index, rows * columns, count),
            perimeter=length,
            boxes=hulls.boxes,
            corners=hulls.corners,
            owners=hulls.owners,
        )

    @classmethod
    def of_all_blocks(cls, parts: Sequence[ShapeSums], groups: np.ndarray, count: int) -> ShapeSums:
        """Add up the parts of each of ``count`` objects; ``groups`` (N,) counts from 0.

        N are the objects of all blocks, in the order of the blocks.
        """
        owners = [np.zeros(0, np.int64)]
        before = 0
        for part in parts:
            owners.append(groups[part.owners + before])
            before += len(part.count)

        boxes = np.full((count, 4), np.inf)
        np.minimum.at(boxes, groups, concatenated(parts, "boxes", np.zeros((0, 4))))
        names = ("count", "rows", "columns", "row_squares", "column_squares", "products")
        sums = {
            name: np.bincount(groups, concatenated(parts, name), count)
            for name in (*names, "perimeter")
        }
        return cls(
            **sums,
            boxes=boxes,
            corners=concatenated(parts, "corners", np.zeros((0, 2), np.int32)),
            owners=np.concatenate(owners),
        )

    def columns_of_table(
        self, shape: tuple[int, int], proportions: tuple[float, float]
    ) -> dict[str, np.ndarray]:
        """Return the columns of a table, those of ``measure``; ``shape`` is the image's (H, W).

        ``proportions`` are the height and width of a pixel. Where pixels are not square, the
        perimeter is left out, because it cannot be stretched.
        """
        high, wide = proportions
        row = self.rows / self.count
        column = self.columns / self.count
        ellipse = ellipses(
            along_rows=(self.column_squares / self.count - column**2) * wide**2,
            along_columns=(self.row_squares / self.count - row**2) * high**2,
            mixed=self.products / self.count - row * column,
        )
        columns = {
            "eccentricity": ellipse["eccentricity"],
            "solidity": self.count / self.areas_of_hulls(),
        }
        if proportions == SQUARE:
            columns["perimeter_px"] = self.perimeter
        columns["axis_major_length_px"] = ellipse["axis_major_length"]
        columns["axis_minor_length_px"] = ellipse["axis_minor_length"]
        columns["orientation_deg"] = degrees_from_rows(ellipse["orientation"])

        last = np.array(shape) - 1
        at_edge = (self.boxes[:, :2] == 0).any(axis=1) | (-self.boxes[:, 2:] == last).any(axis=1)
        columns["touches_edge"] = np.where(at_edge, "yes", "no")
        return columns

    def areas_of_hulls(self) -> np.ndarray:
        """Count the pixels (N,) in the hull of each object."""
        order = np.argsort(self.owners, kind="stable")
        starts = np.searchsorted(self.owners[order], np.arange(1, len(self.count)))
        areas = []
        for corners in np.split(self.corners[order], starts)[: len(self.count)]:
            hull = cv2.convexHull(corners).reshape(-1, 2)
            top = (hull[:, 1].min() + 1) // 2
            bottom = hull[:, 1].max() // 2 + 1
            strips = range(top, bottom, ROWS_TOGETHER)
            areas.append(
                sum(
                    pixels_inside(hull, np.arange(strip, min(strip + ROWS_TOGETHER, bottom)))
                    for strip in strips
                )
            )
        return np.array(areas, float)


def concatenated(
    parts: Sequence[ShapeSums], name: str, nothing: np.ndarray | None = None
) -> np.ndarray:
    """Put a field of several parts one after the other; ``nothing`` is that of no objects."""
    if nothing is None:
        nothing = np.zeros(0)
    return np.concatenate([nothing, *(getattr(part, name) for part in parts)])
