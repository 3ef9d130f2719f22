"""``Recipe``: schedule and augmentation of a training; ``Task``: all that trains a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..networks.cards import ModelCard
from ..results.metrics import dice
from ..results.segmentation import Segmentation
from .datasets import Case
from .examples import Example

Symmetry = Literal["all", "left-right", "none"]
DiceOver = Literal["batch", "image"]


@dataclass(frozen=True)
class Recipe:
    """Schedule and augmentation of the training of one card."""

    # --- schedule
    # Batches that the network learns from.
    steps: int
    # Windows in a batch.
    batch: int = 4
    # Working px: side of the square windows.
    crop: int = 256
    # The highest learning rate; it rises to it, and falls along half a cosine.
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    # The shipped weights are a moving average of the trained ones; it keeps this much at each step.
    ema_decay: float = 0.998
    seed: int = 2015
    # How often the kinds of examples are drawn, by kind; within a kind each group counts the same.
    # Empty: each example is drawn as often as any other.
    shares: Mapping[str, float] = field(default_factory=dict)

    # --- loss
    # Is soft Dice taken over the whole batch, or over each image of it?
    dice_over: DiceOver = "batch"
    # Weights of the classes in the cross-entropy, background first; empty: all alike.
    class_weights: tuple[float, ...] = ()
    # Weight of the squared difference between the answers to an image and to its turned copy.
    consistency: float = 0.0

    # --- where the window lies, and how it is turned and bent
    # Smallest and largest zoom.
    zoom: tuple[float, float] = (0.8, 1.25)
    # Degrees at most, on top of quarter turns.
    rotation: float = 15.0
    # 'all': flips and quarter turns, where 'up' has no meaning; 'left-right': flips alone; 'none'.
    symmetry: Symmetry = "all"
    # Beyond a small image lies its mirror image, for textures; else black, for whole organs.
    mirror_border: bool = True
    # Working px: standard deviation of a smooth displacement, in half of the images.
    elastic: float = 0.0
    # How often a slice of a volume is shown without its neighbours, as a single image is.
    hide_neighbours: float = 0.0
    # How often the structure of another image of the batch is set into this one.
    carve_mix: float = 0.0

    # --- intensities; those of an image are about 0 to 1
    # Standard deviation of the log of gamma.
    gamma: float = 0.3
    # Standard deviation of the log of a gain about the mean.
    contrast: float = 0.3
    # Standard deviation of what is added.
    brightness: float = 0.08
    # How far the amounts of haematoxylin, eosin and DAB vary.
    stain: float = 0.0
    # Standard deviation of the log of the saturation; hue moves by a fifth of it.
    colour: float = 0.0
    # Standard deviation of the strength of the camera's noise.
    noise: float = 0.04
    # How often images look as from a camera of fewer pixels, down to half as many a side.
    downsample: float = 0.0
    # How often an image is blurred or sharpened.
    focus: float = 0.2
    # Standard deviation of light that is added and varies slowly.
    haze: float = 0.0
    # Standard deviation of the log of a gain that varies slowly, as with the coils of an MRI.
    bias_field: float = 0.0
    # How often a small box of even grey hides what is there, so that its surroundings must tell.
    erase: float = 0.0


@dataclass(frozen=True)
class Task:
    """What a card's network learns: its data set, its examples, its recipe and its score."""

    # The name of the card.
    card: str
    # All cases of a folder.
    read: Callable[[Path], Iterator[Case]]
    # The examples of a case, as the card prepares them.
    examples: Callable[[ModelCard, Case], Iterator[Example]]
    # Metrics of an answer, by name.
    score: Callable[[Case, Segmentation], dict[str, float]]
    recipe: Recipe
    # What the test part was split by: 'patients', 'fields', ...
    unit: str
    # Other cards that look for the same structure, and learnt from other data sets.
    unseen_by: tuple[str, ...] = ()


def score_classes(case: Case, result: Segmentation) -> dict[str, float]:
    """Dice of each class of the card."""
    return {
        f"Dice {name}": dice(case.truth == class_id, result.labels == class_id)
        for class_id, name in enumerate(result.card.classes, start=1)
    }
