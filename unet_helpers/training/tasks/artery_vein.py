"""Arteries and veins of the retina: labels for the photographs of DRIVE and HRF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...images.read import read_image
from ...inference.working_size import zoom_of_width
from ...networks.cards import ModelCard
from ...preprocessing.field_of_view import field_of_view, width_of
from ...preprocessing.resample import resize
from ...results.metrics import dice
from ...results.segmentation import Segmentation
from ..datasets import Case, first_number, part_by_number
from ..examples import IGNORED, Example, single_example
from ..recipes import Recipe, Task
from .retinal_vessels import VESSEL_SHARE

# The label of the truth's files where arteries and veins cross, or a vessel's kind is not clear.
NOT_CLEAR = 3


def read_arteries_and_veins(folder: Path) -> Iterator[Case]:
    """Read labels/*.png (1 artery, 2 vein, 3 both or not clear): DRIVE and HRF, by number.

    The photographs are those of ``retinal_vessels``, whose folder is beside this one.
    """
    images = folder.parent / "retinal_vessels" / "images"
    for path in sorted((folder / "labels").glob("*.png")):
        kind = path.stem.split("_")[0]
        number = first_number(path.stem)
        labels = read_image(path).pixels
        yield Case(
            name=path.stem,
            part=part_by_number(number),
            kind=kind,
            image=read_image(images / f"{path.stem}.jpg"),
            truth=np.where(labels == NOT_CLEAR, IGNORED, labels).astype(np.uint8),
            # All eyes of a number are one group, as for ``retinal_vessels``.
            group=f"{kind} {number}",
        )


def artery_and_vein_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make the example of a photograph, resized to the card's width of the field of view."""
    zoom = zoom_of_width(width_of(field_of_view(case.image.pixels)), card.preprocessing)
    height, width = (round(length * zoom) for length in case.truth.shape)
    yield single_example(card, case.image.pixels, case.truth, (height, width), resize_kinds)


def resize_kinds(truth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize class ids without losing thin vessels; a vessel px is of the kind with most of it."""
    kinds = (1, 2, IGNORED)
    shares = np.stack([resize((truth == kind).astype(np.float32), shape) for kind in kinds])
    is_vessel = shares.sum(0) > VESSEL_SHARE
    return np.where(is_vessel, np.array(kinds)[shares.argmax(0)], 0).astype(np.uint8)


def score_arteries_and_veins(case: Case, result: Segmentation) -> dict[str, float]:
    """Return the Dice of both classes and their mean, where the truth is clear."""
    counted = field_of_view(case.image.pixels) & (case.truth != IGNORED)
    truth = case.truth[counted]
    answer = result.labels[counted]

    scores = {
        f"Dice {name}": dice(truth == class_id, answer == class_id)
        for class_id, name in enumerate(result.card.classes, start=1)
    }
    return {"mean Dice": float(np.mean(list(scores.values()))), **scores}


TASK = Task(
    card="artery_vein",
    read=read_arteries_and_veins,
    examples=artery_and_vein_examples,
    score=score_arteries_and_veins,
    recipe=Recipe(
        steps=3000,
        learning_rate=1e-3,
        shares={"hrf": 1, "drive": 1},
        consistency=1.0,
        dice_over="image",
        zoom=(0.7, 1.5),
        rotation=30,
        elastic=2.0,
        colour=0.2,
        noise=0.1,
        downsample=0.4,
        focus=0.4,
        haze=0.08,
        bias_field=0.1,
        erase=0.3,
    ),
    unit="eyes",
)
