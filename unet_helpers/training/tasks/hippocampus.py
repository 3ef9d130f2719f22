"""Hippocampus: Decathlon Task04."""

from pathlib import Path

import numpy as np

from ...images.read import read_image
from ..recipes import Case, Cases, Recipe, Task, score_classes, slice_examples, tenths


def read_hippocampi(folder: Path) -> Cases:
    """Decathlon Task04: images/*.nii.gz and labels/*.nii.gz, 1 anterior, 2 posterior."""
    for number, path in enumerate(sorted((folder / "images").glob("*.nii.gz"))):
        truth = np.rint(read_image(folder / "labels" / path.name).pixels).astype(np.uint8)
        yield Case(
            path.name.removesuffix(".nii.gz"), tenths(number), "Task04", read_image(path), truth
        )


TASK = Task(
    "hippocampus",
    read_hippocampi,
    slice_examples,
    score_classes,
    Recipe(
        steps=5250,
        batch=128,
        crop=48,
        symmetry="left-right",
        hide_neighbours=0.1,
        rotation=20,
        elastic=0.8,
        gamma=0.35,
        downsample=0.2,
        bias_field=0.2,
    ),
    unit="volumes",
)
