"""Whole images as the networks of the cards read them."""

import numpy as np
import pytest
from helpers.fundus import photograph

from unet_helpers.networks.cards import MODELS, Preprocessing
from unet_helpers.preprocessing.intensities import intensity_range
from unet_helpers.preprocessing.slices import PreparedStack

ALL = slice(None)
GREY = Preprocessing(percentiles=(0, 100))


def read_as_grey(pixels: np.ndarray) -> np.ndarray:
    """What a network of grey images reads of a single image: (1, H, W)."""
    return PreparedStack(pixels[None], GREY, pixels.shape)[0].tile(ALL, ALL, 1)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "uint32", "float32", "float64"]
)
def test_the_type_of_the_file_does_not_matter(dtype):
    ramp = np.linspace(0, 100, 64).reshape(8, 8)
    stored = ramp.astype(dtype)
    np.testing.assert_allclose(read_as_grey(stored)[0], stored / 100, atol=1e-5)


def test_sixteen_bits_are_not_flattened_to_white():
    dim = np.random.default_rng(0).integers(300, 900, (32, 32)).astype(np.uint16)
    tile = read_as_grey(dim)
    assert tile.std() > 0.2
    assert (tile == 1).mean() < 0.02


def test_a_constant_image_is_read_as_zeros():
    assert not read_as_grey(np.full((8, 8), 7.0)).any()


def test_single_missing_values_are_filled_and_others_are_read_as_the_lowest():
    whole = np.linspace(0, 1, 64).reshape(8, 8)
    holes = whole.copy()
    holes[0, 0] = np.nan
    holes[4, 4] = np.inf
    tile = read_as_grey(holes)
    assert np.isfinite(tile).all()
    assert tile[0, 0, 0] == tile.min()
    assert tile[0, 4, 4] == pytest.approx(read_as_grey(whole)[0, 4, 4], abs=0.05)


def test_only_the_eye_is_computed_in_a_large_black_photograph():
    pixels, _ = photograph(190, 400)
    wide = np.zeros((900, 1200), np.uint8)
    wide[250:650, 400:800] = pixels
    prepared = PreparedStack(wide[None], MODELS["retinal_vessels"].preprocessing, (2400, 3200))[0]
    assert 950 < max(prepared.pixels.shape) < 1100


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
    """Each slice of a head has its own levels, also a dimmer one; noise and nothing stay dark."""
    preprocessing = MODELS["brain_flair"].preprocessing
    brightness = np.array([200, 160, 200, 100, 180, *[4] * 6, 0])
    y, x = np.mgrid[:64, :64]
    head = np.random.default_rng(0).uniform(0.2, 1, (12, 64, 64)) * (np.hypot(y - 32, x - 32) < 28)
    volume = (head * brightness[:, None, None]).astype(np.uint8)
    stack = PreparedStack(volume, preprocessing, (64, 64))
    context = preprocessing.context
    tiles = [prepared.tile(ALL, ALL, 1 + 2 * context) for prepared in stack]
    brightest = [np.percentile(tile[context], 99) for tile in tiles]
    assert min(brightest[:5]) > 0.9
    assert max(brightest[5:]) < 0.2
    # A slice on its own has nothing to be dimmer than, but the same lowest value.
    for index in (0, 3, 5):
        alone = PreparedStack(volume[[index]], preprocessing, (64, 64))
        assert alone.levels[0][0] == stack.levels[index][0]


def test_networks_of_other_volumes_have_the_levels_of_the_whole():
    volume = np.random.default_rng(0).integers(0, 200, (3, 16, 16)).astype(np.uint8)
    levels = PreparedStack(volume, GREY, (16, 16)).levels
    assert levels == [intensity_range(volume, *GREY.percentiles)] * 3


@pytest.mark.parametrize("name", ["nuclei", "lungs", "retinal_vessels", "brain_flair"])
def test_a_colour_slice_is_read_alike_alone_and_in_a_stack(name):
    card = MODELS[name]
    rng = np.random.default_rng(4)
    pixels = np.clip(rng.normal((60, 130, 200), 25, (96, 96, 3)), 0, 255).astype(np.uint8)
    alone = PreparedStack(pixels[None], card.preprocessing, (96, 96))[0]
    stacked = PreparedStack(np.stack([pixels] * 3), card.preprocessing, (96, 96))[1]
    tiles = [prepared.tile(ALL, ALL, card.in_channels) for prepared in (alone, stacked)]
    # The percentiles of one slice and of three differ a little.
    np.testing.assert_allclose(tiles[1], tiles[0], atol=5e-3)
    assert tiles[0].std() > 0.05
