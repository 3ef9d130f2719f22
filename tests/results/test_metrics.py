"""Metrics by hand, and against MONAI and an independent matcher."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from unet_helpers.errors import ArgumentError
from unet_helpers.results.metrics import (
    aggregated_jaccard,
    average_precision,
    dice,
    iou,
    panoptic_quality,
    precision,
    rand_v,
    segmentation_accuracy,
    sensitivity,
    surface_distance,
)

A = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
B = np.array([[0, 1, 1, 0], [0, 1, 1, 0]])
EMPTY = np.zeros_like(A)
METRICS_OF_MASKS = [dice, iou, sensitivity, precision]
METRICS_OF_OBJECTS = [aggregated_jaccard, panoptic_quality, rand_v, average_precision]


def test_overlap_of_two_squares():
    assert dice(A, B) == 0.5
    assert iou(A, B) == pytest.approx(1 / 3)
    assert sensitivity(A, B) == 0.5


def test_sensitivity_is_of_the_true_pixels_and_precision_of_the_found_ones():
    truth = np.array([1, 1, 1, 1, 0])
    answer = np.array([1, 0, 0, 0, 1])
    assert sensitivity(truth, answer) == 0.25
    assert precision(truth, answer) == 0.5
    assert dice(truth, answer) == pytest.approx(2 / 6)


def test_any_number_above_zero_counts_as_foreground():
    assert dice(A * 7, A) == 1
    assert dice(A * 0.1, A) == 1
    assert dice(A - 1, A) == 0


@pytest.mark.parametrize("metric", METRICS_OF_MASKS)
def test_two_empty_masks_agree_and_one_empty_mask_does_not(metric):
    assert metric(EMPTY, EMPTY) == 1
    assert metric(A, A) == 1
    if metric is not sensitivity:
        assert metric(EMPTY, A) == 0
    if metric is not precision:
        assert metric(A, EMPTY) == 0


def test_where_nothing_is_there_nothing_is_missed_and_where_nothing_is_found_nothing_is_wrong():
    assert sensitivity(EMPTY, A) == 1
    assert precision(A, EMPTY) == 1


def test_surface_distance_of_shifted_squares():
    assert surface_distance(A, B, percentile=100) == 1.0
    assert surface_distance(A, B, spacing=(1, 0.5), percentile=100) == 0.5
    assert surface_distance(A, A) == 0


def test_surface_distance_is_the_larger_one_of_both_directions():
    """Every outline pixel of the line lies in the answer, but the answer goes on for 40 px."""
    line = np.zeros((3, 100), bool)
    line[1, :10] = True
    longer = np.zeros((3, 100), bool)
    longer[1, :50] = True
    for pair in ((line, longer), (longer, line)):
        assert surface_distance(*pair, percentile=100) == 40
        # Of the 50 distances 0, ..., 0, 1, ..., 40.
        assert surface_distance(*pair) == pytest.approx(40 - 0.05 * 49)


def test_surface_distance_is_of_outlines_and_those_at_the_edge_of_the_image_count():
    full = np.ones((9, 9), bool)
    middle = np.zeros((9, 9), bool)
    middle[4, 4] = True
    assert surface_distance(full, middle, percentile=100) == pytest.approx(np.hypot(4, 4))
    # The nearest pixel of the square's outline is 4 px away: its inside does not count.
    assert surface_distance(full, middle, percentile=0) == 4


def test_surface_distance_without_a_surface():
    assert surface_distance(EMPTY, EMPTY) == 0
    assert np.isnan(surface_distance(A, EMPTY))
    assert np.isnan(surface_distance(EMPTY, A))


def test_average_precision_counts_pairs_above_each_threshold():
    """IoU of the first pair is exactly 0.5, of the second 1; a third object is invented."""
    truth = np.array([1, 1, 0, 2, 2, 0, 0])
    answer = np.array([5, 0, 0, 9, 9, 0, 3])
    expected = [2 / 3, 1 / 4, 1 / 4]
    np.testing.assert_allclose(average_precision(truth, answer, [0.49, 0.5, 0.99]), expected)


def test_average_precision_has_the_thresholds_of_the_data_science_bowl():
    assert average_precision(A, A).tolist() == [1] * 10
    three_quarters = np.array([1, 1, 1, 0])
    passed = average_precision(np.ones(4, int), three_quarters)
    # 0.50, 0.55, 0.60, 0.65 and 0.70 are below 0.75.
    assert passed.tolist() == [1] * 5 + [0] * 5


def test_average_precision_where_there_are_no_objects():
    assert average_precision(EMPTY, EMPTY).tolist() == [1] * 10
    assert average_precision(A, EMPTY).tolist() == [0] * 10
    assert average_precision(EMPTY, A, [0.5, 0.6]).tolist() == [0, 0]


def missed_and_invented() -> tuple[np.ndarray, np.ndarray]:
    """A found object covers one of two true ones and a half more; another one covers nothing."""
    truth = np.zeros((4, 8), int)
    answer = np.zeros((4, 8), int)
    truth[:2, :2] = 3
    truth[:2, 4:6] = 7
    answer[:2, :3] = 1
    answer[3, 7] = 9
    return truth, answer


def test_aggregated_jaccard_counts_missed_and_invented_pixels():
    # 4 px are shared; 6 px are in the union of the pair, 4 px are missed, 1 px is invented.
    assert aggregated_jaccard(*missed_and_invented()) == pytest.approx(4 / (6 + 4 + 1))


def test_aggregated_jaccard_takes_the_partner_with_the_largest_iou():
    """The true object shares 3 px with a large one (IoU 3/11) and 1 px with a small one (1/4)."""
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    answer = np.array([1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1])
    assert aggregated_jaccard(truth, answer) == pytest.approx(3 / (11 + 1))


def test_panoptic_quality_sums_the_iou_of_pairs():
    assert panoptic_quality(*missed_and_invented()) == pytest.approx(2 * (4 / 6) / 4)


def test_panoptic_quality_counts_no_pair_at_an_iou_of_a_half():
    assert panoptic_quality(np.array([1, 1]), np.array([1, 0])) == 0
    assert panoptic_quality(np.array([1, 1, 1]), np.array([1, 1, 0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", [aggregated_jaccard, panoptic_quality])
def test_instance_metrics_know_ids_only_as_names(metric):
    truth, _ = missed_and_invented()
    assert metric(truth, truth) == 1
    assert metric(truth, truth * 5) == 1
    assert metric(EMPTY, EMPTY) == 1
    assert metric(truth, truth * 0) == 0
    assert metric(truth * 0, truth) == 0


def test_rand_v_knows_a_split_from_a_merge():
    truth = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    assert rand_v(truth, truth) == 1
    assert rand_v(truth, truth * 10) == 1
    assert rand_v(truth, np.ones_like(truth)) == pytest.approx(0.6364, abs=1e-4)


def test_rand_v_leaves_out_what_is_background_in_the_truth():
    truth = np.array([0, 0, 1, 1, 1, 2, 2])
    answer = np.array([4, 5, 1, 1, 1, 2, 2])
    assert rand_v(truth, answer) == pytest.approx(1)


def test_rand_v_where_no_two_pixels_share_an_object():
    assert rand_v(EMPTY, EMPTY) == 1
    assert rand_v(np.array([1, 0]), np.array([0, 1])) == 0


@pytest.mark.parametrize("metric", [*METRICS_OF_MASKS, *METRICS_OF_OBJECTS, surface_distance])
def test_other_shapes_are_refused(metric):
    with pytest.raises(ArgumentError, match=r"truth is \(2, 4\) and the answer \(2, 3\): resize"):
        metric(A, A[:, :3])


def random_instances(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.zeros((40, 40), int)
    for i in range(1, 7):
        y, x = rng.integers(0, 30, 2)
        height, width = rng.integers(3, 10, 2)
        truth[y : y + height, x : x + width] = i
    answer = np.roll(truth, rng.integers(0, 3, 2), (0, 1)) * 3
    answer[truth == 2] = 0
    return truth, answer


def iou_of_objects(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(true, found) IoU of each pair of objects, by sets of pixels."""
    ious = []
    for true_id in np.unique(truth)[1:]:
        row = [iou(truth == true_id, answer == found_id) for found_id in np.unique(answer)[1:]]
        ious.append(row)
    return np.array(ious)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_against_an_optimal_matcher(seed):
    """The published definition: objects matched one to one where the IoU exceeds the threshold."""
    truth, answer = random_instances(seed)
    ious = iou_of_objects(truth, answer)
    expected = []
    for threshold in np.linspace(0.5, 0.95, 10):
        rows, columns = linear_sum_assignment(-(ious > threshold).astype(float))
        pairs = (ious[rows, columns] > threshold).sum()
        expected.append(pairs / (sum(ious.shape) - pairs))
    np.testing.assert_allclose(average_precision(truth, answer), expected)


@pytest.mark.parametrize("seed", range(3))
def test_masks_against_monai(seed):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    truth, answer = (ids > 0 for ids in random_instances(seed))
    t, a = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (truth, answer))
    assert dice(truth, answer) == pytest.approx(float(metrics.compute_dice(a, t)))
    assert iou(truth, answer) == pytest.approx(float(metrics.compute_iou(a, t)))
    theirs = metrics.compute_hausdorff_distance(a, t, percentile=100, include_background=True)
    assert surface_distance(truth, answer, percentile=100) == pytest.approx(float(theirs))


def test_seg_is_the_mean_iou_with_objects_that_cover_more_than_half_of_a_true_one():
    truth = np.array([[1] * 10, [2] * 10, [3] * 10])
    answer = np.array([[7] * 8 + [0] * 2, [8] * 5 + [0] * 5, [0] * 10])
    # 8 of 10 px; exactly half does not count; nothing.
    assert segmentation_accuracy(truth, answer) == pytest.approx(0.8 / 3)
    assert segmentation_accuracy(truth, truth * 5) == 1


def test_seg_forgives_objects_beside_the_true_ones_but_not_those_that_cover_two():
    truth = np.array([[1, 1, 0, 0, 2, 2]])
    assert segmentation_accuracy(truth, np.array([[1, 1, 3, 3, 2, 2]])) == 1
    # Both are covered, and the IoU is 2 / 6 for each.
    assert segmentation_accuracy(truth, np.array([[1, 1, 1, 1, 1, 1]])) == pytest.approx(1 / 3)
    assert segmentation_accuracy(np.zeros_like(truth), truth) == 1
