"""Cell nuclei in stained tissue: MoNuSeg and CoNSeP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...networks.cards import ModelCard
from ..datasets import Case, Part, read_pairs
from ..examples import Example, single_example
from ..recipes import Recipe, Task
from .nuclei import BORDER_REACH, at_diameter, interiors_and_borders, read_nuclei, score_nuclei

# Fields of MoNuSeg: kidney and breast; of CoNSeP (two digits): colon.
VALIDATION_FIELDS = ("TCGA-B0-5710", "TCGA-E2-A1B5", "09", "18", "27")

# Fields of MoNuSeg: liver, breast and prostate; of CoNSeP: colon.
TEST_FIELDS = ("TCGA-21-5786", "TCGA-AR-A1AS", "TCGA-G9-6362", "07", "10", "20")

# Working px: images of unknown scale are resized to this median diameter of nuclei.
DIAMETER = 24


def read_tissue(folder: Path) -> Iterator[Case]:
    """Read MoNuSeg and CoNSeP, and the stained training images of ``nuclei``.

    Files are images/monuseg_FIELD.jpg, images/consep_train_FIELD_TILE.jpg, and labels/*.png with a
    16-bit id for each nucleus. The images of ``nuclei`` are read if its folder is beside this one.
    """
    for pair in read_pairs(folder / "images", folder / "labels"):
        kind, field = kind_and_field(pair.name)
        yield Case(
            name=pair.name,
            part=part_of_field(field),
            kind=kind,
            image=pair.image,
            truth=pair.mask,
            group=field,
        )

    folder_of_nuclei = folder.parent / "nuclei"
    if (folder_of_nuclei / "images").is_dir():
        for case in read_nuclei(folder_of_nuclei):
            if case.kind == "stained" and case.part == "train":
                yield case


def kind_and_field(name: str) -> tuple[str, str]:
    """Return the data set and the field from a file's name; CoNSeP's fields have two digits."""
    kind, field = name.split("_", maxsplit=1)
    if kind == "monuseg":
        return kind, field

    _, number, *_ = field.split("_")
    return kind, f"{int(number):02}"


def part_of_field(field: str) -> Part:
    """Return the part that all tiles of a field belong to."""
    if field in VALIDATION_FIELDS:
        return "validation"
    if field in TEST_FIELDS:
        return "test"
    return "train"


def tissue_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make the example of a field as it was scanned, at 0.25 um per px.

    The scale of images of ``nuclei`` is not known: they are resized to a similar size of nuclei.
    """
    ids = case.truth.astype(np.uint16)
    if case.kind == "stained":
        ids = at_diameter(case.truth, DIAMETER)

    target = interiors_and_borders(ids, reach=BORDER_REACH, rim=True)
    yield single_example(card, case.image.pixels, target, target.shape)


TASK = Task(
    card="nuclei_he",
    read=read_tissue,
    examples=tissue_examples,
    score=score_nuclei,
    recipe=Recipe(
        steps=2500,
        batch=16,
        shares={"monuseg": 0.4, "consep": 0.5, "stained": 0.1},
        consistency=1.0,
        zoom=(0.6, 1.7),
        elastic=2.0,
        stain=0.3,
        colour=0.25,
        downsample=0.3,
        focus=0.4,
        bias_field=0.05,
        erase=0.1,
    ),
    unit="fields",
    unseen_by=("nuclei",),
)
