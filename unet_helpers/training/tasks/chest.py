"""Lungs, heart and clavicles: JSRT with the SCR outlines, and the lung masks of two more clinics.

Montgomery and Shenzhen have masks of the lungs alone: heart and clavicles are not known there, and
the loss leaves them out (see ``training.overlap``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from ...errors import TrainingError
from ...results.chest import cardiothoracic, measure_widths
from ...results.segmentation import Segmentation
from ..datasets import Case, part_by_number, read_pairs
from ..examples import slice_examples
from ..overlap import bits_of, has_class, knows_class, score_overlapping
from ..recipes import Recipe, Task
from .lungs import read_lungs

# Positions of the classes on the card.
RIGHT_LUNG, LEFT_LUNG, HEART, RIGHT_CLAVICLE, LEFT_CLAVICLE = range(5)

# The classes that Montgomery and Shenzhen do not label.
NOT_LABELLED = (HEART, RIGHT_CLAVICLE, LEFT_CLAVICLE)

# mm per px of the films in 512 x 512: 0.175 mm in the original 2048 x 2048.
JSRT_SPACING = 0.7

# The folder of the lung masks, beside that of JSRT.
LUNGS_FOLDER = "lungs"


def read_chests(folder: Path) -> Iterator[Case]:
    """Read JSRT in images/*.jpg and masks/*.png, and the data of ``lungs`` beside the folder.

    Bits of JSRT's masks are 1 right lung, 2 left lung, 4 heart, 8 right clavicle, 16 left clavicle:
    the order of the card's classes. The folder ../lungs may be missing.
    """
    number = -1
    for number, pair in enumerate(read_pairs(folder / "images", folder / "masks")):
        yield Case(
            name=pair.name,
            part=part_by_number(number),
            kind="JSRT",
            image=replace(pair.image, spacing=(JSRT_SPACING, JSRT_SPACING)),
            truth=pair.mask.astype(np.int16),
        )

    if number < 0:
        # Without JSRT there is no data set for this card.
        return
    for case in read_lungs(folder.parent / LUNGS_FOLDER):
        yield replace(case, truth=sided_lungs(case.truth > 0, case.name))


def sided_lungs(lungs: np.ndarray, name: str) -> np.ndarray:
    """Return the truth of a mask of both lungs (H, W): the patient's right is on the left.

    Raises TrainingError if there are fewer than two parts.
    """
    parts, count = ndimage.label(lungs)
    if count < 2:
        raise TrainingError(f"{name}: the mask has {count} parts, but right and left lung are two.")

    sizes = np.bincount(parts.ravel())[1:]
    largest = np.argsort(-sizes)[:2] + 1
    columns = np.array(ndimage.center_of_mass(lungs, parts, range(1, count + 1)))[:, 1]
    middle = columns[largest - 1].mean()

    # Smaller parts belong to the lung of their side.
    is_right = np.concatenate(([False], columns < middle))[parts]
    masks = {RIGHT_LUNG: lungs & is_right, LEFT_LUNG: lungs & ~is_right}
    return bits_of(masks, unknown=NOT_LABELLED)


def score_chest(case: Case, result: Segmentation) -> dict[str, float]:
    """Return the Dice of each class, and the absolute error of the cardiothoracic ratio.

    Both are NaN for what is not labelled.
    """
    scores = score_overlapping(case, result)
    scores["error of the cardiothoracic ratio"] = error_of_ratio(case, result)
    return scores


def error_of_ratio(case: Case, result: Segmentation) -> float:
    """Return the absolute error of the cardiothoracic ratio; NaN if the heart is not labelled.

    A heart or lung that was not found counts as a ratio of 0.
    """
    if not knows_class(case.truth, HEART).all():
        return float("nan")

    measured = cardiothoracic(result)
    lungs = has_class(case.truth, RIGHT_LUNG) | has_class(case.truth, LEFT_LUNG)
    true_ratio = measure_widths(has_class(case.truth, HEART), lungs).ratio
    ratio = 0.0 if measured is None else measured.ratio
    return abs(ratio - true_ratio)


TASK = Task(
    card="chest",
    read=read_chests,
    examples=slice_examples,
    score=score_chest,
    recipe=Recipe(
        steps=2400,
        batch=4,
        shares={"JSRT": 0.7, "MCUCXR": 0.15, "CHNCXR": 0.15},
        # The classes have sides: a mirrored chest would have its heart on the right.
        symmetry="none",
        mirror_border=False,
        zoom=(0.75, 1.3),
        rotation=15,
        elastic=3.0,
        gamma=0.4,
        downsample=0.2,
        haze=0.1,
        erase=0.3,
    ),
    unit="patients",
)
