"""Pixels as a person sees them."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from helpers.results import disc
from PIL import Image

from unet_helpers.images.image import MedicalImage
from unet_helpers.results.overlay import (
    edges_of,
    in_proportion,
    paint,
    picture,
    png,
    proportion,
    shrink,
    slice_of,
    to_8_bits,
)


def test_the_middle_slice_is_shown_by_default():
    values = np.arange(5)[:, None, None] * np.ones((1, 2, 3))
    image = MedicalImage(values, "ZYX")
    assert slice_of(image, values).tolist() == [[2] * 3] * 2
    assert slice_of(image, values, 0).tolist() == [[0] * 3] * 2
    assert slice_of(image, values, 4).tolist() == [[4] * 3] * 2


def test_grey_becomes_three_equal_colours_and_colour_stays():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    shown = picture(MedicalImage(grey, "YX"))
    assert shown.shape == (2, 3, 3)
    assert (shown == grey[..., None]).all()

    colour = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(picture(MedicalImage(colour, "YXC")), colour)


def test_other_types_are_shown_from_their_0_5th_to_their_99_5th_percentile():
    values = np.arange(1001, dtype=np.uint16).reshape(7, 143) * 10
    shown = to_8_bits(values)
    assert shown.dtype == np.uint8
    # The percentiles are 50 and 9950.
    expected = np.clip((values.astype(float) - 50) / 9900, 0, 1) * 255
    np.testing.assert_allclose(shown, expected, atol=1)
    assert (shown.min(), shown.max()) == (0, 255)


def test_what_is_no_number_is_shown_as_zero():
    values = np.array([[0.0, 1.0], [np.nan, 0.5]], np.float32)
    assert to_8_bits(values)[1, 0] == 0


def test_each_class_is_painted_in_its_colour():
    labels = np.array([[0, 1, 2]], np.uint8)
    shown = np.full((1, 3, 3), 100, np.uint8)
    painted = paint(shown, labels, ["#FF0000", "#0000FF"], alpha=1)
    assert painted.tolist() == [[[100, 100, 100], [255, 0, 0], [0, 0, 255]]]
    assert (shown == 100).all()


def test_objects_are_outlined_in_the_colour_of_their_class_and_in_white_without_one():
    labels = np.zeros((1, 7), np.uint8)
    labels[0, :3] = 2
    objects = np.array([[1, 1, 1, 0, 0, 2, 2]], np.int32)
    painted = paint(np.zeros((1, 7, 3), np.uint8), labels, ["#FF0000", "#0000FF"], objects, alpha=0)
    blue = [0, 0, 255]
    white = [255, 255, 255]
    black = [0, 0, 0]
    assert painted.tolist() == [[black, black, blue, black, black, white, black]]


def test_edges_are_pixels_of_an_object_beside_the_background_or_another_object():
    objects = np.array([[1, 1, 1, 2, 2, 2, 0, 0]], np.int32)
    assert edges_of(objects).tolist() == [[False, False, True, True, False, True, False, False]]


def test_images_are_shrunk_to_1600_pixels_on_the_longer_side():
    wide = np.zeros((10, 3200), np.uint8)
    assert shrink(wide, cv2.INTER_AREA).shape == (5, 1600)
    assert shrink(wide.T, cv2.INTER_AREA).shape == (1600, 5)
    fitting = np.zeros((10, 1600), np.uint8)
    assert shrink(fitting, cv2.INTER_AREA) is fitting


def test_ids_stay_whole_when_they_are_shrunk():
    ids = np.zeros((2, 3200), np.int32)
    ids[:, 1600:] = 70001
    assert np.unique(shrink(ids, cv2.INTER_NEAREST_EXACT)).tolist() == [0, 70001]


def test_a_large_picture_is_shrunk_with_its_labels():
    labels = np.zeros((1700, 1700), np.uint8)
    labels[disc(850, 850, 400, labels.shape)] = 1
    painted = paint(
        np.zeros((1700, 1700, 3), np.uint8), labels, ["#FF0000"], labels.astype(np.int32)
    )
    assert painted.shape == (1600, 1600, 3)
    assert painted[800, 800].tolist() == [89, 0, 0]


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        (None, 1),
        ((0.5, 0.5), 1),
        ((2.0, 0.5), 4),
        ((0.5, 2.0), 0.25),
        ((9.0, 1.0), 8),
        ((1.0, 9.0), 0.125),
    ],
)
def test_a_pixel_is_shown_as_tall_as_it_is_but_eight_times_at_most(spacing, expected):
    assert proportion(MedicalImage(np.zeros((4, 6)), "YX", spacing=spacing)) == expected


@pytest.mark.parametrize(
    ("spacing", "size"),
    [
        ((1.0, 1.0), (4, 6)),
        ((1.0, 1.005), (4, 6)),
        ((2.0, 1.0), (8, 6)),
        ((1.0, 2.0), (4, 12)),
    ],
)
def test_a_png_is_enlarged_along_one_side_to_the_proportions_of_the_body(spacing, size):
    image = MedicalImage(np.zeros((4, 6), np.uint8), "YX", spacing=spacing)
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 0] = 200
    shown = np.array(Image.open(BytesIO(png(in_proportion(pixels, image)))))
    assert shown.shape == (*size, 3)
    assert (shown == [200, 0, 0]).all()
