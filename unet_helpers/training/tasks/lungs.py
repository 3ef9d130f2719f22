"""Lung fields: Montgomery and Shenzhen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..datasets import Case, part_by_number, read_pairs
from ..examples import slice_examples
from ..recipes import Recipe, Task, score_classes


def read_lungs(folder: Path) -> Iterator[Case]:
    """Read images/*.jpg and masks/*.png: Montgomery (MCUCXR_*) and Shenzhen (CHNCXR_*)."""
    pairs = read_pairs(folder / "images", folder / "masks")

    for number, pair in enumerate(pairs):
        yield Case(
            name=pair.name,
            part=part_by_number(number),
            kind=pair.name.split("_")[0],
            image=pair.image,
            truth=(pair.mask > 0).astype(np.uint8),
        )


TASK = Task(
    card="lungs",
    read=read_lungs,
    examples=slice_examples,
    score=score_classes,
    recipe=Recipe(
        steps=5000,
        symmetry="none",
        mirror_border=False,
        zoom=(0.75, 1.3),
        rotation=20,
        gamma=0.4,
        erase=0.5,
    ),
    unit="patients",
)
