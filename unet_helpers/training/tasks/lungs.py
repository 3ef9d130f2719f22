"""Lung fields: Montgomery and Shenzhen."""

from pathlib import Path

from ..recipes import Case, Cases, Recipe, Task, read_pairs, score_classes, slice_examples, tenths


def read_lungs(folder: Path) -> Cases:
    """Montgomery (MCUCXR_*) and Shenzhen (CHNCXR_*): images/*.jpg and masks/*.png."""
    for number, (name, image, mask) in enumerate(read_pairs(folder / "images", folder / "masks")):
        yield Case(name, tenths(number), name.split("_")[0], image, (mask > 0).astype("uint8"))


TASK = Task(
    "lungs",
    read_lungs,
    slice_examples,
    score_classes,
    Recipe(
        steps=5000,
        symmetry="none",
        mirror=False,
        zoom=(0.75, 1.3),
        rotation=20,
        gamma=0.4,
        erase=0.5,
    ),
    unit="patients",
)
