"""How ``expected_dice.json`` is made, and how good it is: ``python tests/benchmarks/fit_expected_dice.py --data DIR``.

The test part of each card with at least 20 cases, which no training has seen, as it is and degraded: darker, flatter,
noisier, softer, smaller, turned, inverted. The figures printed are cross-fitted: each fifth of the cases (with all
their copies) is predicted by a fit to the others. Needs scikit-learn.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.results.confidence import CALIBRATION, REACH, predict, signs
from unet_helpers.results.metrics import dice
from unet_helpers.training.tasks import TASKS, read_cases

FOLDS, LEAST, KNOTS = 5, 20, 4


def looks(
    pixels: np.ndarray, card: str, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, bool]]:
    """Degraded copies in 0 to 1, and whether they lie quarter-turned."""
    low, high = np.percentile(pixels, [0.1, 99.9])
    x = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1)
    yield pixels, False
    yield x ** rng.uniform(2, 4), False
    yield 0.45 + 0.1 * x + rng.normal(0, 0.01, x.shape), False
    yield x + rng.normal(0, rng.uniform(0.05, 0.3), x.shape), False
    if x.ndim == 2 or x.shape[-1] == 3:
        yield cv2.GaussianBlur(x, (0, 0), rng.uniform(1, 5)), False
        yield (
            x
            + 0.8 * cv2.GaussianBlur(rng.normal(0, 1, x.shape).astype(np.float32), (0, 0), 40) * 40,
            False,
        )
    else:
        yield x + 0.5 * rng.normal(0, 1, (*x.shape[:-1], 1)) * x, False
    if card == "lungs":
        yield np.rot90(x), True
        yield 1 - x, False


def measured(card: str, folder: Path) -> list[tuple[int, np.ndarray, float]]:
    """Number of the case, signs and true Dice of every copy in which something was found."""
    model, rows = load_model(card), []
    for number, case in enumerate(
        tqdm([c for c in read_cases(card, folder) if c.part == "test"], desc=card)
    ):
        for pixels, turned in looks(case.image.pixels, card, np.random.default_rng(number)):
            pixels = (
                np.ascontiguousarray(pixels, np.float32)
                if pixels is not case.image.pixels
                else pixels
            )
            result = segment(replace(case.image, pixels=pixels), model, progress=False)
            truth = np.rot90(case.truth) if turned else case.truth
            if result.labels.any():
                rows.append((number, signs(result), dice(truth > 0, result.labels > 0)))
    return rows


def fit(x: np.ndarray, y: np.ndarray) -> dict:
    """Kernel ridge regression with a Laplacian kernel, about the mean."""
    from sklearn.kernel_ridge import KernelRidge

    limits = np.percentile(x, [1, 99], axis=0)
    x = np.clip(x, *limits)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    points = (x - mean) / scale
    ridge = KernelRidge(alpha=0.1, kernel="laplacian", gamma=REACH).fit(points, y - y.mean())
    found = {"range": limits, "mean": mean, "scale": scale, "points": points}
    return found | {"weights": ridge.dual_coef_, "intercept": y.mean()}


def interval(guess: np.ndarray, truth: np.ndarray) -> dict:
    """Fifth and 95th percentile of what was missed, for low to high guesses."""
    parts = np.array_split(np.argsort(guess), KNOTS)
    ends = {
        name: [np.percentile((truth - guess)[part], q) for part in parts]
        for name, q in (("low", 5), ("high", 95))
    }
    return {"at": [guess[part].mean() for part in parts]} | ends


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a card")
    parser.add_argument("--cards", nargs="+", default=list(TASKS))
    parser.add_argument("--out", type=Path, default=CALIBRATION)
    chosen = parser.parse_args()
    found = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    for card in chosen.cards:
        cases = measured(card, chosen.data / card)
        case, x, y = (np.array(column) for column in zip(*cases, strict=True))
        if len(set(case)) < LEAST:
            print(f"{card}: only {len(set(case))} cases, not calibrated")
            continue
        guess, inside = np.zeros_like(y), np.zeros(len(y), bool)
        for fold in range(FOLDS):
            out = case % FOLDS == fold
            guess[out] = predict(fit(x[~out], y[~out]), x[out])
        for fold in range(FOLDS):  # intervals of the other folds' misses
            out = case % FOLDS == fold
            band = interval(guess[~out], y[~out])
            low, high = (
                guess[out] + np.interp(guess[out], band["at"], band[end]) for end in ("low", "high")
            )
            inside[out] = (y[out] >= low - 1e-9) & (y[out] <= high + 1e-9)
        found[card] = fit(x, y) | interval(guess, y)
        print(
            f"{card}: {len(set(case))} cases, {len(y)} answers, r {np.corrcoef(guess, y)[0, 1]:.2f}, mean absolute "
            f"error {np.abs(guess - y).mean():.3f}, {inside.mean():.0%} inside the interval"
        )
        plain = {
            c: {k: np.round(v, 4).tolist() for k, v in fitted.items()}
            for c, fitted in found.items()
        }
        lines = ",\n".join(f'"{name}": {json.dumps(fitted)}' for name, fitted in plain.items())
        chosen.out.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
