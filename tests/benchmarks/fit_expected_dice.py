"""How ``expected_dice.json`` is made, and how good it is.

``python tests/benchmarks/fit_expected_dice.py --data DIR [--cards CARD...]``

The test part of each card with at least 20 cases, which no training has seen, as it is and
degraded: darker, flatter, noisier, softer, uneven, turned, inverted. The figures printed are
cross-fitted: each fifth of the cases (with all their copies) is predicted by a fit to the others.
Other cards stay in the file as they are. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.checks.expected_dice import (
    CALIBRATION_FILE,
    KERNEL_DECAY,
    DiceInterval,
    DiceRegression,
    signs_of,
)
from unet_helpers.checks.view import View
from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.networks.unet import UNet
from unet_helpers.results.metrics import dice
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import TASKS, read_cases

# Parts of the cases, each of which is predicted by a fit to the others.
FOLDS = 5

# Cases of the test part below which a card is not calibrated.
LEAST_CASES = 20

# Predicted Dice at which the interval is known, spread evenly over the answers.
KNOTS = 4

# Percentiles between which 90 % of what a prediction misses lie.
INTERVAL = (5, 95)

# Weight of the squared weights in the ridge regression.
RIDGE = 0.1


@dataclass(frozen=True, eq=False)
class DegradedImage:
    """A copy of an image, in 0 to 1, and whether it lies a quarter turn to the left."""

    pixels: np.ndarray
    is_turned: bool = False


@dataclass(frozen=True, eq=False)
class Answers:
    """What is known of N answers of a card in which something was found."""

    # (N,) number of the case.
    case: np.ndarray
    # (N, 9) signs of how good it is.
    signs: np.ndarray
    # (N,) true Dice.
    dice: np.ndarray


def degraded_copies(
    pixels: np.ndarray, card: str, rng: np.random.Generator
) -> Iterator[DegradedImage]:
    """Yield the image as it is, then degraded copies of it."""
    low, high = np.percentile(pixels, [0.1, 99.9])
    x = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1)

    yield DegradedImage(pixels)
    yield DegradedImage(x ** rng.uniform(2, 4))
    yield DegradedImage(0.45 + 0.1 * x + rng.normal(0, 0.01, x.shape))
    yield DegradedImage(x + rng.normal(0, rng.uniform(0.05, 0.3), x.shape))

    is_picture = x.ndim == 2 or x.shape[-1] == 3
    if is_picture:
        yield DegradedImage(cv2.GaussianBlur(x, (0, 0), rng.uniform(1, 5)))
        noise = rng.normal(0, 1, x.shape).astype(np.float32)
        uneven_light = cv2.GaussianBlur(noise, (0, 0), 40) * 40
        yield DegradedImage(x + 0.8 * uneven_light)
    else:
        yield DegradedImage(x + 0.5 * rng.normal(0, 1, (*x.shape[:-1], 1)) * x)

    if card == "lungs":
        yield DegradedImage(np.rot90(x), is_turned=True)
        yield DegradedImage(1 - x)


def measure(card: str, folder: Path) -> Answers:
    """Segment all copies of the test part, and keep the answers in which something was found."""
    model = load_model(card)
    cases = [case for case in read_cases(card, folder) if case.part == "test"]

    numbers = []
    signs = []
    true_dice = []
    for number, case in enumerate(tqdm(cases, desc=card)):
        for copy in degraded_copies(case.image.pixels, card, np.random.default_rng(number)):
            answer = measure_copy(model, case, copy)
            if answer is not None:
                numbers.append(number)
                signs.append(answer[0])
                true_dice.append(answer[1])
    return Answers(case=np.array(numbers), signs=np.array(signs), dice=np.array(true_dice))


def measure_copy(
    model: UNet, case: Case, copy: DegradedImage
) -> tuple[tuple[float, ...], float] | None:
    """Return the signs and the Dice of the answer to a copy; None where nothing was found."""
    pixels = copy.pixels
    if pixels is not case.image.pixels:
        pixels = np.ascontiguousarray(pixels, np.float32)
    image = replace(case.image, pixels=pixels)
    result = segment(image, model, progress=False)
    if not result.labels.any():
        return None

    mask = result.labels > 0
    score = View(image).likeness.score(model.card.name)
    signs = signs_of(image, result.foreground, mask, score)
    truth = np.rot90(case.truth) if copy.is_turned else case.truth
    return astuple(signs), dice(truth > 0, mask)


def fit_regression(signs: np.ndarray, true_dice: np.ndarray) -> DiceRegression:
    """Fit a kernel ridge regression with a Laplacian kernel, about the mean."""
    from sklearn.kernel_ridge import KernelRidge

    lowest, highest = np.percentile(signs, [1, 99], axis=0)
    clipped = np.clip(signs, lowest, highest)
    mean = clipped.mean(0)
    scale = clipped.std(0) + 1e-6
    points = (clipped - mean) / scale

    ridge = KernelRidge(alpha=RIDGE, kernel="laplacian", gamma=KERNEL_DECAY)
    ridge.fit(points, true_dice - true_dice.mean())
    return DiceRegression(
        lowest=lowest,
        highest=highest,
        mean=mean,
        scale=scale,
        points=points,
        weights=ridge.dual_coef_,
        intercept=float(true_dice.mean()),
    )


def fit_interval(predicted: np.ndarray, true_dice: np.ndarray) -> DiceInterval:
    """Find what predictions miss, for low to high ones."""
    parts = np.array_split(np.argsort(predicted), KNOTS)
    missed = true_dice - predicted
    low, high = INTERVAL
    return DiceInterval(
        at=np.array([predicted[part].mean() for part in parts]),
        low=np.array([np.percentile(missed[part], low) for part in parts]),
        high=np.array([np.percentile(missed[part], high) for part in parts]),
    )


def cross_predict(answers: Answers) -> np.ndarray:
    """Predict the Dice of each answer by a fit to the other folds."""
    predicted = np.zeros_like(answers.dice)
    for fold in range(FOLDS):
        is_out = answers.case % FOLDS == fold
        regression = fit_regression(answers.signs[~is_out], answers.dice[~is_out])
        predicted[is_out] = regression.predict(answers.signs[is_out])
    return predicted


def share_inside(answers: Answers, predicted: np.ndarray) -> float:
    """Return the share of answers inside the interval that the other folds' misses give."""
    inside = np.zeros(len(predicted), bool)
    for fold in range(FOLDS):
        is_out = answers.case % FOLDS == fold
        interval = fit_interval(predicted[~is_out], answers.dice[~is_out])
        guess = predicted[is_out]
        low = guess + np.interp(guess, interval.at, interval.low)
        high = guess + np.interp(guess, interval.at, interval.high)
        truth = answers.dice[is_out]
        inside[is_out] = (truth >= low - 1e-9) & (truth <= high + 1e-9)
    return float(inside.mean())


def as_json(regression: DiceRegression, interval: DiceInterval) -> dict[str, Any]:
    """Return what the file holds of a card, with four decimals."""
    fields = {
        "range": [regression.lowest, regression.highest],
        "mean": regression.mean,
        "scale": regression.scale,
        "points": regression.points,
        "weights": regression.weights,
        "intercept": regression.intercept,
        "at": interval.at,
        "low": interval.low,
        "high": interval.high,
    }
    return {name: np.round(values, 4).tolist() for name, values in fields.items()}


def in_file_form(stored: dict[str, Any]) -> str:
    """Return the text of the file: a line for each card."""
    lines = ",\n".join(f'"{card}": {json.dumps(fields)}' for card, fields in stored.items())
    return f"{{\n{lines}\n}}\n"


def calibrate(card: str, folder: Path) -> dict[str, Any] | None:
    """Calibrate a card and print how good that is; None where it has too few cases."""
    answers = measure(card, folder)
    cases = len(set(answers.case))
    if cases < LEAST_CASES:
        print(f"{card}: only {cases} cases, not calibrated")
        return None

    predicted = cross_predict(answers)
    correlation = np.corrcoef(predicted, answers.dice)[0, 1]
    error = np.abs(predicted - answers.dice).mean()
    print(
        f"{card}: {cases} cases, {len(answers.dice)} answers, r {correlation:.2f}, mean absolute "
        f"error {error:.3f}, {share_inside(answers, predicted):.0%} inside the interval"
    )
    regression = fit_regression(answers.signs, answers.dice)
    return as_json(regression, fit_interval(predicted, answers.dice))


def main(arguments: list[str] | None = None) -> None:
    """Calibrate the cards and write the file after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a card")
    parser.add_argument("--cards", nargs="+", default=list(TASKS))
    parser.add_argument("--out", type=Path, default=CALIBRATION_FILE)
    chosen = parser.parse_args(arguments)

    stored = {}
    if chosen.out.exists():
        stored = json.loads(chosen.out.read_text("utf-8"))
    for card in chosen.cards:
        fields = calibrate(card, chosen.data / card)
        if fields is not None:
            stored[card] = fields
            chosen.out.write_text(in_file_form(stored), encoding="utf-8")


if __name__ == "__main__":
    main()
