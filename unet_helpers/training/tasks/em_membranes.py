"""Membranes of nerve cells: ISBI 2012."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage.measure import label

from ...images.read import read_image
from ...results.metrics import dice, rand_v
from ...results.segmentation import Segmentation
from ..cases import Case, files, first_number, read_truth
from ..recipes import Recipe, Task, slice_examples


def read_membranes(folder: Path) -> Iterator[Case]:
    """ISBI 2012: images/NN.png and masks/NN.png, white is membrane; blocks 00-18, 19-21, 22 and later."""
    for path in files(folder / "images"):
        number = first_number(path.stem)
        part = "train" if number < 19 else "validation" if number < 22 else "test"
        truth = (read_truth(folder / "masks" / path.name) > 0).astype(np.uint8)
        yield Case(path.stem, part, "ssTEM", read_image(path), truth)


def score_membranes(case: Case, result: Segmentation) -> dict[str, float]:
    """Rand V after border thinning; the true cells are 4-connected regions without membrane."""
    cells = label(case.truth == 0, connectivity=1)
    return {"Rand V": rand_v(cells, result.objects), "Dice": dice(case.truth, result.labels)}


RECIPE = Recipe(steps=6000, weight_decay=5e-2, ema=0.998, elastic=60.0, erase=0.5)
TASK = Task("em_membranes", read_membranes, slice_examples("em_membranes"), RECIPE, score_membranes)
