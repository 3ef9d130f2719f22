"""The data sets that the shipped networks learn from, read from folders laid out as the README says.

A case is what one person, eye or field of view gave: an image or a whole volume, with its true labels.
Parts are split by patient, child, eye or block of slices, never by slice.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import TrainingError
from .images import MedicalImage, read_image

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class Case:
    """One image or volume with its truth: class ids (or instance ids for nuclei) of the image's spatial shape."""

    name: str
    part: str  # 'train', 'validation' or 'test'
    kind: str  # data set or stain, for scores by kind and for balanced drawing
    image: MedicalImage
    truth: np.ndarray


def read_cases(card: str, folder: Path) -> Iterator[Case]:
    """All cases of a card's data set; TrainingError where the folder holds none."""
    if card not in READERS:
        raise TrainingError(f"There is no data set for {card!r}. Choose one of: {', '.join(READERS)}.")
    empty = True
    for case in READERS[card](Path(folder)):
        if case.truth.shape != case.image.spatial_shape:
            raise TrainingError(f"{case.name}: the mask is {case.truth.shape}, the image {case.image.spatial_shape}.")
        empty = False
        yield case
    if empty:
        raise TrainingError(f"{folder}: no images of {card!r} found. The README says how the folder is laid out.")


def tenths(number: int) -> str:
    """Every ninth patient, child or image is for validation, every tenth for the test."""
    return {9: "validation", 0: "test"}.get(number % 10, "train")


def first_number(name: str) -> int:
    return int(re.search(r"\d+", name).group())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS)


def read_truth(path: Path) -> np.ndarray:
    """A mask or label image as stored, (H, W)."""
    return read_image(path).pixels


def read_vessels(folder: Path) -> Iterator[Case]:
    """CHASE_DB1 by child and HRF by person: images/chase_*.jpg and hrf_*.jpg, masks/*.png."""
    for path in files(folder / "images"):
        truth = read_truth(folder / "masks" / f"{path.stem}.png") > 0
        kind = path.stem.split("_")[0]
        yield Case(path.stem, tenths(first_number(path.stem)), kind, read_image(path), truth.astype(np.uint8))


def read_nuclei(folder: Path) -> Iterator[Case]:
    """BBBC038 by kind: images/KIND/*.png and labels/KIND/*.png with one 16-bit id per nucleus."""
    for kind in ("fluorescence", "stained", "brightfield"):
        for number, path in enumerate(files(folder / "images" / kind)):
            truth = read_truth(folder / "labels" / kind / path.name)
            yield Case(path.stem, tenths(number), kind, read_image(path), truth)


def read_membranes(folder: Path) -> Iterator[Case]:
    """ISBI 2012: images/NN.png and masks/NN.png, white is membrane; blocks 00-18, 19-21, 22 and later."""
    for path in files(folder / "images"):
        number = first_number(path.stem)
        part = "train" if number < 19 else "validation" if number < 22 else "test"
        truth = (read_truth(folder / "masks" / path.name) > 0).astype(np.uint8)
        yield Case(path.stem, part, "ssTEM", read_image(path), truth)


def read_lungs(folder: Path) -> Iterator[Case]:
    """Montgomery (MCUCXR_*) and Shenzhen (CHNCXR_*): images/*.jpg and masks/*.png."""
    for number, path in enumerate(files(folder / "images")):
        truth = (read_truth(folder / "masks" / f"{path.stem}.png") > 0).astype(np.uint8)
        yield Case(path.stem, tenths(number), path.stem.split("_")[0], read_image(path), truth)


def read_brains(folder: Path) -> Iterator[Case]:
    """TCGA-LGG, FLAIR: images/PATIENT/NN.jpg and masks/PATIENT/NN.png, read as one (Z, Y, X) stack a patient."""
    for number, patient in enumerate(sorted(p for p in (folder / "images").glob("*") if p.is_dir())):
        slices = files(patient)
        stack = np.stack([read_image(path).pixels for path in slices])
        truth = np.stack([read_truth(folder / "masks" / patient.name / f"{path.stem}.png") for path in slices])
        yield Case(patient.name, tenths(number), "TCGA-LGG", stack_of(stack), (truth > 0).astype(np.uint8))


def stack_of(pixels: np.ndarray) -> MedicalImage:
    return MedicalImage(pixels, "ZYX", None, None, None, None, ())


def read_hippocampi(folder: Path) -> Iterator[Case]:
    """Decathlon Task04: images/*.nii.gz and labels/*.nii.gz, 1 anterior, 2 posterior."""
    for number, path in enumerate(sorted((folder / "images").glob("*.nii.gz"))):
        truth = np.rint(read_truth(folder / "labels" / path.name)).astype(np.uint8)
        yield Case(path.name.removesuffix(".nii.gz"), tenths(number), "Task04", read_image(path), truth)


READERS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "retinal_vessels": read_vessels,
    "nuclei": read_nuclei,
    "em_membranes": read_membranes,
    "lungs": read_lungs,
    "brain_flair": read_brains,
    "hippocampus": read_hippocampi,
}
