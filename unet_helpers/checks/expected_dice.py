"""Predicts the Dice of an answer without the truth, from the image and the probabilities.

``expected_dice.json`` holds a small kernel ridge regression for each card. It was fitted by
``tests/benchmarks/fit_expected_dice.py`` to test images, which no training used, and to degraded
copies of them. The intervals were measured on images left out of the fit.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from ..images.image import MedicalImage
from ..networks.cards import ModelCard
from ..preprocessing.intensities import intensity_range
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


@dataclass(frozen=True)
class Signs:
    """Predictors of the Dice of an answer, in the order of the regression. Greys are 0 to 1."""

    soft_dice: float  # Dice of the mask and the probabilities
    certainty: float  # mean probability inside the mask
    doubtful: float  # number of doubtful pixels / number of pixels of the mask
    unlikeness: float  # ln(out-of-distribution score)
    size: float  # log10(share of the image that the mask covers) / 3
    contrast: float  # mean grey inside the mask - mean grey outside
    deviation_inside: float  # standard deviation of the greys inside the mask
    deviation_outside: float  # standard deviation of the greys outside
    noise: float  # ln(median of |Laplacian of the greys| + LEAST_NOISE)


@dataclass(frozen=True, eq=False)
class DiceRegression:
    """A kernel ridge regression for one card: from the signs of an answer to its Dice."""

    # (9,) signs are clipped to this range.
    lowest: np.ndarray
    highest: np.ndarray

    # (9,) mean and standard deviation of the signs.
    mean: np.ndarray
    scale: np.ndarray

    # (N, 9) standardised signs of the answers that it was fitted to.
    points: np.ndarray

    # (N,) weights of these answers.
    weights: np.ndarray

    # Mean Dice of these answers.
    intercept: float

    def predict(self, signs: np.ndarray) -> np.ndarray:
        """Predict the (M,) Dice of M answers from their signs (M, 9)."""
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
    """The regression of one card and the interval of its error."""

    regression: DiceRegression
    interval: DiceInterval


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
    return Calibration(regression, interval)


def expected_dice(
    view: View, card: ModelCard, foreground: np.ndarray, mask: np.ndarray
) -> tuple[float, float, float] | None:
    """Predict the Dice of an answer, and its 90 % interval: (value, low, high).

    ``foreground``: (*spatial) probabilities; ``mask``: (*spatial) bool, the answer. Returns None if
    the mask is empty, and for a card without calibration.
    """
    calibration = calibrations().get(card.name)
    if calibration is None or not mask.any():
        return None

    score = view.likeness.score(card.name)
    signs = signs_of(view.cleaned, foreground, mask, score)
    value = float(calibration.regression.predict(np.array([astuple(signs)]))[0])
    low, high = calibration.interval.around(value)
    return value, low, high


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
    )


def normalised_grey(image: MedicalImage, shape: tuple[int, ...]) -> np.ndarray:
    """Average the channels and scale to 0 ... 1; ``shape`` is the image's spatial shape."""
    grey = image.pixels.reshape(*shape, -1).mean(-1, dtype=np.float32)
    low, gain = intensity_range(grey, 0.5, 99.5)
    return np.clip((np.nan_to_num(grey) - low) * gain, 0, 1)
