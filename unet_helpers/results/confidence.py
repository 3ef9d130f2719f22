"""How good is this very answer likely to be? Its expected Dice, from what inference knows anyway.

``expected_dice.json`` holds a small kernel ridge regression a card, fitted by ``tests/benchmarks/fit_expected_dice.py``
to test images that no training has seen and to degraded copies of them; intervals come from images left out of it.
"""

import json
from pathlib import Path

import numpy as np
import scipy

from ..preprocessing.intensities import intensity_range
from ..preprocessing.out_of_distribution import ood_score

CALIBRATION = Path(__file__).with_name("expected_dice.json")
REACH = 0.1  # of the Laplacian kernel exp(-REACH * sum |x - y|) of signs in standard deviations


def signs(result) -> np.ndarray:
    """(9,) of a ``Segmentation`` that found something: Dice of mask and probabilities, mean probability in the mask,
    share of doubtful pixels, log of the out-of-distribution score, log of the size; of the greys, from 0 to 1: how much
    brighter they are in the mask, their deviations inside and outside, log of the noise.
    """
    probability, mask = result.foreground, result.labels > 0
    inside, doubtful = (
        probability[mask],
        np.count_nonzero((probability > 0.2) & (probability < 0.8)),
    )
    soft = 2 * inside.sum(dtype=float) / (probability.sum(dtype=float) + mask.sum())
    unlike = np.log(np.clip(np.nan_to_num(ood_score(result.image, result.card), nan=1.0), 0.2, 5))
    grey = result.image.pixels.reshape(*mask.shape, -1).mean(-1, dtype=np.float32)
    low, gain = intensity_range(grey, 0.5, 99.5)
    grey = np.clip((np.nan_to_num(grey) - low) * gain, 0, 1)
    noise = np.log(np.median(np.abs(scipy.ndimage.laplace(grey))) + 0.006)
    parts = grey[mask], grey[~mask] if not mask.all() else np.zeros(1)
    contrast = parts[0].mean() - parts[1].mean(), parts[0].std(), parts[1].std(), noise
    sure = soft, inside.mean(dtype=float), doubtful / mask.sum(), unlike, np.log10(mask.mean()) / 3
    return np.array([*sure, *contrast])


def expected_dice(result) -> tuple[float, float, float] | None:
    """Expected Dice of the foreground and its 90 % interval; None where nothing was found, or without calibration."""
    fitted = json.loads(CALIBRATION.read_text(encoding="utf-8")).get(result.card.name)
    if fitted is None or not result.labels.any():
        return None
    value = float(predict(fitted, signs(result)[None])[0])
    low, high = (
        float(np.clip(value + np.interp(value, fitted["at"], fitted[end]), 0, 1))
        for end in ("low", "high")
    )
    return value, low, high


def predict(fitted: dict, x: np.ndarray) -> np.ndarray:
    """(N,) expected Dice, for the (N, 9) signs of answers."""
    x = (np.clip(x, *fitted["range"]) - fitted["mean"]) / fitted["scale"]
    alike = np.exp(-REACH * np.abs(x[:, None] - np.array(fitted["points"])).sum(-1))
    return np.clip(fitted["intercept"] + alike @ fitted["weights"], 0, 1)
