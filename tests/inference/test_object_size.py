"""Doubts about the scale of an answer: objects of impossible size, tissue at another scale."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.doubt import Doubt
from unet_helpers.inference.object_size import (
    check_physical_size,
    check_scale_of_answer,
    check_size_in_pixels,
    grain,
    typical_diameter,
)

NUCLEI = uh.MODELS["nuclei"]
TISSUE = uh.MODELS["nuclei_he"]


def interiors(side: int, count: int = 16) -> np.ndarray:
    """Probabilities (3, H, W) of squares of this side."""
    probabilities = np.zeros((3, 200, 200), np.float32)
    for i in range(count):
        top, left = 45 * (i // 4) + 5, 45 * (i % 4) + 5
        probabilities[1, top : top + side, left : left + side] = 0.9
    probabilities[0] = 1 - probabilities[1]
    return probabilities


def test_the_typical_diameter_is_that_of_the_interior_and_its_border():
    expected = 2 * np.sqrt(400 / np.pi)
    assert typical_diameter(interiors(20), zoom=1) == pytest.approx(expected + 4)
    assert typical_diameter(interiors(20), zoom=2) == pytest.approx(expected + 2)
    assert typical_diameter(interiors(20, count=9), zoom=1) is None
    assert typical_diameter(interiors(2), zoom=1) is None


def test_the_grain_grows_with_the_size_of_what_is_shown():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(256, 256)).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), 2)
    coarse = cv2.resize(fine, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert grain(noise) < grain(fine) < grain(coarse) - 0.5
    assert grain(np.stack([fine, noise, noise], -1)) == pytest.approx(grain(fine))
    assert grain(np.full((64, 64), 3, np.uint8)) == 0
    assert grain(np.full((4, 4), 3, np.uint8)) == 0


@pytest.mark.parametrize(
    ("step", "is_doubted"),
    [(25.4 / 72, True), (0.5, True), (0.25e-3, False), (1e-3, False), (1e-5, True)],
)
def test_nuclei_of_impossible_width_are_doubted_with_what_was_found(step, is_doubted):
    doubts = check_physical_size(NUCLEI, 24, (step, step))
    assert bool(doubts) == is_doubted
    if step == 25.4 / 72:
        assert isinstance(doubts[0], Doubt)
        assert "8.47e+03 µm wide" in doubts[0]
        assert "2 to 60 µm" in doubts[0]
        assert "0.353 mm" in doubts[0]


def test_a_card_that_states_no_size_doubts_none():
    card = replace(NUCLEI, plausible_diameter=(0.0, 0.0))
    assert check_physical_size(card, 24, (1.0, 1.0)) == ()
    assert check_size_in_pixels(NUCLEI, 500, 3.0) == ()


@pytest.mark.parametrize(
    ("diameter", "grain_of_image", "word"),
    [
        (24, 2.4, ""),
        (14, 1.7, "small"),
        (45, 3.2, "large"),
        (16, 2.01, ""),
        (16, 1.99, "small"),
    ],
)
def test_tissue_at_another_scale_is_doubted(diameter, grain_of_image, word):
    doubts = check_size_in_pixels(TISSUE, diameter, grain_of_image)
    assert bool(doubts) == bool(word)
    for doubt in doubts:
        assert isinstance(doubt, Doubt)
        assert word in doubt
        assert all(word in doubt for word in ("spacing=", "zoom=", "diameter="))


def test_a_scale_that_was_given_or_an_answer_without_nuclei_is_not_doubted():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (200, 200, 3), np.uint8)
    answer = interiors(10)
    assert check_scale_of_answer(TISSUE, pixels, answer, 1.0, None)
    assert not check_scale_of_answer(TISSUE, pixels, answer, 1.0, None, is_given=True)
    assert not check_scale_of_answer(TISSUE, pixels, np.zeros_like(answer), 1.0, None)
    assert not check_scale_of_answer(uh.MODELS["lungs"], pixels, answer[:1], 1.0, (9.0, 9.0))


@pytest.fixture(scope="module")
def tissue():
    return uh.read_image(uh.sample("he")).pixels


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=interpolation)


def test_a_20x_slide_with_its_pixel_size_gives_the_nuclei_of_the_40x_slide(tissue, tmp_path):
    path = tmp_path / "half.tif"
    options = {"description": "Aperio|AppMag = 20|MPP = 0.5", "metadata": None}
    tifffile.imwrite(path, resized(tissue, 0.5), photometric="rgb", **options)
    full = uh.segment(tissue, "nuclei_he", progress=False)
    half = uh.segment(path, "nuclei_he", progress=False)
    assert half.zoom == pytest.approx(2 * full.zoom, rel=0.01)
    assert not any(isinstance(text, Doubt) for text in (*full.warnings, *half.warnings))
    assert len(half.measure()) == pytest.approx(len(full.measure()), rel=0.15)
    assert any("its pixel size is 0.5 µm" in note for note in half.image.notes)


def test_a_20x_slide_without_its_pixel_size_is_doubted(tissue):
    half = uh.segment(resized(tissue, 0.5), "nuclei_he", progress=False)
    assert any(isinstance(text, Doubt) and "small" in text for text in half.warnings)
    given = uh.segment(resized(tissue, 0.5), "nuclei_he", progress=False, zoom=2)
    assert not any(isinstance(text, Doubt) for text in given.warnings)


def test_72_dpi_in_inches_is_doubted(tmp_path):
    pixels = uh.read_image(uh.sample("fluorescence")).pixels[:256, :256]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, imagej=True, resolution=(72, 72), metadata={"unit": "inch"})
    result = uh.segment(path, "nuclei", progress=False)
    assert any(isinstance(text, Doubt) and "0.353 mm" in text for text in result.warnings)
