"""Blood vessels of the retina: CHASE_DB1, HRF and DRIVE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...inference.working_size import zoom_of_width
from ...networks.cards import ModelCard
from ...preprocessing.field_of_view import field_of_view, width_of
from ...preprocessing.resample import resize
from ...results.metrics import dice, sensitivity
from ...results.segmentation import Segmentation
from ..datasets import Case, first_number, part_by_number, read_pairs
from ..examples import Example, single_example
from ..recipes import Recipe, Task

# A working px is vessel if a larger share of it than this is. It is below 0.5, because at 0.5 the
# thinnest vessels are lost.
VESSEL_SHARE = 0.45


def read_vessels(folder: Path) -> Iterator[Case]:
    """Read CHASE_DB1 by child, HRF and DRIVE by number.

    Files are chase_*.jpg, hrf_*.jpg and drive_*.jpg in images/, and masks/*.png.
    """
    for pair in read_pairs(folder / "images", folder / "masks"):
        kind = pair.name.split("_")[0]
        number = first_number(pair.name)
        yield Case(
            name=pair.name,
            part=part_by_number(number),
            kind=kind,
            image=pair.image,
            truth=(pair.mask > 0).astype(np.uint8),
            # Both eyes of a child are one group.
            group=f"{kind} {number}",
        )


def vessel_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make the example of a photograph, resized as ``segment`` does."""
    zoom = zoom_of_width(width_of(field_of_view(case.image.pixels)), card.preprocessing)
    height, width = (round(length * zoom) for length in case.truth.shape)
    truth = case.truth.astype(np.float32)
    yield single_example(card, case.image.pixels, truth, (height, width), resize_vessels)


def resize_vessels(truth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize a float32 mask of vessels without losing thin ones."""
    return resize(truth, shape) > VESSEL_SHARE


def score_vessels(case: Case, result: Segmentation) -> dict[str, float]:
    """Return Dice and sensitivity inside the field of view."""
    inside = field_of_view(case.image.pixels)
    truth = case.truth[inside]
    answer = result.labels[inside]
    return {"Dice": dice(truth, answer), "sensitivity": sensitivity(truth, answer)}


TASK = Task(
    card="retinal_vessels",
    read=read_vessels,
    examples=vessel_examples,
    score=score_vessels,
    recipe=Recipe(
        steps=3640,
        batch=16,
        shares={"chase": 1, "hrf": 1, "drive": 1},
        consistency=1.0,
        dice_over="image",
        zoom=(0.7, 1.5),
        elastic=2.0,
        noise=0.1,
        downsample=0.4,
        focus=0.4,
        haze=0.08,
        bias_field=0.1,
        erase=0.3,
    ),
    unit="eyes",
)
