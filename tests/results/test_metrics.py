"""Metrics by hand, and against MONAI and an independent matcher."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from unet_helpers.results.metrics import (
    aggregated_jaccard,
    average_precision,
    dice,
    iou,
    panoptic_quality,
    rand_v,
    sensitivity,
    surface_distance,
)

A = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
B = np.array([[0, 1, 1, 0], [0, 1, 1, 0]])
EMPTY = np.zeros_like(A)


def test_by_hand():
    assert dice(A, B) == 0.5
    assert iou(A, B) == pytest.approx(1 / 3)
    assert sensitivity(A, B) == 0.5
    assert surface_distance(A, B, percentile=100) == 1.0
    assert surface_distance(A, B, spacing=(1, 0.5), percentile=100) == 0.5


def test_empty_masks():
    assert dice(EMPTY, EMPTY) == iou(EMPTY, EMPTY) == sensitivity(EMPTY, A) == 1
    assert dice(A, EMPTY) == iou(EMPTY, A) == 0
    assert surface_distance(EMPTY, EMPTY) == 0
    assert np.isnan(surface_distance(A, EMPTY))
    assert (average_precision(EMPTY, EMPTY) == 1).all()
    assert (average_precision(A, EMPTY) == 0).all()


def test_instance_metrics_by_hand():
    """A found object covers one of two true ones and a half more; another one covers nothing."""
    truth, found = np.zeros((4, 8), int), np.zeros((4, 8), int)
    truth[:2, :2], truth[:2, 4:6], found[:2, :3], found[3, 7] = 3, 7, 1, 9
    assert aggregated_jaccard(truth, found) == pytest.approx(
        4 / (6 + 4 + 1)
    )  # shared; united, missed, invented
    assert panoptic_quality(truth, found) == pytest.approx(2 * (4 / 6) / 4)
    for metric in (aggregated_jaccard, panoptic_quality):
        assert metric(truth, truth) == metric(truth + 1, truth + 1) == metric(EMPTY, EMPTY) == 1
        assert metric(truth, truth * 0) == metric(truth * 0, truth) == 0


@pytest.mark.parametrize(
    "metric",
    [
        dice,
        iou,
        sensitivity,
        surface_distance,
        average_precision,
        rand_v,
        aggregated_jaccard,
        panoptic_quality,
    ],
)
def test_other_shapes_are_refused(metric):
    with pytest.raises(ValueError, match="resize"):
        metric(A, A[:, :3])


def test_rand_v_knows_a_split_from_a_merge():
    truth = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    assert rand_v(truth, truth) == 1
    assert rand_v(truth, truth * 10) == 1  # ids are only names
    assert rand_v(truth, np.ones_like(truth)) < 0.8


def random_instances(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.zeros((40, 40), int)
    for i in range(1, 7):
        y, x, h, w = *random.integers(0, 30, 2), *random.integers(3, 10, 2)
        truth[y : y + h, x : x + w] = i
    answer = np.roll(truth, random.integers(0, 3, 2), (0, 1)) * 3
    answer[truth == 2] = 0
    return truth, answer


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_against_an_optimal_matcher(seed):
    """The published definition: objects matched one to one (Hungarian method) where the IoU exceeds the threshold."""
    truth, answer = random_instances(seed)
    real, found = np.unique(truth)[1:], np.unique(answer)[1:]
    ious = np.array(
        [
            [
                ((truth == r) & (answer == f)).sum() / ((truth == r) | (answer == f)).sum()
                for f in found
            ]
            for r in real
        ]
    )
    expected = []
    for t in np.linspace(0.5, 0.95, 10):
        rows, columns = linear_sum_assignment(-(ious > t).astype(float))
        hits = (ious[rows, columns] > t).sum()
        expected.append(hits / (len(real) + len(found) - hits))
    np.testing.assert_allclose(average_precision(truth, answer), expected)


@pytest.mark.parametrize("seed", range(3))
def test_against_monai(seed):
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    truth, answer = (m > 0 for m in random_instances(seed))
    t, a = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (truth, answer))
    assert dice(truth, answer) == pytest.approx(float(metrics.compute_dice(a, t)))
    assert iou(truth, answer) == pytest.approx(float(metrics.compute_iou(a, t)))
    theirs = metrics.compute_hausdorff_distance(a, t, percentile=100, include_background=True)
    assert surface_distance(truth, answer, percentile=100) == pytest.approx(float(theirs))
