"""Training examples: slices with their truth, prepared exactly as for inference.

A task makes examples from a case: of a single image (``single_example``), of each slice of an image
or volume (``slice_examples``), or of a volume as a whole (``volume_example``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..checks.view import View
from ..images.stack import as_displayed, to_stack
from ..inference.prediction import box_without_padding
from ..networks.cards import ModelCard, Preprocessing
from ..preprocessing.prepare import joined, prepare
from ..preprocessing.resample import at_spacing, resize_labels
from ..preprocessing.slices import Prepared
from .datasets import Case

# Label of pixels that neither the loss nor a score counts.
IGNORED = 255

# Every third of the slices without the structure is an example.
EMPTY_SLICE_STEP = 3


@dataclass(frozen=True, eq=False)
class Example:
    """A slice or a volume at working scale, as the network reads it, with its true labels."""

    # (C, h, w) float16, about 0 to 1; of a volume (1, d, h, w).
    pixels: np.ndarray
    # ([d,] h, w) uint8 class ids, IGNORED where the truth is not known; int16 bits for classes that
    # overlap, see ``training.overlap``.
    target: np.ndarray
    # The axis that runs from left to right in the body: 2, the columns of slices and volumes; or 0,
    # the channels of ``pixels``, if the volume was sliced from left to right.
    left_right: int = 2
    # The camera, stain or animal.
    kind: str = ""
    # The patient, field or eye.
    group: str = ""


def single_example(
    card: ModelCard,
    pixels: np.ndarray,
    truth: np.ndarray,
    shape: tuple[int, int],
    resize_truth: Callable[[np.ndarray, tuple[int, int]], np.ndarray] = resize_labels,
) -> Example:
    """Make the example of a single image (H, W[, 3]), prepared at the working ``shape`` (h, w)."""
    prepared = prepare(pixels[None], card.preprocessing, shape)[0]

    # If the card has a field of view, only this is prepared, and it may be smaller.
    prepared_shape = shape
    if prepared.inside is not None:
        prepared_shape = prepared.inside.shape

    target = resize_truth(truth[prepared.box], prepared_shape)
    return as_example(card, prepared, target)


def slice_examples(card: ModelCard, case: Case) -> Iterator[Example]:
    """Make an example of each slice with the structure, and of every third other slice."""
    stack = to_stack(case.image).pixels
    truth = as_displayed(case.image, case.truth)

    axes = card.preprocessing.axes
    if len(stack) == 1:
        axes = (0,)

    for axis in axes:
        slices = np.moveaxis(stack, axis, 0)
        masks = np.moveaxis(truth, axis, 0)
        shape = training_shape(card.preprocessing, masks.shape[1:])
        prepared = prepare(slices, card.preprocessing, shape)

        # Slices along axis 2 (X) are ordered from left to right.
        left_right = 0 if axis == 2 else 2

        for index, mask in enumerate(masks):
            if mask.any() or index % EMPTY_SLICE_STEP == 0:
                target = resize_labels(mask, shape)
                yield as_example(card, prepared[index], target, left_right=left_right)


def volume_example(card: ModelCard, case: Case) -> Example:
    """Make the example of a volume, which the network reads as a whole.

    It is without padding, and at the card's spacing if its own is known.
    """
    view = View(case.image).for_card(card)
    box = box_without_padding(view.stack, card, view.padding)
    stack = replace(view.stack, pixels=view.stack.pixels[box])
    pixels = stack.pixels
    truth = as_displayed(case.image, case.truth)[box]
    grid = at_spacing(stack, card.preprocessing.spacing)
    if grid is not None:
        pixels = grid.cut(pixels)
        truth = grid.cut_labels(truth)

    _, height, width = truth.shape
    prepared = joined(prepare(pixels, card.preprocessing, (height, width)))
    return Example(pixels=prepared.astype(np.float16), target=truth.astype(type_of_target(card)))


def around_structure(example: Example, margin: int) -> Example:
    """Return the part of an example around what is marked, with a ``margin`` of working px."""
    is_marked = (example.target > 0) & (example.target != IGNORED)
    marked = np.argwhere(is_marked)
    if len(marked) == 0:
        return example
    first = np.maximum(0, marked.min(0) - margin)
    last = marked.max(0) + margin
    box = tuple(slice(start, stop + 1) for start, stop in zip(first, last, strict=True))
    pixels = example.pixels[(slice(None), *box)]
    return replace(example, pixels=pixels, target=example.target[box])


def training_shape(preprocessing: Preprocessing, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the working (h, w) of a slice of ``shape``: the card's square, or unchanged."""
    if preprocessing.scale == "square":
        return preprocessing.size, preprocessing.size
    height, width = shape
    return height, width


def as_example(
    card: ModelCard, prepared: Prepared, target: np.ndarray, left_right: int = 2
) -> Example:
    """Make the example of a prepared slice; outside the field of view its target is IGNORED."""
    pixels = prepared.tile(slice(None), slice(None), card.in_channels)

    if prepared.inside is not None:
        target = np.where(prepared.inside, target, IGNORED)

    return Example(
        pixels=pixels.astype(np.float16),
        target=target.astype(type_of_target(card)),
        left_right=left_right,
    )


def type_of_target(card: ModelCard) -> type:
    """Return the type of the targets: bits of classes that overlap need more than class ids."""
    return np.int16 if card.overlapping else np.uint8
