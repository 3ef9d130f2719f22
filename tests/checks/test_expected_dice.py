"""The expected Dice: high for clear answers, lower for doubtful ones, silent where nothing is known."""

import json

import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.networks import make_network
from helpers.places import DATA
from scipy.spatial.distance import cdist

import unet_helpers as uh
from unet_helpers.images.image import from_array
from unet_helpers.results.confidence import CALIBRATION, REACH, predict
from unet_helpers.results.metrics import dice
from unet_helpers.training.tasks import read_cases


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return draw_nuclei(40, 384)[0]


def test_a_clear_image_has_a_high_and_a_spoilt_one_a_lower_expected_dice(drawn, tmp_path):
    noise = np.random.default_rng(0).normal(0, 120, drawn.shape)
    spoilt = np.clip(drawn + noise, 0, 255).astype(np.uint8)
    clear, doubtful = (
        uh.segment(pixels, "nuclei", flips=1, zoom=1, progress=False) for pixels in (drawn, spoilt)
    )
    for result in (clear, doubtful):
        value, low, high = result.expected_dice
        assert 0 <= low <= value <= high <= 1
    assert clear.expected_dice[0] > 0.8
    assert clear.expected_dice[0] > doubtful.expected_dice[0] + 0.05
    assert clear.summary()["expected Dice"] == (clear.expected_dice[0], "")
    manifest = json.loads(clear.save(tmp_path)["manifest"].read_text())
    assert manifest["expected_dice"] == pytest.approx(clear.expected_dice, abs=1e-4)


def test_nothing_is_said_where_nothing_is_known(drawn):
    assert (
        uh.segment(drawn, make_network(1), progress=False).expected_dice is None
    )  # a card without calibration
    assert (
        uh.segment(np.zeros((64, 64), np.uint8), "nuclei", progress=False).expected_dice is None
    )  # nothing found
    assert not {"retinal_vessels", "em_membranes", "brain_flair"} & set(
        json.loads(CALIBRATION.read_text())
    )  # too few test images


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_it_is_near_the_true_dice_of_x_rays_and_low_for_inverted_ones():
    cases = [case for case in read_cases("lungs", DATA / "lungs") if case.part == "test"][::8]
    misses, inverted = [], []
    for case in cases:
        result = uh.segment(case.image, "lungs", progress=False)
        misses.append(abs(result.expected_dice[0] - dice(case.truth > 0, result.labels > 0)))
        other = uh.segment(from_array(255 - case.image.pixels), "lungs", progress=False)
        inverted.append(other.expected_dice[0] if other.expected_dice else 0.0)
    assert np.mean(misses) < 0.05
    assert np.median(inverted) < 0.6


def test_the_regression_is_a_kernel_ridge():
    x = np.random.default_rng(0).normal(5, 3, (60, 9))
    points = (x - 5) / 3
    y = 1 / (1 + np.exp(-points[:, 0] - points[:, 1] * points[:, 2]))
    kernel = np.exp(-REACH * cdist(points, points, "cityblock"))
    weights = np.linalg.solve(kernel + 0.1 * np.eye(60), y - y.mean())
    about = {
        "range": [x.min(0), x.max(0)],
        "mean": np.full(9, 5),
        "scale": np.full(9, 3),
        "points": points,
    }
    fitted = about | {"weights": weights, "intercept": y.mean()}
    np.testing.assert_allclose(
        predict(fitted, x), np.clip(kernel @ weights + y.mean(), 0, 1), atol=1e-9
    )
    np.testing.assert_allclose(
        predict(fitted, x + 100), predict(fitted, np.repeat([x.max(0)], 60, 0))
    )  # beyond: clipped
