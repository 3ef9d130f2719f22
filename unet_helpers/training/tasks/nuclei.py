"""Cell nuclei: the 2018 Data Science Bowl."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ...images.read import read_image
from ...networks.cards import MODELS
from ...preprocessing.resize import resize_labels
from ...results.metrics import average_precision, dice
from ...results.segmentation import Segmentation
from ..cases import Case, files, read_truth, tenths
from ..recipes import Example, Recipe, Task, single_example


def read_nuclei(folder: Path) -> Iterator[Case]:
    """BBBC038 by kind: images/KIND/*.png and labels/KIND/*.png with one 16-bit id per nucleus."""
    for kind in ("fluorescence", "stained", "brightfield"):
        for number, path in enumerate(files(folder / "images" / kind)):
            truth = read_truth(folder / "labels" / kind / path.name)
            yield Case(path.stem, tenths(number), kind, read_image(path), truth)


def nucleus_examples(case: Case) -> Iterator[Example]:
    """Brought to the same median diameter; rare kinds are drawn more often than they occur."""
    often = {"fluorescence": 1.0, "stained": 2.0, "brightfield": 3.5}
    areas = np.bincount(case.truth.reshape(-1))[1:]
    diameter = 2 * np.sqrt(np.median(areas[areas > 0]) / np.pi) if areas.any() else 24
    zoom = np.clip(MODELS["nuclei"].preprocessing.size / diameter, 0.2, 4)
    shape = tuple(max(16, round(n * zoom)) for n in case.truth.shape)
    labels = resize_labels(case.truth.astype(np.uint16), shape)
    target = interiors_and_borders(labels, reach=2)
    yield from single_example("nuclei", case.image.pixels, target, weight=often[case.kind])


def interiors_and_borders(labels: np.ndarray, reach: int) -> np.ndarray:
    """0 background, 1 interior, 2 border: pixels of a nucleus within ``reach`` px of another one."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    highest = cv2.dilate(labels, disc)
    lowest = cv2.erode(np.where(labels > 0, labels, 65535).astype(np.uint16), disc)
    return np.where(labels == 0, 0, np.where(highest != lowest, 2, 1)).astype(np.uint8)


def score_nuclei(case: Case, result: Segmentation) -> dict[str, float]:
    precision = average_precision(case.truth, result.objects)
    return {"mean AP": precision.mean(), "AP50": precision[0], "Dice": dice(case.truth, result.labels)}


RECIPE = Recipe(
    steps=4000,
    weight_decay=5e-2,
    ema=0.998,
    zoom=(0.55, 1.8),
    colour=0.5,
    gamma=0.45,
    erase=0.3,
    class_weights=(1.0, 1.0, 2.5),
)
TASK = Task("nuclei", read_nuclei, nucleus_examples, RECIPE, score_nuclei)
