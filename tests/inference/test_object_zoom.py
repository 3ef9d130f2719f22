"""The zoom of objects: the size that the network knows, on a ladder, from several frames."""

import numpy as np
import pytest
from helpers.networks import make_network

from unet_helpers.inference import object_zoom
from unet_helpers.inference.object_zoom import (
    MEDIAN_BY_AREA,
    ObjectZoom,
    TypicalObject,
    find_object_zoom,
    typical_object,
    zoom_for_objects,
)
from unet_helpers.inference.scale import working_scale

PIXELS = np.zeros((1000, 500), np.uint8)


@pytest.fixture
def network_of_objects():
    return make_network(3, scale="objects", size=30)


@pytest.fixture
def see(monkeypatch, network_of_objects):
    """The zoom found where these objects are seen, each a diameter and a certainty."""

    def see(*seen: tuple[float, float] | None) -> ObjectZoom:
        answers = dict(zip(object_zoom.TRIED_ZOOMS, seen, strict=True))

        def typical(model, window, zoom, aspect):
            if answers[zoom] is None:
                return None
            diameter, certainty = answers[zoom]
            return TypicalObject(zoom=zoom, diameter=diameter, certainty=certainty)

        monkeypatch.setattr(object_zoom, "typical_object", typical)
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
    half = ObjectZoom(0.5, ("x",))
    monkeypatch.setattr(object_zoom, "find_object_zoom", lambda *_: half)
    monkeypatch.setattr("unet_helpers.inference.scale.find_object_zoom", lambda *_: half)
    found = working_scale(network_of_objects, PIXELS[None], 0)
    assert found.shape == (500, 250)
    assert found.warnings == ("x",)
    assert zoom_for_objects(network_of_objects, PIXELS) == 0.5


def test_windows_are_cut_for_each_zoom(monkeypatch, network_of_objects):
    sides = []
    monkeypatch.setattr(
        object_zoom, "highest_contrast_window", lambda pixels, side: sides.append(side)
    )
    monkeypatch.setattr(object_zoom, "typical_object", lambda model, window, zoom, aspect: None)
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
    monkeypatch.setattr(object_zoom, "predict", answering(objects, 0.75))
    window = np.zeros((80, 90), np.uint8)
    found = typical_object(network_of_objects, window, 1.0)
    assert found.diameter == pytest.approx(2 * np.sqrt(400 / np.pi) / MEDIAN_BY_AREA)
    assert found.certainty == pytest.approx(0.75)


def test_diameters_are_px_of_the_image(monkeypatch, network_of_objects):
    objects = [(slice(20, 40), slice(20, 40))]
    monkeypatch.setattr(object_zoom, "predict", answering(objects, 0.9))
    window = np.zeros((80, 80), np.uint8)
    found = typical_object(network_of_objects, window, 2.0)
    assert found.zoom == 2.0
    assert found.diameter == pytest.approx(2 * np.sqrt(400 / np.pi) / MEDIAN_BY_AREA, rel=0.03)


def test_where_nothing_is_found_there_is_no_typical_object(monkeypatch, network_of_objects):
    monkeypatch.setattr(object_zoom, "predict", answering([], 0.9))
    assert typical_object(network_of_objects, np.zeros((80, 80), np.uint8), 1.0) is None
