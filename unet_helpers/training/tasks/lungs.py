"""Lung fields: Montgomery and Shenzhen."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..cases import Case, read_pairs, tenths
from ..recipes import Recipe, Task, score_classes, slice_examples


def read_lungs(folder: Path) -> Iterator[Case]:
    """Montgomery (MCUCXR_*) and Shenzhen (CHNCXR_*): images/*.jpg and masks/*.png."""
    for number, (name, image, mask) in enumerate(read_pairs(folder / "images", folder / "masks")):
        yield Case(name, tenths(number), name.split("_")[0], image, (mask > 0).astype(np.uint8))


TASK = Task("lungs", read_lungs, slice_examples("lungs"), score_classes, Recipe(
    steps=5000, weight_decay=5e-2, ema=0.998, symmetry="none", mirror=False, zoom=(0.75, 1.3), rotation=20,
    gamma=0.4, erase=0.5,
), unit="patients")  # fmt: skip
