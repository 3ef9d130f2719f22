"""Volumes are shown the right way up, in their true proportions, and the slider moves the picture."""

from dataclasses import replace

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.figures.viewer import (
    amounts,
    centre,
    facing,
    gallery,
    live,
    playground,
    three_planes,
    view,
)


def nifti(pixels, spacing=(1.0, 1.0, 1.0), directions=(1, 1, 1)) -> uh.MedicalImage:
    return uh.MedicalImage(
        pixels, "XYZ", spacing, np.diag([s * d for s, d in zip(spacing, directions)] + [1.0])
    )


@pytest.fixture
def result() -> uh.Segmentation:
    """A small and a large box in a NIfTI volume, of the classes anterior and posterior."""
    labels = np.zeros((12, 16, 10), np.uint8)
    labels[1:3, 1:3, 1:3] = 1
    labels[5:9, 8:15, 4:9] = 2
    pixels = np.random.default_rng(13).integers(0, 200, labels.shape).astype(np.int16)
    probabilities = np.stack([labels == i for i in range(3)]).astype(np.float32)
    card = replace(uh.MODELS["hippocampus"], min_component_share=0.0)
    return uh.Segmentation(nifti(pixels, (1.0, 1.0, 2.0)), card, probabilities, 0.5)


@pytest.mark.parametrize("directions", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_right_is_left_front_and_head_are_on_top(axis, directions):
    pixels = np.zeros((4, 5, 6), np.int16)
    corner = tuple(n - 1 if d > 0 else 0 for n, d in zip(pixels.shape, directions))
    pixels[corner] = 1000  # the rightmost, foremost, topmost voxel
    shown = facing(nifti(pixels, directions=directions), axis).pixels
    assert shown.shape == [(6, 5, 4), (5, 6, 4), (4, 6, 5)][axis]
    assert (
        shown[(5, 0, 0)[axis], 0, 0] == 255
    )  # axial: front, right; coronal: head, right; sagittal: head, front


def test_a_stack_of_unknown_directions_is_not_turned():
    pixels = np.random.default_rng(14).integers(0, 255, (4, 5, 6), dtype=np.uint8)
    image = uh.read_image(pixels)
    for axis in range(3):
        np.testing.assert_array_equal(facing(image, axis).pixels, np.moveaxis(pixels, axis, 0))


def test_the_answer_is_turned_with_the_image(result):
    for axis in range(3):
        turned = facing(result, axis)
        assert turned.labels.shape == turned.image.pixels.shape == turned.probabilities.shape[1:]
        np.testing.assert_array_equal(
            turned.labels, replace(turned).labels
        )  # found once more from the probabilities
        assert (np.bincount(turned.objects.flat) == np.bincount(result.objects.flat)).all()


def test_all_slices_share_one_range_of_brightness():
    pixels = np.full((3, 20, 20), 100, np.int16)
    pixels[:, :10], pixels[1], pixels[2, :10] = 50, 75, 0
    shown = facing(uh.read_image(pixels), 0)
    assert view(shown, 0)[0, 0, 0] == pytest.approx(int(view(shown, 1)[0, 0, 0]) * 50 / 75, abs=2)


def test_proportions_are_those_of_the_body(result):
    shapes = [view(facing(result, axis), 3).shape[:2] for axis in range(3)]
    for (height, width), (tall, wide) in zip(shapes, [(16, 12), (20, 12), (20, 16)]):  # mm
        assert height / width == pytest.approx(tall / wide, rel=0.01)
    assert view(facing(replace(result.image, spacing=None), 1), 3).shape[0] < shapes[1][0]


def test_centre_is_in_the_largest_object(result):
    z, y, x = centre(result)
    assert facing(result, 0).labels[z, y, x] == 2
    assert centre(result.image) == (5, 8, 6)
    nothing = replace(
        result,
        probabilities=np.eye(3, dtype=np.float32)[0][:, None, None, None] * np.ones((12, 16, 10)),
    )
    assert centre(nothing) == (5, 8, 6)


def test_amounts_in_ml_where_the_spacing_is_known(result):
    assert list(amounts(result)) == ["Anterior 0.016 mL", "Posterior 0.28 mL"]
    unknown = replace(result, image=replace(result.image, spacing=None))
    assert list(amounts(unknown)) == ["Anterior 8 voxels", "Posterior 140 voxels"]


def test_three_planes_cross_at_the_voxel_asked_for(result):
    figure = three_planes(
        result, at=(2, 13, 7)
    )  # x from the left, y from the back, z from the feet
    assert [ax.get_title() for ax in figure.axes] == [
        "Axial, slice 7",
        "Coronal, slice 2",
        "Sagittal, slice 9",
    ]
    for ax, (row, column) in zip(
        figure.axes, [(2.5, 9.5), (5, 9.5), (5, 2.5)]
    ):  # mm from the top, from the left
        assert ax.lines[0].get_ydata()[0] == pytest.approx(row)
        assert ax.lines[1].get_xdata()[0] == pytest.approx(column)
    assert [text.get_text() for text in figure.axes[2].texts] == list("APS")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(amounts(result))


@pytest.mark.parametrize("axes", ["YX", "YXC"])
def test_a_single_image_has_no_slices(axes):
    with pytest.raises(uh.ImageError, match="without slices"):
        three_planes(np.zeros((8, 8, 3)[: len(axes)], np.uint8))


def test_the_playground_shows_what_the_threshold_does(result):
    pytest.importorskip("ipywidgets")
    probabilities = np.random.default_rng(16).random((1, 40, 60)).astype(np.float32)
    flat = uh.Segmentation(
        uh.read_image(np.full((40, 60), 9, np.uint8)), uh.MODELS["lungs"], probabilities, 0.5
    )
    truth = np.ones((40, 60), np.uint8)
    choice, slider, pictures, words = playground(
        {"flat": flat, "volume": result}, {"flat": truth}
    ).children
    before, after = pictures.children
    assert slider.value == 0.5
    assert f"<b>{uh.dice(truth, flat.labels):.3f}</b>" in words.value
    seen = [after.value]
    slider.value = 0.8
    assert f"<b>{uh.dice(truth, replace(flat, threshold=0.8).labels):.3f}</b>" in words.value
    seen.append(after.value)
    choice.value = "volume"  # the threshold is that of the result again, and no truth is known
    assert slider.value == 0.5
    assert "Posterior 0.28 mL" in words.value
    assert "Dice" not in words.value
    seen.append(after.value)
    assert len(set(seen)) == 3
    assert before.value not in seen


def test_the_page_lies_in_the_notebook_and_asks_for_nothing(result):
    text = live(result).data
    assert text.startswith("<div><iframe")
    assert 'title="Hippocampus' in text
    page = text.split('srcdoc="', 1)[1].rsplit('"></iframe>', 1)[0]
    assert '"' not in page
    assert "<" not in page
    assert "default-src" in page


def test_gallery_has_three_a_row_with_names_and_numbers(result):
    image = np.random.default_rng(15).integers(0, 255, (40, 60), dtype=np.uint8)
    found = np.zeros((1, 40, 60), np.float32)
    found[0, 2:8, 2:8] = found[0, 20:30, 20:30] = found[0, 35:38, 50:55] = 1
    flat = uh.Segmentation(uh.read_image(image), uh.MODELS["lungs"], found, 0.5)
    figure = gallery([flat, result, flat, flat])
    titles = [ax.get_title() for ax in figure.axes]
    lungs = "array\nLung fields: 3 objects, median area 36 px,\ntotal area 151 px"  # of 36, 100 and 15 px
    assert titles[0] == titles[2] == titles[3]
    assert titles[4:] == ["", ""]
    assert titles[0].startswith(f"{lungs}, expected Dice ")
    assert titles[1] == "array, slice 4\nAnterior 0.016 mL, Posterior 0.28 mL"
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 3)
    assert len(gallery([flat]).axes) == 1
