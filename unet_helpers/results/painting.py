"""The overlay of a result: its classes, the outlines of its objects, and lines that it measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .chest import WidthLine, cardiothoracic
from .overlay import fill, opacity_for, outline, paint, picture, shrink, slice_of

if TYPE_CHECKING:
    from .segmentation import Segmentation

# Lines are white with a black edge, so that they are seen on every picture: shares of the longer
# side of the picture.
LINE_WIDTH = 1 / 320
END_MARK = 1 / 60


def paint_result(
    result: Segmentation, index: int | None, alpha: float | None, contours: bool
) -> np.ndarray:
    """Return the overlay of a displayed slice, (h, w, 3) uint8: see ``Segmentation.overlay``."""
    if index is None:
        index = result.busiest_slice()
    if alpha is None:
        alpha = opacity_for(result.card)
    shown = picture(result.image, index)

    if result.card.overlapping:
        painted = paint_overlapping(result, shown, index, alpha, contours)
    else:
        labels = slice_of(result.image, result.labels, index)
        objects = slice_of(result.image, result.objects, index) if contours else None
        painted = paint(shown, labels, result.card.colors, objects, alpha)

    measured = cardiothoracic(result) if result.card.measures == "chest" else None
    if measured is not None and contours:
        draw_widths(painted, measured.lines, zoom=painted.shape[1] / shown.shape[1])
    return painted


def paint_overlapping(
    result: Segmentation, shown: np.ndarray, index: int, alpha: float, contours: bool
) -> np.ndarray:
    """Paint each class with all of its mask: where classes overlap, both are seen."""
    colors = result.card.colors
    masks = [
        shrink(slice_of(result.image, mask, index).astype(np.uint8), cv2.INTER_NEAREST_EXACT)
        for mask in result._masks
    ]
    painted = shrink(shown, cv2.INTER_AREA)

    # One after the other, so that the colours mix.
    for mask, color in zip(masks, colors, strict=True):
        painted = fill(painted, mask[None] > 0, [color], alpha)

    if contours:
        for layer, mask, color in zip(result._layers, masks, colors, strict=True):
            outline(painted, slice_of(result.image, layer, index), mask, [color])
    return painted


def draw_widths(painted: np.ndarray, lines: Sequence[WidthLine], zoom: float) -> None:
    """Draw horizontal lines with marks at their ends, in place.

    ``zoom`` is px of ``painted`` per px of the image.
    """
    longer = max(painted.shape[:2])
    thickness = max(1, round(LINE_WIDTH * longer))
    mark = max(2, round(END_MARK * longer))

    strokes = []
    for line in lines:
        # The middle of a pixel is half a px from its border.
        row = round((line.row + 0.5) * zoom - 0.5)
        left = round(line.left * zoom)
        right = round(line.right * zoom) - 1
        strokes.append(((left, row), (right, row)))
        strokes += [((end, row - mark), (end, row + mark)) for end in (left, right)]

    # All edges first, so that none covers a line.
    for colour, extra in (((0, 0, 0), 2), ((255, 255, 255), 0)):
        for start, stop in strokes:
            cv2.line(painted, start, stop, colour, thickness + extra)
