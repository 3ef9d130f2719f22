"""Thousands of tilings and pairs of masks (Hypothesis), against statements about sets of pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unet_helpers.inference.tiles import spans
from unet_helpers.results import metrics

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(length=st.integers(1, 5000), tile=st.floats(2, 3000), share=st.floats(0, 1))
def test_tiles_cover_every_pixel_once(length, tile, share):
    """Shares sum to 1, no tile is larger than asked for, and none leaves a gap."""
    overlap = share * (tile - 1)
    assume(length / (tile - overlap) < 400)
    total = np.zeros(length)
    for where, weights in spans(length, tile, overlap):
        assert len(weights) == where.stop - where.start <= np.ceil(tile)
        assert where.start >= 0
        total[where] += weights
    np.testing.assert_allclose(total, 1, atol=1e-4)


def outline(mask: set) -> list:
    beside = lambda y, x: {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)}
    return [place for place in mask if not beside(*place) <= mask]


@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 10**6),
    ids=st.integers(1, 4),
)
def test_metrics_are_what_their_definitions_say(shape, seed, ids):
    """0 to 1, symmetric where they should be, and equal to a statement about sets of pixels."""
    random = np.random.default_rng(seed)
    truth, answer = (
        random.integers(0, ids, shape, endpoint=True) * (random.random(shape) < 0.7) for _ in "ab"
    )
    a, b = (set(map(tuple, np.argwhere(m > 0).tolist())) for m in (truth, answer))
    assert metrics.dice(truth, answer) == pytest.approx(
        2 * len(a & b) / (len(a) + len(b)) if a or b else 1
    )
    assert metrics.iou(truth, answer) == pytest.approx(len(a & b) / len(a | b) if a or b else 1)
    assert metrics.sensitivity(truth, answer) == pytest.approx(len(a & b) / len(a) if a else 1)
    for metric in (metrics.dice, metrics.iou, metrics.surface_distance):
        assert metric(truth, answer) == pytest.approx(metric(answer, truth), nan_ok=True)
    if a and b:
        far = lambda p, q: max(min(np.hypot(*np.subtract(i, j)) for j in q) for i in p)
        both = outline(a), outline(b)
        assert metrics.surface_distance(truth, answer, percentile=100) == pytest.approx(
            max(far(*both), far(*both[::-1]))
        )
    ious = [
        np.sum((truth == i) & (answer == j)) / np.sum((truth == i) | (answer == j))
        for i, j in itertools.product(np.unique(truth[truth > 0]), np.unique(answer[answer > 0]))
    ]
    found, hits = (
        len(np.unique(truth[truth > 0])) + len(np.unique(answer[answer > 0])),
        np.sum(np.array(ious) > 0.6),
    )
    ours = metrics.average_precision(truth, answer, [0.6])
    assert ours == pytest.approx(hits / (found - hits) if found else 1)
    assert metrics.average_precision(answer, truth, [0.6]) == pytest.approx(ours)
    rand = metrics.rand_v(truth, answer)
    assert 0 <= rand <= 1 + 1e-9
    assert metrics.rand_v(truth, truth) == pytest.approx(1)
