"""FLAIR abnormality: TCGA-LGG."""

from pathlib import Path

import numpy as np

from ...images.image import MedicalImage
from ..recipes import Case, Cases, Recipe, Task, read_pairs, score_classes, slice_examples, tenths


def read_brains(folder: Path) -> Cases:
    """TCGA-LGG, FLAIR: images/PATIENT/NN.jpg and masks/PATIENT/NN.png, read as one (Z, Y, X) stack a patient."""
    for number, patient in enumerate(
        sorted(p for p in (folder / "images").glob("*") if p.is_dir())
    ):
        _, images, masks = zip(*read_pairs(patient, folder / "masks" / patient.name))
        stack, truth = np.stack([image.pixels for image in images]), np.stack(masks) > 0
        yield Case(
            patient.name,
            tenths(number),
            "TCGA-LGG",
            MedicalImage(stack, "ZYX"),
            truth.astype(np.uint8),
        )


TASK = Task(
    "brain_flair",
    read_brains,
    slice_examples,
    score_classes,
    Recipe(
        steps=9000,
        batch=8,
        crop=192,
        symmetry="left-right",
        hide_neighbours=0.15,
        mirror=False,
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
