"""Three planes cross where it is asked, and a gallery names each of its results."""

import numpy as np
import pytest
from helpers.volumes import hippocampus_result

import unet_helpers as uh
from unet_helpers.figures.viewer import gallery, three_planes
from unet_helpers.figures.volumes import volume_by_class


@pytest.fixture
def result() -> uh.Segmentation:
    return hippocampus_result()


@pytest.fixture
def lungs() -> uh.Segmentation:
    """Three boxes of 36, 100 and 15 px."""
    image = np.random.default_rng(15).integers(0, 255, (40, 60), dtype=np.uint8)
    probabilities = np.zeros((1, 40, 60), np.float32)
    probabilities[0, 2:8, 2:8] = 1
    probabilities[0, 20:30, 20:30] = 1
    probabilities[0, 35:38, 50:55] = 1
    return uh.Segmentation(uh.read_image(image), uh.MODELS["lungs"], probabilities, 0.5)


def test_three_planes_cross_at_the_voxel_that_is_asked_for(result):
    # The third voxel from the left, the 14th from the back, the 8th from the feet.
    figure = three_planes(result, at=(2, 13, 7))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Axial, slice 7", "Coronal, slice 2", "Sagittal, slice 9"]

    crossings = [(ax.lines[0].get_ydata()[0], ax.lines[1].get_xdata()[0]) for ax in figure.axes]
    mm_from_top_and_left = [(2.5, 9.5), (5, 9.5), (5, 2.5)]
    np.testing.assert_allclose(crossings, mm_from_top_and_left)


def test_by_default_they_cross_in_the_largest_object(result):
    figure = three_planes(result)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Axial, slice 6", "Coronal, slice 4", "Sagittal, slice 4"]


def test_letters_say_which_side_is_which(result):
    figure = three_planes(result)
    letters = ["".join(text.get_text() for text in ax.texts) for ax in figure.axes]
    assert letters == ["RLA", "RLS", "APS"]


def test_a_stack_of_unknown_directions_has_no_letters():
    figure = three_planes(np.random.default_rng(0).integers(0, 255, (4, 5, 6), dtype=np.uint8))
    assert [ax.get_title() for ax in figure.axes] == [
        "Along the stack, slice 2",
        "Across its rows, slice 2",
        "Across its columns, slice 3",
    ]
    assert not any(ax.texts for ax in figure.axes)


def test_the_legend_gives_the_volume_of_each_class(result):
    (legend,) = three_planes(result).legends
    assert [text.get_text() for text in legend.get_texts()] == list(volume_by_class(result))
    assert three_planes(result.image).legends == []


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_a_single_image_has_no_slices(shape):
    with pytest.raises(uh.ImageError, match="without slices"):
        three_planes(np.zeros(shape, np.uint8))


def test_the_gallery_names_each_result_and_its_numbers(result, lungs):
    titles = [ax.get_title() for ax in gallery([lungs, result, lungs, lungs]).axes]
    numbers = "array\nLung fields: 3 objects, median area 36 px,\ntotal area 151 px"
    assert titles[0].startswith(f"{numbers}, expected Dice ")
    assert titles[0] == titles[2] == titles[3]
    assert titles[1] == "array, slice 4\nAnterior 0.016 mL, Posterior 0.28 mL"
    assert titles[4:] == ["", ""]


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 3))])
def test_the_gallery_has_three_a_row(lungs, count, grid):
    figure = gallery([lungs] * count)
    assert figure.axes[0].get_gridspec().get_geometry() == grid
