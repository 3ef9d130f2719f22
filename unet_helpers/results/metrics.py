"""Metrics of a mask, thin functions on scikit-image and SciPy; each takes (truth, answer).

If both are empty the answer is perfect: there was nothing to find and nothing was found. The score
is then 1, the distance 0.

To add a metric, write a function here; to show it in `score_table`, add a line to ``METRICS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree
from skimage.metrics import adapted_rand_error, contingency_table
from skimage.segmentation import find_boundaries, relabel_sequential

from ..errors import ArgumentError

# Two objects are a pair if their IoU is above a threshold: 0.50, 0.55, ..., 0.95, as in the Data
# Science Bowl 2018.
AP_THRESHOLDS = np.linspace(0.5, 0.95, 10)

# Panoptic quality pairs two objects if their IoU is above this, so that none has two partners.
PQ_THRESHOLD = 0.5


def dice(truth: np.ndarray, answer: np.ndarray) -> float:
    """Dice coefficient of two masks: 2 |A and B| / (|A| + |B|) (Dice 1945, Ecology 26:297).

    Parameters
    ----------
    truth, answer : numpy.ndarray
        Two masks of one shape, with any number of axes; values above 0 are the mask.

    Returns
    -------
    float
        0 (no overlap) to 1 (equal, or both empty).

    Raises
    ------
    ArgumentError
        The two shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> uh.dice(np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0]))
    0.5
    """
    true_mask, found_mask = masks_of(truth, answer)

    total = np.count_nonzero(true_mask) + np.count_nonzero(found_mask)
    if total == 0:
        return 1.0

    shared = np.count_nonzero(true_mask & found_mask)
    return float(2 * shared / total)


def iou(truth: np.ndarray, answer: np.ndarray) -> float:
    """Intersection over union of two masks: |A and B| / |A or B| (Jaccard 1912).

    Parameters
    ----------
    truth, answer : numpy.ndarray
        Two masks of one shape, with any number of axes; values above 0 are the mask.

    Returns
    -------
    float
        0 (no overlap) to 1 (equal, or both empty).

    Raises
    ------
    ArgumentError
        The two shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> round(uh.iou(np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0])), 3)
    0.333
    """
    overlap = dice(truth, answer)
    return overlap / (2 - overlap)


def sensitivity(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the share of the true pixels that were found, 0 to 1."""
    true_mask, found_mask = masks_of(truth, answer)

    total = np.count_nonzero(true_mask)
    if total == 0:
        return 1.0

    return float(np.count_nonzero(true_mask & found_mask) / total)


def precision(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the share of the found pixels that are true, 0 to 1."""
    true_mask, found_mask = masks_of(truth, answer)
    return sensitivity(found_mask, true_mask)


def surface_distance(
    truth: np.ndarray,
    answer: np.ndarray,
    spacing: Sequence[float] | None = None,
    percentile: float = 95,
) -> float:
    """Return the Hausdorff distance of two outlines at a percentile, the larger of both directions.

    ``spacing`` is the size of a px along each axis and sets the unit; without it the unit is px.
    ``percentile=100`` is the largest distance. Returns nan if just one mask is empty, 0 if both
    are.
    """
    true_mask, found_mask = masks_of(truth, answer)

    if not true_mask.any() and not found_mask.any():
        return 0.0
    if not true_mask.any() or not found_mask.any():
        return float("nan")

    step = np.ones(true_mask.ndim)
    if spacing is not None:
        step = np.asarray(spacing, float)
    true_outline = outline_points(true_mask) * step
    found_outline = outline_points(found_mask) * step

    from_truth, _ = cKDTree(found_outline).query(true_outline)
    from_answer, _ = cKDTree(true_outline).query(found_outline)
    farthest = max(np.percentile(from_truth, percentile), np.percentile(from_answer, percentile))
    return float(farthest)


def outline_points(mask: np.ndarray) -> np.ndarray:
    """Return (N, axes) indices of the pixels of a mask that touch background or the image's edge.

    Indices are 1 larger than in ``mask``, along each axis, which changes no distance.
    """
    inner_boundary = find_boundaries(np.pad(mask, 1), mode="inner")
    return np.argwhere(inner_boundary)


def rand_v(truth: np.ndarray, answer: np.ndarray) -> float:
    """Foreground-restricted Rand F-score of two label images, 1 is perfect.

    Arganda-Carreras et al. 2015, Front. Neuroanat. 9:142.
    """
    truth, answer = same_shape(truth, answer)

    error, _, _ = adapted_rand_error(truth, answer, ignore_labels=(0,))
    score = 1 - error
    if np.isnan(score):
        # No two pixels are in one object, so that there is no pair of pixels to compare.
        return float(np.array_equal(truth, answer))
    return float(score)


def average_precision(
    truth: np.ndarray,
    answer: np.ndarray,
    thresholds: Sequence[float] | np.ndarray = AP_THRESHOLDS,
) -> np.ndarray:
    """Return TP / (TP + FP + FN) of instance ids at each IoU threshold.

    As in the Data Science Bowl 2018; id 0 is background. Two objects are a true positive if their
    IoU is above the threshold. At thresholds of 0.5 or more no object can match two others.
    """
    overlaps = object_overlaps(truth, answer)

    total = overlaps.true_areas.size + overlaps.found_areas.size
    if total == 0:
        return np.ones(len(thresholds))

    pairs = np.array([np.count_nonzero(overlaps.iou > threshold) for threshold in thresholds])
    return pairs / (total - pairs)


def aggregated_jaccard(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the aggregated Jaccard index of two instance maps, 0 to 1.

    Each true object is paired with the found object of highest IoU; found objects without a partner
    count as errors. Kumar et al. 2017, IEEE TMI 36:1550.
    """
    overlaps = object_overlaps(truth, answer)
    true_areas = overlaps.true_areas
    found_areas = overlaps.found_areas
    if true_areas.size == 0 or found_areas.size == 0:
        return float(true_areas.size == found_areas.size)

    partner = overlaps.iou.argmax(axis=1)
    has_partner = overlaps.iou.max(axis=1) > 0
    rows = np.flatnonzero(has_partner)
    taken = partner[has_partner]

    intersection = overlaps.shared[rows, taken].sum()
    union_of_pairs = (true_areas[has_partner] + found_areas[taken]).sum() - intersection
    missed = true_areas[~has_partner].sum()
    invented = np.delete(found_areas, taken).sum()
    return float(intersection / (union_of_pairs + missed + invented))


def panoptic_quality(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return detection times segmentation quality of two instance maps, 0 to 1.

    Kirillov et al. 2019, CVPR, equation 1.
    """
    overlaps = object_overlaps(truth, answer)

    total = overlaps.true_areas.size + overlaps.found_areas.size
    if total == 0:
        return 1.0

    paired = overlaps.iou > PQ_THRESHOLD
    return float(2 * overlaps.iou[paired].sum() / total)


def segmentation_accuracy(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return SEG, 0 to 1, of the Cell Tracking Challenge (Maska et al. 2014).

    The mean over the true objects of the IoU with the object that covers more than half of each; it
    is 0 if there is none. Objects found beside the true ones cost nothing, because the challenge's
    truth leaves out some cells.
    """
    overlaps = object_overlaps(truth, answer)
    if not overlaps.true_areas.size:
        return 1.0
    is_match = overlaps.shared > 0.5 * overlaps.true_areas[:, None]
    return float((overlaps.iou * is_match).sum() / overlaps.true_areas.size)


@dataclass(frozen=True)
class ObjectOverlaps:
    """How N true objects and M found objects overlap."""

    iou: np.ndarray  # (N, M) intersection over union of each pair, 0 to 1
    shared: np.ndarray  # (N, M) pixels in both
    true_areas: np.ndarray  # (N,) px
    found_areas: np.ndarray  # (M,) px


def object_overlaps(truth: np.ndarray, answer: np.ndarray) -> ObjectOverlaps:
    """Compare each object of the truth with each of the answer.

    Id 0 is background; the order of the other ids does not matter.
    """
    truth, answer = same_shape(truth, answer)
    true_ids, _, _ = relabel_sequential(truth.astype(int))
    found_ids, _, _ = relabel_sequential(answer.astype(int))

    table = contingency_table(true_ids, found_ids).toarray().astype(float)
    shared = table[1:, 1:]
    true_areas = table[1:].sum(axis=1)
    found_areas = table[:, 1:].sum(axis=0)

    union = true_areas[:, None] + found_areas - shared
    return ObjectOverlaps(
        iou=shared / union, shared=shared, true_areas=true_areas, found_areas=found_areas
    )


def masks_of(truth: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two boolean masks of one shape: where truth and answer are above 0."""
    truth, answer = same_shape(truth, answer)
    return truth > 0, answer > 0


def same_shape(truth: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays; ArgumentError if their shapes differ."""
    truth = np.asarray(truth)
    answer = np.asarray(answer)
    if truth.shape != answer.shape:
        raise ArgumentError(
            f"The truth is {truth.shape} and the answer {answer.shape}: resize one of them first."
        )
    return truth, answer


@dataclass(frozen=True)
class Metric:
    """One column of `score_table`."""

    function: Callable[..., float]  # of (truth, answer), two boolean masks of one shape
    needs: Literal["masks", "masks and spacing"] = "masks"  # spacing is passed as a third argument


METRICS = {
    "Dice": Metric(dice),
    "IoU": Metric(iou),
    "Sensitivity": Metric(sensitivity),
    "Precision": Metric(precision),
    "Surface distance, 95 %": Metric(surface_distance, needs="masks and spacing"),
}
