"""What a card's training is made of: cases of a data set, examples at working scale, and a recipe; a task holds all.

Parts are split by patient, child, eye, field or block of slices, never by slice.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..images.image import MedicalImage
from ..images.orientation import as_displayed, to_stack
from ..images.read import read_image
from ..networks.cards import ModelCard
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import resize_labels
from ..preprocessing.slices import Prepared
from ..results.metrics import dice
from ..results.segmentation import Segmentation

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


@dataclass(frozen=True, eq=False)
class Example:
    """One slice at working scale: pixels (C, h, w) float16, about 0 to 1; target (h, w) uint8 class ids."""

    pixels: np.ndarray
    target: np.ndarray
    left_right: int = 2  # which axis of ``pixels`` runs from left to right
    kind: str = ""  # the camera, stain or animal
    group: str = ""  # the patient, field or eye


Cases = Iterator[Case]
Examples = Iterator[Example]


@dataclass(frozen=True)
class Recipe:
    """Augmentation and schedule of the training of one card."""

    steps: int
    shares: Mapping[str, float] = field(
        default_factory=dict
    )  # of the kinds; in a kind every group counts the same
    crop: int = 256
    batch: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    ema: float = 0.998  # the shipped weights are this moving average of the trained ones
    seed: int = 2015
    consistency: float = (
        0.0  # weight of the squared difference between the answers to an image and to it turned
    )
    dice: str = "batch"  # is soft Dice taken over the whole batch, or over each 'image' of it
    class_weights: tuple[float, ...] = ()
    zoom: tuple[float, float] = (0.8, 1.25)
    rotation: float = 15.0  # degrees, on top of quarter turns
    mirror: bool = (
        True  # beyond a small image its mirror image, for textures; else black, for whole organs
    )
    symmetry: str = (
        "all"  # flips and quarter turns, where 'up' has no meaning; 'left-right' flips, or 'none'
    )
    hide_neighbours: float = (
        0.0  # how often a slice of a volume is shown without its neighbours, as a single image is
    )
    elastic: float = 0.0  # px: standard deviation of a smooth displacement, in half of the images
    gamma: float = 0.3  # standard deviation of log gamma
    contrast: float = 0.3
    brightness: float = 0.08
    stain: float = 0.0  # how far the amounts of haematoxylin, eosin and DAB vary
    colour: float = 0.0  # saturation jitter; hue moves by a fifth of it
    noise: float = 0.04
    downsample: float = 0.0  # how often images are shown as from a camera of fewer pixels, down to half as many a side
    focus: float = 0.2  # how often an image is blurred or sharpened
    haze: float = 0.0  # standard deviation of light that is added and varies slowly
    bias_field: float = 0.0  # standard deviation of the log of a gain that varies slowly, as with the coils of an MRI
    erase: float = 0.0  # how often a small box of even grey hides what is there, so that its surroundings must tell
    carve_mix: float = (
        0.0  # how often the structure of another image of the batch is set into this one
    )


@dataclass(frozen=True)
class Task:
    """What a card's network learns: its data set, how examples are made of it, how it is trained and scored."""

    card: str
    read: Callable[[Path], Cases]  # all cases of a folder
    examples: Callable[[ModelCard, Case], Examples]  # as the card prepares them
    score: Callable[..., dict[str, float]]  # of a Case and its Segmentation
    recipe: Recipe
    unit: str  # what a source was split by, for the test part: 'patients', 'fields', ...
    unseen_by: tuple[
        str, ...
    ] = ()  # other cards that look for the same, and learnt from other data sets


def tenths(number: int) -> str:
    """Every ninth patient, child or image is for validation, every tenth for the test."""
    return {9: "validation", 0: "test"}.get(number % 10, "train")


def first_number(name: str) -> int:
    return int(re.search(r"\d+", name).group())


def read_pairs(images: Path, truths: Path) -> Iterator[tuple[str, MedicalImage, np.ndarray]]:
    """(name, image, its mask or label image as stored, (H, W)) of two folders; the masks are .png files."""
    for path in sorted(path for path in images.glob("*") if path.suffix.lower() in IMAGES):
        yield path.stem, read_image(path), read_image(truths / f"{path.stem}.png").pixels


def example_of(prepared: Prepared, target: np.ndarray, card: ModelCard, **fields) -> Example:
    """A prepared slice as the network reads it, with its target at working scale; outside the field of view ignored."""
    pixels = prepared.tile(slice(None), slice(None), card.in_channels).astype(np.float16)
    if prepared.inside is not None:
        target = np.where(prepared.inside, target, IGNORED)
    return Example(pixels, target.astype(np.uint8), **fields)


def single_example(
    card: ModelCard, pixels: np.ndarray, truth: np.ndarray, shape, resize=resize_labels
) -> Example:
    """The example of a single image (H, W[, 3]), prepared at the working ``shape`` just as inference does."""
    prepared = prepare(pixels[None], card.preprocessing, shape)[0]
    shape = shape if prepared.inside is None else prepared.inside.shape
    return example_of(prepared, resize(truth[prepared.box], shape), card)


def slice_examples(card: ModelCard, case: Case) -> Examples:
    """For single images and volumes: each slice that shows the structure, and every third of the others."""
    preprocessing, stack, truth = (
        card.preprocessing,
        to_stack(case.image).pixels,
        as_displayed(case.image, case.truth),
    )
    for axis in preprocessing.axes if len(stack) > 1 else (0,):
        slices, masks = np.moveaxis(stack, axis, 0), np.moveaxis(truth, axis, 0)
        shape = (preprocessing.size,) * 2 if preprocessing.scale == "square" else masks.shape[1:]
        prepared = prepare(slices, preprocessing, shape)
        for i, mask in enumerate(masks):
            if mask.any() or i % 3 == 0:  # sides: slices from left to right, or columns
                yield example_of(
                    prepared[i], resize_labels(mask, shape), card, left_right=0 if axis == 2 else 2
                )


def score_classes(case: Case, result: Segmentation) -> dict[str, float]:
    return {
        f"Dice {name}": dice(case.truth == i, result.labels == i)
        for i, name in enumerate(result.card.classes, 1)
    }
