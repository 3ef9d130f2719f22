"""Measures of a frontal chest X-ray: areas, and the cardiothoracic ratio with its two lines.

The cardiothoracic ratio is the greatest width of the heart divided by the greatest inner width of
the chest (Danzer 1919, Am. J. Med. Sci. 157:513). The width of the heart is the sum of its greatest
extents to the right and to the left of the midline, which may lie at different heights: that is the
distance of its outermost points. The inner width of the chest is that of both lungs together, at
the height at which it is greatest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images.stack import as_displayed, to_stack
from .units import pixel_size

if TYPE_CHECKING:
    from .segmentation import Segmentation

HEART = "heart"
LUNGS = ("right lung", "left lung")

# Share of the heart's width to the patient's left of the midline, below which a film is probably
# mirrored: it is 0.52 to 0.84 in the outlines of 185 films of JSRT.
LEAST_LEFT_SHARE = 0.5

# The name of the ratio in a summary.
RATIO = "cardiothoracic ratio"


@dataclass(frozen=True)
class WidthLine:
    """A horizontal line on a displayed slice: from ``left`` to ``right`` in px, between pixels."""

    row: int  # px from the top
    left: int
    right: int

    @property
    def width(self) -> int:
        """The length of the line in px."""
        return self.right - self.left


@dataclass(frozen=True)
class Cardiothoracic:
    """The cardiothoracic ratio and the lines from which it is measured."""

    # From the heart's outermost point on each side, the patient's right first, to the midline.
    heart: tuple[WidthLine, WidthLine]
    chest: WidthLine

    @property
    def heart_width(self) -> int:
        """Greatest width of the heart in px."""
        return sum(line.width for line in self.heart)

    @property
    def ratio(self) -> float:
        """Width of the heart / inner width of the chest."""
        return self.heart_width / self.chest.width

    @property
    def left_share(self) -> float:
        """The share of the heart's width that lies to the patient's left of the midline."""
        return self.heart[1].width / self.heart_width

    @property
    def lines(self) -> tuple[WidthLine, ...]:
        """The lines to draw."""
        return (*self.heart, self.chest)


def cardiothoracic(result: Segmentation) -> Cardiothoracic | None:
    """Measure the cardiothoracic ratio of a single film; None of stacks, or if a part is missing.

    The film must be a single image, upright.
    """
    if len(to_stack(result.image).pixels) != 1:
        return None

    lungs = [as_displayed(result.image, result.mask(name))[0] for name in LUNGS]
    heart = as_displayed(result.image, result.mask(HEART))[0]
    if not heart.any() or not all(lung.any() for lung in lungs):
        return None
    return measure_widths(heart, lungs[0] | lungs[1])


def doubt_about_sides(result: Segmentation) -> str:
    """Return why right and left may be exchanged; '' if the heart lies where it usually does."""
    measured = cardiothoracic(result)
    if measured is None or measured.left_share >= LEAST_LEFT_SHARE:
        return ""
    return (
        "implausible: the heart lies more to the right than to the left, where the left is usual: "
        "a mirrored film? Give numpy.fliplr(pixels)"
    )


def measure_widths(heart: np.ndarray, lungs: np.ndarray) -> Cardiothoracic:
    """Measure masks (H, W), bool, of the heart and of both lungs; neither is empty."""
    first, stop = extents_of_rows(lungs)
    widest = int((stop - first).argmax())
    chest = WidthLine(widest, int(first[widest]), int(stop[widest]))

    first, stop = extents_of_rows(heart)
    occupied = np.flatnonzero(heart.any(axis=1))
    right_row = int(occupied[first[occupied].argmin()])
    left_row = int(occupied[stop[occupied].argmax()])
    left_end, right_end = int(first[right_row]), int(stop[left_row])

    # Both halves end at the midline of the chest; on a displayed film the patient's right is on the
    # left.
    middle = int(np.clip((chest.left + chest.right) // 2, left_end, right_end))
    halves = (
        WidthLine(right_row, left_end, middle),
        WidthLine(left_row, middle, right_end),
    )
    return Cardiothoracic(halves, chest)


def extents_of_rows(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (H,) the first column of each row of (H, W), and one beyond the last; 0 if empty."""
    is_occupied = mask.any(axis=1)
    first = np.where(is_occupied, mask.argmax(axis=1), 0)
    last = np.where(is_occupied, mask.shape[1] - mask[:, ::-1].argmax(axis=1), 0)
    return first, last


def summary_of_chest(result: Segmentation) -> dict[str, tuple[float, str]]:
    """Return the cardiothoracic ratio, both widths and the area of each class, with their units.

    Widths and areas are in mm and mm² if the spacing is known, else in px.
    """
    numbers: dict[str, tuple[float, str]] = {}
    measured = cardiothoracic(result)
    if measured is not None:
        step, unit = column_step(result)
        numbers[RATIO] = (measured.ratio, "")
        numbers["heart width"] = (measured.heart_width * step, unit)
        numbers["inner chest width"] = (measured.chest.width * step, unit)

    pixel = pixel_size(result.image, 2)
    area, unit = 1.0, "px"
    if pixel is not None:
        area, unit = pixel.size * pixel.per_mm**2, f"{pixel.unit}²"
    for name in result.card.classes:
        count = np.count_nonzero(result.mask(name))
        numbers[f"{name} area"] = (float(count * area), unit)
    return numbers


def column_step(result: Segmentation) -> tuple[float, str]:
    """Return the distance of neighbouring columns and its unit: mm, or px if it is not known."""
    spacing = to_stack(result.image).spacing
    if not spacing:
        return 1.0, "px"
    return float(spacing[-1]), "mm"
