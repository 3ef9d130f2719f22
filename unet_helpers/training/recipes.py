"""``Recipe``: schedule and augmentation of a training; ``Task``: all that defines a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import TrainingError
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
    # Number of batches.
    steps: int
    # Number of windows in a batch.
    batch: int = 4
    # Working px: side of the windows, which are squares, or cubes of volumes.
    crop: int = 256
    # The highest learning rate: the rate rises to it, then falls along half a cosine.
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    # The shipped weights are a moving average of the trained ones:
    # average = ema_decay * average + (1 - ema_decay) * weights, at each step.
    ema_decay: float = 0.998
    seed: int = 2015
    # How often examples of each kind are drawn; within a kind each group is drawn equally often.
    # Empty: all examples are drawn equally often.
    shares: Mapping[str, float] = field(default_factory=dict)

    # --- loss
    # Whether soft Dice is computed over the whole batch, or for each image of it.
    dice_over: DiceOver = "batch"
    # Weights of the classes in the cross-entropy, background first; empty: all equal.
    class_weights: tuple[float, ...] = ()
    # Weight of the squared difference between the predictions of an image and of its turned copy.
    consistency: float = 0.0

    # --- position of the window, and how it is turned and bent
    # Share of a window's points inside the image whose truth must be known.
    least_known: float = 0.6
    # Smallest and largest zoom.
    zoom: tuple[float, float] = (0.8, 1.25)
    # Degrees: the largest rotation, in addition to quarter turns.
    rotation: float = 15.0
    # 'all': flips and quarter turns, for images without an upright orientation; 'left-right': left
    # and right swapped; 'none'.
    symmetry: Symmetry = "all"
    # Beyond the border of an image: its mirror image, for textures; or black, for whole organs.
    mirror_border: bool = True
    # Working px: standard deviation of a smooth displacement, which half of the images get.
    elastic: float = 0.0
    # How often a slice of a volume is seen without its neighbours, like a single image.
    hide_neighbours: float = 0.0
    # How often the structure of another image of the batch is copied into this one.
    carve_mix: float = 0.0

    # --- intensities, which are about 0 to 1
    # Standard deviation of the log of gamma.
    gamma: float = 0.3
    # Standard deviation of the log of a gain about the mean.
    contrast: float = 0.3
    # Standard deviation of a constant that is added.
    brightness: float = 0.08
    # Standard deviation of a gain on the amounts of haematoxylin, eosin and DAB.
    stain: float = 0.0
    # Standard deviation of the log of the saturation; hue moves by a fifth of it.
    colour: float = 0.0
    # Standard deviation of the strength of the camera's noise.
    noise: float = 0.04
    # How often the resolution is lowered, to a share between 0.45 and 1. Of volumes, whose slices
    # may be thick, every other one has it along one axis only, down to a share of 0.2.
    downsample: float = 0.0
    # How often an image is blurred or sharpened.
    focus: float = 0.2
    # Standard deviation of a smooth field that is added.
    haze: float = 0.0
    # Standard deviation of the log of a smooth gain field, like that of MRI coils.
    bias_field: float = 0.0
    # How often a small grey box covers part of the image, so that the network learns to use its
    # surroundings.
    erase: float = 0.0


@dataclass(frozen=True)
class Task:
    """The training of a card's network: its data set, examples, recipe and score."""

    # The name of the card.
    card: str
    # Reads all cases of a folder.
    read: Callable[[Path], Iterator[Case]]
    # Makes the examples of a case, prepared as the card says.
    examples: Callable[[ModelCard, Case], Iterator[Example]]
    # Computes the metrics of a result, by name.
    score: Callable[[Case, Segmentation], dict[str, float]]
    recipe: Recipe
    # The units by which the data set was split: 'patients', 'fields', ...
    unit: str
    # The recipe for a network that reads volumes as a whole; None: it learns from slices only.
    volume_recipe: Recipe | None = None
    # Other cards for the same structure that were not trained on this data set.
    unseen_by: tuple[str, ...] = ()

    def recipe_for(self, card: ModelCard) -> Recipe:
        """Return the recipe for what the card reads: slices, or volumes as a whole.

        Raises TrainingError if there is none for volumes.
        """
        if card.preprocessing.dims == 2:
            return self.recipe
        if self.volume_recipe is None:
            raise TrainingError(f"{self.card!r} learns from slices, not from whole volumes.")
        return self.volume_recipe


def score_classes(case: Case, result: Segmentation) -> dict[str, float]:
    """Return the Dice of each class of the card."""
    return {
        f"Dice {name}": dice(case.truth == class_id, result.labels == class_id)
        for class_id, name in enumerate(result.card.classes, start=1)
    }
