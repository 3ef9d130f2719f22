"""FLAIR abnormality: TCGA-LGG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...images.image import MedicalImage
from ..datasets import Case, part_by_number, read_pairs
from ..examples import slice_examples
from ..recipes import Recipe, Task, score_classes


def read_brains(folder: Path) -> Iterator[Case]:
    """Read TCGA-LGG, the FLAIR images only: a stack (Z, Y, X) for each patient.

    Slices are images/PATIENT/NN.jpg and masks/PATIENT/NN.png.
    """
    patients = sorted(path for path in (folder / "images").glob("*") if path.is_dir())

    for number, patient in enumerate(patients):
        slices = list(read_pairs(patient, folder / "masks" / patient.name))
        stack = np.stack([pair.image.pixels for pair in slices])
        truth = np.stack([pair.mask for pair in slices]) > 0
        yield Case(
            name=patient.name,
            part=part_by_number(number),
            kind="TCGA-LGG",
            image=MedicalImage(stack, "ZYX"),
            truth=truth.astype(np.uint8),
        )


TASK = Task(
    card="brain_flair",
    read=read_brains,
    examples=slice_examples,
    score=score_classes,
    recipe=Recipe(
        steps=9000,
        batch=8,
        crop=192,
        symmetry="left-right",
        hide_neighbours=0.15,
        mirror_border=False,
        zoom=(0.7, 1.35),
        rotation=25,
        gamma=0.5,
        contrast=0.4,
        downsample=0.3,
        erase=0.7,
        carve_mix=0.7,
        bias_field=0.25,
    ),
    unit="patients",
)
