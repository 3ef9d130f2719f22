"""Cell nuclei in stained tissue: MoNuSeg and CoNSeP."""

from pathlib import Path

from ...networks.cards import ModelCard
from ..recipes import Case, Cases, Examples, Recipe, Task, read_pairs, single_example
from .nuclei import at_diameter, interiors_and_borders, read_nuclei, score_nuclei

VALIDATION = ("TCGA-B0-5710", "TCGA-E2-A1B5", "09", "18", "27")  # kidney, breast; fields of colon
TEST = (
    "TCGA-21-5786",
    "TCGA-AR-A1AS",
    "TCGA-G9-6362",
    "07",
    "10",
    "20",
)  # liver, breast, prostate; colon


def read_tissue(folder: Path) -> Cases:
    """images/monuseg_FIELD.jpg and consep_train_FIELD_TILE.jpg, labels/*.png with one 16-bit id per nucleus.
    Stained images from which the card ``nuclei`` learns are learnt from too, where that folder lies beside this one.
    """
    for name, image, truth in read_pairs(folder / "images", folder / "labels"):
        kind, field = name.split("_", 1)
        field = field if kind == "monuseg" else f"{int(field.split('_')[1]):02}"
        part = "validation" if field in VALIDATION else "test" if field in TEST else "train"
        yield Case(name, part, kind, image, truth, field)
    if (folder.parent / "nuclei" / "images").is_dir():
        yield from (
            c
            for c in read_nuclei(folder.parent / "nuclei")
            if c.kind == "stained" and c.part == "train"
        )


def tissue_examples(card: ModelCard, case: Case) -> Examples:
    """Fields as they were scanned, at 0.25 um a pixel; of other images the nuclei are brought to a like size."""
    labels = at_diameter(case.truth, 24) if case.kind == "stained" else case.truth.astype("uint16")
    target = interiors_and_borders(labels, reach=2, rim=True)
    yield single_example(card, case.image.pixels, target, target.shape)


TASK = Task(
    "nuclei_he",
    read_tissue,
    tissue_examples,
    score_nuclei,
    Recipe(
        steps=2500,
        batch=16,
        shares={"monuseg": 0.5, "consep": 0.35, "stained": 0.15},
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
