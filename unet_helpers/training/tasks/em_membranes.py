"""Membranes of nerve cells: ISBI 2012 and VNC."""

from pathlib import Path

import numpy as np
from skimage.measure import label

from ...results.metrics import dice, rand_v
from ...results.segmentation import Segmentation
from ..recipes import IGNORED, Case, Cases, Recipe, Task, first_number, read_pairs, slice_examples


def read_membranes(folder: Path) -> Cases:
    """images/*.png and masks/*.png, white is membrane, by block of slices.
    ISBI 2012 (NN): 00-18, 19-21, 22 and later. VNC (vnc_NN): 00-07, 08-09, 10 and later; there, grey 128 is glia and
    extracellular space, in which nobody traced membranes: ignored.
    """
    for name, image, mask in read_pairs(folder / "images", folder / "masks"):
        number, kind = first_number(name), "VNC" if name.startswith("vnc") else "ISBI"
        first_validation, first_test = (8, 10) if kind == "VNC" else (19, 22)
        part = (
            "train"
            if number < first_validation
            else "validation"
            if number < first_test
            else "test"
        )
        yield Case(
            name, part, kind, image, np.where(mask == 128, IGNORED, mask > 0).astype(np.uint8)
        )


def score_membranes(case: Case, result: Segmentation) -> dict[str, float]:
    """Rand V after border thinning, Dice outside ignored pixels; the true cells are 4-connected, without membrane."""
    cells, seen = label(case.truth == 0, connectivity=1), case.truth != IGNORED
    return {
        "Rand V": rand_v(cells, result.objects),
        "Dice": dice(case.truth[seen], result.labels[seen]),
    }


TASK = Task(
    "em_membranes",
    read_membranes,
    slice_examples,
    score_membranes,
    Recipe(
        steps=3550,
        batch=16,
        shares={"ISBI": 1, "VNC": 1},
        consistency=1.0,
        zoom=(0.75, 1.35),
        elastic=3.0,
        gamma=0.4,
        contrast=0.35,
        noise=0.06,
        downsample=0.3,
        focus=0.4,
        haze=0.05,
        bias_field=0.1,
        erase=0.4,
    ),
    unit="slices",
)
