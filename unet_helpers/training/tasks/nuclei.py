"""Cell nuclei: the 2018 Data Science Bowl."""

from pathlib import Path

import cv2
import numpy as np

from ...networks.cards import ModelCard
from ...preprocessing.resample import resize_labels
from ...results.metrics import aggregated_jaccard, average_precision, dice, panoptic_quality
from ...results.segmentation import Segmentation
from ..recipes import Case, Cases, Examples, Recipe, Task, read_pairs, single_example, tenths


def read_nuclei(folder: Path) -> Cases:
    """BBBC038 by kind: images/KIND/*.png and labels/KIND/*.png with one 16-bit id per nucleus."""
    for kind in ("fluorescence", "stained", "brightfield"):
        pairs = read_pairs(folder / "images" / kind, folder / "labels" / kind)
        yield from (
            Case(name, tenths(i), kind, image, truth)
            for i, (name, image, truth) in enumerate(pairs)
        )


def nucleus_examples(card: ModelCard, case: Case) -> Examples:
    """Brought to the same median diameter."""
    labels = at_diameter(case.truth, card.preprocessing.size)
    yield single_example(
        card, case.image.pixels, interiors_and_borders(labels, reach=2), labels.shape
    )


def at_diameter(truth: np.ndarray, size: float) -> np.ndarray:
    """Instance ids at the scale at which the median nucleus measures ``size`` px across."""
    areas = np.bincount(truth.reshape(-1))[1:]
    diameter = 2 * np.sqrt(np.median(areas[areas > 0]) / np.pi) if areas.any() else size
    zoom = np.clip(size / diameter, 0.2, 4)
    return resize_labels(
        truth.astype(np.uint16), tuple(max(16, round(n * zoom)) for n in truth.shape)
    )


def interiors_and_borders(labels: np.ndarray, reach: int, rim: bool = False) -> np.ndarray:
    """0 background, 1 interior, 2 border: pixels of a nucleus within ``reach`` px of another one.
    With ``rim``, of background too: interiors then lie apart even where a border is not seen all along.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    highest = cv2.dilate(labels, disc)
    lowest = cv2.erode(
        labels if rim else np.where(labels > 0, labels, 65535).astype(np.uint16), disc
    )
    return np.where(labels == 0, 0, np.where(highest != lowest, 2, 1)).astype(np.uint8)


def score_nuclei(case: Case, result: Segmentation) -> dict[str, float]:
    truth, objects = case.truth, result.objects
    precision = average_precision(truth, objects)
    whole = {"PQ": panoptic_quality(truth, objects), "AJI": aggregated_jaccard(truth, objects)}
    return (
        {"mean AP": precision.mean(), "AP50": precision[0]}
        | whole
        | {"Dice": dice(truth, result.labels)}
    )


TASK = Task(
    "nuclei",
    read_nuclei,
    nucleus_examples,
    score_nuclei,
    Recipe(
        steps=2640,
        batch=16,
        shares={"fluorescence": 0.65, "stained": 0.25, "brightfield": 0.1},
        consistency=1.0,
        class_weights=(1.0, 1.0, 2.5),
        zoom=(0.5, 1.9),
        elastic=2.0,
        colour=0.5,
        gamma=0.5,
        contrast=0.4,
        noise=0.06,
        downsample=0.3,
        focus=0.4,
        haze=0.06,
        bias_field=0.15,
        erase=0.2,
    ),
    unit="images",
)
