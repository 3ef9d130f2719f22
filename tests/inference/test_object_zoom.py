"""The zoom of objects: the size that the network knows, on a ladder, from several frames."""

import numpy as np
import pytest
from helpers.networks import make_network

from unet_helpers.checks.view import View
from unet_helpers.images.image import MedicalImage
from unet_helpers.inference import object_zoom
from unet_helpers.inference.object_zoom import (
    CERTAINTY_WEIGHT,
    COST_OF_OCTAVE,
    MEDIAN_BY_AREA,
    RUNGS_PER_OCTAVE,
    SUITED_SIZES,
    ObjectZoom,
    TypicalObject,
    common_zoom,
    find_object_zoom,
    score_of,
    spread_over,
    typical_object,
    zoom_for_small_objects,
    zoom_of_diameter,
    zoom_of_view,
)
from unet_helpers.inference.scale import slices_of, working_scale

PIXELS = np.zeros((1000, 500), np.uint8)

# Zooms are rounded to the nearest rung.
RUNG = 2 ** (1 / RUNGS_PER_OCTAVE)
HALF_RUNG = RUNG**0.5 - 1 + 1e-9


@pytest.fixture
def network_of_objects():
    return make_network(3, scale="objects", size=30)


@pytest.fixture
def see(monkeypatch, network_of_objects):
    """The zoom found where these objects are seen, each a diameter and a score."""

    def see(*seen: tuple[float, float]) -> ObjectZoom:
        answers = dict(zip(object_zoom.TRIED_ZOOMS, seen, strict=False))

        def typical(model, window, zoom, aspect):
            if zoom not in answers:
                return None
            diameter, score = answers[zoom]
            return TypicalObject(zoom=zoom, diameter=diameter, score=score)

        monkeypatch.setattr(object_zoom, "typical_object", typical)
        return find_object_zoom(network_of_objects, PIXELS)

    return see


def test_the_objects_of_the_highest_score_tell_the_zoom(see):
    assert see((30, 0.3), (60, 0.2), (90, 0.2)).zoom == 1
    assert see((30, 0.2), (60, 0.3), (90, 0.2)).zoom == 0.5
    assert see((30, 0.2), (60, 0.2), (20, 0.3)).zoom == pytest.approx(1.5, rel=HALF_RUNG)


def test_without_objects_the_image_is_seen_as_it_is(see):
    assert see() == ObjectZoom(1.0)


@pytest.mark.parametrize(
    ("diameter", "zoom"), [(900, 0.08), (375, 0.08), (300, 0.1), (8, 3.75), (7.5, 4), (2, 4)]
)
def test_objects_are_shrunk_12_times_and_enlarged_four_times_at_most(see, diameter, zoom):
    assert see((diameter, 0.9)).zoom == pytest.approx(zoom, rel=HALF_RUNG)


def test_objects_of_different_sizes_are_said(see):
    assert see((24, 0.9), (10, 0.9)).warnings == ()
    assert see((24.1, 0.9), (10, 0.9)).warnings == (
        "objects of very different sizes, about 24 and 10 px wide: some may be missed. "
        "Try zoom=1.2 and 3 in turn.",
    )


def test_debris_is_no_other_size(see):
    assert see((60, 5.0), (10, 3.5)).warnings == ()
    assert len(see((60, 5.0), (10, 3.7)).warnings) == 1


def test_the_zoom_of_objects_and_its_warning_tell_the_scale(monkeypatch, network_of_objects):
    half = ObjectZoom(0.5, ("x",))
    monkeypatch.setattr("unet_helpers.inference.scale.find_object_zoom", lambda *_: half)
    found = working_scale(network_of_objects, slices_of(PIXELS[None]), 0)
    assert found.shape == (500, 250)
    assert found.warnings == ("x",)


def test_windows_are_cut_for_each_zoom(monkeypatch, network_of_objects):
    sides = []
    monkeypatch.setattr(
        object_zoom, "highest_contrast_window", lambda pixels, side: sides.append(side)
    )
    monkeypatch.setattr(object_zoom, "typical_object", lambda model, window, zoom, aspect: None)
    find_object_zoom(network_of_objects, PIXELS)
    assert sides == [256, 512, 1024, 2048, 4096]


@pytest.mark.parametrize(
    ("diameter", "zoom", "factor"),
    [
        (30, 1.0, 1.0),
        (23, 1.0, 1.0),
        (22.8, 1.0, 2**0.25),
        (19.4, 1.0, 2**0.25),
        (19.2, 1.0, 2**0.5),
        (8, 1.0, 2**0.5),
        (15, 2.0, 1.0),
        (10, 2.0, 2**0.25),
        (3, 4.0, 1.0),
    ],
)
def test_an_image_with_small_objects_is_enlarged(monkeypatch, diameter, zoom, factor):
    network = make_network(out_channels=3, size=24, smallest_objects=25)
    objects = TypicalObject(zoom, diameter, 1.0)
    monkeypatch.setattr(object_zoom, "typical_object", lambda *_: objects)
    found = zoom_for_small_objects(network, PIXELS, zoom)
    assert found.zoom == pytest.approx(zoom * factor)
    assert found.objects is objects


def test_without_objects_an_image_is_not_enlarged(monkeypatch):
    network = make_network(out_channels=3, size=24, smallest_objects=25)
    monkeypatch.setattr(object_zoom, "typical_object", lambda *_: None)
    assert zoom_for_small_objects(network, PIXELS, 0.5) == ObjectZoom(0.5)


def test_an_image_with_small_objects_has_a_larger_scale_and_a_note(monkeypatch):
    network = make_network(out_channels=3, size=24, smallest_objects=25, spacing=0.5)
    objects = TypicalObject(1.0, 20.0, 1.0)
    monkeypatch.setattr(object_zoom, "typical_object", lambda *_: objects)
    found = working_scale(network, slices_of(PIXELS[None]), 0)
    assert found.shape == (1189, 595)
    assert found.notes == (
        "enlarged 1.19 times, to zoom 1.19: its objects are about 20 px wide, and small tells those"
        " from 25 px apart better",
    )
    assert working_scale(network, slices_of(PIXELS[None], (1.0, 1.0)), 0).shape == (2000, 1000)
    assert working_scale(network, slices_of(PIXELS[None]), 0, zoom=1.0).shape == PIXELS.shape


def answering(interiors: list[tuple[slice, slice]], probability: float):
    """A prediction of objects of these rows and columns, with that probability."""

    def predict(model, prepared, out, *_, **__):
        out[0] = 1
        for rows, columns in interiors:
            out[0, rows, columns] = 1 - probability
            out[1, rows, columns] = probability

    return predict


def test_the_typical_object_is_the_median_by_area_certainty_and_size(
    monkeypatch, network_of_objects
):
    # Their diameters are 11.3, 22.6 and 23.7 px, and the network's is 30.
    objects = [
        (slice(5, 15), slice(5, 15)),
        (slice(5, 25), slice(40, 60)),
        (slice(40, 61), slice(30, 51)),
    ]
    monkeypatch.setattr(object_zoom, "predict", answering(objects, 0.75))
    window = np.zeros((80, 90), np.uint8)
    found = typical_object(network_of_objects, window, 1.0)

    areas = np.array([100, 400, 441])
    diameters = 2 * np.sqrt(areas / np.pi)
    weights = 0.75 * areas * np.exp(-0.5 * (np.log(diameters / 30) / SUITED_SIZES) ** 2)
    # Half of the weight lies between the middles of the second and the third object.
    second, third = weights[0] + weights[1] / 2, weights[:2].sum() + weights[2] / 2
    share = (weights.sum() / 2 - second) / (third - second)
    assert 0 < share < 1
    median = diameters[1] + share * (diameters[2] - diameters[1])
    assert found.diameter == pytest.approx(median / MEDIAN_BY_AREA)
    assert found.score == pytest.approx(score_of(weights.sum() / window.size, 0.75, 1.0))
    assert found.area == 941


def test_certain_objects_count_for_more_and_shrinking_costs():
    assert score_of(0.2, 0.8, 2.0) == score_of(0.2, 0.8, 1.0)
    assert score_of(0.2, 0.9, 1.0) - score_of(0.2, 0.8, 1.0) == pytest.approx(
        0.1 * CERTAINTY_WEIGHT
    )
    assert score_of(0.2, 0.8, 1.0) - score_of(0.2, 0.8, 0.125) == pytest.approx(3 * COST_OF_OCTAVE)
    assert score_of(0.2, 0.8, 1.0) - score_of(0.1, 0.8, 1.0) == pytest.approx(np.log(2))


def test_much_debris_does_not_hide_a_few_large_objects(monkeypatch, network_of_objects):
    specks = [
        (slice(row, row + 4), slice(column, column + 4))
        for row in range(0, 150, 8)
        for column in range(0, 70, 8)
    ]
    large = [(slice(10, 40), slice(80, 110)), (slice(50, 80), slice(80, 110))]
    monkeypatch.setattr(object_zoom, "predict", answering(specks + large, 0.9))
    found = typical_object(network_of_objects, np.zeros((160, 120), np.uint8), 1.0)
    assert found.diameter == pytest.approx(2 * np.sqrt(900 / np.pi) / MEDIAN_BY_AREA)


def test_diameters_are_px_of_the_image(monkeypatch, network_of_objects):
    objects = [(slice(20, 40), slice(20, 40))]
    monkeypatch.setattr(object_zoom, "predict", answering(objects, 0.9))
    window = np.zeros((80, 80), np.uint8)
    found = typical_object(network_of_objects, window, 2.0)
    assert found.zoom == 2.0
    assert found.diameter == pytest.approx(2 * np.sqrt(400 / np.pi) / MEDIAN_BY_AREA, rel=0.03)


def test_objects_are_searched_without_a_shift_of_logits():
    """Else the shift for large objects would make them look more likely."""
    plain = make_network(3, scale="objects", size=30)
    shifting = make_network(3, scale="objects", size=30, logit_shifts=((10.0, -2.0), (60.0, 3.0)))
    window = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    expected = typical_object(plain, window, 2.0)
    assert expected is not None
    assert typical_object(shifting, window, 2.0) == expected


def test_where_nothing_is_found_there_is_no_typical_object(monkeypatch, network_of_objects):
    monkeypatch.setattr(object_zoom, "predict", answering([], 0.9))
    assert typical_object(network_of_objects, np.zeros((80, 80), np.uint8), 1.0) is None


@pytest.mark.parametrize("rung", [-3, -1, 0, 1, 7])
def test_processors_that_differ_a_little_see_an_image_at_the_same_zoom(see, rung):
    exact = 30 / RUNG**rung
    for factor in (0.985, 0.998, 1.0, 1.015):
        zoom = see((exact * factor, 0.9)).zoom
        assert zoom == pytest.approx(RUNG**rung, rel=1e-12)
        assert rung != 0 or zoom == 1


def seen(diameter: float, area: float) -> ObjectZoom:
    """What is found in a frame with objects of this diameter and area together."""
    objects = TypicalObject(zoom=1.0, diameter=diameter, score=0.2, area=area)
    return ObjectZoom(zoom_of_diameter(diameter, 24), objects=objects)


def test_debris_and_dark_frames_count_for_little():
    debris = seen(6, 200)
    cells = [seen(23, 9000), seen(24, 10000), seen(25, 9500)]
    dark = ObjectZoom(1.0)
    assert common_zoom([debris, *cells, dark]).objects.diameter == 24
    assert common_zoom([debris, debris, cells[0], dark, dark]).objects.diameter == 23
    assert common_zoom([dark, dark]) == dark


def test_the_slices_that_are_searched_are_spread_over_all():
    assert spread_over(1) == [0]
    assert spread_over(3) == [0, 1, 2]
    assert spread_over(10) == [1, 3, 5, 7, 9]
    assert spread_over(100) == [10, 30, 50, 70, 90]


def searched(monkeypatch, network, image) -> tuple[ObjectZoom, list[float]]:
    """The zoom of an image by the brightest values: 9 is dark, others are diameters."""
    values = []

    def find(model, pixels, aspect):
        values.append(float(pixels.max()))
        return ObjectZoom(1.0) if pixels.max() == 9 else seen(float(pixels.max()), 100)

    monkeypatch.setattr(object_zoom, "find_object_zoom", find)
    return zoom_of_view(network, View(image)), values


def frames_of(*values: int) -> np.ndarray:
    """Noise whose brightest value in each frame is given."""
    frames = [np.random.default_rng(0).integers(0, value + 1, (20, 20)) for value in values]
    for frame, value in zip(frames, values, strict=True):
        frame[10, 10] = value
    return np.stack(frames).astype(np.uint8)


def test_the_first_frame_does_not_set_the_zoom_of_a_movie(monkeypatch, network_of_objects):
    movie = MedicalImage(frames_of(9, 9, 12, 12, 12, 12, 12, 12), "TYX")
    found, values = searched(monkeypatch, network_of_objects, movie)
    assert found.zoom == 2
    assert len(values) == 5


def test_a_stack_is_searched_in_its_middle_and_elsewhere_if_nothing_is_there(
    monkeypatch, network_of_objects
):
    stack = MedicalImage(frames_of(9, 12, 24, 12, 9), "ZYX")
    found, values = searched(monkeypatch, network_of_objects, stack)
    assert (found.zoom, values) == (1, [24])
    stack = MedicalImage(frames_of(12, 9, 9, 9, 9, 12), "ZYX")
    found, values = searched(monkeypatch, network_of_objects, stack)
    assert found.zoom == 2
    assert values[0] == 9


def test_objects_in_pixels_that_are_not_square_are_found_in_square_ones(
    monkeypatch, network_of_objects
):
    shapes = []

    def predict(model, prepared, out, *_, **__):
        shapes.append(prepared.zoom)

    monkeypatch.setattr(object_zoom, "predict", predict)
    typical_object(network_of_objects, np.zeros((80, 80), np.uint8), 1.0, aspect=4.0)
    assert shapes == [(2.0, 0.5)]
