"""Finds scale bars that were drawn into an image, and the text beside them, and paints over them.

A bar is a filled rectangle of the image's highest or lowest value, much longer than thick. Objects
are not: none is found in 851 training and validation images of the cards.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# A pixel may belong to a bar within this share of the image's range from its highest (or lowest)
# value: JPEG changes a bar a little.
TOLERANCE = 0.03

# More of the image has such values if it is overexposed; then no bar is looked for.
MOST_OF_IMAGE = 0.05

# Length of a bar / its thickness, at least; its area / area of its bounding box, at least; its
# thickness in px, at least; and its length as a share of the image's shorter side, at least.
LEAST_ELONGATION = 3.0
LEAST_FILLING = 0.95
LEAST_THICKNESS = 2
LEAST_LENGTH = 0.03

# A bar differs from what is around it by at least this share of the image's range.
LEAST_CONTRAST = 0.25

# Text is looked for around a bar, up to this multiple of its length away.
REACH_OF_TEXT = 0.6

# px: what is painted over is wider than the bar on each side, because its edges are blurred.
SPREAD = 2

# px: width of the ring around a bar, from whose median it is painted over.
RING = 4


@dataclass(frozen=True)
class Bar:
    """A bar's bounding box in px."""

    left: int
    top: int
    width: int
    height: int


def find_bars(pixels: np.ndarray) -> np.ndarray | None:
    """Return the mask (H, W) of scale bars and their text in (H, W) or (H, W, 3), or None."""
    if not np.isfinite(pixels).any():
        return None

    lightest = darkest = pixels
    if pixels.ndim == 3:
        # Much faster than the minimum along the last axis.
        red, green, blue = np.moveaxis(pixels, -1, 0)
        lightest = np.minimum(np.minimum(red, green), blue)
        darkest = np.maximum(np.maximum(red, green), blue)
    lowest, highest = float(np.nanmin(darkest)), float(np.nanmax(lightest))
    extent = highest - lowest
    if not np.isfinite(extent) or extent <= 0:
        return None

    found = None
    for is_extreme in (
        lightest >= highest - TOLERANCE * extent,
        darkest <= lowest + TOLERANCE * extent,
    ):
        share = np.count_nonzero(is_extreme) / is_extreme.size
        if not 0 < share < MOST_OF_IMAGE:
            continue
        mask = mask_of_bars(lightest, is_extreme, LEAST_CONTRAST * extent)
        if mask is not None:
            found = mask if found is None else found | mask
    return found


def mask_of_bars(
    grey: np.ndarray, is_extreme: np.ndarray, least_contrast: float
) -> np.ndarray | None:
    """Return the mask of the bars among the extreme pixels, with their text, or None."""
    count, _, statistics, _ = cv2.connectedComponentsWithStats(is_extreme.astype(np.uint8))
    mask = np.zeros(is_extreme.shape, np.uint8)
    for left, top, width, height, area in statistics[1:count].tolist():
        if area < LEAST_FILLING * width * height:
            continue
        bar = Bar(left, top, width, height)
        if not is_bar(bar, is_extreme.shape) or not stands_out(grey, bar, least_contrast):
            continue
        add_with_text(mask, bar, statistics[1:count])
    if not mask.any():
        return None
    side = 2 * SPREAD + 1
    return cv2.dilate(mask, np.ones((side, side), np.uint8)) > 0


def is_bar(bar: Bar, shape: tuple[int, ...]) -> bool:
    """Return whether a filled rectangle has the proportions of a bar, inside the image."""
    thickness = min(bar.width, bar.height)
    length = max(bar.width, bar.height)
    right_gap = shape[1] - bar.left - bar.width
    bottom_gap = shape[0] - bar.top - bar.height
    return (
        thickness >= LEAST_THICKNESS
        and length >= LEAST_ELONGATION * thickness
        and length >= LEAST_LENGTH * min(shape)
        and min(bar.left, bar.top, right_gap, bottom_gap) > 0
    )


def stands_out(grey: np.ndarray, bar: Bar, least_contrast: float) -> bool:
    """Return whether the ring around a bar differs from it on all sides: no object goes on."""
    inside = float(np.median(grey[bar.top : bar.top + bar.height, bar.left : bar.left + bar.width]))
    gap = SPREAD + 1
    top, left = max(0, bar.top - gap), max(0, bar.left - gap)
    bottom, right = bar.top + bar.height + gap, bar.left + bar.width + gap
    sides = [
        grey[max(0, top - RING) : top + 1, left:right],
        grey[bottom - 1 : bottom + RING, left:right],
        grey[top:bottom, max(0, left - RING) : left + 1],
        grey[top:bottom, right - 1 : right + RING],
    ]
    medians = [float(np.median(side)) for side in sides if side.size]
    return min(abs(inside - median) for median in medians) >= least_contrast


def add_with_text(mask: np.ndarray, bar: Bar, statistics: np.ndarray) -> None:
    """Set a bar and the text above or below it in a mask, in place.

    Text is what has the bar's colour near it, unless there is as much of that colour elsewhere.
    """
    mask[bar.top : bar.top + bar.height, bar.left : bar.left + bar.width] = 1

    length = max(bar.width, bar.height)
    reach = REACH_OF_TEXT * length
    texts = []
    area_elsewhere = 0
    for left, top, width, height, area in statistics.tolist():
        is_beside = (
            left > bar.left - reach / 2
            and left + width < bar.left + bar.width + reach / 2
            and top > bar.top - reach
            and top + height < bar.top + bar.height + reach
        )
        if is_beside:
            texts.append((left, top, width, height))
        else:
            area_elsewhere += area

    if area_elsewhere > bar.width * bar.height:
        return
    for left, top, width, height in texts:
        mask[top : top + height, left : left + width] = 1


def without_bars(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a copy of (H, W[, 3]) with each part of the mask filled by the median around it."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    painted = pixels.copy()
    for label in range(1, count):
        left, top, width, height, _ = statistics[label].tolist()
        rows = slice(max(0, top - RING), top + height + RING)
        columns = slice(max(0, left - RING), left + width + RING)
        around = pixels[rows, columns][~mask[rows, columns]]
        if around.size:
            painted[parts == label] = np.median(around, axis=0).astype(pixels.dtype)
    return painted
