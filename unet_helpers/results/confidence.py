"""How good is this very answer likely to be? Its expected Dice, from what inference knows anyway.

``expected_dice.json`` holds one small ridge regression a card, fitted by ``tests/benchmarks/fit_expected_dice.py`` to
test images that no training has seen and to degraded copies of them; intervals come from images left out of it.
"""

import json
from pathlib import Path

import numpy as np

from ..preprocessing.out_of_distribution import ood_score

CALIBRATION = Path(__file__).with_name("expected_dice.json")


def signs(result) -> np.ndarray:
    """(5,) of a ``Segmentation`` that found something: Dice of mask and probabilities, mean probability in the mask,
    share of doubtful pixels, log of the out-of-distribution score, log of the size; each between about -3 and 1."""
    probability, mask = result.foreground, result.labels > 0
    inside, doubtful = probability[mask], np.count_nonzero((probability > 0.2) & (probability < 0.8))
    soft = 2 * inside.sum(dtype=float) / (probability.sum(dtype=float) + mask.sum())
    unlike = np.log(np.clip(np.nan_to_num(ood_score(result.image, result.card), nan=1.0), 0.2, 5))
    return np.array([soft, inside.mean(dtype=float), doubtful / mask.sum(), unlike, np.log10(mask.mean()) / 3])


def expected_dice(result) -> tuple[float, float, float] | None:
    """Expected Dice of the foreground and its 90 % interval; None where nothing was found, or without calibration."""
    fitted = json.loads(CALIBRATION.read_text(encoding="utf-8")).get(result.card.name)
    if fitted is None or not result.labels.any():
        return None
    x = (np.clip(signs(result), *fitted["range"]) - fitted["mean"]) / fitted["scale"]
    value = float(np.clip(fitted["intercept"] + np.concatenate([x, x**2]) @ fitted["weights"], 0, 1))
    low, high = (float(np.clip(value + np.interp(value, fitted["at"], fitted[end]), 0, 1)) for end in ("low", "high"))
    return value, low, high
