"""The expected Dice: high for clear answers, lower for doubtful ones, None if nothing is known."""

import json
from dataclasses import astuple, replace

import numpy as np
import pytest
import scipy
from helpers.drawn import draw_nuclei
from helpers.networks import make_network
from helpers.places import DATA
from scipy.spatial.distance import cdist

import unet_helpers as uh
from unet_helpers.checks.expected_dice import (
    CALIBRATION_FILE,
    KERNEL_DECAY,
    LEAST_NOISE,
    DiceInterval,
    DiceRegression,
    Signs,
    calibrations,
    signs_of,
)
from unet_helpers.images.arrays import from_array
from unet_helpers.networks.cards import WEIGHTS
from unet_helpers.results.metrics import dice
from unet_helpers.training.tasks import read_cases


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return draw_nuclei(40, 384)[0]


@pytest.fixture(scope="module")
def clear(drawn) -> uh.Segmentation:
    return uh.segment(drawn, "nuclei", flips=1, zoom=1, progress=False)


def test_a_clear_image_has_a_high_and_a_spoilt_one_a_lower_expected_dice(drawn, clear):
    noise = np.random.default_rng(0).normal(0, 120, drawn.shape)
    spoilt = np.clip(drawn + noise, 0, 255).astype(np.uint8)
    doubtful = uh.segment(spoilt, "nuclei", flips=1, zoom=1, progress=False)
    value, low, high = clear.expected_dice
    assert 0 <= low <= value <= high <= 1
    assert value > 0.8

    # Withheld where the noise makes it another kind of image.
    if not doubtful.expected_dice_reason:
        assert doubtful.expected_dice.value < value - 0.05


def test_it_is_in_the_summary_and_in_the_manifest(clear, tmp_path):
    assert clear.summary()["expected Dice"] == (clear.expected_dice[0], "")
    manifest = json.loads(clear.save(tmp_path)["manifest"].read_text("utf-8"))
    assert manifest["expected_dice"] == pytest.approx(clear.expected_dice, abs=1e-4)


def test_nothing_is_said_without_calibration_or_if_nothing_was_found(drawn):
    assert uh.segment(drawn, make_network(1), progress=False).expected_dice is None
    empty = np.zeros((64, 64), np.uint8)
    assert uh.segment(empty, "nuclei", progress=False).expected_dice is None


def test_every_card_with_weights_in_the_package_is_calibrated():
    shipped = {path.stem for path in WEIGHTS.glob("*.safetensors")}
    assert shipped == set(calibrations())


def test_the_likeness_that_was_measured_is_taken(clear, monkeypatch):
    again = uh.Segmentation(**{name: getattr(clear, name) for name in clear.__dataclass_fields__})
    monkeypatch.setattr("unet_helpers.checks.view.measure_likeness", lambda overviews: 1 / 0)
    assert again.expected_dice == clear.expected_dice


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_it_is_near_the_true_dice_of_x_rays_and_low_for_inverted_ones():
    cases = [case for case in read_cases("lungs", DATA / "lungs") if case.part == "test"][::8]
    misses = []
    inverted = []
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
    kernel = np.exp(-KERNEL_DECAY * cdist(points, points, "cityblock"))
    weights = np.linalg.solve(kernel + 0.1 * np.eye(60), y - y.mean())
    regression = DiceRegression(
        lowest=x.min(0),
        highest=x.max(0),
        mean=np.full(9, 5),
        scale=np.full(9, 3),
        points=points,
        weights=weights,
        intercept=y.mean(),
    )
    expected = np.clip(kernel @ weights + y.mean(), 0, 1)
    np.testing.assert_allclose(regression.predict(x), expected, atol=1e-9)

    # Signs beyond those that were fitted count as the most extreme ones.
    highest = np.repeat([x.max(0)], 60, 0)
    np.testing.assert_allclose(regression.predict(x + 100), regression.predict(highest))


def test_the_interval_is_interpolated_and_stays_within_0_and_1():
    interval = DiceInterval(
        at=np.array([0.2, 0.8]), low=np.array([-0.3, -0.1]), high=np.array([0.1, 0.3])
    )
    assert interval.around(0.5) == pytest.approx((0.5 - 0.2, 0.5 + 0.2))
    assert interval.around(0.1) == pytest.approx((0.0, 0.2))
    assert interval.around(0.9) == pytest.approx((0.8, 1.0))


def test_calibrations_are_those_of_the_file():
    stored = json.loads(CALIBRATION_FILE.read_text("utf-8"))
    assert set(calibrations()) == set(stored)
    for name, calibration in calibrations().items():
        assert calibration.regression.lowest.tolist() == stored[name]["range"][0]
        assert calibration.regression.highest.tolist() == stored[name]["range"][1]
        shape = (len(stored[name]["weights"]), len(stored[name]["signs"]))
        assert calibration.regression.points.shape == shape
        assert set(calibration.signs) <= set(Signs.__dataclass_fields__)
        assert 0.7 < calibration.usual < 1
        assert calibration.interval.low.tolist() == stored[name]["low"]


def test_signs_have_exact_values():
    foreground = np.array([[0.875, 0.75, 0.25, 0.125], [0.875, 0.0, 0.0, 0.0]], np.float32)
    mask = foreground >= 0.5
    grey = np.array([[100, 90, 20, 0], [80, 10, 0, 0]], np.float32)
    signs = signs_of(from_array(grey), foreground, mask, score=2.0)

    low, high = np.percentile(grey, [0.5, 99.5])
    normalised = np.clip((grey - low) / (high - low), 0, 1)
    laplacian = np.median(np.abs(scipy.ndimage.laplace(normalised)))
    assert signs.soft_dice == pytest.approx(2 * 2.5 / (2.875 + 3))
    assert signs.certainty == pytest.approx(2.5 / 3)
    assert signs.doubtful == pytest.approx(2 / 3)  # 0.75 and 0.25
    assert signs.unlikeness == pytest.approx(np.log(2))
    assert signs.size == pytest.approx(np.log10(3 / 8) / 3)
    difference = normalised[mask].mean() - normalised[~mask].mean()
    assert signs.contrast == pytest.approx(difference, abs=1e-6)
    assert signs.deviation_inside == pytest.approx(normalised[mask].std(), abs=1e-6)
    assert signs.deviation_outside == pytest.approx(normalised[~mask].std(), abs=1e-6)
    assert signs.noise == pytest.approx(np.log(laplacian + LEAST_NOISE), abs=1e-5)
    assert signs.edge == 1


def test_the_edge_is_what_touches_the_outside():
    foreground = np.zeros((9, 9), np.float32)
    foreground[2:7, 2:7] = 1
    signs = signs_of(from_array(np.eye(9)), foreground, foreground > 0, score=1.0)
    assert signs.edge == pytest.approx(16 / 25)


def test_what_is_doubtful_lies_between_20_and_80_percent():
    foreground = np.array([[0.0, 0.19, 0.21, 0.79, 0.81, 0.9, 1.0, 1.0]], np.float32)
    signs = signs_of(from_array(np.ones((1, 8))), foreground, foreground > 0.95, score=1.0)
    assert signs.doubtful == pytest.approx(2 / 2)


@pytest.mark.parametrize(
    ("score", "counts_as"), [(np.nan, 1.0), (0.1, 0.2), (9.0, 5.0), (0.5, 0.5)]
)
def test_the_score_counts_within_limits(score, counts_as):
    foreground = np.eye(4, dtype=np.float32)
    signs = signs_of(from_array(np.eye(4)), foreground, foreground > 0, score)
    assert signs.unlikeness == pytest.approx(np.log(counts_as))


def test_a_full_answer_has_a_dark_outside():
    grey = np.arange(16, dtype=np.float32).reshape(4, 4)
    full = np.ones((4, 4), bool)
    signs = signs_of(from_array(grey), np.ones((4, 4), np.float32), full, score=1.0)
    assert signs.deviation_outside == 0
    assert signs.contrast == pytest.approx(0.5)
    assert np.isfinite(astuple(signs)).all()


def test_colours_are_averaged():
    colour = np.zeros((4, 4, 3), np.float32)
    colour[..., 0] = np.arange(16).reshape(4, 4)
    grey = colour.mean(-1)
    answer = np.eye(4, dtype=np.float32)
    of_colour = signs_of(from_array(colour), answer, answer > 0, score=1.0)
    of_grey = signs_of(from_array(grey), answer, answer > 0, score=1.0)
    assert astuple(of_colour) == pytest.approx(astuple(of_grey))


def head(margin: int) -> uh.Segmentation:
    """A found ellipsoid in a volume of 60 voxels, with a margin of air around."""
    rng = np.random.default_rng(0)
    axes = np.indices((60, 60, 60)) - 30
    radius = (axes[0] / 7) ** 2 + (axes[1] / 16) ** 2 + (axes[2] / 7) ** 2
    pixels = 500 + 40 * rng.standard_normal(radius.shape) + 60 * (radius < 1)
    probability = np.clip(1.1 - 0.5 * radius, 0, 1)
    pixels, probability = (np.pad(values, margin) for values in (pixels, probability))
    half = probability / 2
    return uh.Segmentation(
        uh.MedicalImage(pixels.astype(np.float32), "ZYX", spacing=(1.0, 1.0, 1.0)),
        uh.MODELS["hippocampus"],
        np.stack([1 - probability, half, half]).astype(np.float32),
        threshold=0.5,
        places={"left": (30.0 + margin,) * 3},
    )


def test_what_is_around_the_boxes_does_not_change_the_estimate():
    close = head(0).expected_dice
    assert close is not None
    assert head(50).expected_dice == pytest.approx(close, abs=0.01)


def test_a_box_without_an_answer_does_not_count():
    result = head(20)
    places = {**result.places, "right": (8.0, 8.0, 8.0)}
    assert replace(result, places=places).expected_dice == result.expected_dice
