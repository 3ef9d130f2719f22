"""Cell nuclei: the 2018 Data Science Bowl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ...networks.cards import ModelCard
from ...preprocessing.resample import resize_labels
from ...results.metrics import aggregated_jaccard, average_precision, dice, panoptic_quality
from ...results.segmentation import Segmentation
from ..datasets import Case, part_by_number, read_pairs
from ..examples import Example, single_example
from ..recipes import Recipe, Task

KINDS = ("fluorescence", "stained", "brightfield")

# Class ids of the network's output.
INTERIOR = 1
BORDER = 2

# Working px: pixels of a nucleus within this distance of another one are border.
BORDER_REACH = 2

# Smallest and largest zoom at which examples are made, and the least side of an example in px.
ZOOM_LIMITS = (0.2, 4)
LEAST_SIDE = 16


def read_nuclei(folder: Path) -> Iterator[Case]:
    """Read BBBC038: images/KIND/*.png, and labels/KIND/*.png with a 16-bit id for each nucleus."""
    for kind in KINDS:
        pairs = read_pairs(folder / "images" / kind, folder / "labels" / kind)
        for number, pair in enumerate(pairs):
            yield Case(
                name=pair.name,
                part=part_by_number(number),
                kind=kind,
                image=pair.image,
                truth=pair.mask,
            )


def nucleus_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make the example of an image, resized to the card's median diameter of nuclei."""
    ids = at_diameter(case.truth, card.preprocessing.size)
    target = interiors_and_borders(ids, reach=BORDER_REACH)
    yield single_example(card, case.image.pixels, target, target.shape)


def at_diameter(ids: np.ndarray, size: float) -> np.ndarray:
    """Resize instance ids (H, W) so that the median nucleus measures ``size`` px across."""
    areas = np.bincount(ids.reshape(-1))[1:]
    diameter = size
    if areas.any():
        median_area = np.median(areas[areas > 0])
        diameter = 2 * np.sqrt(median_area / np.pi)

    zoom = np.clip(size / diameter, *ZOOM_LIMITS)
    height, width = (max(LEAST_SIDE, round(length * zoom)) for length in ids.shape)
    return resize_labels(ids.astype(np.uint16), (height, width))


def interiors_and_borders(ids: np.ndarray, reach: int, rim: bool = False) -> np.ndarray:
    """Turn instance ids into classes: pixels within ``reach`` px of another nucleus are border.

    With ``rim``, pixels within ``reach`` px of background are border, too. Interiors are then
    separate even if the network misses a part of a border.
    """
    diameter = 2 * reach + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))

    # A pixel is border if the lowest and the highest id around it differ. With ``rim``, background
    # counts as the lowest id; without, it gets the highest value, so that it is never the lowest.
    without_background = np.where(ids > 0, ids, np.iinfo(np.uint16).max).astype(np.uint16)
    highest = cv2.dilate(ids, disc)
    lowest = cv2.erode(ids if rim else without_background, disc)

    target = np.where(highest != lowest, BORDER, INTERIOR)
    return np.where(ids == 0, 0, target).astype(np.uint8)


def score_nuclei(case: Case, result: Segmentation) -> dict[str, float]:
    """Return mean AP, AP50, panoptic quality, aggregated Jaccard index and Dice."""
    precision = average_precision(case.truth, result.objects)
    return {
        "mean AP": precision.mean(),
        "AP50": precision[0],
        "PQ": panoptic_quality(case.truth, result.objects),
        "AJI": aggregated_jaccard(case.truth, result.objects),
        "Dice": dice(case.truth, result.labels),
    }


TASK = Task(
    card="nuclei",
    read=read_nuclei,
    examples=nucleus_examples,
    score=score_nuclei,
    recipe=Recipe(
        steps=2640,
        batch=16,
        shares={"fluorescence": 0.65, "stained": 0.25, "brightfield": 0.1},
        consistency=1.0,
        class_weights=(1.0, 1.0, 2.5),
        zoom=(0.5, 1.9),
        elastic=2.0,
        colour=0.5,
        gamma=0.5,
        contrast=0.4,
        noise=0.06,
        downsample=0.3,
        focus=0.4,
        haze=0.06,
        bias_field=0.15,
        erase=0.2,
    ),
    unit="images",
)
