"""Hippocampus: Decathlon Task04."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...images.read import read_image
from ...networks.cards import ModelCard
from ..datasets import Case, part_by_number
from ..examples import Example, slice_examples, volume_example
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


def hippocampus_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make the examples of a volume: of its slices, or of the whole if the card reads it so."""
    if card.preprocessing.dims == 3:
        yield volume_example(card, case)
    else:
        yield from slice_examples(card, case)


TASK = Task(
    card="hippocampus",
    read=read_hippocampi,
    examples=hippocampus_examples,
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
    # A volume is turned and stretched in three planes, so each varies less than for slices.
    # Resolution and focus vary more, because volumes are seen along one axis, not along three.
    volume_recipe=Recipe(
        steps=12000,
        batch=2,
        crop=40,
        symmetry="left-right",
        zoom=(0.9, 1.12),
        rotation=10,
        elastic=0.4,
        gamma=0.2,
        contrast=0.2,
        brightness=0.05,
        noise=0.03,
        downsample=0.4,
        focus=0.4,
        bias_field=0.15,
    ),
    unit="volumes",
)
