"""The working scale: by spacing, field of view or objects, and never beyond its limits."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.checks.view import View
from unet_helpers.doubt import Doubt
from unet_helpers.images.image import MedicalImage
from unet_helpers.inference.object_zoom import ObjectZoom
from unet_helpers.inference.scale import (
    Slices,
    choose_zoom,
    slices_of,
    usual_scale,
    working_scale,
    working_shape,
    zooms_of_spacing,
)
from unet_helpers.inference.settings import check_settings
from unet_helpers.inference.working_size import aspect_of, in_words

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


def slices_with_field(width: int) -> Slices:
    """Two slices; the second has a field of view of that width and half that height."""
    slices = slices_of(np.zeros((2, *PIXELS.shape), np.uint8))
    field = np.zeros(PIXELS.shape, bool)
    field[100 : 100 + width // 2, 50 : 50 + width] = True
    slices.fields_of_view.by_index[1] = field
    return slices


@pytest.mark.parametrize(("width", "shape"), [(400, (500, 250)), (100, (2000, 1000))])
def test_the_field_of_view_is_brought_to_the_cards_width(width, shape):
    network = make_network(scale="field of view", size=200)
    found = working_scale(network, slices_with_field(width), 1)
    assert found.shape == shape


@pytest.mark.parametrize(("width", "height"), [(50, 4000), (40, 4000), (52, 3846)])
def test_a_small_field_of_view_is_enlarged_four_times_at_most(width, height):
    network = make_network(scale="field of view", size=200)
    found = working_scale(network, slices_with_field(width), 1)
    assert found.shape[0] == height


@pytest.mark.parametrize(
    ("width", "height"), [(150, 1333), (200, 1000), (240, 1000), (250, 1000), (400, 625)]
)
def test_a_large_field_of_view_keeps_its_pixels_up_to_the_largest_size(width, height):
    network = make_network(scale="field of view", intensities="local", size=200, largest_size=250)
    found = working_scale(network, slices_with_field(width), 1)
    assert found.shape[0] == height


def test_the_field_of_view_is_found_where_it_is_not_known():
    network = make_network(scale="field of view", size=250)
    lit = np.full((1000, 500), 9, np.uint8)
    assert working_shape(network, lit) == (250, 125)


@pytest.mark.parametrize(
    ("spacing", "shape"),
    [
        ((0.5e-3, 0.5e-3), (2000, 1000)),
        ((0.125e-3, 0.125e-3), (500, 250)),
        ((0.2522e-3, 0.2478e-3), (1000, 500)),
        ((1e-3, 0.25e-3), (4000, 500)),
    ],
)
def test_a_slide_is_brought_to_the_scale_at_which_its_nuclei_were_learnt(spacing, shape):
    network = uh.load_model("nuclei_he")
    pixels = np.zeros((1000, 500, 3), np.uint8)
    found = working_scale(network, slices_of(pixels[None], spacing), 0)
    assert found.shape == shape
    assert found.warnings == ()
    assert bool(found.notes) == (shape != (1000, 500))


@pytest.mark.parametrize("spacing", [25.4 / 72, 1.0, 1e-6, 25.4 / 300])
@pytest.mark.parametrize("card", ["nuclei_he", "em_membranes"])
def test_a_spacing_that_cannot_be_is_doubted_and_not_used(card, spacing):
    network = uh.load_model(card)
    if card == "em_membranes" and spacing == 1e-6:
        spacing = 1e-8
    pixels = np.zeros((100, 50, 3) if card == "nuclei_he" else (100, 50), np.uint8)
    found = working_scale(network, slices_of(pixels[None], (spacing, spacing)), 0)
    assert found.shape == (100, 50)
    assert len(found.warnings) == 1
    assert isinstance(found.warnings[0], Doubt)
    assert "cannot be right" in found.warnings[0]


def test_exactly_one_micrometre_is_a_default_where_the_image_shows_large_structures():
    network = uh.load_model("nuclei_he")
    tissue = uh.read_image(uh.sample("he")).pixels
    spacing = (1e-3, 1e-3)
    found = usual_scale(network, slices_of(tissue[None], spacing), 0)
    assert found.shape == tissue.shape[:2]
    assert "seems to be a default" in found.warnings[0]

    at_10x = cv2.resize(tissue, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    found = usual_scale(network, slices_of(at_10x[None], spacing), 0)
    assert found.shape == (4 * at_10x.shape[0], 4 * at_10x.shape[1])
    assert found.warnings == ()


@pytest.mark.parametrize("scale", [{}, {"scale": "objects", "size": 24}])
def test_pixels_that_are_not_square_are_made_square(scale, monkeypatch):
    network = make_network(3, **scale)
    monkeypatch.setattr("unet_helpers.inference.scale.find_object_zoom", lambda *_: ObjectZoom(1.0))
    spacing = (2e-3, 0.5e-3)
    found = working_scale(network, slices_of(PIXELS[None], spacing), 0)
    assert found.shape == (2000, 250)
    assert found.zoom(PIXELS) == 1
    assert found.notes == ("its pixels, 4 times as high as wide, were made square",)
    assert working_scale(network, slices_of(PIXELS[None], spacing), 0, zoom=2.0).shape == (
        4000,
        500,
    )


def test_pixels_that_are_nearly_square_or_impossibly_long_are_seen_as_they_are():
    assert aspect_of((0.2495e-3, 0.2505e-3)) == 1
    assert aspect_of((1.0, 1e-4)) == 1
    assert aspect_of((3.0, 1.0)) == 3
    assert aspect_of((5.0, 1.0, 3.0)) == pytest.approx(1 / 3)
    assert aspect_of(None) == 1


def chosen(spacing=None, **options):
    """The zoom that is chosen for an image of nuclei."""
    network = make_network(3, scale="objects", size=24)
    network.card = replace(network.card, instance_method="interiors")
    view = View(MedicalImage(PIXELS, "YX", spacing=spacing))
    return choose_zoom(network, view, check_settings(network.card, **options))


def test_a_diameter_in_px_or_as_a_length_sets_the_zoom():
    assert chosen(diameter=48).zoom == 0.5
    assert "given as 48 px" in chosen(diameter=48).notes[0]
    assert chosen(spacing=(0.5e-3, 0.5e-3), diameter="6 µm").zoom == 2
    assert chosen(spacing=(1e-3, 0.25e-3), diameter="6 um").zoom == 2
    assert chosen(zoom=0.7).zoom == 0.7
    with pytest.raises(uh.ArgumentError, match="the size of its pixels is not known"):
        chosen(diameter="6 µm")


@pytest.mark.parametrize(
    "diameter", [0, -3, float("nan"), "8", "wide", "8 s", None.__class__, True]
)
def test_what_is_no_diameter_is_refused(diameter):
    with pytest.raises(uh.ArgumentError, match="is no width"):
        chosen(diameter=diameter)


@pytest.mark.parametrize("option", ["threshold", "zoom", "flips"])
@pytest.mark.parametrize("value", [True, False, np.True_])
def test_true_and_false_are_no_numbers(option, value):
    with pytest.raises(uh.ArgumentError, match=rf"^{option}=.*{value}"):
        check_settings(uh.MODELS["lungs"], **{option: value})


def test_numbers_of_numpy_are_numbers():
    settings = check_settings(
        uh.MODELS["lungs"], threshold=np.float32(0.25), flips=np.int64(2), zoom=np.float64(0.5)
    )
    assert (settings.threshold, settings.flips, settings.zoom) == (0.25, 2, 0.5)


def test_a_diameter_beside_a_zoom_or_for_a_card_without_objects_is_refused():
    with pytest.raises(uh.ArgumentError, match="both set the scale"):
        chosen(diameter=8, zoom=2)
    with pytest.raises(uh.ArgumentError, match="lungs has no objects of a typical width"):
        check_settings(uh.MODELS["lungs"], diameter=30)


def test_a_spacing_in_words():
    assert in_words(4e-6) == "4 nm"
    assert in_words(0.25e-3, 0.25e-3) == "0.25 µm"
    assert in_words(1e-3, 0.25e-3) == "1 × 0.25 µm"
    assert in_words(0.09) == "90 µm"
    assert in_words(25.4 / 72) == "0.353 mm"
    assert in_words(0.9, 0.5) == "0.9 × 0.5 mm"
    assert in_words(1.0) == "1 mm"


def test_an_image_without_a_spacing_is_taken_to_be_at_the_usual_one():
    network = make_network(spacing=0.4, usual_spacing=0.2)
    scale = working_scale(network, slices_of(PIXELS[None]), 0)
    assert scale.shape == (500, 250)
    assert "0.2 mm" in scale.notes[0]
    assert "not known" in scale.notes[0]
    # What is known, or given, goes before.
    assert working_shape(network, PIXELS, spacing=(0.4, 0.4)) == (1000, 500)
    assert working_shape(network, PIXELS, zoom=2.0) == (2000, 1000)


def test_a_spacing_that_cannot_be_right_is_replaced_by_the_usual_one():
    network = make_network(spacing=0.4, usual_spacing=0.2)
    scale = working_scale(network, slices_of(PIXELS[None], (300.0, 300.0)), 0)
    assert scale.shape == (500, 250)
    assert "seen as at 0.2 mm" in scale.warnings[0]
