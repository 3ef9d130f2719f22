"""Single missing values are filled from their neighbours; regions without values stay."""

import numpy as np
import pytest
from helpers.drawn import draw_nuclei

import unet_helpers as uh
from unet_helpers.preprocessing.missing import fill_missing

RAMP = np.add.outer(np.arange(20.0), np.arange(30.0)).astype(np.float32)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_single_value_is_the_mean_of_its_neighbours(missing):
    pixels = RAMP.copy()
    pixels[5, 7] = missing
    np.testing.assert_allclose(fill_missing(pixels), RAMP)


def test_colours_are_filled_one_by_one():
    pixels = np.dstack([RAMP, 2 * RAMP, 3 * RAMP])
    expected = pixels.copy()
    pixels[5, 7, 1] = np.nan
    np.testing.assert_allclose(fill_missing(pixels), expected)


def test_a_region_without_values_stays():
    pixels = RAMP.copy()
    pixels[:, 20:] = np.nan
    np.testing.assert_array_equal(fill_missing(pixels), pixels)


@pytest.mark.parametrize("pixels", [RAMP, RAMP.astype(np.uint8)])
def test_pixels_without_missing_values_are_not_copied(pixels):
    assert fill_missing(pixels) is pixels


def test_nuclei_of_an_image_with_holes_are_those_without():
    pixels = draw_nuclei(25, 256, seed=0)[0].astype(np.float32)
    holes = np.random.default_rng(0).random(pixels.shape) < 0.01
    whole = uh.segment(pixels, "nuclei", flips=1, progress=False)
    result = uh.segment(np.where(holes, np.nan, pixels), "nuclei", flips=1, progress=False)
    assert abs(int(result.objects.max()) - int(whole.objects.max())) <= 1
    assert ((result.labels > 0) != (whole.labels > 0)).mean() < 0.005
    assert "not finite" in result.warnings[0]
    assert np.isfinite(result.measure().filter(like="intensity")).all(axis=None)
