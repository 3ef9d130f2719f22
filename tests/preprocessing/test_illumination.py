"""Flat illumination: the local z-score inside the field of view."""

import cv2
import numpy as np
import pytest
from helpers.fundus import photograph
from scipy import ndimage

from unet_helpers.preprocessing.field_of_view import flatten_illumination


def test_cameras_of_other_brightness_look_alike():
    pixels, inside = photograph()
    one = flatten_illumination(pixels, inside, 10)
    two = flatten_illumination(pixels * 0.5 + 20.0 * inside, inside, 10)
    np.testing.assert_allclose(one[inside], two[inside], atol=0.02)
    assert (one[~inside] == 0.5).all()


def test_a_pixel_is_its_local_z_score_over_six():
    """Restated with another library's Gaussian, of the same reach and with the same borders."""
    pixels = np.random.default_rng(1).normal(100, 10, (60, 60)).astype(np.float32)
    inside = np.ones((60, 60), bool)
    inside[:, :12] = False

    def smooth(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values.astype(float), 3.0, mode="mirror", truncate=4.0)

    mean = smooth(pixels * inside) / smooth(inside)
    deviation = np.sqrt(smooth(((pixels - mean) * inside) ** 2) / smooth(inside))
    expected = np.clip(0.5 + (pixels - mean) / (6 * deviation), 0, 1)
    flat = flatten_illumination(pixels, inside, 3.0)
    np.testing.assert_allclose(flat[inside], expected[inside], atol=1e-3)


def test_faint_noise_is_not_turned_into_vessels():
    """Where there is less than a quarter of the usual contrast it is not stretched further."""
    rng = np.random.default_rng(1)
    pixels = rng.normal(100, 10, (120, 120)).astype(np.float32)
    pixels[:, :40] = rng.normal(100, 0.1, (120, 40))
    flat = flatten_illumination(pixels, np.ones((120, 120), bool), 4.0)
    assert flat[:, 60:].std() == pytest.approx(1 / 6, rel=0.1)
    assert flat[:, :20].std() == pytest.approx(0.1 / (6 * 0.25 * 9.5), rel=0.2)


def test_values_that_are_not_finite_do_not_spread():
    pixels = np.zeros((30, 30), np.float32)
    pixels[3, 3] = np.nan
    assert (flatten_illumination(pixels, np.ones((30, 30), bool), 2.0) == 0.5).all()


def test_without_a_field_of_view_all_is_level():
    pixels = np.random.default_rng(1).normal(100, 10, (30, 30))
    assert (flatten_illumination(pixels, np.zeros((30, 30), bool), 2.0) == 0.5).all()


def test_the_gaussian_of_the_restatement_is_that_of_opencv():
    pixels = np.random.default_rng(1).normal(100, 10, (40, 40)).astype(np.float32)
    expected = ndimage.gaussian_filter(pixels, 3.0, mode="mirror", truncate=4.0)
    np.testing.assert_allclose(cv2.GaussianBlur(pixels, (0, 0), 3.0), expected, atol=1e-2)
