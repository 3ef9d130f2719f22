"""Volumes are shown the right way up and in their true proportions."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.volumes import hippocampus_result, nifti

import unet_helpers as uh
from unet_helpers.figures.volumes import (
    centre,
    displayed_point,
    render,
    reslice,
    reslice_image,
    slice_extent,
    volume_by_class,
)


@pytest.fixture
def result() -> uh.Segmentation:
    return hippocampus_result()


@pytest.mark.parametrize("directions", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
@pytest.mark.parametrize(
    ("axis", "shape", "corner"),
    [
        (0, (6, 5, 4), (5, 0, 0)),  # axial: the topmost slice, front and right
        (1, (5, 6, 4), (0, 0, 0)),  # coronal: the foremost slice, head and right
        (2, (4, 6, 5), (0, 0, 0)),  # sagittal: the rightmost slice, head and front
    ],
)
def test_right_is_left_and_front_and_head_are_on_top(axis, shape, corner, directions):
    pixels = np.zeros((4, 5, 6), np.int16)
    pixels[tuple(-1 if direction > 0 else 0 for direction in directions)] = 1000
    shown = reslice_image(nifti(pixels, directions=directions), axis).pixels
    assert shown.shape == shape
    assert shown[corner] == 255
    assert np.count_nonzero(shown) == 1


def test_a_stack_of_unknown_directions_is_not_turned():
    pixels = np.random.default_rng(14).integers(0, 255, (4, 5, 6), dtype=np.uint8)
    image = uh.read_image(pixels)
    for axis in range(3):
        shown = reslice_image(image, axis).pixels
        np.testing.assert_array_equal(shown, np.moveaxis(pixels, axis, 0))


def test_the_spacing_follows_the_axes():
    image = nifti(np.zeros((4, 5, 6), np.uint8), spacing=(1.0, 2.0, 3.0))
    assert reslice_image(image, 0).spacing == (3.0, 2.0, 1.0)
    assert reslice_image(image, 1).spacing == (2.0, 3.0, 1.0)
    assert reslice_image(image, 2).spacing == (1.0, 3.0, 2.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_answer_is_turned_with_the_image(result, axis):
    turned = reslice(result, axis)
    assert turned.labels.shape == turned.image.pixels.shape == turned.probabilities.shape[1:]
    found_again = replace(turned).labels
    np.testing.assert_array_equal(turned.labels, found_again)


def test_objects_keep_their_ids(result):
    for axis in range(3):
        turned = reslice(result, axis)
        assert np.bincount(turned.objects.flat).tolist() == [1772, 8, 140]


def test_all_slices_share_one_range_of_brightness():
    pixels = np.full((3, 20, 20), 100, np.int16)
    pixels[:, :10] = 50
    pixels[1] = 75
    pixels[2, :10] = 0
    shown = reslice_image(uh.read_image(pixels), 0)
    dark = int(render(shown, 0)[0, 0, 0])
    grey = int(render(shown, 1)[0, 0, 0])
    assert dark == pytest.approx(grey * 50 / 75, abs=2)


@pytest.mark.parametrize(("axis", "extent"), [(0, (16, 12)), (1, (20, 12)), (2, (20, 16))])
def test_proportions_are_those_of_the_body(result, axis, extent):
    shown = reslice(result, axis)
    assert slice_extent(shown.image) == extent  # mm
    height, width = render(shown, 3).shape[:2]
    assert max(height, width) == 480
    assert height / width == pytest.approx(extent[0] / extent[1], rel=0.01)


def test_without_a_spacing_proportions_are_those_of_the_pixels(result):
    image = replace(result.image, spacing=None)
    assert slice_extent(reslice_image(image, 1)) == (10, 12)


def test_the_centre_lies_in_the_largest_object(result):
    z, y, x = centre(result)
    assert reslice(result, 0).labels[z, y, x] == 2


def test_without_objects_the_centre_is_that_of_the_volume(result):
    background = np.zeros_like(result.probabilities)
    background[0] = 1
    assert centre(replace(result, probabilities=background)) == (5, 8, 6)
    assert centre(result.image) == (5, 8, 6)


def test_a_voxel_of_the_file_is_found_in_the_display():
    image = nifti(np.zeros((4, 5, 6), np.uint8))
    assert displayed_point(image, (0, 0, 0)) == (0, 4, 3)
    assert displayed_point(image, (3, 1, 2)) == (2, 3, 0)


def test_volumes_are_in_ml_where_the_spacing_is_known(result):
    assert volume_by_class(result) == {
        "Anterior 0.016 mL": result.card.colors[0],
        "Posterior 0.28 mL": result.card.colors[1],
    }


def test_volumes_are_in_voxels_where_the_spacing_is_not_known(result):
    unknown = replace(result, image=replace(result.image, spacing=None))
    assert list(volume_by_class(unknown)) == ["Anterior 8 voxels", "Posterior 140 voxels"]
