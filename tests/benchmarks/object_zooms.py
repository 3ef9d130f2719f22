"""Nuclei of many sizes: images as they are, enlarged, and with debris of much smaller size.

``python tests/benchmarks/object_zooms.py --data DIR [--part test] [--most 30]`` prints the mean AP,
AP50 and AJI of ``nuclei`` for each kind of image. The zoom is found from the image, as always. The
debris is drawn: bright specks of 0.04 to 0.11 of the diameter of the nuclei, two for each nucleus.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.images.image import MedicalImage
from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.preprocessing.resample import resize_labels
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import read_cases
from unet_helpers.training.tasks.nuclei import score_nuclei

METRICS = ("mean AP", "AP50", "AJI")

# Factors by which fluorescence images are enlarged.
FACTORS = (2.0, 4.0, 8.0)

# px: enlarged images are cut to this side around the middle, to save time.
LONGEST_SIDE = 900

# px: half the side of the square in which a speck is drawn.
REACH = 12


@dataclass(frozen=True, eq=False)
class Variant:
    """An image and its instance ids, and what was done to it."""

    kind: str
    pixels: np.ndarray  # (H, W) or (H, W, 3) uint8
    ids: np.ndarray  # (H, W)


def variants_of(case: Case, rng: np.random.Generator) -> Iterator[Variant]:
    """Yield an image as it is and, of fluorescence, enlarged and with debris."""
    pixels, ids = case.image.pixels, case.truth
    yield Variant(case.kind, pixels, ids)
    if case.kind != "fluorescence" or not ids.any():
        return

    yield Variant("with debris", with_debris(pixels, ids, rng), ids)
    for factor in FACTORS:
        larger, larger_ids = enlarged(pixels, ids, factor)
        if not larger_ids.any():
            continue
        yield Variant(f"enlarged {factor:g} times", larger, larger_ids)
        if factor == 4:
            dirty = with_debris(larger, larger_ids, rng)
            yield Variant(f"enlarged {factor:g} times, with debris", dirty, larger_ids)


def enlarged(pixels: np.ndarray, ids: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Enlarge the middle of an image and of its ids."""
    side = int(LONGEST_SIDE / factor)
    top, left = (max(0, (length - side) // 2) for length in ids.shape)
    window = (slice(top, top + side), slice(left, left + side))
    height, width = (round(length * factor) for length in ids[window].shape)
    larger = cv2.resize(pixels[window], (width, height), interpolation=cv2.INTER_CUBIC)
    return larger, resize_labels(ids[window].astype(np.uint16), (height, width))


def with_debris(pixels: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw bright specks outside the nuclei: Gaussians, much smaller than a nucleus."""
    areas = np.bincount(ids.reshape(-1))[1:]
    areas = areas[areas > 0]
    diameter = 2 * np.sqrt(np.median(areas) / np.pi)
    grey = pixels if pixels.ndim == 2 else pixels.mean(-1)
    contrast = np.percentile(grey[ids > 0], 90) - np.median(grey[ids == 0])

    drawn = pixels.astype(np.float32)
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    height, width = ids.shape
    for _ in range(2 * len(areas)):
        row = rng.integers(REACH, height - REACH)
        column = rng.integers(REACH, width - REACH)
        if ids[row - 4 : row + 5, column - 4 : column + 5].any():
            continue
        sigma = np.clip(rng.uniform(0.04, 0.11) * diameter, 0.8, 5)
        speck = rng.uniform(0.3, 1) * contrast * np.exp(-(y**2 + x**2) / (2 * sigma**2))
        if pixels.ndim == 3:
            speck = speck[..., None]
        drawn[row - REACH : row + REACH + 1, column - REACH : column + REACH + 1] += speck
    return np.clip(drawn, 0, 255).astype(np.uint8)


def chosen_cases(data: Path, part: str, most: int) -> list[Case]:
    """Choose at most so many cases of each kind, evenly over the part."""
    by_kind: dict[str, list[Case]] = defaultdict(list)
    for case in read_cases("nuclei", data / "nuclei"):
        if case.part == part:
            by_kind[case.kind].append(case)
    chosen = []
    for cases in by_kind.values():
        indices = np.linspace(0, len(cases) - 1, min(most, len(cases))).round().astype(int)
        chosen += [cases[index] for index in indices]
    return chosen


def main(arguments: list[str] | None = None) -> None:
    """Print the scores of each kind of image."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a card")
    parser.add_argument("--part", default="test", choices=("validation", "test"))
    parser.add_argument("--most", type=int, default=30, help="images of each kind")
    parser.add_argument("--weights", default="nuclei", help="a card, or a .safetensors file")
    chosen = parser.parse_args(arguments)

    model = load_model(chosen.weights)
    rng = np.random.default_rng(0)
    scores: dict[str, list[list[float]]] = defaultdict(list)
    for case in chosen_cases(chosen.data, chosen.part, chosen.most):
        for variant in variants_of(case, rng):
            axes = "YXC" if variant.pixels.ndim == 3 else "YX"
            image = MedicalImage(np.ascontiguousarray(variant.pixels), axes)
            result = segment(image, model, progress=False)
            found = score_nuclei(replace(case, image=image, truth=variant.ids), result)
            scores[variant.kind].append([found[name] for name in METRICS])

    for kind, rows in scores.items():
        means = np.mean(rows, axis=0)
        texts = [f"{name} {value:.3f}" for name, value in zip(METRICS, means, strict=True)]
        print(f"{kind} ({len(rows)} images): {', '.join(texts)}")


if __name__ == "__main__":
    main()
