"""An image of nothing but background is told from one that shows something."""

import cv2
import numpy as np
import pytest
from helpers.drawn import draw_nuclei

import unet_helpers as uh
from unet_helpers.checks.checks import check_background
from unet_helpers.checks.view import View
from unet_helpers.networks.cards import MODELS
from unet_helpers.preprocessing.background import grey_step, is_only_background, shows_structure
from unet_helpers.preprocessing.intensities import below_white
from unet_helpers.preprocessing.slices import PreparedStack


def noise(mean, deviation: float, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, deviation, shape).astype(np.float32)


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Pixels from 0 to 255 as they come back from a JPEG."""
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    _, stored = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("deviation", [1, 2, 3])
@pytest.mark.parametrize("quality", [50, 70, 90])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_glass_in_a_jpeg_shows_nothing(deviation, quality, channels):
    assert not shows_structure(compressed(noise(238, deviation, (500, 500, *channels)), quality))


@pytest.mark.parametrize("base_and_noise", [(100, 8), (20, 3), (60, 10)])
@pytest.mark.parametrize("sigma", [0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("quality", [50, 75, None])
def test_noise_that_was_smoothed_enlarged_and_compressed_shows_nothing(
    base_and_noise, sigma, quality
):
    pixels = noise(*base_and_noise, (400, 400))
    if sigma:
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    pixels = cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    pixels = compressed(pixels, quality) if quality else np.rint(pixels).astype(np.uint16)
    assert not shows_structure(pixels)


@pytest.mark.parametrize("factor", [1e32, np.uint64(2**40)])
def test_huge_values_are_seen_as_smaller_ones_are(factor):
    nuclei = draw_nuclei()[0]
    huge = nuclei * factor
    assert shows_structure(huge)
    assert not shows_structure(noise(100, 8, (400, 400)).astype(np.uint8) * factor)
    plain = View(uh.read_image(nuclei)).likeness
    assert View(uh.read_image(huge)).likeness.score("nuclei") == pytest.approx(
        plain.score("nuclei"), rel=1e-3
    )


def test_photon_noise_floats_and_uneven_light_show_nothing():
    y, x = np.mgrid[-1:1:500j, -1:1:500j]
    shots = np.random.default_rng(0).poisson(20, (512, 512)).astype(np.uint16)
    for empty in (
        shots,
        noise(0, 1, (512, 512)),
        noise(0.5, 0.01, (512, 512)),
        compressed(noise(238, 1.5, (500, 500)) - 20 * (y**2 + x**2), 80),
        np.full((200, 200), 7, np.uint8),
        np.full((200, 200), np.nan, np.float32),
    ):
        assert not shows_structure(empty)


@pytest.mark.parametrize(("height", "side"), [(30, 24), (1500, 20), (10, 40)])
def test_one_faint_object_in_noise_is_something(height, side):
    pixels = noise(100, 8, (1024, 1024))
    pixels[300 : 300 + side, 500 : 500 + side] += height
    assert shows_structure(pixels.astype(np.uint16))


@pytest.mark.parametrize("name", ["fluorescence", "he", "ihc", "retina"])
def test_real_images_show_something_also_dark_ones_and_parts_of_them(name):
    pixels = uh.read_image(uh.sample(name)).pixels
    assert shows_structure(pixels)
    assert shows_structure(pixels[:256, :256])
    assert shows_structure(pixels // 4)


def test_a_gradient_is_something():
    assert shows_structure(np.tile(np.arange(300, dtype=np.float32), (300, 1)))


def test_tiny_images_are_nothing_only_if_constant():
    assert shows_structure(noise(100, 8, (64, 64)))
    assert not shows_structure(np.zeros((64, 64)))


def test_one_slice_that_shows_something_is_enough():
    nuclei, _ = draw_nuclei(20, 256)
    empty = noise(14, 3, (256, 256)).clip(0).astype(np.uint8)
    assert is_only_background(np.stack([empty] * 3))
    assert not is_only_background(np.stack([empty, empty, nuclei]))


def test_steps_of_grey():
    assert grey_step(np.array([0, 257, 514], np.uint16)) == 257
    assert grey_step(np.array([3, 3], np.uint8)) == 1
    assert grey_step(np.array([0, 0.5, np.nan])) == 0.5


@pytest.mark.parametrize("name", ["nuclei", "retinal_vessels"])
def test_background_is_not_stretched(name):
    card = MODELS[name]
    glass = compressed(noise(238, 2, (256, 256, 3)), 70)
    prepared = PreparedStack(glass[None], card.preprocessing, (256, 256))[0]
    tile = prepared.tile(slice(None), slice(None), card.in_channels)
    assert np.ptp(tile) == 0


def test_a_field_that_is_nearly_all_glass_keeps_the_range_of_tissue():
    glass = np.zeros((1, 4, 4, 3), np.uint8)
    offset, gain = below_white(glass, offset=230.0, gain=1 / 10)
    assert (offset, 1 / gain) == pytest.approx((240 - 0.12 * 255, 0.12 * 255))
    assert below_white(glass, 100.0, 1 / 100) == (100.0, 1 / 100)
    assert below_white(glass, 5.0, 0.0) == (5.0, 0.0)


@pytest.mark.parametrize("model", ["nuclei", "nuclei_he"])
def test_glass_has_no_nuclei_and_the_reason_is_said(model):
    glass = compressed(noise(238, 2, (400, 400, 3)), 70)
    result = uh.segment(glass, model, progress=False)
    assert result.objects.max() == 0
    assert result.expected_dice is None
    assert any("nothing but background" in warning for warning in result.warnings)


def test_a_camera_field_without_nuclei_has_none():
    pixels = cv2.GaussianBlur(noise(100, 8, (300, 300)), (0, 0), 1)
    pixels = compressed(cv2.resize(pixels, None, fx=2, fy=2), 75)
    result = uh.segment(pixels, "nuclei", progress=False)
    assert result.objects.max() == 0
    assert any("nothing but background" in warning for warning in result.warnings)


def test_faint_nuclei_on_an_empty_field_are_found():
    pixels = noise(100, 8, (256, 256))
    y, x = np.mgrid[:256, :256]
    for row, column in ((60, 60), (150, 200), (210, 80)):
        pixels[np.hypot(y - row, x - column) < 12] += 60
    result = uh.segment(pixels.astype(np.uint16), "nuclei", flips=1, progress=False)
    assert len(np.unique(result.objects)) - 1 == 3
    assert not any("nothing but" in warning for warning in result.warnings)


def test_frames_without_anything_are_counted():
    nuclei, _ = draw_nuclei(20, 256)
    empty = noise(14, 1, (256, 256)).clip(0).astype(np.uint8)
    movie = uh.MedicalImage(np.stack([nuclei, empty, empty]), "TYX")
    assert check_background(View(movie), MODELS["nuclei"]) == [
        "2 of 3 frames show nothing but background."
    ]
