"""Thousands of pairs of masks (Hypothesis), against statements about sets of pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_helpers.results import metrics

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

Pixels = set[tuple[int, int]]


def pixels_of(mask: np.ndarray) -> Pixels:
    """The places above 0."""
    return {(int(y), int(x)) for y, x in np.argwhere(mask > 0)}


def outline_of(pixels: Pixels) -> Pixels:
    """The places that have a neighbour which is none of them."""
    outline = set()
    for y, x in pixels:
        neighbours = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)}
        if not neighbours <= pixels:
            outline.add((y, x))
    return outline


def largest_distance(start: Pixels, end: Pixels) -> float:
    """From a place of ``start`` to the nearest one of ``end``, where that is largest."""
    return max(min(np.hypot(y - v, x - u) for v, u in end) for y, x in start)


def pairs_above(truth: np.ndarray, answer: np.ndarray, threshold: float) -> tuple[int, int]:
    """How many pairs of objects have an IoU above the threshold, and how many objects there are."""
    true_ids = np.unique(truth[truth > 0])
    found_ids = np.unique(answer[answer > 0])
    pairs = 0
    for true_id, found_id in itertools.product(true_ids, found_ids):
        shared = np.sum((truth == true_id) & (answer == found_id))
        union = np.sum((truth == true_id) | (answer == found_id))
        pairs += int(shared / union > threshold)
    return pairs, len(true_ids) + len(found_ids)


@st.composite
def label_images(draw) -> tuple[np.ndarray, np.ndarray]:
    """Two (H, W) label images of one shape."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    highest = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))

    def random_labels() -> np.ndarray:
        return rng.integers(0, highest, shape, endpoint=True) * (rng.random(shape) < 0.7)

    return random_labels(), random_labels()


thousands = settings(max_examples=2000, deadline=None, derandomize=True, database=None)


@thousands
@given(label_images())
def test_overlaps_are_those_of_sets(images):
    truth, answer = images
    a = pixels_of(truth)
    b = pixels_of(answer)
    both_empty = not a and not b
    expected_dice = 1 if both_empty else 2 * len(a & b) / (len(a) + len(b))
    expected_iou = 1 if both_empty else len(a & b) / len(a | b)
    expected_sensitivity = len(a & b) / len(a) if a else 1
    assert metrics.dice(truth, answer) == pytest.approx(expected_dice)
    assert metrics.iou(truth, answer) == pytest.approx(expected_iou)
    assert metrics.sensitivity(truth, answer) == pytest.approx(expected_sensitivity)


@thousands
@given(label_images())
def test_metrics_without_a_direction_are_symmetric(images):
    truth, answer = images
    for metric in (metrics.dice, metrics.iou, metrics.surface_distance):
        assert metric(truth, answer) == pytest.approx(metric(answer, truth), nan_ok=True)


@thousands
@given(label_images())
def test_the_largest_surface_distance_is_that_of_all_pairs_of_outline_pixels(images):
    truth, answer = images
    a = outline_of(pixels_of(truth))
    b = outline_of(pixels_of(answer))
    if a and b:
        expected = max(largest_distance(a, b), largest_distance(b, a))
        assert metrics.surface_distance(truth, answer, percentile=100) == pytest.approx(expected)


@thousands
@given(label_images())
def test_average_precision_counts_pairs(images):
    truth, answer = images
    pairs, objects = pairs_above(truth, answer, 0.6)
    expected = pairs / (objects - pairs) if objects else 1
    assert metrics.average_precision(truth, answer, [0.6]) == pytest.approx(expected)
    assert metrics.average_precision(answer, truth, [0.6]) == pytest.approx(expected)


@thousands
@given(label_images())
def test_rand_v_lies_between_0_and_1_and_is_1_for_equal_images(images):
    truth, answer = images
    assert 0 <= metrics.rand_v(truth, answer) <= 1 + 1e-9
    assert metrics.rand_v(truth, truth) == pytest.approx(1)
