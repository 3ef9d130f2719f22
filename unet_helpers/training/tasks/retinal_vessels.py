"""Blood vessels of the retina: CHASE_DB1, HRF and DRIVE."""

from pathlib import Path

import numpy as np

from ...networks.cards import ModelCard
from ...preprocessing.field_of_view import field_of_view, width_of
from ...preprocessing.resample import resize
from ...results.metrics import dice, sensitivity
from ...results.segmentation import Segmentation
from ..recipes import (
    Case,
    Cases,
    Examples,
    Recipe,
    Task,
    first_number,
    read_pairs,
    single_example,
    tenths,
)


def read_vessels(folder: Path) -> Cases:
    """CHASE_DB1 by child, HRF and DRIVE by number: images/chase_*.jpg, hrf_*.jpg, drive_*.jpg, masks/*.png."""
    for name, image, mask in read_pairs(folder / "images", folder / "masks"):
        kind, number = name.split("_")[0], first_number(name)
        group = f"{kind} {number}"  # both eyes of a child
        yield Case(name, tenths(number), kind, image, (mask > 0).astype(np.uint8), group)


def vessel_examples(card: ModelCard, case: Case) -> Examples:
    zoom = card.preprocessing.size / width_of(field_of_view(case.image.pixels))
    shape = tuple(round(n * zoom) for n in case.truth.shape)
    thin = lambda truth, shape: resize(truth, shape) > 0.45
    yield single_example(card, case.image.pixels, case.truth.astype(np.float32), shape, thin)


def score_vessels(case: Case, result: Segmentation) -> dict[str, float]:
    """Inside the field of view, where there is one."""
    inside = field_of_view(case.image.pixels)
    truth, answer = case.truth[inside], result.labels[inside]
    return {"Dice": dice(truth, answer), "sensitivity": sensitivity(truth, answer)}


TASK = Task(
    "retinal_vessels",
    read_vessels,
    vessel_examples,
    score_vessels,
    Recipe(
        steps=3640,
        batch=16,
        shares={"chase": 1, "hrf": 1, "drive": 1},
        consistency=1.0,
        dice="image",
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
