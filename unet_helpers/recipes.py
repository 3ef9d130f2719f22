"""How each shipped network is trained: examples at working scale, augmentation and schedule; run by ``train.py``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .cards import MODELS
from .datasets import Case
from .prepare import field_of_view, neighbours, prepare_slice, resize, resize_labels, slice_levels, width_of
from .stacks import to_stack

IGNORED = 255  # a target pixel that no loss and no score counts


@dataclass(frozen=True, eq=False)
class Example:
    """One slice at working scale: pixels (C, h, w) float16, about 0 to 1; target (h, w) uint8 class ids."""

    pixels: np.ndarray
    target: np.ndarray
    weight: float = 1.0  # how often it is drawn, relative to the others
    left_right: int = 2  # which axis of ``pixels`` runs from left to right


@dataclass(frozen=True)
class Recipe:
    """Data, augmentation and schedule of one card."""

    examples: Callable[[Case], Iterator[Example]]
    steps: int
    coarse: float = 0.0  # the share of the steps, at first, that see half the resolution: four times as fast
    crop: int = 256
    batch: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    ema: float = 0.995  # the shipped weights are this moving average of the trained ones
    seed: int = 2015
    zoom: tuple[float, float] = (0.8, 1.25)
    rotation: float = 15.0  # degrees, on top of quarter turns
    mirror: bool = True  # beyond a small image its mirror image, for textures; else black, for whole organs
    symmetry: str = "all"  # flips and quarter turns, where 'up' has no meaning; 'left-right' flips, or 'none'
    alone: float = 0.0  # how often a slice of a volume is shown without its neighbours, as a single image is
    elastic: float = 0.0  # px, as torchvision's alpha; slow on a CPU
    gamma: float = 0.3  # standard deviation of log gamma
    contrast: float = 0.3
    colour: float = 0.0  # saturation jitter; hue moves by a fifth of it
    noise: float = 0.04
    soft: float = 0.0  # how often an image is shown as from a camera of fewer pixels, down to half as many a side
    erase: float = 0.0  # how often a small box of even grey hides what is there, so that its surroundings must tell
    carve_mix: float = 0.0  # how often the structure of another image of the batch is set into this one
    bias_field: float = 0.0  # standard deviation of the log of a gain that varies slowly, as with the coils of an MRI
    class_weights: tuple[float, ...] = ()

    def at(self, step: int) -> "Recipe":
        """The recipe of one step."""
        if step >= self.coarse * self.steps:
            return self
        return replace(self, crop=self.crop // 2, zoom=tuple(z / 2 for z in self.zoom))

    def calm(self) -> "Recipe":
        """With half the augmentation and no coarse steps: for a last round, nearer to the images as they are."""
        ranges = ("rotation", "gamma", "contrast", "colour", "noise", "soft", "erase", "bias_field")
        return replace(
            self, coarse=0, zoom=tuple(z**0.5 for z in self.zoom), **{name: getattr(self, name) / 2 for name in ranges}
        )


def make_example(
    card: str, pixels: np.ndarray, target: np.ndarray, levels=None, around=(), weight: float = 1.0
) -> Example:
    """Prepare ``pixels`` at the target's shape just as inference does."""
    prepared = prepare_slice(pixels, MODELS[card].reading, target.shape, levels, around)
    planes = prepared.tile(slice(None), slice(None), MODELS[card].in_channels).astype(np.float16)
    if prepared.inside is not None:
        target = np.where(prepared.inside, target, IGNORED)
    return Example(planes, target.astype(np.uint8), weight)


def vessel_examples(case: Case) -> Iterator[Example]:
    zoom = MODELS["retinal_vessels"].reading.size / width_of(field_of_view(case.image.pixels))
    shape = tuple(round(n * zoom) for n in case.truth.shape)
    # a thin vessel covers less than half of a shrunken pixel and still counts
    yield make_example("retinal_vessels", case.image.pixels, resize(case.truth.astype(np.float32), shape) > 0.45)


def nucleus_examples(case: Case) -> Iterator[Example]:
    """Brought to the same median diameter; rare kinds are drawn more often than they occur."""
    often = {"fluorescence": 1.0, "stained": 2.0, "brightfield": 3.5}
    areas = np.bincount(case.truth.reshape(-1))[1:]
    diameter = 2 * np.sqrt(np.median(areas[areas > 0]) / np.pi) if areas.any() else 24
    zoom = np.clip(MODELS["nuclei"].reading.size / diameter, 0.2, 4)
    shape = tuple(max(16, round(n * zoom)) for n in case.truth.shape)
    labels = resize_labels(case.truth.astype(np.uint16), shape)
    yield make_example("nuclei", case.image.pixels, interiors_and_borders(labels, 2), weight=often[case.kind])


def interiors_and_borders(labels: np.ndarray, reach: int) -> np.ndarray:
    """0 background, 1 interior, 2 border: pixels of a nucleus within ``reach`` px of another one."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    highest = cv2.dilate(labels, disc)
    lowest = cv2.erode(np.where(labels > 0, labels, 65535).astype(np.uint16), disc)
    return np.where(labels == 0, 0, np.where(highest != lowest, 2, 1)).astype(np.uint8)


def slice_examples(card: str) -> Callable[[Case], Iterator[Example]]:
    """For single images and volumes: each slice that shows the structure, and every third of the others."""

    def examples(case: Case) -> Iterator[Example]:
        reading = MODELS[card].reading
        stack, truth = case.image.pixels, case.truth
        if case.image.axes == "XYZ":
            stack, truth = (to_stack(replace(case.image, pixels=a)).pixels for a in (stack, truth))
        if stack.ndim == 2:
            stack, truth = stack[None], truth[None]
        for axis in (0, 1, 2) if reading.planes == "three" else (0,):
            slices = np.moveaxis(stack, axis, 0)
            levels = slice_levels(slices, reading)
            for i, mask in enumerate(np.moveaxis(truth, axis, 0)):
                if mask.any() or i % 3 == 0:
                    shape = (reading.size,) * 2 if reading.scale == "square" else mask.shape
                    around = neighbours(slices, i, reading)
                    example = make_example(card, slices[i], resize_labels(mask, shape), levels[i], around)
                    yield replace(example, left_right=0 if axis == 2 else 2)  # slices from left to right, or columns

    return examples


RECIPES = {
    "retinal_vessels": Recipe(
        vessel_examples, steps=6000, weight_decay=5e-2, ema=0.998, zoom=(0.7, 1.4), noise=0.08, soft=0.3, erase=0.3
    ),
    "nuclei": Recipe(
        nucleus_examples,
        steps=4000,
        weight_decay=5e-2,
        ema=0.998,
        zoom=(0.55, 1.8),
        colour=0.5,
        gamma=0.45,
        erase=0.3,
        class_weights=(1.0, 1.0, 2.5),
    ),
    "em_membranes": Recipe(
        slice_examples("em_membranes"), steps=6000, weight_decay=5e-2, ema=0.998, elastic=60.0, erase=0.5
    ),
    "lungs": Recipe(
        slice_examples("lungs"),
        steps=5000,
        coarse=0.6,
        weight_decay=5e-2,
        ema=0.998,
        symmetry="none",
        mirror=False,
        zoom=(0.75, 1.3),
        rotation=20,
        gamma=0.4,
        erase=0.5,
    ),
    "brain_flair": Recipe(
        slice_examples("brain_flair"),
        steps=9000,
        coarse=0.4,
        crop=192,
        batch=8,
        weight_decay=5e-2,
        ema=0.998,
        symmetry="left-right",
        alone=0.15,
        mirror=False,
        zoom=(0.7, 1.35),
        rotation=25,
        gamma=0.5,
        contrast=0.4,
        soft=0.3,
        erase=0.7,
        carve_mix=0.7,
        bias_field=0.25,
    ),
    "hippocampus": Recipe(
        slice_examples("hippocampus"),
        steps=5000,
        crop=48,
        batch=40,
        weight_decay=5e-2,
        ema=0.998,
        symmetry="left-right",
        alone=0.1,
        mirror=False,
        rotation=20,
    ),
}
