"""How good is this very answer likely to be? Its expected Dice, from what inference knows anyway.

``expected_dice.json`` holds a small kernel ridge regression a card, fitted by
``tests/benchmarks/fit_expected_dice.py`` to test images that no training has seen and to degraded
copies of them; intervals come from images left out of it.
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

# Decay of the Laplacian kernel exp(-DECAY * sum |x - y|) of signs in standard deviations.
KERNEL_DECAY = 0.1

# Probabilities between these are doubtful.
DOUBTFUL = (0.2, 0.8)

# Out-of-distribution scores beyond these count as these.
SCORE_LIMITS = (0.2, 5.0)

# Added to the noise, of greys from 0 to 1, so that images without any have a logarithm.
LEAST_NOISE = 0.006


@dataclass(frozen=True)
class Signs:
    """What tells how good an answer is, in the order in which the regression takes it."""

    soft_dice: float  # Dice of mask and probabilities
    certainty: float  # mean probability inside the mask
    doubtful: float  # pixels of doubtful probability, over the mask's
    unlikeness: float  # logarithm of the out-of-distribution score
    size: float  # log10 of the mask's share of the image, a third of it
    contrast: float  # greys from 0 to 1: how much brighter they are inside the mask than outside
    deviation_inside: float  # their standard deviation inside the mask
    deviation_outside: float  # and outside
    noise: float  # logarithm of the median of their Laplacian


@dataclass(frozen=True, eq=False)
class DiceRegression:
    """A kernel ridge regression of the Dice of a card's answers on their signs."""

    # (9,) signs beyond these count as these.
    lowest: np.ndarray
    highest: np.ndarray

    # (9,) mean and standard deviation of the signs.
    mean: np.ndarray
    scale: np.ndarray

    # (N, 9) standardised signs of the answers it was fitted to, and their (N,) weights.
    points: np.ndarray
    weights: np.ndarray

    # The mean Dice.
    intercept: float

    def predict(self, signs: np.ndarray) -> np.ndarray:
        """Predict the (N,) Dice of the (N, 9) signs of answers."""
        standardised = (np.clip(signs, self.lowest, self.highest) - self.mean) / self.scale
        differences = np.abs(standardised[:, None] - self.points).sum(-1)
        kernel = np.exp(-KERNEL_DECAY * differences)
        return np.clip(self.intercept + kernel @ self.weights, 0, 1)


@dataclass(frozen=True, eq=False)
class DiceInterval:
    """What a prediction misses in nine of ten cases, by the predicted Dice."""

    at: np.ndarray  # (K,) predicted Dice, rising
    low: np.ndarray  # (K,) 5th percentile of the true Dice minus the predicted one, at these
    high: np.ndarray  # (K,) the 95th percentile

    def around(self, value: float) -> tuple[float, float]:
        """Tell the lower and the upper end for a predicted Dice."""
        low = np.clip(value + np.interp(value, self.at, self.low), 0, 1)
        high = np.clip(value + np.interp(value, self.at, self.high), 0, 1)
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known of the Dice of a card's answers."""

    regression: DiceRegression
    interval: DiceInterval


@cache
def calibrations() -> dict[str, Calibration]:
    """Read what is known, by the card's name; cards with too few test images are not among them."""
    stored = json.loads(CALIBRATION_FILE.read_text("utf-8"))
    return {card: calibration_of(fields) for card, fields in stored.items()}


def calibration_of(fields: Mapping[str, Any]) -> Calibration:
    """Make a calibration of its JSON."""
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

    ``foreground``: (*spatial) probabilities; ``mask``: (*spatial) bool, what was found. None where
    that is nothing, and for a card without calibration.
    """
    calibration = calibrations().get(card.name)
    if calibration is None or not mask.any():
        return None

    score = view.likeness.score(card.name)
    signs = signs_of(view.image, foreground, mask, score)
    value = float(calibration.regression.predict(np.array([astuple(signs)]))[0])
    low, high = calibration.interval.around(value)
    return value, low, high


def signs_of(image: MedicalImage, foreground: np.ndarray, mask: np.ndarray, score: float) -> Signs:
    """Collect the signs of an answer that found something.

    ``foreground``: (*spatial) probabilities; ``mask``: (*spatial) bool, what was found;
    ``score``: the image's out-of-distribution score, NaN where it is not known.
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
    """Average the channels of an image of the spatial ``shape``, brought to 0 to 1."""
    grey = image.pixels.reshape(*shape, -1).mean(-1, dtype=np.float32)
    low, gain = intensity_range(grey, 0.5, 99.5)
    return np.clip((np.nan_to_num(grey) - low) * gain, 0, 1)
