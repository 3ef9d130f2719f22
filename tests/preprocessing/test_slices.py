"""Slices prepared for the network: every pixel, neighbour and answer in its place."""

import numpy as np
import pytest
from skimage.color import hed2rgb

from unet_helpers.networks.cards import Preprocessing
from unet_helpers.preprocessing import field_of_view as module_of_fields
from unet_helpers.preprocessing.field_of_view import FieldsOfView
from unet_helpers.preprocessing.intensities import remove_brown
from unet_helpers.preprocessing.prepare import prepare
from unet_helpers.preprocessing.slices import Prepared, PreparedStack

ALL = slice(None)
GREY = Preprocessing(percentiles=(0, 100))

# tiles


def test_a_tile_is_a_part_with_the_levels_applied():
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    tile = Prepared(pixels, offset=10, gain=0.1).tile(slice(1, 3), slice(2, 5), 1)
    assert tile.dtype == np.float32
    np.testing.assert_allclose(tile, [[[-0.3, -0.2, -0.1], [0.2, 0.3, 0.4]]], atol=1e-6)


def test_a_tile_is_clipped():
    pixels = np.array([[-5.0, -1.0, 2.0, 5.0]])
    assert Prepared(pixels).tile(ALL, ALL, 1).tolist() == [[[-1, -1, 2, 2]]]
    free = Prepared(pixels, limits=(-np.inf, np.inf)).tile(ALL, ALL, 1)
    assert free.tolist() == [[[-5, -1, 2, 5]]]


def test_values_that_are_not_finite_are_read_as_zero():
    pixels = np.array([[np.nan, np.inf, -np.inf, 1.0]])
    tile = Prepared(pixels, offset=0.5).tile(ALL, ALL, 1)
    assert tile.tolist() == [[[-0.5, -0.5, -0.5, 0.5]]]


def test_a_tile_has_the_working_scale():
    pixels = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.float32)
    assert Prepared(pixels, zoom=(2.0, 0.5)).tile(ALL, ALL, 1).tolist() == [[[0, 1]] * 4]


def test_a_tile_has_at_least_one_pixel():
    pixels = np.ones((3, 3), np.float32)
    assert Prepared(pixels, zoom=(0.1, 0.1)).tile(ALL, ALL, 1).shape == (1, 1, 1)


def test_grey_is_repeated_and_colours_come_first():
    grey = np.array([[1, 2]], np.uint8)
    tile = Prepared(grey).tile(ALL, ALL, 3)
    assert tile.tolist() == [[[1, 2]]] * 3
    assert tile.flags.c_contiguous
    assert tile.flags.writeable

    colours = np.array([[[0, 1, 2], [2, 1, 0]]], np.uint8)
    assert Prepared(colours).tile(ALL, ALL, 3).tolist() == [[[0, 2]], [[1, 1]], [[2, 0]]]


def test_brown_is_taken_out_of_a_tile():
    colours = np.concatenate([hed2rgb(np.full((1, 2, 3), 0.2)), np.ones((1, 1, 3))], axis=1)
    whole = Prepared(colours.astype(np.float32), white_beside_brown=1.0)
    expected = np.moveaxis(remove_brown(colours, 1.0), -1, 0)
    np.testing.assert_allclose(whole.tile(ALL, ALL, 3), expected, atol=1e-5)
    # A tile without anything white has the white of the whole.
    tile = whole.tile(slice(0, 1), slice(0, 2), 3)
    np.testing.assert_allclose(tile, expected[:, :, :2], atol=1e-5)


# stacks

VOLUME = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)


def test_a_slice_has_the_levels_and_zoom_of_the_stack():
    prepared = PreparedStack(VOLUME, GREY, (6, 3))[1]
    assert np.array_equal(prepared.pixels, VOLUME[1])
    assert (prepared.offset, prepared.gain) == pytest.approx((0, 1 / 29))
    assert prepared.zoom == (3.0, 1.0)
    assert prepared.white_beside_brown is None


def test_a_stack_is_indexed_like_a_list():
    stack = PreparedStack(VOLUME, GREY, (2, 3))
    assert len(stack) == len(list(stack)) == 5
    assert np.array_equal(stack[-1].pixels, VOLUME[4])
    assert [prepared.pixels[0, 0] for prepared in stack[1:4]] == [6, 12, 18]
    assert [prepared.pixels[0, 0] for prepared in stack[::-2]] == [24, 12, 0]
    for beyond in (5, -6):
        with pytest.raises(IndexError):
            stack[beyond]


@pytest.mark.parametrize(
    ("index", "expected"),
    [(0, [0, 0, 0, 1, 2]), (2, [0, 1, 2, 3, 4]), (4, [2, 3, 4, 4, 4]), (-1, [2, 3, 4, 4, 4])],
)
def test_a_slice_is_read_between_its_neighbours(index, expected):
    reading = Preprocessing(percentiles=(0, 100), context=2)
    pixels = PreparedStack(VOLUME, reading, (2, 3))[index].pixels
    assert np.array_equal(pixels, np.stack([VOLUME[i] for i in expected], axis=-1))


def test_colours_for_a_card_of_stains():
    reading = Preprocessing(channels="stain", percentiles=(0, 100))
    light = np.full((1, 4, 4, 3), 200, np.uint8)
    stack = PreparedStack(light, reading, (4, 4))
    assert stack.brown
    assert stack[0].white_beside_brown == 255
    assert stack[0].pixels.shape == (4, 4, 3)

    glowing = np.zeros((1, 4, 4, 3), np.uint8)
    glowing[0, 0, 0] = (0, 90, 30)
    stack = PreparedStack(glowing, reading, (4, 4))
    assert not stack.brown
    assert stack[0].pixels.shape == (4, 4)
    assert stack[0].pixels[0, 0] == 90


def test_colours_of_other_cards_are_not_dyes():
    stack = PreparedStack(
        np.full((1, 4, 4, 3), 200, np.uint8), Preprocessing(channels="rgb"), (4, 4)
    )
    assert not stack.brown
    assert not PreparedStack(VOLUME, Preprocessing(channels="stain"), (2, 3)).brown


# fields of view

LOCAL = Preprocessing(intensities="local", sigma=4.0)


def slices_and_field() -> tuple[np.ndarray, np.ndarray]:
    """Two noisy slices, and a field of view that covers a part of them."""
    slices = np.random.default_rng(3).integers(50, 200, (2, 20, 30)).astype(np.uint8)
    inside = np.zeros((20, 30), bool)
    inside[4:14, 6:26] = True
    inside[4, 6] = False
    return slices, inside


def test_fields_of_view_are_found_once(monkeypatch):
    calls = []

    def counted(pixels: np.ndarray) -> np.ndarray:
        calls.append(pixels[0, 0])
        return pixels > 0

    monkeypatch.setattr(module_of_fields, "field_of_view", counted)
    fields = FieldsOfView(VOLUME)
    assert calls == []
    for _ in range(2):
        assert np.array_equal(fields[1], VOLUME[1] > 0)
        assert np.array_equal(fields[0], VOLUME[0] > 0)
    assert calls == [6, 0]


def test_a_local_score_is_taken_inside_the_field_of_view_that_is_handed_on():
    slices, inside = slices_and_field()
    prepared = prepare(slices, LOCAL, (40, 30), {1: inside})[1]
    assert prepared.box == (slice(4, 14), slice(6, 26))
    assert prepared.pixels.shape == prepared.inside.shape == (20, 20)
    assert prepared.zoom == (1, 1)
    assert not prepared.inside[0, 0]
    assert prepared.inside[2:, 1:].all()
    assert prepared.pixels[0, 0] == 0.5


def test_an_answer_comes_back_into_the_field_of_view():
    slices, inside = slices_and_field()
    prepared = prepare(slices, LOCAL, (20, 30), {0: inside})[0]
    answer = np.stack([np.full((10, 20), 0.25, np.float32), np.arange(200.0).reshape(10, 20)])
    whole = prepared.undo(answer.astype(np.float32))
    expected = np.zeros((2, 20, 30))
    expected[:, 4:14, 6:26] = answer
    assert np.array_equal(whole, expected)
    assert whole.dtype == np.float32


def test_a_black_slice_is_answered_with_nothing():
    inside = np.ones((5, 6), bool)
    prepared = prepare(np.zeros((1, 5, 6), np.uint8), LOCAL, (10, 12), {0: inside})[0]
    assert prepared.pixels.shape == (5, 6)
    assert not prepared.pixels.any()
    assert prepared.undo is None


def test_a_field_of_view_at_a_small_scale_has_at_least_one_pixel():
    slices, inside = slices_and_field()
    stack = PreparedStack(slices, LOCAL, (1, 1), {0: inside})
    assert stack[0].pixels.shape in ((1, 1), (20, 30))


def test_each_method_prepares_its_own_way():
    reading = Preprocessing(method="buda2019", channels="rgb", size=16)
    volume = np.random.default_rng(0).integers(50, 200, (4, 12, 12)).astype(np.uint8)
    prepared = prepare(volume, reading, (12, 12))
    assert [each.undo is None for each in prepared] == [True, False, False, True]
    assert isinstance(prepare(volume, GREY, (12, 12)), PreparedStack)
