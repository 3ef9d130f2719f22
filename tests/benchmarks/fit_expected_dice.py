"""How ``expected_dice.json`` is made, and how well it predicts.

``python tests/benchmarks/fit_expected_dice.py --answers DIR [--cards CARD...] [--write]``

DIR holds what ``observed_answers.py`` wrote: answers to images of the validation and test parts, as
they are, degraded, and of wrong kinds. A kernel ridge regression is fitted to them for each card.
All figures are printed for sources (cameras, laboratories, scanners) left out of the fit: each
source is predicted by a fit to the others, or, of a card with one source, each fifth of its images.
Other cards stay in the file as they are. Needs scikit-learn.

Printed for each card:

- r, error, inside: of the answers whose expected Dice is given, the correlation with the true Dice,
  the mean absolute error, and the share inside the interval of 90 %.
- false alarms: of the images answered with a Dice of at most 0.05 below what is usual, in which
  something was found, the share with a withheld or doubtful expected Dice.
- caught: of the answers whose Dice is below half of what is usual, the share with a withheld or
  doubtful expected Dice, or without anything found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.checks.expected_dice import (
    CALIBRATION_FILE,
    KERNEL_DECAY,
    DiceInterval,
    DiceRegression,
    Signs,
)
from unet_helpers.networks.cards import MODELS
from unet_helpers.results.assessment import AS_USUAL, DOUBTFUL_SHARE

# Parts of the cases of a card with one source.
FOLDS = 5

# Answers of a source below which it is not left out alone, but with the other small ones.
LEAST_OF_SOURCE = 25

# Predicted Dice at which the interval is known, spread evenly over the answers.
KNOTS = 4

# Percent of the predictions that miss by less than half of the interval. It is above 90 because a
# source that is left out misses by more than the others do.
INTERVAL = 93

# Weight of the squared weights in the ridge regression.
RIDGE = 0.1

# The signs that each card uses: those by which sources left out are predicted best. The greys of
# electron micrographs and X-rays, and the sizes of cells, differ more by source than by quality.
# The borders of whole cells are always soft, so that the share of doubtful pixels says little.
ALL_SIGNS = tuple(name for name in Signs.__dataclass_fields__ if name != "edge")
SOFT_SIGNS = ("soft_dice", "doubtful")
SIGNS_WITHOUT_GREYS = ("soft_dice", "certainty", "doubtful", "noise", "edge")
SIGNS = {
    "retinal_vessels": tuple(name for name in ALL_SIGNS if name != "deviation_inside"),
    "em_membranes": SIGNS_WITHOUT_GREYS,
    "chest": SIGNS_WITHOUT_GREYS,
    "brain_flair": ("soft_dice", "certainty", "unlikeness"),
    "dic_cells": tuple(name for name in (*ALL_SIGNS, "edge") if name not in SOFT_SIGNS),
}

# Names of what is not of a source of the card's own.
FOREIGN = "foreign"


@dataclass(frozen=True, eq=False)
class Answers:
    """What is known of N answers of a card."""

    source: np.ndarray  # (N,) camera, laboratory or scanner
    case: np.ndarray  # (N,) name of the image
    kind: np.ndarray  # (N,) what was done to the image
    is_whole: np.ndarray  # (N,) False for a part of an answer
    signs: np.ndarray  # (N, S) of how good it is; NaN where nothing was found
    dice: np.ndarray  # (N,) true Dice
    score: np.ndarray  # (N,) out-of-distribution score

    @property
    def found(self) -> np.ndarray:
        """(N,) whether anything was found."""
        return np.isfinite(self.signs).all(1)

    @property
    def usual(self) -> float:
        """Median Dice of whole images as they are, in which there is something."""
        as_they_are = self.is_whole & self.found & (self.kind == "as it is") & (self.dice > 0)
        return float(np.median(self.dice[as_they_are]))

    def __getitem__(self, chosen: np.ndarray) -> Answers:
        """Return some of the answers."""
        return Answers(**{name: values[chosen] for name, values in vars(self).items()})


def read_answers(path: Path) -> Answers:
    """Read what ``observed_answers.py`` wrote of a card, with the signs that the card uses."""
    stored = dict(np.load(path))
    names = [*Signs.__dataclass_fields__]
    columns = [names.index(name) for name in signs_used(path.stem.removeprefix("doubt_"))]
    stored["signs"] = stored["signs"][:, columns]
    return Answers(**{name: stored[name] for name in Answers.__dataclass_fields__})


def signs_used(card: str) -> tuple[str, ...]:
    """Return the names of the signs that the regression of a card uses."""
    return SIGNS.get(card, ALL_SIGNS)


def folds_of(answers: Answers) -> Iterator[np.ndarray]:
    """Yield (N,) masks of the answers to leave out together: one source, or a fifth of the cases.

    Images of other kinds are left out with any: each is a source of its own.
    """
    own = [name for name in np.unique(answers.source) if name != FOREIGN]
    counts = {name: np.count_nonzero(answers.source == name) for name in own}
    large = [name for name in own if counts[name] >= LEAST_OF_SOURCE]
    numbers = np.unique(answers.case, return_inverse=True)[1]
    if len(large) < 2:
        for fold in range(FOLDS):
            yield numbers % FOLDS == fold
        return

    foreign = answers.source == FOREIGN
    small = ~np.isin(answers.source, [*large, FOREIGN])
    for index, name in enumerate(large):
        is_out = answers.source == name
        if index == 0:
            is_out |= small
        yield is_out | (foreign & (numbers % len(large) == index))


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
    """Find what predictions miss, for low to high ones: as much above as below.

    A source that was left out is predicted too high or too low as a whole, and which of the two is
    not known of the next one.
    """
    parts = np.array_split(np.argsort(predicted), KNOTS)
    missed = np.abs(true_dice - predicted)
    at_most = np.array([np.percentile(missed[part], INTERVAL) for part in parts])
    return DiceInterval(
        at=np.array([predicted[part].mean() for part in parts]), low=-at_most, high=at_most
    )


def cross_predict(answers: Answers) -> np.ndarray:
    """Predict each Dice by a fit to the other sources; NaN where nothing was found."""
    predicted = np.full(len(answers.dice), np.nan)
    for is_out in folds_of(answers):
        fitted = answers[~is_out & answers.found]
        regression = fit_regression(fitted.signs, fitted.dice)
        chosen = is_out & answers.found
        predicted[chosen] = regression.predict(answers.signs[chosen])
    return predicted


def is_inside(answers: Answers, predicted: np.ndarray) -> np.ndarray:
    """Return (N,) whether the Dice is inside the interval that the other sources' misses give."""
    inside = np.zeros(len(predicted), bool)
    known = np.isfinite(predicted)
    for is_out in folds_of(answers):
        fitted = ~is_out & known
        interval = fit_interval(predicted[fitted], answers.dice[fitted])
        for index in np.flatnonzero(is_out & known):
            low, high = interval.around(predicted[index])
            inside[index] = low - 1e-9 <= answers.dice[index] <= high + 1e-9
    return inside


@dataclass(frozen=True)
class PredictionQuality:
    """How well the expected Dice of a card predicts, over sources left out of the fit."""

    answers: int
    usual: float
    correlation: float
    error: float
    inside: float
    false_alarms: float
    caught: float

    def __str__(self) -> str:
        return (
            f"{self.answers} answers, usual {self.usual:.2f}: r {self.correlation:.2f}, "
            f"error {self.error:.3f}, inside {self.inside:.0%}, "
            f"false alarms {self.false_alarms:.1%}, caught {self.caught:.0%}"
        )


def is_withheld(answers: Answers, predicted: np.ndarray) -> np.ndarray:
    """Return (N,) whether the expected Dice is withheld: see ``segment``."""
    is_odd = np.nan_to_num(answers.score) > 1
    is_doubtful = predicted < DOUBTFUL_SHARE * answers.usual
    return ~np.isfinite(predicted) | (is_odd & is_doubtful)


def quality_of(answers: Answers) -> PredictionQuality:
    """Measure how well the expected Dice predicts."""
    predicted = cross_predict(answers)
    withheld = is_withheld(answers, predicted)
    given = ~withheld
    doubted = withheld | (predicted < DOUBTFUL_SHARE * answers.usual)

    # A part of an image as it is, is no image.
    is_image = answers.is_whole | (answers.kind != "as it is")
    good = is_image & answers.found & (answers.dice >= answers.usual - AS_USUAL)
    poor = answers.dice < answers.usual / 2
    missed = predicted[given] - answers.dice[given]
    return PredictionQuality(
        answers=int(np.count_nonzero(given)),
        usual=answers.usual,
        correlation=float(np.corrcoef(predicted[given], answers.dice[given])[0, 1]),
        error=float(np.abs(missed).mean()),
        inside=float(is_inside(answers, predicted)[given].mean()),
        false_alarms=float(doubted[good].mean()),
        caught=float(doubted[poor].mean()) if poor.any() else float("nan"),
    )


def as_json(
    answers: Answers, signs: Sequence[str], regression: DiceRegression, interval: DiceInterval
) -> dict[str, Any]:
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
        "usual": answers.usual,
    }
    rounded = {name: np.round(values, 4).tolist() for name, values in fields.items()}
    outweighs_from = None
    if (answers.source == FOREIGN).any():
        outweighs_from = round(DOUBTFUL_SHARE * answers.usual, 4)
    return {"signs": signs, **rounded, "outweighs_from": outweighs_from}


def in_file_form(stored: dict[str, Any]) -> str:
    """Return the text of the file: a line for each card."""
    lines = ",\n".join(f'"{card}": {json.dumps(fields)}' for card, fields in stored.items())
    return f"{{\n{lines}\n}}\n"


def calibrate(card: str, answers: Answers) -> dict[str, Any]:
    """Fit to all answers; the interval is that of sources left out."""
    predicted = cross_predict(answers)
    found = answers.found
    regression = fit_regression(answers.signs[found], answers.dice[found])
    interval = fit_interval(predicted[found], answers.dice[found])
    return as_json(answers, signs_used(card), regression, interval)


def main(arguments: list[str] | None = None) -> None:
    """Print how well the expected Dice of each card predicts, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=Path, required=True, help="of observed_answers.py")
    parser.add_argument("--cards", nargs="+", default=list(MODELS))
    parser.add_argument("--out", type=Path, default=CALIBRATION_FILE)
    parser.add_argument("--write", action="store_true", help="write the fit")
    chosen = parser.parse_args(arguments)

    stored = json.loads(chosen.out.read_text("utf-8")) if chosen.out.exists() else {}
    for card in chosen.cards:
        path = chosen.answers / f"doubt_{card}.npz"
        if not path.exists():
            continue
        answers = read_answers(path)
        print(f"{card}: {quality_of(answers)}", flush=True)
        if chosen.write:
            stored[card] = calibrate(card, answers)
            chosen.out.write_text(in_file_form(stored), encoding="utf-8")


if __name__ == "__main__":
    main()
