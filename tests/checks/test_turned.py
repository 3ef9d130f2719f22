"""X-rays that lie on their side or upside down: the warning says how to turn them."""

import numpy as np
import pytest
from helpers.places import SAMPLES

import unet_helpers as uh
from unet_helpers.checks.checks import advice_on_turn, distribution_warning
from unet_helpers.checks.view import View

LUNGS = uh.MODELS["lungs"]

# Quarter turns counter-clockwise of an upright image, and the turn that puts it right.
TURNS = ((1, "90° clockwise"), (2, "180°"), (3, "90° counter-clockwise"))


class Likeness:
    """Stands in for the likeness to the images of all cards."""

    def __init__(self, score: float) -> None:
        self.value = score

    def score(self, card: str) -> float:
        return self.value


@pytest.fixture
def bright_top(monkeypatch) -> None:
    """Images are like those of all cards if their first pixel is the brightest one."""

    def likeness(self: View) -> Likeness:
        pixels = self.image.pixels
        return Likeness(0.5 if pixels[0, 0] == pixels.max() else 2.0)

    monkeypatch.setattr(View, "likeness", property(likeness))


def upright() -> np.ndarray:
    pixels = np.zeros((6, 8), np.uint8)
    pixels[0, 0] = 255
    return pixels


def view_of(pixels: np.ndarray, axes: str = "YX") -> View:
    return View(uh.MedicalImage(np.ascontiguousarray(pixels), axes))


@pytest.mark.usefixtures("bright_top")
@pytest.mark.parametrize(("quarter_turns", "back"), TURNS)
def test_the_turn_that_puts_it_right(quarter_turns, back):
    view = view_of(np.rot90(upright(), quarter_turns))
    assert (
        advice_on_turn(view, LUNGS)
        == f" Turned by {back}, it looks like those: turn it, and try again."
    )


@pytest.mark.usefixtures("bright_top")
def test_no_turn_of_what_is_unlike_in_any_way():
    assert advice_on_turn(view_of(np.pad(upright(), 1)), LUNGS) == ""


@pytest.mark.usefixtures("bright_top")
def test_no_turn_of_stacks_and_of_images_without_an_upright_orientation():
    turned = np.rot90(upright())
    assert advice_on_turn(view_of(turned), uh.MODELS["nuclei"]) == ""
    assert advice_on_turn(view_of(turned[None], "ZYX"), LUNGS) == ""


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/samples")
@pytest.mark.parametrize("card", ["lungs", "chest"])
@pytest.mark.parametrize(("quarter_turns", "back"), TURNS)
def test_an_x_ray(card, quarter_turns, back):
    (path,) = (SAMPLES / "lungs").glob("*.png")
    pixels = uh.read_image(path).pixels
    assert distribution_warning(view_of(pixels), uh.MODELS[card]) is None

    warning = distribution_warning(view_of(np.rot90(pixels, quarter_turns)), uh.MODELS[card])
    assert f"Turned by {back}, it looks like those" in warning
