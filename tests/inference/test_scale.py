"""The working scale: by spacing, field of view or objects, and never beyond its limits."""

import numpy as np
import pytest
from helpers.networks import make_network

from unet_helpers.inference.scale import (
    working_scale,
    working_shape,
    zooms_of_spacing,
)
from unet_helpers.preprocessing.field_of_view import FieldsOfView

PIXELS = np.zeros((1000, 500), np.uint8)


def test_a_network_without_a_scale_sees_pixels_as_they_are():
    assert working_shape(make_network(), PIXELS) == (1000, 500)
    assert working_shape(make_network(), PIXELS, spacing=(3.0, 3.0)) == (1000, 500)


def test_a_zoom_that_is_given_replaces_what_is_found():
    network = make_network(spacing=0.5)
    assert working_shape(network, PIXELS, 0.25, (2.0, 2.0)) == (250, 125)
    assert working_shape(network, PIXELS, 0.0001) == (1, 1)


def test_a_square_is_seen_whatever_the_zoom():
    network = make_network(scale="square", size=96)
    assert working_shape(network, PIXELS) == (96, 96)
    assert working_shape(network, PIXELS, 2.0) == (96, 96)


def test_the_spacing_of_rows_and_columns_counts():
    network = make_network(spacing=0.5)
    assert working_shape(network, PIXELS, spacing=(0.25, 1.0)) == (500, 1000)
    assert working_shape(network, PIXELS, spacing=(7.0, 0.25, 1.0)) == (500, 1000)


def test_a_spacing_that_is_not_known_does_not_count():
    network = make_network(spacing=0.5)
    assert working_shape(network, PIXELS) == (1000, 500)
    assert working_shape(network, PIXELS, spacing=(2.0,)) == (1000, 500)


@pytest.mark.parametrize(
    ("factor", "height"), [(1.019, 1000), (0.981, 1000), (1.021, 1021), (0.979, 979)]
)
def test_a_spacing_within_two_per_cent_is_taken_for_the_cards(factor, height):
    network = make_network(spacing=0.5)
    spacing = (0.5 * factor, 0.5)
    assert working_shape(network, PIXELS, spacing=spacing) == (height, 500)


@pytest.mark.parametrize(
    ("spacing", "zoom"), [(0.01, 0.25), (0.125, 0.25), (0.2, 0.4), (1.9, 3.8), (2.0, 4), (9, 4)]
)
def test_a_spacing_enlarges_and_shrinks_four_times_at_most(spacing, zoom):
    assert zooms_of_spacing((spacing, spacing), 0.5) == pytest.approx((zoom, zoom))


def fields_with(width: int) -> FieldsOfView:
    """A field of view of that width and half that height, in the second of two slices."""
    fields = FieldsOfView(np.zeros((2, *PIXELS.shape), np.uint8))
    fields.by_index[1] = np.zeros(PIXELS.shape, bool)
    fields.by_index[1][100 : 100 + width // 2, 50 : 50 + width] = True
    return fields


@pytest.mark.parametrize(("width", "shape"), [(400, (500, 250)), (100, (2000, 1000))])
def test_the_field_of_view_is_brought_to_the_cards_width(width, shape):
    network = make_network(scale="field of view", size=200)
    slices = np.zeros((2, *PIXELS.shape), np.uint8)
    found = working_scale(network, slices, 1, fields_of_view=fields_with(width))
    assert found.shape == shape


@pytest.mark.parametrize(("width", "height"), [(50, 4000), (40, 4000), (52, 3846)])
def test_a_small_field_of_view_is_enlarged_four_times_at_most(width, height):
    network = make_network(scale="field of view", size=200)
    slices = np.zeros((2, *PIXELS.shape), np.uint8)
    found = working_scale(network, slices, 1, fields_of_view=fields_with(width))
    assert found.shape[0] == height


def test_the_field_of_view_is_found_where_it_is_not_known():
    network = make_network(scale="field of view", size=250)
    lit = np.full((1000, 500), 9, np.uint8)
    assert working_shape(network, lit) == (250, 125)
