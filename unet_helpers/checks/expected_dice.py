"""Predicts the Dice of an answer without the truth, from the image and the probabilities.

``expected_dice.json`` holds a small kernel ridge regression for each card. It was fitted by
``tests/benchmarks/fit_expected_dice.py`` to images of the validation and test parts, as they are,
degraded and, but for ``hippocampus``, of wrong kinds; ``lungs`` and ``nuclei`` keep an earlier fit,
to images as they are and degraded. The intervals were measured on sources of images (cameras,
laboratories, scanners) left out of the fit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import scipy

from ..images.image import MedicalImage
from ..images.stack import as_displayed, to_stack
from ..networks.cards import ModelCard
from ..preprocessing.intensities import intensity_range
from ..preprocessing.resample import Grid
from ..preprocessing.surroundings import whole_box
from .view import View

CALIBRATION_FILE = Path(__file__).with_name("expected_dice.json")

# The Laplacian kernel is exp(-KERNEL_DECAY * sum |x - y|), with x and y standardised signs.
KERNEL_DECAY = 0.1

# A pixel is doubtful if its probability is between these.
DOUBTFUL = (0.2, 0.8)

# Out-of-distribution scores are clipped to this range.
SCORE_LIMITS = (0.2, 5.0)

# Added to the noise (greys are 0 to 1) before the logarithm, which is not defined at 0.
LEAST_NOISE = 0.006


class ExpectedDice(NamedTuple):
    """The Dice that an answer probably has, and the interval that holds it in 9 of 10 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Signs:
    """Predictors of the Dice of an answer. Greys are 0 to 1. Each card uses some of them."""

    soft_dice: float  # Dice of the mask and the probabilities
    certainty: float  # mean probability inside the mask
    doubtful: float  # number of doubtful pixels / number of pixels of the mask
    unlikeness: float  # ln(out-of-distribution score)
    size: float  # log10(share of the image that the mask covers) / 3
    contrast: float  # mean grey inside the mask - mean grey outside
    deviation_inside: float  # standard deviation of the greys inside the mask
    deviation_outside: float  # standard deviation of the greys outside
    noise: float  # ln(median of |Laplacian of the greys| + LEAST_NOISE)
    edge: float  # share of the mask's pixels that touch its outside, also diagonally


@dataclass(frozen=True, eq=False)
class DiceRegression:
    """A kernel ridge regression for one card: from the signs of an answer to its Dice."""

    # (S,) signs are clipped to this range.
    lowest: np.ndarray
    highest: np.ndarray

    # (S,) mean and standard deviation of the signs.
    mean: np.ndarray
    scale: np.ndarray

    # (N, S) standardised signs of the answers that it was fitted to.
    points: np.ndarray

    # (N,) weights of these answers.
    weights: np.ndarray

    # Mean Dice of these answers.
    intercept: float

    def predict(self, signs: np.ndarray) -> np.ndarray:
        """Predict the (M,) Dice of M answers from their signs (M, S)."""
        standardised = (np.clip(signs, self.lowest, self.highest) - self.mean) / self.scale
        differences = np.abs(standardised[:, None] - self.points).sum(-1)
        kernel = np.exp(-KERNEL_DECAY * differences)
        return np.clip(self.intercept + kernel @ self.weights, 0, 1)


@dataclass(frozen=True, eq=False)
class DiceInterval:
    """The 90 % interval of (true Dice - predicted Dice), as a function of the predicted Dice."""

    at: np.ndarray  # (K,) predicted Dice, increasing
    low: np.ndarray  # (K,) 5th percentile of true - predicted Dice at these values
    high: np.ndarray  # (K,) 95th percentile

    def around(self, value: float) -> tuple[float, float]:
        """Return the lower and the upper end of the interval for a predicted Dice."""
        low = np.clip(value + np.interp(value, self.at, self.low), 0, 1)
        high = np.clip(value + np.interp(value, self.at, self.high), 0, 1)
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The regression of one card, the interval of its error, and what is usual."""

    # Names of the S signs that the regression uses, in its order.
    signs: tuple[str, ...]

    regression: DiceRegression
    interval: DiceInterval

    # Median Dice of the answers to images as they are.
    usual: float

    # Expected Dice from which it outweighs unusual statistics of the image. None: never, because
    # neither was it fitted to images of other kinds, nor was it tried on them.
    outweighs_from: float | None


@cache
def calibrations() -> dict[str, Calibration]:
    """Read the calibrations by name of the card; cards with too few test images have none."""
    stored = json.loads(CALIBRATION_FILE.read_text("utf-8"))
    return {card: calibration_of(fields) for card, fields in stored.items()}


def calibration_of(fields: Mapping[str, Any]) -> Calibration:
    """Make a calibration from its JSON."""
    lowest, highest = np.array(fields["range"])
    regression = DiceRegression(
        lowest=lowest,
        highest=highest,
        mean=np.array(fields["mean"]),
        scale=np.array(fields["scale"]),
        points=np.array(fields["points"]),
        weights=np.array(fields["weights"]),
        intercept=fields["intercept"],
    )
    interval = DiceInterval(
        at=np.array(fields["at"]), low=np.array(fields["low"]), high=np.array(fields["high"])
    )
    return Calibration(
        tuple(fields["signs"]),
        regression,
        interval,
        usual=fields["usual"],
        outweighs_from=fields["outweighs_from"],
    )


def usual_dice(card: ModelCard) -> float | None:
    """Return the median Dice of a card's answers to good images; None if it was not measured."""
    calibration = calibrations().get(card.name)
    if calibration is None:
        return None
    return calibration.usual


def outweighs_statistics(expected: ExpectedDice | None, card: ModelCard) -> bool:
    """Return whether an expected Dice is so good that unusual statistics do not matter."""
    calibration = calibrations().get(card.name)
    if expected is None or calibration is None or calibration.outweighs_from is None:
        return False
    return expected.value >= calibration.outweighs_from


def expected_dice(
    view: View,
    card: ModelCard,
    foreground: np.ndarray,
    mask: np.ndarray,
    places: Mapping[str, tuple[float, ...]] | None = None,
) -> ExpectedDice | None:
    """Predict the Dice of an answer, and its 90 % interval.

    ``foreground``: (*spatial) probabilities; ``mask``: (*spatial) bool, the answer; ``places``: the
    middles (z, y, x) of the boxes that the network saw, if it did not see all of the image. Returns
    None if the mask is empty, and for a card without calibration.
    """
    calibration = calibrations().get(card.name)
    if calibration is None or not mask.any():
        return None

    if places:
        signs_of_boxes = [
            signs_in_box(view, card, foreground, mask, np.array(centre))
            for centre in places.values()
        ]
        return estimate([signs for signs in signs_of_boxes if signs is not None], calibration)

    score = view.likeness.score(card.name)
    image = view.cleaned
    box = view.picture_box(card)
    if box != whole_box(view.stack.pixels) and not image.lies_in_space:
        # Signs are those of the picture, and not of the page around it.
        inside = (..., *box)
        foreground, mask = foreground[inside], mask[inside]
        image = inside_frame(image, inside)
        if not mask.any():
            return None
    signs = signs_of(image, foreground, mask, score)
    return estimate([signs], calibration)


def estimate(signs: list[Signs], calibration: Calibration) -> ExpectedDice | None:
    """Return the mean prediction for the parts of an answer; None if there are none."""
    if not signs:
        return None
    chosen = [[getattr(part, name) for name in calibration.signs] for part in signs]
    value = float(calibration.regression.predict(np.array(chosen)).mean())
    low, high = calibration.interval.around(value)
    return ExpectedDice(value, low, high)


def signs_in_box(
    view: View, card: ModelCard, foreground: np.ndarray, mask: np.ndarray, centre: np.ndarray
) -> Signs | None:
    """Compute the signs in the box around a centre (z, y, x), at the card's spacing; None if empty.

    The regression knows such boxes only: whole heads have other greys, and hold hardly any mask.
    """
    stack = to_stack(view.image)
    if card.localise is None or stack.spacing is None:
        return None
    step = card.preprocessing.spacing or 1.0
    grid = Grid.around(centre, card.localise.box[::-1], np.diag(step / np.array(stack.spacing)))

    inside = grid.cut(as_displayed(view.image, mask.astype(np.float32))) >= 0.5
    if not inside.any():
        return None
    probabilities = np.clip(grid.cut(as_displayed(view.image, foreground)), 0, 1)
    image = MedicalImage(grid.cut(stack.pixels), "ZYX")
    return signs_of(image, probabilities, inside, View(image).likeness.score(card.name))


def inside_frame(image: MedicalImage, inside: tuple[Any, ...]) -> MedicalImage:
    """Cut an image; ``inside`` are an ellipsis, the rows and the columns."""
    if image.channels > 1:
        inside = (*inside, slice(None))
    return replace(image, pixels=image.pixels[inside])


def signs_of(image: MedicalImage, foreground: np.ndarray, mask: np.ndarray, score: float) -> Signs:
    """Compute the signs of an answer whose mask is not empty.

    ``foreground``: (*spatial) probabilities; ``mask``: (*spatial) bool, the answer;
    ``score``: the image's out-of-distribution score, NaN if it is unknown (it then counts as 1).
    """
    inside = foreground[mask]
    doubtful = np.count_nonzero((foreground > DOUBTFUL[0]) & (foreground < DOUBTFUL[1]))
    total = foreground.sum(dtype=float) + mask.sum()
    known_score = np.clip(np.nan_to_num(score, nan=1.0), *SCORE_LIMITS)

    grey = normalised_grey(image, mask.shape)
    grey_inside = grey[mask]
    grey_outside = grey[~mask]
    if not grey_outside.size:
        grey_outside = np.zeros(1)
    noise = np.median(np.abs(scipy.ndimage.laplace(grey)))

    return Signs(
        soft_dice=2 * inside.sum(dtype=float) / total,
        certainty=inside.mean(dtype=float),
        doubtful=doubtful / mask.sum(),
        unlikeness=np.log(known_score),
        size=np.log10(mask.mean()) / 3,
        contrast=grey_inside.mean() - grey_outside.mean(),
        deviation_inside=grey_inside.std(),
        deviation_outside=grey_outside.std(),
        noise=np.log(noise + LEAST_NOISE),
        edge=edge_share(mask),
    )


def edge_share(mask: np.ndarray) -> float:
    """Return the share of the pixels of (..., H, W) that touch the outside, also diagonally."""
    square = np.ones((3, 3), np.uint8)
    planes = mask.reshape(-1, *mask.shape[-2:]).astype(np.uint8)
    within = sum(np.count_nonzero(cv2.erode(plane, square)) for plane in planes)
    return 1 - within / np.count_nonzero(mask)


def normalised_grey(image: MedicalImage, shape: tuple[int, ...]) -> np.ndarray:
    """Average the channels and scale to 0 ... 1; ``shape`` is the image's spatial shape."""
    grey = image.pixels.reshape(*shape, -1).mean(-1, dtype=np.float32)
    low, gain = intensity_range(grey, 0.5, 99.5)
    return np.clip((np.nan_to_num(grey) - low) * gain, 0, 1)
