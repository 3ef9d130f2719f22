"""From stored pixels to what a network reads."""

import numpy as np
import pytest

from unet_helpers.networks.cards import MODELS, Preprocessing
from unet_helpers.preprocessing.field_of_view import field_of_view, flatten_illumination, width_of
from unet_helpers.preprocessing.intensities import intensity_range, select_channels
from unet_helpers.preprocessing.resample import (
    contrast,
    highest_contrast_window,
    resize,
    resize_labels,
)
from unet_helpers.preprocessing.slices import PreparedStack

GREY = Preprocessing(percentiles=(0, 100))


def read(pixels, preprocessing=GREY, shape=None):
    prepared = PreparedStack(pixels[None], preprocessing, shape or pixels.shape[:2])[0]
    return prepared.tile(
        slice(None), slice(None), 3 if preprocessing.channels in ("rgb", "stain") else 1
    )


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "uint32", "float32", "float64"]
)
def test_the_type_of_the_file_does_not_matter(dtype):
    ramp = np.linspace(0, 100, 64).reshape(8, 8)
    np.testing.assert_allclose(read(ramp.astype(dtype))[0], ramp.astype(dtype) / 100, atol=1e-5)


@pytest.mark.parametrize("side", [48, 96, 150, 256])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_labels_stay_where_they_are_at_any_size(side, dtype):
    y, x = np.mgrid[:128, :128]
    disc = (np.hypot(y - 70, x - 45) < 30).astype(dtype) * 7
    smaller = resize_labels(disc, (side, side))
    assert smaller.dtype == dtype
    assert set(np.unique(smaller)) == {0, 7}
    centre = (np.argwhere(smaller == 7).mean(0) + 0.5) / side * 128 - 0.5
    np.testing.assert_allclose(centre, (70, 45), atol=0.2 * 128 / side)


def test_sixteen_bits_are_not_flattened_to_white():
    dim = np.random.default_rng(0).integers(300, 900, (32, 32)).astype(np.uint16)
    seen = read(dim)
    assert seen.std() > 0.2
    assert (seen == 1).mean() < 0.02


def test_constant_and_not_finite_values():
    assert np.isfinite(read(np.full((8, 8), 7.0))).all()
    assert np.ptp(read(np.full((8, 8), 7))) == 0
    holes = np.linspace(0, 1, 64).reshape(8, 8)
    holes[0, 0], holes[1, 1] = np.nan, np.inf
    seen = read(holes)
    assert np.isfinite(seen).all()
    assert seen.max() <= 2
    assert intensity_range(np.full(5, np.nan), 0, 100) == (0.0, 0.0)


def test_outliers_do_not_set_the_range():
    pixels = np.random.default_rng(0).normal(100, 10, (100, 100))
    pixels[0, 0] = 1e9
    bottom, gain = intensity_range(pixels, 0.5, 99.5)
    assert 60 < bottom < 80
    assert 40 < 1 / gain < 70


def test_channels():
    colour = np.stack([np.full((4, 4), v, np.uint8) for v in (10, 200, 60)], -1)
    assert (select_channels(colour, "green", colour=True) == 200).all()
    np.testing.assert_allclose(
        select_channels(colour, "grey", colour=True),
        0.299 * 10 + 0.587 * 200 + 0.114 * 60,
        rtol=1e-5,
    )
    assert select_channels(colour, "rgb", colour=True).shape == (4, 4, 3)
    ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert read(ramp, Preprocessing(channels="rgb")).shape == (3, 4, 4)  # grey is repeated


@pytest.mark.parametrize(
    "pixels", [np.ones((9, 7)), np.ones((9, 7, 3), np.uint8), np.ones((1, 1), np.uint16)]
)
def test_resize_gives_the_asked_shape(pixels):
    assert resize(pixels, (5, 11)).shape == (5, 11, *pixels.shape[2:])


def photograph(radius=150, side=400):
    y, x = np.mgrid[:side, :side]
    inside = (y - side / 2) ** 2 + (x - side / 2) ** 2 <= radius**2
    pixels = np.random.default_rng(0).normal(120, 15, (side, side)) * inside
    return np.clip(pixels, 0, 255).astype(np.uint8), inside


def test_the_field_of_view_is_found():
    pixels, inside = photograph()
    pixels[:12, -40:] = 255  # a label in the corner
    found = field_of_view(pixels)
    assert abs(width_of(found) - 301) <= 6
    assert (found == inside).mean() > 0.98
    full = np.random.default_rng(0).integers(60, 200, (50, 80, 3)).astype(np.uint8)
    assert field_of_view(full).all()
    assert width_of(field_of_view(full)) == 80


@pytest.mark.parametrize("surround", [(20, 45, 40), (45, 45, 45), (60, 60, 60), (0, 0, 0)])
def test_the_field_of_view_is_found_in_any_surround_and_cut_off_at_the_top(surround):
    pixels, inside = photograph(180)
    colour = np.stack([np.clip(pixels * 1.4, 0, 255), pixels * 0.7, pixels * 0.4], -1)
    inside[:40], inside[-40:] = False, False
    noise = np.random.default_rng(1).normal(0, 6, colour.shape)
    colour = np.clip(np.where(inside[..., None], colour, surround + noise), 0, 255).astype(np.uint8)
    found = field_of_view(colour)
    assert (found & inside).sum() / (found | inside).sum() > 0.95
    assert (found & ~inside).sum() < 0.01 * inside.sum()  # the rim is no vessel


def test_two_eyes_are_both_seen_each_at_its_own_size():
    pixels, inside = photograph()
    pair = np.hstack([pixels, pixels])
    found = field_of_view(pair)
    assert found[:, :400].mean() > 0.4
    assert found[:, 400:].mean() > 0.4
    assert abs(width_of(found) - 301) <= 8


@pytest.mark.parametrize(
    "room", [(120, 85, 70), (35, 30, 28), (70, 75, 80)], ids=["skin", "dark", "room"]
)
def test_an_eye_seen_through_a_lens_is_found(room):
    """A phone's photograph: the room, the bright rim of the lens, a dark ring, the eye with two reflections."""
    y, x = np.mgrid[:600, :800]
    distance, rng = np.hypot(y - 270, x - 420), np.random.default_rng(2)
    pixels = np.full((600, 800, 3), room) * (0.6 + 0.4 * np.cos(x / 267))[..., None]
    pixels[distance < 190], pixels[abs(distance - 190) < 5], pixels[distance < 150] = (
        (12, 8, 8),
        195,
        (170, 90, 50),
    )
    pixels[(abs(y - 220) < 9) & (abs(x - 470) < 14)] = 250
    found = field_of_view(np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8))
    assert (found & (distance < 150)).sum() / (found | (distance < 150)).sum() > 0.9
    assert abs(width_of(found) - 301) < 15


def test_only_the_eye_is_computed_in_a_large_black_photograph():
    pixels, _ = photograph(190, 400)
    wide = np.zeros((900, 1200), np.uint8)
    wide[250:650, 400:800] = pixels
    prepared = PreparedStack(wide[None], MODELS["retinal_vessels"].preprocessing, (2400, 3200))[0]
    assert 950 < max(prepared.pixels.shape) < 1100


def test_cameras_of_other_brightness_look_alike():
    pixels, inside = photograph()
    one = flatten_illumination(pixels, inside, 10)
    two = flatten_illumination(pixels * 0.5 + 20.0 * inside, inside, 10)
    np.testing.assert_allclose(one[inside], two[inside], atol=0.02)
    assert (one[~inside] == 0.5).all()


def test_outside_the_field_of_view_nothing_is_asked_of_the_network():
    pixels, inside = photograph()
    colour = np.repeat(pixels[None, ..., None], 3, -1)
    prepared = PreparedStack(colour, MODELS["retinal_vessels"].preprocessing, (500, 500))[0]
    assert 0.7 < prepared.inside.mean() < 0.85  # of the box around it, which is all that is read
    answer = prepared.undo(np.ones((1, *prepared.pixels.shape), np.float32) * prepared.inside)[0]
    assert answer.shape == pixels.shape
    assert 0.4 < answer.mean() < 0.5
    assert answer[~inside].mean() < 0.02


def test_air_above_the_head_is_not_stretched_until_it_looks_like_a_brain():
    """Each slice of a head has its own levels, also a dimmer one; slices of noise and empty ones stay dark."""
    preprocessing = MODELS["brain_flair"].preprocessing
    brightness = np.array([200, 160, 200, 100, 180, *[4] * 6, 0])
    y, x = np.mgrid[:64, :64]
    head = np.random.default_rng(0).uniform(0.2, 1, (12, 64, 64)) * (np.hypot(y - 32, x - 32) < 28)
    volume = (head * brightness[:, None, None]).astype(np.uint8)
    stack = PreparedStack(volume, preprocessing, (64, 64))
    brightest = [
        np.percentile(prepared.tile(slice(None), slice(None), 3)[1], 99) for prepared in stack
    ]
    assert min(brightest[:5]) > 0.9
    assert max(brightest[5:]) < 0.2
    for alone in (0, 3, 5):  # a slice on its own has nothing to be dimmer than
        assert (
            PreparedStack(volume[[alone]], preprocessing, (64, 64)).levels[0][0]
            == stack.levels[alone][0]
        )
    others = PreparedStack(volume, GREY, (64, 64)).levels
    assert (
        others == [intensity_range(volume, *GREY.percentiles)] * 12
    )  # other networks: those of the volume


@pytest.mark.parametrize("name", ["nuclei", "lungs", "retinal_vessels", "brain_flair"])
def test_a_colour_slice_is_read_alike_alone_and_in_a_stack(name):
    """The levels of a stack ignored the card's channels."""
    card = MODELS[name]
    rng = np.random.default_rng(4)
    pixels = np.clip(rng.normal((60, 130, 200), 25, (96, 96, 3)), 0, 255).astype(np.uint8)
    alone = PreparedStack(pixels[None], card.preprocessing, (96, 96))[0]
    stacked = PreparedStack(np.stack([pixels] * 3), card.preprocessing, (96, 96))[1]
    tiles = [p.tile(slice(None), slice(None), card.in_channels) for p in (alone, stacked)]
    np.testing.assert_allclose(tiles[1], tiles[0], atol=5e-3)  # percentiles of one and of three
    assert tiles[0].std() > 0.05


def test_the_window_of_highest_contrast_is_found_in_any_type():
    slide = np.full((700, 900), 200, np.uint32)
    slide[300:340, 500:560] = np.random.default_rng(0).integers(0, 200, (40, 60))
    window = highest_contrast_window(slide, 256)
    assert window.shape == (256, 256)
    assert contrast(window) > 15
    assert highest_contrast_window(slide[:100, :100], 256).shape == (100, 100)
