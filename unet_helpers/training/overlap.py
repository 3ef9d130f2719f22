"""Classes that overlap: their truth as bits, the loss and the Dice of what is labelled.

The truth of a pixel is a whole number. Bit k is set if the pixel belongs to class k (counted from
0), bit ``UNKNOWN + k`` if it is not known whether it does, as where a data set labels only some of
the classes. The label IGNORED means that no class is known.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ..results.metrics import dice
from ..results.segmentation import Segmentation
from .datasets import Case
from .examples import IGNORED
from .recipes import DiceOver

# The first of the bits that say what is not known: bit 7 is free, so that IGNORED, 255, is not the
# truth of any pixel.
UNKNOWN = 8


def bits_of(masks: dict[int, np.ndarray], unknown: tuple[int, ...] = ()) -> np.ndarray:
    """Return the truth of masks (H, W) by class, counted from 0; ``unknown`` are not labelled.

    Examples
    --------
    >>> import numpy as np
    >>> lung = np.array([[True, True, False]])
    >>> heart = np.array([[False, True, False]])
    >>> bits_of({0: lung, 1: heart}).tolist()
    [[1, 3, 0]]
    >>> bits_of({0: lung}, unknown=(1,)).tolist()
    [[513, 513, 512]]
    """
    shape = next(iter(masks.values())).shape
    truth = np.zeros(shape, np.int16)
    for index, mask in masks.items():
        truth[mask] |= 1 << index
    for index in unknown:
        truth |= 1 << (UNKNOWN + index)
    return truth


def has_class(truth: np.ndarray, index: int) -> np.ndarray:
    """Return the mask of the class ``index``, counted from 0, in a truth of bits."""
    return (truth != IGNORED) & ((truth >> index) & 1 > 0)


def knows_class(truth: np.ndarray, index: int) -> np.ndarray:
    """Return where it is known whether a pixel belongs to the class ``index``, from 0."""
    return (truth != IGNORED) & ((truth >> (UNKNOWN + index)) & 1 == 0)


def unpacked(target: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for bits (N, H, W) which classes a pixel has and which are known, (N, K, H, W)."""
    index = torch.arange(classes, device=target.device)[:, None, None]
    is_known = (target != IGNORED)[:, None] & ((target[:, None] >> (UNKNOWN + index)) & 1 == 0)
    is_class = is_known & ((target[:, None] >> index) & 1 > 0)
    return is_class.float(), is_known.float()


def overlap_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    class_weights: torch.Tensor | None = None,
    dice_over: DiceOver = "batch",
) -> torch.Tensor:
    """Return binary cross-entropy plus 1 - soft Dice of logits (N, K, H, W), where it is known.

    ``target`` holds bits (N, H, W). The cross-entropy is a mean over the classes of their known
    pixels; the Dice leaves out classes of which nothing is known in the batch or image.
    """
    truth, known = unpacked(target, logits.shape[1])

    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known
    per_class = entropy.sum((0, 2, 3)) / known.sum((0, 2, 3)).clamp(min=1)
    if class_weights is not None:
        per_class = per_class * class_weights / class_weights.mean()

    answer = torch.sigmoid(logits) * known
    axes = (2, 3) if dice_over == "image" else (0, 2, 3)
    overlap = (truth * answer).sum(axes)
    total = truth.sum(axes) + answer.sum(axes)
    is_labelled = known.sum(axes) > 0

    dice = (2 * overlap + 1) / (total + 1)
    mean_dice = (dice * is_labelled).sum() / is_labelled.sum().clamp(min=1)
    return per_class.mean() + 1 - mean_dice


def count_overlapping(logits: torch.Tensor, target: np.ndarray) -> np.ndarray:
    """Return, for logits (K, h, w) and bits (h, w), true positives and both areas: (2, K).

    Only pixels count of which the class is known: Dice = 2 * first row / second row.
    """
    truth, known = unpacked(torch.from_numpy(target).long()[None], len(logits))
    answer = (logits > 0)[None] * known
    overlap = (truth * answer).sum((0, 2, 3))
    total = truth.sum((0, 2, 3)) + answer.sum((0, 2, 3))
    return torch.stack((overlap, total)).numpy()


def score_overlapping(case: Case, result: Segmentation) -> dict[str, float]:
    """Return the Dice of each class of the card where it is known; NaN where it is known nowhere.

    The truth of the case holds bits.
    """
    scores = {}
    for index, name in enumerate(result.card.classes):
        known = knows_class(case.truth, index)
        score = float("nan")
        if known.any():
            truth = has_class(case.truth, index)
            score = dice(truth[known], result.mask(name)[known])
        scores[f"Dice {name}"] = score
    return scores
