"""What a ``Segmentation`` says of itself: labels, explanations, its busiest slice, its overlay."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from helpers.results import result_of, result_of_labels, result_of_mask
from PIL import Image, ImageColor

from unet_helpers.checks.view import View
from unet_helpers.networks.cards import Preprocessing


def test_a_pixel_whose_probability_reaches_the_threshold_is_foreground():
    threshold = float(np.float32(0.3))
    below = np.nextafter(np.float32(0.3), np.float32(0))
    probabilities = np.array([[[below, 0.3, 0.9]]], np.float32)
    assert result_of(probabilities, threshold=threshold).labels.tolist() == [[0, 1, 1]]


def test_of_several_classes_the_foreground_is_all_but_background():
    probabilities = np.array([[[0.5, 0.6, 0.1]], [[0.2, 0.3, 0.3]], [[0.3, 0.1, 0.6]]])
    result = result_of(probabilities)
    np.testing.assert_allclose(result.foreground, [[0.5, 0.4, 0.9]], atol=1e-6)
    assert result.labels.tolist() == [[2, 0, 2]]
    assert result.labels.dtype == np.uint8


def test_of_two_classes_that_are_equal_the_first_is_taken():
    probabilities = np.array([[[0.2]], [[0.4]], [[0.4]]])
    assert result_of(probabilities).labels.tolist() == [[1]]


def test_small_regions_are_dropped_frame_by_frame_in_a_movie():
    mask = np.zeros((2, 4, 8), bool)
    mask[0, 1, 1:7] = True
    mask[1, 1, 1:3] = True
    volume = result_of_mask(mask.copy(), min_component_share=1.0)
    assert volume.labels.any(axis=(1, 2)).tolist() == [True, True]

    mask[1] = False
    mask[1, 3, 0] = True
    volume = result_of_mask(mask, min_component_share=1.0)
    assert volume.labels.any(axis=(1, 2)).tolist() == [True, False]
    movie = result_of_mask(mask, "TYX", min_component_share=1.0)
    assert movie.labels.any(axis=(1, 2)).tolist() == [True, True]


def test_the_share_decides_what_is_small():
    mask = np.array([[1, 1, 1, 1, 0, 1, 1, 0, 1]], bool)
    assert result_of_mask(mask).labels.sum() == 7
    assert result_of_mask(mask, min_component_share=0.5).labels.sum() == 6


def test_the_busiest_slice_has_most_of_the_structure():
    mask = np.zeros((5, 4, 4), bool)
    assert result_of_mask(mask).busiest_slice() == 2
    mask[1, 0] = True
    mask[3, 0, :2] = True
    assert result_of_mask(mask).busiest_slice() == 1


def half_full() -> np.ndarray:
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    return mask


def test_an_ordinary_answer_needs_no_explanation():
    assert result_of_mask(half_full(), usual_share=(0.0, 1.0)).explain() == ""
    assert result_of_mask(half_full(), usual_share=(0.49, 0.51)).explain() == ""


@pytest.mark.parametrize("usual", [(0.01, 0.5), (0.5, 0.9)])
def test_an_unusual_share_is_said_with_what_is_usual(usual):
    low, high = (f"{share:.0%}" for share in usual)
    assert result_of_mask(half_full(), usual_share=usual).explain() == (
        f"50.0% of it was found to be class 1, where {low} to {high} are usual: another kind of"
        " image, or an inverted one? Try pixels.max() - pixels."
    )


def test_an_empty_answer_is_explained_by_its_probabilities():
    result = result_of(np.full((1, 10, 10), 0.25))
    assert result.explain() == (
        "nothing reaches the threshold 0.5: probabilities go from 0.25 to 0.25."
        " Is it a test, with the whole structure in view? zoom=0.5 or zoom=2 may help."
    )


def test_a_lower_threshold_is_offered_where_it_would_show_something():
    near = result_of(np.full((1, 10, 10), 0.4)).explain()
    assert "from 0.4 to 0.4. threshold=0.36 would show something. Is it" in near


def test_a_full_answer_is_explained_without_a_lower_threshold():
    words = result_of(np.full((1, 10, 10), 0.75)).explain()
    assert words.startswith(
        "everything reaches the threshold 0.5: probabilities go from 0.75 to 0.75. Is it a"
    )
    assert "would show" not in words


def test_zooms_are_offered_only_where_they_change_something():
    result = result_of(np.zeros((1, 10, 10)))
    assert "zoom=2" in result.explain()
    for preprocessing in (
        Preprocessing(scale="square", size=64),
        Preprocessing(method="buda2019", size=256),
    ):
        card = replace(result.card, preprocessing=preprocessing)
        assert "zoom" not in replace(result, card=card).explain()


def test_where_the_image_was_doubted_that_is_the_explanation():
    result = result_of(np.zeros((1, 10, 10)), warnings=("Odd.",))
    assert result.explain() == (
        "nothing reaches the threshold 0.5: probabilities go from 0 to 0."
        " Perhaps this is not what small knows, which is test."
    )


def test_the_representation_says_size_and_share():
    result = result_of_mask(half_full())
    found = "Segmentation of array by small: 10 × 10, 50.0% found"
    assert repr(result) == f"{found}; {result.assessment.sentence}"


def stack_with_one_square() -> np.ndarray:
    labels = np.zeros((3, 10, 12), int)
    labels[2, 2:8, 3:9] = 1
    return labels


def test_an_overlay_shows_the_busiest_slice_with_outlined_objects():
    result = result_of_labels(stack_with_one_square(), 1, colors=("#FF0000",))
    overlay = result.overlay()
    assert overlay.shape == (10, 12, 3)
    assert overlay[0, 0].tolist() == [7, 7, 7]
    # 0.35 of red over 0.65 of the grey inside, and red along the edge.
    assert overlay[4, 5].tolist() == [int(0.35 * 255 + 0.65 * 7), 4, 4]
    assert overlay[2, 3].tolist() == [255, 0, 0]
    assert (result.overlay(0) == 7).all()


def test_an_overlay_without_contours_and_with_another_opacity():
    result = result_of_labels(stack_with_one_square(), 1, colors=("#FF0000",))
    overlay = result.overlay(alpha=1, contours=False)
    assert overlay[2, 3].tolist() == overlay[4, 5].tolist() == [255, 0, 0]
    assert result.overlay(contours=False)[2, 3].tolist() == [93, 4, 4]


def test_vessels_are_painted_nearly_opaque():
    result = result_of_labels(stack_with_one_square(), 1, colors=("#FF0000",), measures="tree")
    assert result.overlay(contours=False)[4, 5].tolist() == [int(0.9 * 255 + 0.1 * 7), 0, 0]


def test_a_cell_shows_the_overlay_with_the_assessment_below():
    result = result_of_labels(stack_with_one_square(), 1)
    shown = np.array(Image.open(BytesIO(result._repr_png_())))
    overlay = result.overlay()
    height, width = overlay.shape[:2]
    np.testing.assert_array_equal(shown[:height, :width], overlay)
    assert (shown[:height, width:] == 255).all()

    colour = ImageColor.getrgb(result.assessment.colour)
    assert (shown[height:] == colour).all(-1).sum() > 100


def test_what_was_measured_on_the_way_is_handed_on_for_the_same_pixels_alone():
    result = result_of_mask(half_full())
    measured = View(result.image)
    assert replace(result, measured=measured).view is measured
    assert result.view.image is result.image

    other = replace(result.image, pixels=result.image.pixels.copy())
    view = replace(result, image=other, measured=measured).view
    assert view is not measured
    assert view.image is other
