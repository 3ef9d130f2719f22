"""The working scale: by spacing, field of view or objects, and never beyond its limits."""

import numpy as np
import pytest
from helpers.networks import make_network

from unet_helpers.inference import scale
from unet_helpers.inference.scale import (
    ObjectZoom,
    TypicalObject,
    find_object_zoom,
    typical_object,
    working_scale,
    working_shape,
    zoom_for_objects,
    zooms_of_spacing,
)
from unet_helpers.preprocessing.field_of_view import FieldsOfView

PIXELS = np.zeros((1000, 500), np.uint8)

# Median diameter by area / plain median diameter, which is the card's size: measured on nuclei.
OVER_MEDIAN = 1.08


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


@pytest.fixture
def network_of_objects():
    return make_network(3, scale="objects", size=30)


@pytest.fixture
def see(monkeypatch, network_of_objects):
    """The zoom found where these objects are seen, each a diameter and a certainty."""

    def see(*seen: tuple[float, float] | None) -> ObjectZoom:
        answers = dict(zip(scale.TRIED_ZOOMS, seen, strict=True))

        def typical(model, window, zoom):
            if answers[zoom] is None:
                return None
            diameter, certainty = answers[zoom]
            return TypicalObject(zoom=zoom, diameter=diameter, certainty=certainty)

        monkeypatch.setattr(scale, "typical_object", typical)
        return find_object_zoom(network_of_objects, PIXELS)

    return see


def test_objects_that_fit_best_tell_the_zoom(see):
    # Misfits 0.69, 0 and 1.1 at equal certainty.
    assert see((30, 0.9), (30, 0.9), (45, 0.9)) == ObjectZoom(1.0)
    assert see((30, 0.9), (90, 0.9), (20, 0.9)).zoom == pytest.approx(1.5)


def test_certain_objects_count_for_more(see):
    # A misfit of ln 2 is worth a certainty of ln(2) / 4 = 0.173.
    assert see((40, 0.8), (30, 0.7), None).zoom == pytest.approx(1.0)
    assert see((40, 0.9), (30, 0.7), None).zoom == pytest.approx(0.75)
    assert see((40, 0.75), (30, 0.7), None).zoom == pytest.approx(1.0)


def test_without_objects_the_image_is_seen_as_it_is(see):
    assert see(None, None, None) == ObjectZoom(1.0)


@pytest.mark.parametrize(
    ("diameter", "zoom"), [(300, 0.2), (150, 0.2), (120, 0.25), (8, 3.75), (7.5, 4), (2, 4)]
)
def test_objects_are_shrunk_five_times_and_enlarged_four_times_at_most(see, diameter, zoom):
    assert see((diameter, 0.9), None, None).zoom == pytest.approx(zoom)


def test_objects_of_different_sizes_are_said(see):
    assert see((24, 0.9), (10, 0.9), None).warnings == ()
    assert see((24.1, 0.9), (10, 0.9), None).warnings == (
        "objects of very different sizes, about 24 and 10 px wide: some may be missed. "
        "Try zoom=1.2 and 3 in turn.",
    )


def test_the_zoom_of_objects_and_its_warning_tell_the_scale(monkeypatch, network_of_objects):
    monkeypatch.setattr(scale, "find_object_zoom", lambda model, pixels: ObjectZoom(0.5, ("x",)))
    found = working_scale(network_of_objects, PIXELS[None], 0)
    assert found.shape == (500, 250)
    assert found.warnings == ("x",)
    assert zoom_for_objects(network_of_objects, PIXELS) == 0.5


def test_windows_are_cut_for_each_zoom(monkeypatch, network_of_objects):
    sides = []
    monkeypatch.setattr(scale, "highest_contrast_window", lambda pixels, side: sides.append(side))
    monkeypatch.setattr(scale, "typical_object", lambda model, window, zoom: None)
    find_object_zoom(network_of_objects, PIXELS)
    assert sides == [1024, 512, 256]


def answering(interiors: list[tuple[slice, slice]], probability: float):
    """A prediction of objects of these rows and columns, with that probability."""

    def predict(model, prepared, out, *_, **__):
        out[0] = 1
        for rows, columns in interiors:
            out[0, rows, columns] = 1 - probability
            out[1, rows, columns] = probability

    return predict


def test_the_typical_object_is_the_median_by_area(monkeypatch, network_of_objects):
    # Of 100, 400 and 441 px, which are 941 together, half lies in the first two.
    objects = [
        (slice(5, 15), slice(5, 15)),
        (slice(5, 25), slice(40, 60)),
        (slice(40, 61), slice(30, 51)),
    ]
    monkeypatch.setattr(scale, "predict", answering(objects, 0.75))
    window = np.zeros((80, 90), np.uint8)
    found = typical_object(network_of_objects, window, 1.0)
    assert found.diameter == pytest.approx(2 * np.sqrt(400 / np.pi) / OVER_MEDIAN)
    assert found.certainty == pytest.approx(0.75)


def test_diameters_are_px_of_the_image(monkeypatch, network_of_objects):
    objects = [(slice(20, 40), slice(20, 40))]
    monkeypatch.setattr(scale, "predict", answering(objects, 0.9))
    window = np.zeros((80, 80), np.uint8)
    found = typical_object(network_of_objects, window, 2.0)
    assert found.zoom == 2.0
    assert found.diameter == pytest.approx(2 * np.sqrt(400 / np.pi) / OVER_MEDIAN, rel=0.03)


def test_where_nothing_is_found_there_is_no_typical_object(monkeypatch, network_of_objects):
    monkeypatch.setattr(scale, "predict", answering([], 0.9))
    assert typical_object(network_of_objects, np.zeros((80, 80), np.uint8), 1.0) is None
