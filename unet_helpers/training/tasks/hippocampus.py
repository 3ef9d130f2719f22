"""Hippocampus: Decathlon Task04."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...images.read import read_image
from ..cases import Case, read_truth, tenths
from ..recipes import Recipe, Task, slice_examples
from ..scores import score_classes


def read_hippocampi(folder: Path) -> Iterator[Case]:
    """Decathlon Task04: images/*.nii.gz and labels/*.nii.gz, 1 anterior, 2 posterior."""
    for number, path in enumerate(sorted((folder / "images").glob("*.nii.gz"))):
        truth = np.rint(read_truth(folder / "labels" / path.name)).astype(np.uint8)
        yield Case(path.name.removesuffix(".nii.gz"), tenths(number), "Task04", read_image(path), truth)


RECIPE = Recipe(
    steps=5000,
    crop=48,
    batch=40,
    weight_decay=5e-2,
    ema=0.998,
    symmetry="left-right",
    hide_neighbours=0.1,
    mirror=False,
    rotation=20,
)
TASK = Task("hippocampus", read_hippocampi, slice_examples("hippocampus"), RECIPE, score_classes)
