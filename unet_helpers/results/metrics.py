"""How good is a mask? Thin functions on scikit-image and SciPy; every one takes (truth, answer).

Where both are empty the answer is perfect, and the score 1: there was nothing to find and nothing was found.
"""

import numpy as np
from scipy.spatial import cKDTree
from skimage.metrics import adapted_rand_error, contingency_table
from skimage.segmentation import find_boundaries, relabel_sequential

from ..errors import ArgumentError

AP_THRESHOLDS = np.linspace(0.5, 0.95, 10)


def dice(truth: np.ndarray, answer: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two masks, 0 to 1 (Dice 1945)."""
    truth, answer = same_shape(np.asarray(truth) > 0, np.asarray(answer) > 0)
    total = np.count_nonzero(truth) + np.count_nonzero(answer)
    return 2 * np.count_nonzero(truth & answer) / total if total else 1.0


def iou(truth: np.ndarray, answer: np.ndarray) -> float:
    """|A and B| / |A or B| of two masks, 0 to 1 (Jaccard)."""
    d = dice(truth, answer)
    return d / (2 - d)


def sensitivity(truth: np.ndarray, answer: np.ndarray) -> float:
    """The share of the true pixels that were found, 0 to 1."""
    truth, answer = same_shape(np.asarray(truth) > 0, np.asarray(answer) > 0)
    total = np.count_nonzero(truth)
    return np.count_nonzero(truth & answer) / total if total else 1.0


def surface_distance(
    truth: np.ndarray, answer: np.ndarray, spacing=None, percentile: float = 95
) -> float:
    """Hausdorff distance of the outlines at a percentile (100 for the largest), in units of ``spacing`` (else px); nan
    where just one mask is empty, 0 where both are.
    """
    truth, answer = same_shape(np.asarray(truth) > 0, np.asarray(answer) > 0)
    if not truth.any() or not answer.any():
        return float("nan") if truth.any() or answer.any() else 0.0
    step = np.ones(truth.ndim) if spacing is None else np.asarray(spacing, float)
    a, b = (
        np.argwhere(find_boundaries(np.pad(m, 1), mode="inner")) * step for m in (truth, answer)
    )
    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    return float(max(np.percentile(there, percentile), np.percentile(back, percentile)))


def rand_v(truth: np.ndarray, answer: np.ndarray) -> float:
    """Foreground-restricted Rand F-score of two label images (Arganda-Carreras et al. 2015); 1 is perfect."""
    truth, answer = same_shape(truth, answer)
    score = 1 - adapted_rand_error(truth, answer, ignore_labels=(0,))[0]
    return (
        float(np.array_equal(truth, answer)) if np.isnan(score) else float(score)
    )  # no two pixels share an object


def average_precision(
    truth: np.ndarray, answer: np.ndarray, thresholds=AP_THRESHOLDS
) -> np.ndarray:
    """TP / (TP + FP + FN) of instance ids, 0 background, at each IoU threshold, as in the Data Science Bowl 2018.
    A pair counts where its IoU exceeds the threshold; from 0.5 on no object can match two others.
    """
    ious, _, real, found = object_overlaps(truth, answer)
    hits = np.array([np.count_nonzero(ious > t) for t in thresholds])
    return (
        hits / (len(real) + len(found) - hits)
        if len(real) + len(found)
        else np.ones(len(thresholds))
    )


def same_shape(truth: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, answer = np.asarray(truth), np.asarray(answer)
    if truth.shape != answer.shape:
        raise ArgumentError(
            f"The truth is {truth.shape} and the answer {answer.shape}: resize one of them first."
        )
    return truth, answer


def object_overlaps(
    truth: np.ndarray, answer: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """IoU and shared pixels of each true object (rows) with each found one (columns), and the areas of both."""
    truth, answer = (relabel_sequential(m.astype(int))[0] for m in same_shape(truth, answer))
    overlap = contingency_table(truth, answer).toarray().astype(float)
    shared, real, found = overlap[1:, 1:], overlap[1:].sum(1), overlap[:, 1:].sum(0)
    return shared / (real[:, None] + found - shared), shared, real, found


def aggregated_jaccard(truth: np.ndarray, answer: np.ndarray) -> float:
    """Aggregated Jaccard index of two instance maps, 0 to 1 (Kumar et al. 2017, IEEE TMI 36:1550): each true object
    takes the found one with which its IoU is highest; found objects that none took count as errors.
    """
    ious, shared, real, found = object_overlaps(truth, answer)
    if not real.size or not found.size:
        return float(real.size == found.size)
    best, met = ious.argmax(1), ious.max(1) > 0
    common = shared[np.arange(len(real)), best][met].sum()
    union = (real[met] + found[best[met]]).sum() - common + real[~met].sum()
    return float(common / (union + np.delete(found, best[met]).sum()))


def panoptic_quality(truth: np.ndarray, answer: np.ndarray) -> float:
    """Detection times segmentation quality of two instance maps, 0 to 1 (Kirillov et al. 2019, CVPR); IoU above 0.5."""
    ious, _, real, found = object_overlaps(truth, answer)
    total = len(real) + len(found)
    return float(2 * ious[ious > 0.5].sum() / total) if total else 1.0
