"""The light and even surround of an eye is left out; eyes themselves have none."""

import cv2
import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.checks.view import View
from unet_helpers.preprocessing.even_surround import light_surround
from unet_helpers.preprocessing.field_of_view import field_of_view

RETINA = uh.MODELS["retinal_vessels"]


@pytest.fixture(scope="module")
def eye() -> np.ndarray:
    """The sample at a third of its size."""
    pixels = uh.read_image(uh.sample("retina")).pixels
    return cv2.resize(pixels, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)


def in_ellipse(eye: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The eye in a larger lit ellipse with a little noise, in the dark; and where the eye is."""
    height, width = eye.shape[:2]
    larger = np.zeros((height + 140, width + 180, 3), np.uint8)
    centre = (larger.shape[1] // 2, larger.shape[0] // 2)
    cv2.ellipse(larger, centre, centre, 0, 0, 360, colour, -1)
    noise = np.random.default_rng(0).normal(0, 3, larger.shape)
    larger = np.clip(larger + noise * (larger > 0), 0, 255).astype(np.uint8)
    inside = np.zeros(larger.shape[:2], bool)
    inside[70 : 70 + height, 90 : 90 + width] = field_of_view(eye)
    larger[inside] = eye[field_of_view(eye)]
    return larger, inside


@pytest.mark.parametrize("colour", [(150, 140, 130), (90, 70, 65), (230, 230, 225)])
def test_an_ellipse_around_an_eye_is_found(eye, colour):
    larger, inside = in_ellipse(eye, colour)
    surround = light_surround(larger)
    left = ~surround & (larger.max(axis=-1) > 20)
    assert uh.dice(left, inside) > 0.95


def shaped_page(eye: np.ndarray) -> np.ndarray:
    """A white page in which the eye lies, without the dark around it."""
    shaped = eye.copy()
    shaped[~field_of_view(eye)] = 255
    return np.pad(shaped, ((50, 60), (40, 40), (0, 0)), constant_values=255)


def test_a_page_shaped_to_the_disc_is_left_out(eye):
    page = shaped_page(eye)
    view = View(uh.read_image(page)).for_card(RETINA)
    assert view.cleaned.pixels[60, 45].max() == 0
    assert view.image.pixels[60, 45].min() == 255  # as stored
    assert any("surrounds the eye" in note for note in view.notes(RETINA))
    assert view.likeness.score("retinal_vessels") < 1
    whole = np.zeros(page.shape[:2], bool)
    box = view.box(RETINA)
    whole[box] = field_of_view(view.cleaned.pixels[box])
    height, width = eye.shape[:2]
    assert uh.dice(whole[50 : 50 + height, 40 : 40 + width], field_of_view(eye)) > 0.96


@pytest.mark.parametrize("grey", [60, 110, 128, 140, 200])
def test_a_surround_of_any_grey_is_left_out(eye, grey):
    inside = field_of_view(eye)
    # Lit from the left: on the right, its red is darker than the surround.
    light = np.linspace(1, 0.6, eye.shape[1])[:, None]
    painted = np.where(inside[..., None], (eye * light).astype(np.uint8), np.uint8(grey))
    view = View(uh.read_image(painted)).for_card(RETINA)
    left = np.zeros(inside.shape, bool)
    box = view.box(RETINA)
    left[box] = field_of_view(view.cleaned.pixels[box])
    assert uh.dice(left, inside) > 0.96


def test_eyes_in_the_dark_and_other_images_have_no_light_surround(eye):
    assert light_surround(eye) is None
    rng = np.random.default_rng(0)
    assert light_surround(rng.integers(0, 255, (90, 120, 3), np.uint8)) is None
    assert light_surround(np.full((90, 120, 3), 200, np.uint8)) is None
    page = View(uh.read_image(shaped_page(eye)))
    assert page.for_card(uh.MODELS["nuclei"]) is page
    volume = View(uh.read_image(rng.integers(0, 255, (4, 64, 64), np.uint8)))
    assert volume.surround_of_eye is None


def test_the_answer_in_an_ellipse_is_that_of_the_eye(eye):
    larger, inside = in_ellipse(eye, (150, 140, 130))
    network = uh.load_model("retinal_vessels")
    alone = uh.segment(eye, network, progress=False)
    result = uh.segment(larger, network, progress=False)
    around = cv2.erode((~inside).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=1)
    assert not result.labels[around > 0].any()
    part = result.labels[70 : 70 + eye.shape[0], 90 : 90 + eye.shape[1]]
    assert uh.dice(part > 0, alone.labels > 0) > 0.93
    assert abs(result.expected_dice.value - alone.expected_dice.value) < 0.15


def test_the_expected_dice_of_an_eye_on_a_page_is_that_of_the_eye(eye):
    network = uh.load_model("retinal_vessels")
    alone = uh.segment(eye, network, progress=False)
    page = np.pad(eye, ((60, 60), (70, 70), (0, 0)), constant_values=255)
    result = uh.segment(page, network, progress=False)
    assert result.expected_dice.value == pytest.approx(alone.expected_dice.value, abs=0.02)
