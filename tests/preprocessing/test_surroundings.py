"""Padding, frames and scale bars are left out before intensities are measured."""

import cv2
import numpy as np
import pytest
from helpers.drawn import draw_nuclei

import unet_helpers as uh
from unet_helpers.checks.checks import check_values
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.networks.cards import MODELS
from unet_helpers.preprocessing.bars import find_bars, without_bars
from unet_helpers.preprocessing.intensities import slice_levels
from unet_helpers.preprocessing.surroundings import (
    box_for,
    content_box,
    find_padding,
    whole_box,
    without_padding,
)

LUNGS = MODELS["lungs"]


def picture(dtype="int16", low: float = 0, high: float = 900) -> np.ndarray:
    """Smooth values (60, 50) between two."""
    values = np.random.default_rng(0).normal(size=(60, 50))
    values = cv2.GaussianBlur(values, (0, 0), 4)
    values = (values - values.min()) / np.ptp(values)
    return (low + values * (high - low)).astype(dtype)


def in_border(pixels: np.ndarray, value: float, width: int = 9) -> np.ndarray:
    return np.pad(pixels, width, constant_values=value)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "value"),
    [
        ("int16", 0, 900, -32768),
        ("int16", -1000, 30000, -32768),
        ("int32", 0, 4000, -1000),
        ("int16", 0, 900, -1000),
        ("uint16", 0, 4000, 63536),
        ("int16", 0, 4000, 32767),
        ("float32", -2, 2.5, -5),
        ("float64", 0, 1, -5),
    ],
)
@pytest.mark.parametrize("kind", ["border", "background"])
def test_a_constant_far_from_the_rest_is_padding(dtype, low, high, value, kind):
    inside = picture(dtype, low, high)
    padded = in_border(inside, value)
    if kind == "background":
        y, x = np.mgrid[: padded.shape[0], : padded.shape[1]]
        is_outside = np.hypot(y - 39, x - 34) > 24
        padded[is_outside] = value
        inside = padded[~is_outside]

    padding = find_padding(padded[None])
    assert padding is not None
    assert padding.value == value
    cleaned = without_padding(padded[None], padding)[0]
    assert cleaned.dtype == padded.dtype
    assert cleaned.min() == inside.min()
    assert cleaned.max() == inside.max()
    assert cleaned[0, 0] == inside.min()


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("low", [0, -3])
def test_values_that_are_missing_around_an_image_are_padding(missing, low):
    """As 0 they were as bright as the middle of images from -3 to 3, and warned of."""
    inside = picture("float32", low, 3)
    padded = in_border(inside, missing)
    cleaned = without_padding(padded[None], find_padding(padded[None]))[0]
    np.testing.assert_array_equal(cleaned, in_border(inside, inside.min()))

    view = View(from_array(padded))
    assert check_values(view, LUNGS) == []
    assert "has no values (NaN or infinite)" in view.notes(LUNGS)[0]


def test_values_that_are_missing_inside_stay_missing_and_are_warned_of():
    padded = in_border(picture("float32"), np.nan)
    padded[30:33, 30:33] = np.nan
    view = View(from_array(padded))
    assert np.count_nonzero(~np.isfinite(view.cleaned.pixels)) == 9
    assert "0.3% of the values are not finite" in check_values(view, LUNGS)[0]


def test_bright_objects_of_the_value_of_the_padding_stay():
    pixels = picture("uint8", 0, 90)
    pixels[20:30, 10:25] = 255
    framed = in_border(pixels, 255)[None]
    cleaned = without_padding(framed, find_padding(framed))[0]
    np.testing.assert_array_equal(cleaned[9:-9, 9:-9], pixels)
    assert cleaned[:9].max() == 0


def test_bright_objects_that_touch_bright_padding_stay():
    pixels = picture("uint8", 0, 90)
    pixels[:12, 10:20] = 255
    pixels[30:38, -9:] = 255
    framed = in_border(pixels, 255)[None]
    cleaned = without_padding(framed, find_padding(framed))[0]
    np.testing.assert_array_equal(cleaned[9:-9, 9:-9], pixels)
    assert cleaned[:9].max() == cleaned[:, -9:].max() == 0

    # Around a disc, the padding goes on inside its rows and columns.
    y, x = np.mgrid[:80, :80]
    outside = np.hypot(y - 39.5, x - 39.5) > 38
    disc = np.where(outside, 255, 20).astype(np.uint8)
    disc[::2][~outside[::2]] = 90
    cleaned = without_padding(disc[None], find_padding(disc[None]))[0]
    assert cleaned[outside].max() == 20


def test_usual_backgrounds_are_no_padding():
    dark = in_border(picture("uint8", 100, 250), 0)
    assert find_padding(dark[None]) is None
    air = in_border(picture("float32", -0.7, 4), -0.75)
    assert find_padding(air[None]) is None
    white = in_border(picture("uint8", 0, 240), 255)
    assert find_padding(white[None]) is None
    assert find_padding(picture()[None]) is None
    middle = picture()
    middle[20:30, 20:30] = -32768
    assert find_padding(middle[None]) is None
    assert find_padding(np.zeros((1, 9, 9))) is None
    assert find_padding(np.full((1, 9, 9), np.nan)) is None


def test_interpolated_edges_of_padding_count_to_it():
    inside = cv2.resize(picture("float32", 0, 900), (400, 500))
    padded = cv2.blur(in_border(inside, -2000), (3, 3))
    padded[:3] = padded[-3:] = -2000
    padding = find_padding(padded[None])
    assert padding is not None
    assert padding.lowest > -900  # and not -2000


@pytest.mark.parametrize("value", [-32768, -1000])
def test_a_head_with_padding_has_the_levels_of_one_without(value):
    y, x = np.mgrid[-1:1:90j, -1:1:80j]
    rng = np.random.default_rng(1)
    head = (np.hypot(y, x) < 0.8) * rng.normal(500, 90, (5, 90, 80)) + rng.uniform(
        0, 9, (5, 90, 80)
    )
    head = head.astype(np.int16)
    padded = head.copy()
    padded[:, :8] = padded[:, :, -9:] = value

    preprocessing = MODELS["brain_flair"].preprocessing
    cleaned = View(uh.MedicalImage(padded, "ZYX")).stack.pixels
    for levels in zip(
        slice_levels(head, preprocessing, colour=False, brown=False),
        slice_levels(cleaned, preprocessing, colour=False, brown=False),
        strict=True,
    ):
        assert levels[1] == pytest.approx(levels[0], rel=0.05, abs=5)


def test_levels_of_int16_do_not_overflow():
    wide = np.array([[[-32000, 0], [100, 32000]]], np.int16)
    ((offset, gain),) = slice_levels(
        wide, MODELS["brain_flair"].preprocessing, colour=False, brown=False
    )
    assert offset > -200
    assert gain > 0
    assert not uh.read_image(wide[0]).notes


@pytest.mark.parametrize("value", [255, 0])
def test_a_frame_on_all_sides_is_cut_off(value):
    pixels = in_border(picture("uint8", 60, 200), value)
    assert box_for(pixels[None], LUNGS.preprocessing) == (slice(9, 69), slice(9, 59))
    stored = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    decoded = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    rows, columns = box_for(decoded[None], LUNGS.preprocessing)
    # Up to a block of the JPEG.
    assert abs(rows.start - 9) <= 8
    assert abs(columns.stop - 59) <= 8


@pytest.mark.parametrize("width", [2, 4])
def test_a_thin_light_frame_on_all_sides_is_cut_off(width):
    pixels = np.tile(picture("uint8", 60, 200), (6, 8))
    framed = in_border(pixels, 255, width=width)
    inside = tuple(slice(width, width + side) for side in pixels.shape)
    assert content_box(framed[None], dark_around=True) == inside

    # The outermost rows of many cameras are dark, and a line above may be part of the picture.
    for whole in (in_border(pixels, 0, width=width), framed[:, width:-width]):
        assert content_box(whole[None], dark_around=False) == whole_box(whole[None])


def test_what_is_no_frame_stays():
    pixels = picture("uint8", 60, 200)
    black_below = np.vstack([pixels, np.zeros((20, 50), np.uint8)])
    letterbox = np.pad(pixels, ((9, 9), (0, 0)))
    thin = in_border(pixels, 255, width=1)
    all_frame = np.zeros((30, 30), np.uint8)
    small = in_border(pixels, 255, width=200)
    for whole in (pixels, black_below, letterbox, thin, all_frame, small):
        assert content_box(whole[None], dark_around=False) == whole_box(whole[None])


def test_heads_eyes_and_nuclei_keep_their_dark_surroundings():
    dark = in_border(picture("uint8", 60, 200), 0)
    for name in ("brain_flair", "retinal_vessels", "hippocampus"):
        assert box_for(dark[None], MODELS[name].preprocessing) == whole_box(dark[None])
    nuclei, _ = draw_nuclei(20, 256)
    nuclei[:20] = nuclei[-20:] = nuclei[:, :20] = nuclei[:, -20:] = 14
    assert box_for(nuclei[None], MODELS["nuclei"].preprocessing) == whole_box(nuclei[None])


def test_a_page_with_a_film_that_has_a_border_has_two_frames():
    film = in_border(in_border(picture("uint8", 60, 200), 0), 255)
    assert content_box(film[None], dark_around=False) == (slice(18, 78), slice(18, 68))


def test_a_framed_colour_image_is_cut_by_colours():
    pixels = np.stack([picture("uint8", 60, 200)] * 3, axis=-1)
    framed = np.pad(pixels, ((9, 9), (9, 9), (0, 0)), constant_values=255)
    assert content_box(framed[None], dark_around=True) == (slice(9, 69), slice(9, 59))


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return uh.read_image(uh.sample("fluorescence")).pixels[:256, :256].copy()


def test_a_framed_image_has_the_objects_of_the_one_inside(plain):
    framed = np.pad(plain, 20, constant_values=255)
    result = uh.segment(framed, "nuclei", zoom=1, flips=1, progress=False)
    alone = uh.segment(plain, "nuclei", zoom=1, flips=1, progress=False)
    assert result.labels.shape == framed.shape
    np.testing.assert_array_equal(result.labels[20:-20, 20:-20], alone.labels)
    assert not result.labels[:20].any()
    assert any("frame" in note for note in result.image.notes)


def with_bar(pixels: np.ndarray, value: int) -> np.ndarray:
    pixels = pixels.copy()
    height, width = pixels.shape[:2]
    pixels[height - 30 : height - 24, width - 110 : width - 30] = value
    cv2.putText(pixels, "20 um", (width - 100, height - 36), 0, 0.5, [value] * 3, 1)
    return pixels


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_scale_bar_and_its_text_are_painted_over(plain, is_compressed):
    pixels = with_bar(plain, 255)
    if is_compressed:
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels)[1], cv2.IMREAD_UNCHANGED)
    mask = find_bars(pixels)
    assert mask is not None
    assert mask[226:232, 146:226].all()
    assert mask.mean() < 0.05
    cleaned = without_bars(pixels, mask)
    assert cleaned[226:232, 146:226].max() < 0.5 * 255
    np.testing.assert_array_equal(cleaned[~mask], pixels[~mask])


def test_a_black_bar_in_stained_tissue_is_found():
    tissue = uh.read_image(uh.sample("he")).pixels
    mask = find_bars(with_bar(np.maximum(tissue, 12), 0))
    assert mask is not None
    assert find_bars(tissue) is None


@pytest.mark.parametrize("name", ["fluorescence", "ihc", "he"])
def test_samples_have_no_bars_padding_or_frames(name):
    view = View(uh.read_image(uh.sample(name)))
    assert view.bars is None
    assert view.cleaned is view.image
    assert view.notes(MODELS["nuclei"]) == ()


def test_bright_objects_are_no_bars():
    pixels = np.full((200, 200), 20, np.uint8)
    cv2.ellipse(pixels, (100, 100), (30, 8), 0, 0, 360, 255, -1)
    cv2.rectangle(pixels, (20, 20), (40, 35), 255, -1)
    cv2.line(pixels, (20, 180), (120, 150), 255, 3)
    assert find_bars(pixels) is None
    assert find_bars(np.zeros((50, 50), np.uint8)) is None


def test_a_bar_is_no_object_and_is_noted(plain):
    result = uh.segment(with_bar(plain, 255), "nuclei", zoom=1, flips=1, progress=False)
    assert not result.labels[225:233, 142:230].any()
    assert any("scale bar" in note for note in result.image.notes)
    assert result.image.pixels[229, 180] == 255  # as stored


def test_notes_say_what_is_left_out():
    padded = in_border(picture("int16"), -32768)
    notes = View(from_array(padded)).notes(LUNGS)
    assert "the value -32768 is padding" in notes[0]
