"""Whole HeLa cells under differential interference contrast: the Cell Tracking Challenge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ...images.read import read_image
from ...networks.cards import ModelCard
from ...preprocessing.resample import resize_labels
from ...results.metrics import dice, segmentation_accuracy
from ...results.segmentation import Segmentation
from ..datasets import Case, Part, first_number, read_pairs
from ..examples import IGNORED, Example, single_example
from ..recipes import Recipe, Task
from .nuclei import interiors_and_borders

# mm: the side of a pixel, as the challenge gives it.
SPACING = 0.19e-3

# All frames show the same cells.
MOVIE = "sequence 01"

# The first and the last frame of each part. Frames between two parts are left out, because the
# cells of one frame are still there in the next.
FRAMES_OF_PARTS: dict[Part, tuple[int, int]] = {
    "test": (0, 21),
    "validation": (27, 34),
    "train": (39, 83),
}

# Working px: what lies within this distance of a cell's outline is border.
BORDER_REACH = 4

# px: the scale of the local standard deviation, and the narrowest region that may be a cell.
TEXTURE_SIGMA = 8.0
NARROWEST_CELL = 25

# Local standard deviation of a cell, as a multiple of the glass's, which is about the 5th
# percentile of the frame's.
TEXTURE_OF_CELLS = 1.3
GLASS_PERCENTILE = 5


def read_dic_cells(folder: Path) -> Iterator[Case]:
    """Read images/*_NNN.png by frame, and silver/*.png and gold/*.png with an id for each cell.

    Silver truth, made by programs, is there for all frames. It is learnt from. Gold truth, made by
    people, replaces it where answers are scored. Cells without an outline are IGNORED.
    """
    for pair in read_pairs(folder / "images", folder / "silver"):
        frame = first_number(pair.name.split("_")[-1])
        part = part_of_frame(frame)
        if part is None:
            continue

        gold = folder / "gold" / f"{pair.name}.png"
        has_gold = part != "train" and gold.exists()
        ids = read_image(gold).pixels if has_gold else pair.mask
        yield Case(
            name=pair.name,
            part=part,
            kind="gold" if has_gold else "silver",
            image=replace(pair.image, spacing=(SPACING, SPACING)),
            truth=np.where(untraced_cells(pair.image.pixels, ids), IGNORED, ids),
            group=MOVIE,
        )


def part_of_frame(frame: int) -> Part | None:
    """Return the part of a frame; None between two parts."""
    for part, (first, last) in FRAMES_OF_PARTS.items():
        if first <= frame <= last:
            return part
    return None


def cell_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make the example of a frame at the card's spacing."""
    assert card.preprocessing.spacing is not None
    zoom = SPACING / card.preprocessing.spacing
    height, width = (round(length * zoom) for length in case.truth.shape)

    truth = resize_labels(case.truth.astype(np.uint16), (height, width))
    is_known = truth != IGNORED
    target = interiors_and_borders(np.where(is_known, truth, 0), reach=BORDER_REACH, rim=True)
    target[~is_known] = IGNORED

    # The truth is at the working scale already.
    yield single_example(card, case.image.pixels, case.truth, (height, width), lambda *_: target)


def untraced_cells(pixels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return (H, W) bool: textured regions at the image's edge without an outline.

    The truth leaves out many cells that the edge cuts. A network that learnt them as background
    would lose whole cells beside them.
    """
    grey = pixels.astype(np.float32)
    deviation = grey - cv2.GaussianBlur(grey, (0, 0), TEXTURE_SIGMA)
    texture = np.sqrt(cv2.GaussianBlur(deviation**2, (0, 0), TEXTURE_SIGMA))
    glass = np.percentile(texture, GLASS_PERCENTILE)

    textured = (texture > TEXTURE_OF_CELLS * glass) & (ids == 0)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (NARROWEST_CELL, NARROWEST_CELL))
    wide = cv2.morphologyEx(textured.astype(np.uint8), cv2.MORPH_OPEN, disc)

    _, regions = cv2.connectedComponents(wide)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.isin(regions, edge[edge > 0])


def score_cells(case: Case, result: Segmentation) -> dict[str, float]:
    """Return SEG of the Cell Tracking Challenge, and Dice where the truth is known."""
    is_known = case.truth != IGNORED
    return {
        "SEG": segmentation_accuracy(np.where(is_known, case.truth, 0), result.objects),
        "Dice": dice(case.truth[is_known], result.labels[is_known]),
    }


TASK = Task(
    card="dic_cells",
    read=read_dic_cells,
    examples=cell_examples,
    score=score_cells,
    recipe=Recipe(
        steps=800,
        batch=6,
        crop=192,
        ema_decay=0.995,
        weight_decay=0.1,
        class_weights=(1.0, 1.0, 1.5),
        consistency=1.0,
        zoom=(0.7, 1.4),
        rotation=45,
        elastic=4.0,
        gamma=0.4,
        contrast=0.5,
        brightness=0.1,
        noise=0.06,
        downsample=0.3,
        focus=0.5,
        haze=0.08,
        bias_field=0.15,
        erase=0.3,
    ),
    unit="frames",
)
