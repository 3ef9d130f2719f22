"""Membranes of nerve cells: ISBI 2012 and VNC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.measure import label

from ...results.metrics import dice, rand_v
from ...results.segmentation import Segmentation
from ..datasets import Case, Part, first_number, read_pairs
from ..examples import IGNORED, slice_examples
from ..recipes import Recipe, Task

# Grey value in VNC's masks of glia and extracellular space, in which no membranes were traced.
GLIA = 128


@dataclass(frozen=True)
class Blocks:
    """First slices of the validation and test blocks; slices before them are for training."""

    first_validation: int
    first_test: int

    def part_of(self, number: int) -> Part:
        """Return the part that the slice with this number belongs to."""
        if number < self.first_validation:
            return "train"
        if number < self.first_test:
            return "validation"
        return "test"


BLOCKS = {
    "ISBI": Blocks(first_validation=19, first_test=22),
    "VNC": Blocks(first_validation=8, first_test=10),
}


def read_membranes(folder: Path) -> Iterator[Case]:
    """Read images/*.png and masks/*.png, white is membrane: ISBI 2012 (NN) and VNC (vnc_NN)."""
    for pair in read_pairs(folder / "images", folder / "masks"):
        kind = "VNC" if pair.name.startswith("vnc") else "ISBI"
        truth = np.where(pair.mask == GLIA, IGNORED, pair.mask > 0)
        yield Case(
            name=pair.name,
            part=BLOCKS[kind].part_of(first_number(pair.name)),
            kind=kind,
            image=pair.image,
            truth=truth.astype(np.uint8),
        )


def score_membranes(case: Case, result: Segmentation) -> dict[str, float]:
    """Return the Rand V after border thinning, and the Dice of the membranes.

    The true cells are the 4-connected regions without membrane. The Dice leaves out IGNORED pixels.
    """
    true_cells = label(case.truth == 0, connectivity=1)
    is_known = case.truth != IGNORED
    return {
        "Rand V": rand_v(true_cells, result.objects),
        "Dice": dice(case.truth[is_known], result.labels[is_known]),
    }


TASK = Task(
    card="em_membranes",
    read=read_membranes,
    examples=slice_examples,
    score=score_membranes,
    recipe=Recipe(
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
