"""A case of a data set: what one person, eye or field of view gave; and what the readers of data sets share.

Parts are split by patient, child, eye, field or block of slices, never by slice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..images.image import MedicalImage
from ..images.read import read_image

IGNORED = 255  # a true label that no loss and no score counts
IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Case:
    """One image or volume with its truth: class ids (or instance ids for nuclei) of the image's spatial shape."""

    name: str
    part: str  # 'train', 'validation' or 'test'
    kind: str  # data set or stain, for scores by kind and for balanced drawing
    image: MedicalImage
    truth: np.ndarray
    group: str = ""  # the person or field it is a part of, where a group has several cases


def tenths(number: int) -> str:
    """Every ninth patient, child or image is for validation, every tenth for the test."""
    return {9: "validation", 0: "test"}.get(number % 10, "train")


def first_number(name: str) -> int:
    return int(re.search(r"\d+", name).group())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGES)


def read_pairs(images: Path, truths: Path) -> Iterator[tuple[str, MedicalImage, np.ndarray]]:
    """(name, image, its mask or label image as stored, (H, W)) of two folders; the masks are .png files."""
    for path in files(images):
        yield path.stem, read_image(path), read_image(truths / f"{path.stem}.png").pixels
