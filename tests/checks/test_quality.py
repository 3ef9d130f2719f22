"""Photographs of the eye are graded by focus, haze, noise and compression, without a reference."""

import time

import cv2
import numpy as np
import pytest
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.checks.checks import check_quality
from unet_helpers.checks.quality import Quality, measure_quality, noise_of
from unet_helpers.checks.view import View
from unet_helpers.doubt import Doubt
from unet_helpers.images.arrays import from_array

CARD = uh.MODELS["retinal_vessels"]
GOOD = Quality(focus=-0.4, sharpness=0.8, noise=0.5, contrast=0.03, blocks=1.2)


@pytest.fixture(scope="module")
def eye() -> np.ndarray:
    """The shipped photograph, in 0 to 1."""
    return uh.read_image(ROOT / "sample_images/retina.jpg").pixels.astype(np.float32) / 255


def as_jpeg(eye: np.ndarray, quality: int) -> np.ndarray:
    pixels = (255 * eye).astype(np.uint8)
    _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(code, cv2.IMREAD_COLOR) / 255


def moved(eye: np.ndarray, length: int) -> np.ndarray:
    """Blurred along a row."""
    return cv2.blur(eye, (length, 1))


def noisy(eye: np.ndarray, greys: float) -> np.ndarray:
    return eye + np.random.default_rng(0).normal(0, greys / 255, eye.shape)


def view_of(eye: np.ndarray) -> View:
    return View(from_array(np.clip(255 * eye + 0.5, 0, 255).astype(np.uint8)))


CHANGES = {
    "as it is": (lambda x: x, "good"),
    "JPEG 85": (lambda x: as_jpeg(x, 85), "good"),
    "blurred by width / 200": (lambda x: cv2.GaussianBlur(x, (0, 0), x.shape[1] / 200), "poor"),
    "moved by width / 60": (lambda x: moved(x, x.shape[1] // 60), "usable"),
    "JPEG 5": (lambda x: as_jpeg(x, 5), "poor"),
    "JPEG 10": (lambda x: as_jpeg(x, 10), "poor"),
    "noise of 6 greys": (lambda x: noisy(x, 6), "usable"),
    "noise of 40 greys": (lambda x: noisy(x, 40), "poor"),
    "haze": (lambda x: 0.3 * cv2.GaussianBlur(x, (0, 0), 2) + 0.55, "poor"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_grade_says_what_is_wrong_with_a_photograph(eye, name):
    change, grade = CHANGES[name]
    view = view_of(change(eye))
    assert view.quality.grade.name == grade

    warnings = check_quality(view, CARD)
    assert bool(warnings) == (grade != "good")
    assert any(isinstance(text, Doubt) for text in warnings) == (grade == "poor")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "good quality"),
        ({"focus": -1.0}, "usable quality: soft focus"),
        ({"focus": -1.5}, "poor quality: out of focus"),
        ({"sharpness": 0.45}, "usable quality: blurred in one direction, as by motion"),
        ({"noise": 6}, "usable quality: noise"),
        ({"contrast": 0.01}, "usable quality: low contrast, as through haze"),
        ({"blocks": 3}, "usable quality: blocks of JPEG"),
        ({"focus": -1.5, "noise": 20}, "poor quality: out of focus and strong noise"),
    ],
)
def test_a_grade_in_words(change, words):
    assert str(Quality(**{**vars(GOOD), **change}).grade) == words


def test_the_noise_is_measured_in_grey_levels():
    greys = 100 + np.random.default_rng(0).normal(0, 5, (300, 300))
    inside = np.ones(greys.shape, bool)
    assert noise_of(greys.astype(np.float32), inside) == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_unit_of_the_greys_does_not_matter(eye, dtype):
    inside = np.ones(eye.shape[:2], bool)
    in_8_bits = (255 * eye).astype(np.uint8)
    other = (in_8_bits.astype(np.float64) * 200).astype(dtype)
    expected = measure_quality(in_8_bits, inside)
    assert measure_quality(other, inside).focus == pytest.approx(expected.focus, abs=0.05)


def test_other_networks_grade_nothing(eye):
    blurred = view_of(cv2.GaussianBlur(eye, (0, 0), 20))
    assert check_quality(blurred, uh.MODELS["nuclei_he"]) == []


def test_it_takes_milliseconds():
    pixels = np.random.default_rng(0).integers(0, 255, (2336, 3504, 3), np.uint8)
    inside = np.ones(pixels.shape[:2], bool)
    measure_quality(pixels, inside)
    started = time.process_time()
    measure_quality(pixels, inside)
    assert time.process_time() - started < 0.5
