"""Cases of a data set: images with their truth, read from a folder, each in one of three parts.

The parts are split by patient, child, eye, field or block of slices, never by single slices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import TrainingError
from ..images.image import MedicalImage
from ..images.read import read_image

Part = Literal["train", "validation", "test"]

# File endings of images in the folders of data sets; their masks are PNG files.
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Case:
    """One image or volume with its truth."""

    # The file's or the patient's name.
    name: str
    part: Part
    # The data set, camera or stain: scores are given per kind, and kinds are drawn by their shares.
    kind: str
    image: MedicalImage
    # Class ids, instance ids for nuclei, or bits for classes that overlap (``training.overlap``),
    # of the image's spatial shape and axis order.
    truth: np.ndarray
    # The person or field of the case; empty if no other case has the same one.
    group: str = ""

    @property
    def group_or_name(self) -> str:
        """The group of the case; its name if it has no group."""
        return self.group or self.name


@dataclass(frozen=True, eq=False)
class ImageWithMask:
    """An image and its mask, two files of the same name in two folders."""

    # The name of both files, without their endings.
    name: str
    image: MedicalImage
    # (H, W) as stored: a mask, class ids or instance ids.
    mask: np.ndarray


def read_pairs(images: Path, masks: Path) -> Iterator[ImageWithMask]:
    """Read the images of a folder, sorted by name, and their masks: PNG files in ``masks``."""
    paths = [path for path in images.glob("*") if path.suffix.lower() in IMAGE_ENDINGS]

    for path in sorted(paths):
        yield ImageWithMask(
            name=path.stem,
            image=read_image(path),
            mask=read_image(masks / f"{path.stem}.png").pixels,
        )


def part_by_number(number: int) -> Part:
    """Return the part by the last digit: 9 is validation, 0 is test, others are training."""
    last_digit = number % 10
    if last_digit == 9:
        return "validation"
    if last_digit == 0:
        return "test"
    return "train"


def first_number(name: str) -> int:
    """Return the first whole number in a file's name; TrainingError if there is none."""
    digits = re.search(r"\d+", name)
    if digits is None:
        raise TrainingError(
            f"{name}: there is no number in this name, by which the data set is split. "
            "docs/training/data.md says how files are called."
        )
    return int(digits.group())
