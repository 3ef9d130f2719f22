"""Colours that are none: one live channel, one dye whatever its hue; and colours that are."""

import cv2
import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.images.channels import colour_of_one_dye
from unet_helpers.preprocessing.prepare import prepare

WAVES = np.sin(np.arange(40)[:, None] / 6) * np.cos(np.arange(50) / 7)
LIGHT = ((1000 + 900 * WAVES).astype(np.uint16) >> 3).astype(np.uint8)


def soft_spots() -> np.ndarray:
    """(120, 160) uint8: bright, softened discs on a black ground."""
    spots = np.zeros((120, 160), np.uint8)
    for centre in np.random.default_rng(1).integers(12, 108, (14, 2)):
        cv2.circle(spots, tuple(map(int, centre)), 8, 200, -1)
    return cv2.GaussianBlur(spots, (0, 0), 2)


SPOTS = soft_spots()
THREE_DYES = np.dstack([np.roll(SPOTS, 40, 1), SPOTS // 2, SPOTS])


@pytest.mark.parametrize("ground", [0, 28])
@pytest.mark.parametrize("colour", [0, 1, 2])
def test_one_live_colour_is_grey(colour, ground, tmp_path):
    pixels = np.full((40, 50, 3), ground, np.uint8)
    pixels[..., colour] = LIGHT
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, LIGHT)
    name = ("red", "green", "blue")[colour]
    assert image.notes == (
        f"nearly all light is of one hue, strongest in {name}: that is read as grey",
    )


@pytest.mark.parametrize("quality", [None, 95, 80])
@pytest.mark.parametrize("hue", [(0, 0, 1), (0, 0.25, 1), (0, 0.7, 1), (1, 0.2, 0.2)], ids=str)
def test_a_picture_of_one_dye_is_grey_whatever_its_hue_and_as_jpeg(hue, quality, tmp_path):
    pixels = (SPOTS[..., None] * np.array(hue)).astype(np.uint8)
    blue_green_red = pixels[..., ::-1]
    if quality is None:
        path = tmp_path / "a.png"
        cv2.imwrite(str(path), blue_green_red)
    else:
        path = tmp_path / "a.jpg"
        cv2.imwrite(str(path), blue_green_red, [cv2.IMWRITE_JPEG_QUALITY, quality])

    image = uh.read_image(path)
    assert image.axes == "YX"
    assert "of one hue" in image.notes[-1]
    error = np.abs(image.pixels.astype(int) - SPOTS).mean()
    assert error < (0.5 if quality is None else 4)


def flat(*colours: np.ndarray) -> np.ndarray:
    """(N, 3) of three colours."""
    return np.stack([colour.ravel() for colour in colours], 1)


def test_the_limits_of_one_dye():
    spots = SPOTS.astype(np.float32)
    elsewhere = np.roll(spots, 40, 1)
    nothing = np.zeros_like(spots)
    faint, not_faint = 0.34 * elsewhere, 0.36 * elsewhere
    assert colour_of_one_dye(flat(spots, faint, nothing)) == 0
    assert colour_of_one_dye(flat(spots, not_faint, nothing)) is None
    assert colour_of_one_dye(flat(0.89 * spots, spots, nothing)) == 1
    assert colour_of_one_dye(flat(0.91 * spots, spots, nothing)) is None
    assert colour_of_one_dye(flat(nothing, nothing, nothing)) is None


@pytest.mark.parametrize(("ground", "is_one_dye"), [(49, True), (51, False)])
def test_the_ground_of_one_dye_is_darker_than_a_quarter_of_its_light(ground, is_one_dye):
    light = np.full((40, 50), ground, np.float32)
    light[:4] = 200
    values = flat(light, (light - ground) * 0.2, np.zeros_like(light))
    assert colour_of_one_dye(values) == (0 if is_one_dye else None)


@pytest.mark.parametrize("kind", ["dyes", "light ground"])
def test_several_dyes_and_light_grounds_stay_in_colour(kind, tmp_path):
    pixels = THREE_DYES
    if kind == "light ground":
        pixels = 255 - (SPOTS[..., None] * np.array((0.2, 0.6, 1))).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    image = uh.read_image(tmp_path / "a.png")
    assert image.axes == "YXC"
    assert image.notes == ()


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize(
    ("channel", "index"), [("red", 0), (0, 0), ("Red", 0), ("green", 1), (1, 1), ("2", 2)]
)
def test_one_colour_is_chosen_by_its_name_or_index(channel, index, ending, tmp_path):
    path = tmp_path / f"a{ending}"
    if ending == ".png":
        cv2.imwrite(str(path), THREE_DYES[..., ::-1])
    else:
        tifffile.imwrite(path, THREE_DYES, photometric="rgb")
    image = uh.read_image(path, channel=channel)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, THREE_DYES[..., index])
    assert image.notes == (f"took {('red', 'green', 'blue')[index]} alone",)


def test_a_colour_that_is_not_there_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "dyes.png"), THREE_DYES)
    words = "no channel 'infrared' to choose; of colours, red, green or blue"
    with pytest.raises(uh.ImageError, match=words):
        uh.read_image(tmp_path / "dyes.png", channel="infrared")
    cv2.imwrite(str(tmp_path / "grey.png"), SPOTS)
    with pytest.raises(uh.ImageError, match="no channel 1 to choose"):
        uh.read_image(tmp_path / "grey.png", channel=1)


def test_alpha_is_dropped_and_how_much_it_hid_is_said():
    pixels = np.dstack([THREE_DYES, np.full_like(SPOTS, 255)])
    image = uh.read_image(pixels)
    np.testing.assert_array_equal(image.pixels, THREE_DYES)
    assert image.notes == ("dropped the alpha channel",)
    pixels[:30, :, 3] = 0
    image = uh.read_image(pixels)
    assert image.notes == ("dropped the alpha channel (it hid 25% of the pixels)",)
    assert image.pixels.flags.c_contiguous


def test_colours_on_a_dark_ground_are_seen_by_their_brightest():
    """The network has learnt glowing nuclei from grey images; brightfield keeps its colours."""
    preprocessing = uh.MODELS["nuclei"].preprocessing
    (dark,) = prepare(THREE_DYES[None], preprocessing, THREE_DYES.shape[:2])
    np.testing.assert_array_equal(dark.pixels, THREE_DYES.max(-1))
    (bright,) = prepare(255 - THREE_DYES[None], preprocessing, THREE_DYES.shape[:2])
    assert bright.pixels.shape == THREE_DYES.shape
