"""Hippocampus: Decathlon Task04."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...images.read import read_image
from ..datasets import Case, part_by_number
from ..examples import slice_examples
from ..recipes import Recipe, Task, score_classes


def read_hippocampi(folder: Path) -> Iterator[Case]:
    """Read images/*.nii.gz and labels/*.nii.gz: 1 is anterior, 2 posterior."""
    paths = sorted((folder / "images").glob("*.nii.gz"))

    for number, path in enumerate(paths):
        labels = read_image(folder / "labels" / path.name).pixels
        yield Case(
            name=path.name.removesuffix(".nii.gz"),
            part=part_by_number(number),
            kind="Task04",
            image=read_image(path),
            truth=np.rint(labels).astype(np.uint8),
        )


TASK = Task(
    card="hippocampus",
    read=read_hippocampi,
    examples=slice_examples,
    score=score_classes,
    recipe=Recipe(
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
