"""The pieces of the search for small structures, on synthetic volumes and without SimpleITK."""

from dataclasses import replace

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.doubt import Doubt
from unet_helpers.images.stack import Stack, to_stack
from unet_helpers.inference import localise
from unet_helpers.inference.boxes import Box, answer_of_structure, look_at_box
from unet_helpers.inference.localise import (
    TEMPLATES,
    BoxPlacement,
    place_boxes,
    predict_boxes,
    register_head,
    template_positions,
)
from unet_helpers.inference.registration import Placement, Registration
from unet_helpers.networks.anatomy import ExpectedParts
from unet_helpers.preprocessing.resample import Grid

CARD = uh.MODELS["hippocampus"]

# A card of two structures that lie in boxes of 8 x 8 x 8 voxels, of 2 mm.
SMALL_ENTRY = replace(CARD.localise, box=(8, 8, 8))
SMALL_CARD = replace(
    CARD,
    localise=SMALL_ENTRY,
    preprocessing=replace(CARD.preprocessing, spacing=2.0),
    expected_parts=(ExpectedParts("cube", volumes=(0.1, 1.0)),),
)


def blobs(*corners: tuple[int, int, int], fainter: float = 1.0) -> Stack:
    """A stack of 40 x 40 x 40 voxels of 2 mm with cubes of 4 voxels, the last one fainter."""
    pixels = np.zeros((40, 40, 40), np.float32)
    for z, y, x in corners:
        pixels[z : z + 4, y : y + 4, x : x + 4] = 1.0
    z, y, x = corners[-1]
    pixels[z : z + 4, y : y + 4, x : x + 4] *= fainter
    return to_stack(uh.MedicalImage(pixels, "ZYX", (2.0, 2.0, 2.0)))


class BrightIsAnterior:
    """Stands for the network: what is bright is the first class; remembers what it was asked."""

    def __init__(self) -> None:
        self.axes: list[tuple[int, ...] | None] = []

    def __call__(self, pixels: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
        self.axes.append(axes)
        bright = pixels.clip(0, 1)
        return np.stack([1 - bright, bright, 0 * bright]).astype(np.float32)


def box_with(foreground: np.ndarray, structure: np.ndarray) -> Box:
    """A box (z, y, x) with an answer of background, anterior and posterior."""
    grid = Grid.around((10, 10, 10), foreground.shape, np.eye(3))
    answer = np.stack([1 - foreground, foreground, 0 * foreground]).astype(np.float32)
    return Box(grid=grid, pixels=foreground, answer=answer, structure=structure)


def placed_at(monkeypatch, *centres: tuple[float, float, float]) -> None:
    """Let boxes lie at voxels (z, y, x), without a registration."""
    placement = BoxPlacement(
        centres=[np.array(centre) for centre in centres],
        directions=np.eye(3),
        warnings=("of the registration",),
    )
    monkeypatch.setattr(localise, "place_boxes", lambda stack, entry: placement)
    monkeypatch.setattr(localise, "distribution_warning", lambda *arguments: None)


def test_boxes_are_centred_on_what_is_found_in_them(monkeypatch):
    placed_at(monkeypatch, (10, 10, 10), (30, 30, 30))
    stack = blobs((8, 9, 10), (27, 29, 30))
    boxes = predict_boxes(stack, SMALL_CARD, BrightIsAnterior())
    assert boxes.places["left"] == pytest.approx((9.5, 10.5, 11.5))
    assert boxes.places["right"] == pytest.approx((28.5, 30.5, 31.5))


def test_a_box_is_looked_at_twice_along_one_axis_and_then_along_all(monkeypatch):
    placed_at(monkeypatch, (10, 10, 10), (30, 30, 30))
    network = BrightIsAnterior()
    predict_boxes(blobs((8, 8, 8), (28, 28, 28)), SMALL_CARD, network)
    assert network.axes == [(0,), (0,), None] * 2


def test_a_box_is_as_large_as_the_card_says_to_the_right_front_and_head():
    card = replace(SMALL_CARD, localise=replace(SMALL_ENTRY, box=(8, 10, 12)))
    centre = np.array([20, 20, 20])
    box = look_at_box(blobs((8, 8, 8)), card, BrightIsAnterior(), centre, np.eye(3), axes=None)
    assert box.pixels.shape == (12, 10, 8)


def test_a_structure_is_where_the_threshold_is_reached():
    def half(pixels: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
        foreground = np.zeros(pixels.shape, np.float32)
        foreground[2, 3, 4] = 0.5
        return np.stack([1 - foreground, foreground, 0 * foreground])

    centre = np.array([20, 20, 20])
    box = look_at_box(blobs((8, 8, 8)), SMALL_CARD, half, centre, np.eye(3), axes=None)
    assert np.argwhere(box.structure).tolist() == [[2, 3, 4]]


def test_the_answer_is_that_of_the_boxes_and_background_elsewhere(monkeypatch):
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (29.5, 29.5, 29.5))
    stack = blobs((8, 8, 8), (28, 28, 28))
    boxes = predict_boxes(stack, SMALL_CARD, BrightIsAnterior())
    assert boxes.probabilities.shape == (3, 40, 40, 40)
    np.testing.assert_allclose(boxes.probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(boxes.probabilities[1], stack.pixels, atol=0.02)
    assert not boxes.probabilities[2].any()
    assert boxes.zoom == 1.0  # voxels of 2 mm as the network sees them
    assert boxes.warnings == ("of the registration",)


def test_the_zoom_is_that_from_the_stack_to_the_boxes(monkeypatch):
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (29.5, 29.5, 29.5))
    stack = blobs((8, 8, 8), (28, 28, 28))
    finer = replace(SMALL_CARD, preprocessing=replace(CARD.preprocessing, spacing=1.0))
    assert predict_boxes(stack, finer, BrightIsAnterior()).zoom == 2.0


def test_of_two_structures_in_a_box_the_larger_one_stays(monkeypatch):
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (29.5, 29.5, 29.5))
    stack = blobs((8, 8, 8), (28, 28, 28))
    stack.pixels[26, 26, 26] = 1.0  # a speck in the second box
    boxes = predict_boxes(stack, SMALL_CARD, BrightIsAnterior())
    assert boxes.probabilities[1, 28:32, 28:32, 28:32].min() > 0.9
    assert boxes.probabilities[1, 26, 26, 26] == 0


def test_the_middle_of_a_structure_is_that_of_its_extent():
    structure = np.zeros((8, 10, 12), bool)
    structure[1, 2, 3] = True
    structure[1, 2:5, 7] = True
    box = box_with(structure.astype(float), structure)
    assert box.middle_of_structure.tolist() == [1 - 3.5, 3 - 4.5, 5 - 5.5]
    empty = box_with(structure * 0.0, structure & False)
    assert empty.middle_of_structure is None


def test_what_is_connected_to_a_structure_belongs_to_it_down_to_a_fifth_of_the_threshold():
    foreground = np.zeros((5, 6, 12))
    foreground[2, 2, :4] = 0.9  # the structure
    foreground[2, 2, 4:6] = 0.2  # fainter, connected
    foreground[3, 3, 6] = 0.12  # across a corner
    foreground[3, 3, 7] = 0.08  # too faint
    foreground[3, 3, 9:] = 0.3  # bright enough, but connected to nothing
    box = box_with(foreground, foreground > 0.5)
    difference = answer_of_structure(box, CARD)
    kept = foreground.copy()
    kept[3, 3, 7:] = 0
    np.testing.assert_allclose(difference[1], kept, atol=1e-6)
    np.testing.assert_allclose(difference[0], -kept, atol=1e-6)
    assert box.answer[0].max() == 1  # the box keeps its answer


def test_the_spread_over_copies_is_left_out_and_a_binary_answer_has_no_background():
    foreground = np.full((3, 3, 3), 0.8)
    box = box_with(foreground, foreground > 0.5)
    binary = replace(CARD, out_channels=1, classes=("hippocampus",), colors=("#E69F00",))
    only = replace(box, answer=np.stack([foreground, 0 * foreground + 0.1]))
    np.testing.assert_allclose(
        answer_of_structure(replace(only, answer=only.answer[:1]), binary), [foreground]
    )
    more = replace(box, answer=np.concatenate([box.answer, box.answer[:1]]))
    assert answer_of_structure(more, CARD).shape == (3, 3, 3, 3)


def test_a_class_and_its_background_are_told_apart_as_several_classes_are(monkeypatch):
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (29.5, 29.5, 29.5))
    stack = blobs((8, 8, 8), (28, 28, 28))
    two = replace(SMALL_CARD, out_channels=2, classes=("hippocampus",), colors=("#E69F00",))
    boxes = predict_boxes(stack, two, lambda pixels, axes: BrightIsAnterior()(pixels, axes)[:2])
    np.testing.assert_allclose(boxes.probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(boxes.probabilities[1], stack.pixels, atol=0.02)


def test_positions_in_the_template_are_counted_from_the_left_and_the_back():
    affine = np.array([[2.0, 0, 0, -10], [0, 3, 0, -30], [0, 0, 4, -40], [0, 0, 0, 1]])
    image = uh.MedicalImage(np.zeros((11, 21, 31), np.float32), "XYZ", (2.0, 3.0, 4.0), affine)
    entry = replace(CARD.localise, centres=((-8.0, -24.0, -28.0), (10.0, 30.0, 0.0)))
    positions = template_positions(image, entry)
    np.testing.assert_allclose(positions, [[9 * 2, 18 * 3, 3 * 4], [0, 0, 10 * 4]])


def test_boxes_are_placed_in_voxels_of_the_stack_and_are_not_sheared(monkeypatch):
    sheared = np.array([[1.0, 0.3, 0], [0, 1.1, 0], [0, 0, 0.9]])
    placed = Placement(matrix=sheared, shift=np.array([1.0, 2, 3]))
    found = Registration(placed, information=1.0, coverage=1.0)
    monkeypatch.setattr(localise.Pairs, "of", lambda *arguments: None)
    monkeypatch.setattr(localise, "register", lambda *arguments: found)
    stack = to_stack(uh.MedicalImage(np.zeros((9, 9, 9)), "ZYX", (4.0, 2.0, 1.0)))
    placement = place_boxes(stack, CARD.localise)

    template = uh.read_image(TEMPLATES / CARD.localise.template)
    x, y, z = (template_positions(template, CARD.localise) @ sheared.T + [1, 2, 3]).T
    np.testing.assert_allclose(placement.centres, np.stack([z / 4, y / 2, x], axis=1))
    directions = placement.directions
    np.testing.assert_allclose(directions @ directions.T, np.eye(3), atol=1e-12)
    # By about 8 degrees about z, as the shear; axes are (z, y, x).
    assert directions[0, 0] == pytest.approx(1)
    assert directions[2, 1] == pytest.approx(0.3 / np.hypot(2.1, 0.3))
    assert directions[1, 2] == pytest.approx(-0.3 / np.hypot(2.1, 0.3))


@pytest.mark.parametrize(
    ("as_told", "turned", "chosen", "words"),
    [
        (0.5, 9.0, 0.5, []),
        (0.35, 9.0, 0.35, []),
        (0.34, 0.4, 0.34, []),
        (0.34, 0.42, 0.42, ["otherwise than its file says"]),
        (0.2, 0.2, 0.2, []),
        (0.19, 0.2, 0.19, ["hardly like a head (mutual information with the template 0.19"]),
        (0.1, 0.19, 0.19, ["otherwise than its file says", "hardly like a head"]),
    ],
)
def test_other_orientations_are_tried_where_a_head_fits_badly(
    as_told, turned, chosen, words, monkeypatch
):
    def register(pairs, rotations):
        information = as_told if len(rotations) == 1 else turned
        return Registration(Placement(matrix=rotations[0], shift=np.zeros(3)), information, 1.0)

    monkeypatch.setattr(localise, "register", register)
    registration, warnings = register_head(None)
    assert registration.information == chosen
    assert len(warnings) == len(words)
    for warning, part in zip(warnings, words, strict=True):
        assert part in warning


def test_24_rotations_bring_the_axes_onto_each_other():
    rotations = localise.right_angle_rotations()
    assert len({tuple(rotation.ravel()) for rotation in rotations}) == 24
    assert all(np.linalg.det(rotation) == pytest.approx(1) for rotation in rotations)
    assert set(np.unique(rotations)) == {-1.0, 0.0, 1.0}


def test_a_runaway_on_one_side_leaves_the_other_as_it_is(monkeypatch):
    """All of the second box is bright, as in a cavity that the network fills."""
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (29.5, 29.5, 29.5))
    stack = blobs((8, 8, 8), (28, 28, 28))
    stack.pixels[20:40, 20:40, 20:40] = 1.0
    stack.pixels[20:30, 20:30, 20:30] = 0.9
    boxes = predict_boxes(stack, SMALL_CARD, BrightIsAnterior())
    assert list(boxes.places) == ["left"]
    assert boxes.probabilities[1, 8:12, 8:12, 8:12].min() > 0.9
    assert boxes.probabilities[1, 20:].max() == 0
    (words,) = boxes.warnings[1:]
    assert isinstance(words, Doubt)
    assert words.startswith("right: not given, as ")


def test_what_is_as_dark_as_fluid_is_not_given(monkeypatch):
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (29.5, 29.5, 29.5))

    def dark_is_anterior(pixels, axes):
        return BrightIsAnterior()(1 - pixels, axes)

    stack = blobs((8, 8, 8), (28, 28, 28))
    stack = replace(stack, pixels=1 - stack.pixels)
    boxes = predict_boxes(stack, SMALL_CARD, dark_is_anterior)
    assert boxes.places == {}
    assert (boxes.probabilities[0] == 1).all()
    assert "nothing is given" in boxes.warnings[0]
    assert (
        "left: not given, as what the network finds there is as dark as fluid" in boxes.warnings[2]
    )


def test_a_side_outside_of_the_image_is_not_given(monkeypatch):
    placed_at(monkeypatch, (9.5, 9.5, 9.5), (9.5, 9.5, 41.0))
    boxes = predict_boxes(blobs((8, 8, 8)), SMALL_CARD, BrightIsAnterior())
    assert list(boxes.places) == ["left"]
    assert boxes.warnings[1:] == ("right: not whole in the image, so not given",)


def test_a_volume_of_unknown_spacing_is_refused_in_words():
    stack = replace(blobs((8, 8, 8)), spacing=None)
    boxes = predict_boxes(stack, SMALL_CARD, BrightIsAnterior())
    assert boxes.places == {}
    assert (boxes.probabilities[0] == 1).all()
    (words,) = boxes.warnings
    assert isinstance(words, Doubt)
    assert "Pass spacing=" in words


@pytest.mark.parametrize("scale", [0.6, 1.4])
def test_a_head_of_another_size_is_refused_in_words(scale, monkeypatch):
    placed = Placement(matrix=scale * np.eye(3), shift=np.zeros(3))
    monkeypatch.setattr(localise.Pairs, "of", lambda *arguments: None)
    monkeypatch.setattr(
        localise, "register", lambda *arguments: Registration(placed, 1.0, coverage=1.0)
    )
    boxes = predict_boxes(blobs((8, 8, 8)), SMALL_CARD, BrightIsAnterior())
    assert boxes.places == {}
    (words,) = boxes.warnings
    assert f"{scale:.2f} times as large as an adult's" in words


@pytest.mark.parametrize(
    ("shape", "spacing", "wanted"),
    [
        ((48, 64, 48), (1, 1, 1), False),  # as the crops that were learnt
        ((60, 200, 60), (1, 1, 1), False),
        ((61, 61, 20), (1, 1, 1), True),
        ((60, 180, 220), (1, 1, 1), True),  # a slab
        ((30, 30, 30), (2.1, 2.1, 2.1), True),
        ((100, 100, 100), (0.5, 0.5, 0.5), False),
        ((100, 100, 100), None, True),
        ((1, 256, 256), None, False),  # a single slice
        ((1, 256, 256), (1, 1), False),
    ],
)
def test_what_is_longer_than_60_mm_along_two_axes_is_more_than_a_crop(shape, spacing, wanted):
    stack = Stack(uh.MedicalImage(np.zeros(shape), "ZYX"), np.zeros(shape), spacing)
    assert CARD.localise.wanted(stack) is wanted
