"""Lung fields: Montgomery and Shenzhen."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...images.read import read_image
from ..cases import Case, files, read_truth, tenths
from ..recipes import Recipe, Task, score_classes, slice_examples


def read_lungs(folder: Path) -> Iterator[Case]:
    """Montgomery (MCUCXR_*) and Shenzhen (CHNCXR_*): images/*.jpg and masks/*.png."""
    for number, path in enumerate(files(folder / "images")):
        truth = (read_truth(folder / "masks" / f"{path.stem}.png") > 0).astype(np.uint8)
        yield Case(path.stem, tenths(number), path.stem.split("_")[0], read_image(path), truth)


RECIPE = Recipe(
    steps=5000, weight_decay=5e-2, ema=0.998, symmetry="none", mirror=False, zoom=(0.75, 1.3), rotation=20,
    gamma=0.4, erase=0.5,
)  # fmt: skip
TASK = Task("lungs", read_lungs, slice_examples("lungs"), RECIPE, score_classes)
