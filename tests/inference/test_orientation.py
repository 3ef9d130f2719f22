"""Crops of unknown orientation, and volumes of few slices."""

import nibabel as nib
import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.doubt import Doubt
from unet_helpers.images.stack import to_stack
from unet_helpers.inference.orientation import (
    AS_GIVEN,
    Turn,
    all_turns,
    axes_to_read,
    find_orientation,
    is_to_be_found,
    views_of,
)
from unet_helpers.results.metrics import dice

CROP = uh.sample("hippocampus_mni")
AXES = (0, 1, 2)


@pytest.fixture(scope="module")
def answer() -> np.ndarray:
    """The labels (X, Y, Z) of the crop, whose file says how it lies."""
    return uh.segment(CROP, "hippocampus", progress=False).labels


@pytest.mark.parametrize("turn", all_turns())
def test_turns_and_their_inverse(turn):
    pixels = np.arange(24.0).reshape(2, 3, 4)
    image = uh.MedicalImage(pixels, "ZYX", (3.0, 2.0, 1.0))
    turned = turn.of(to_stack(image))

    np.testing.assert_array_equal(turn.back(turned.pixels[None])[0], pixels)
    assert turned.spacing == tuple((3.0, 2.0, 1.0)[axis] for axis in turn.axes)


def test_no_two_turns_show_the_same():
    pixels = np.arange(24.0).reshape(2, 3, 4)
    stack = to_stack(uh.MedicalImage(pixels, "ZYX"))
    seen = {(turn.of(stack).pixels.shape, turn.of(stack).pixels.tobytes()) for turn in all_turns()}
    mirrored = {
        (turn.of(stack).pixels.shape, turn.of(stack).pixels[..., ::-1].tobytes())
        for turn in all_turns()
    }
    assert len(seen) == len(all_turns()) == 24
    assert not seen & mirrored


@pytest.mark.parametrize("turn", all_turns())
def test_views_are_slices_of_the_turned_stack(turn):
    stack = to_stack(uh.MedicalImage(np.arange(24.0).reshape(2, 3, 4), "ZYX"))
    turned = turn.of(stack).pixels
    axial, coronal, sagittal = (view.of(stack).pixels for view in views_of(turn))

    assert_same_slices(axial, turned)
    assert_same_slices(coronal, turned.transpose(1, 0, 2))
    assert_same_slices(sagittal, turned.transpose(2, 0, 1))


def assert_same_slices(slices: np.ndarray, expected: np.ndarray) -> None:
    """Assert that both hold the same slices; their order does not matter."""
    options = (expected, expected[::-1])
    assert any(np.array_equal(slices, option) for option in options)


@pytest.mark.parametrize(
    ("axes", "reversed_axes"),
    [((0, 1, 2), ()), ((2, 1, 0), (0,)), ((1, 2, 0), (1, 2))],
)
def test_an_array_is_read_as_it_lies(answer, axes, reversed_axes):
    # Without a header, as nibabel's get_fdata gives it, or turned and mirrored in any other way.
    pixels = np.flip(nib.load(CROP).get_fdata().transpose(axes), reversed_axes)
    result = uh.segment(np.ascontiguousarray(pixels), "hippocampus", progress=False)

    expected = np.flip(answer.transpose(axes), reversed_axes)
    assert dice(expected == 1, result.labels == 1) > 0.9
    assert dice(expected == 2, result.labels == 2) > 0.9

    # What is unlike the images of the network only as it was given is not doubted.
    assert result.warnings == ()


def test_a_mean_over_turned_copies_is_turned_alike():
    pixels = nib.load(CROP).get_fdata()
    once = uh.segment(pixels, "hippocampus", progress=False)
    mean = uh.segment(pixels, "hippocampus", flips=4, progress=False)
    assert once.image.notes == mean.image.notes


def test_a_zoom_counts_for_the_width_of_slices(answer):
    coarse = nib.load(CROP).get_fdata()[::2, ::2, ::2]
    result = uh.segment(coarse, "hippocampus", zoom=2, progress=False)
    assert dice(answer[::2, ::2, ::2] > 0, result.labels > 0) > 0.7


def test_a_movie_is_read_in_one_orientation(answer):
    pixels = nib.load(CROP).get_fdata()
    noise = np.random.default_rng(3).normal(0, 0.02 * pixels.max(), pixels.shape)
    movie = uh.MedicalImage(np.stack([pixels, pixels + noise]), "TZYX")
    result = uh.segment(movie, "hippocampus", progress=False)
    for labels in result.labels:
        assert dice(answer > 0, labels > 0) > 0.85


def test_the_spacing_of_a_slice_turns_with_it():
    stack = to_stack(uh.MedicalImage(np.zeros((5, 6)), "YX", (2.0, 1.0)))
    assert Turn((0, 2, 1)).of(stack).spacing == (1.0, 2.0)
    assert Turn((1, 0, 2)).of(stack).spacing is None
    assert Turn((0, 2, 1)).of(to_stack(uh.MedicalImage(np.zeros((5, 6)), "YX"))).spacing is None


def test_a_head_is_not_searched_for_its_orientation_here():
    head = to_stack(uh.MedicalImage(np.zeros((70, 80, 70)), "ZYX", (2.0, 2.0, 2.0)))
    assert not is_to_be_found(head, uh.MODELS["hippocampus"])
    crop = to_stack(uh.MedicalImage(np.zeros((40, 50, 40)), "ZYX", (1.0, 1.0, 1.0)))
    assert is_to_be_found(crop, uh.MODELS["hippocampus"])
    assert not is_to_be_found(crop, uh.MODELS["brain_flair"])


def test_what_was_assumed_is_a_note():
    pixels = nib.load(CROP).get_fdata()
    turned = uh.segment(pixels, "hippocampus", progress=False)
    assert any(
        "orientation unknown: its axes as displayed are read as (" in note
        for note in turned.image.notes
    )

    upright = uh.segment(to_stack(uh.read_image(CROP)).pixels, "hippocampus", progress=False)
    assert not any("orientation unknown" in note for note in upright.image.notes)


def test_the_order_of_a_file_that_tells_it_stays(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("an orientation was searched")

    monkeypatch.setattr("unet_helpers.inference.prediction.find_orientation", refuse)
    uh.segment(CROP, "hippocampus", progress=False)


def test_a_turned_slice_is_doubted(answer):
    widest = int(np.argmax((answer > 0).sum((1, 2))))
    sagittal = nib.load(CROP).get_fdata()[widest].T[::-1]  # the head up, as viewers show it
    result = uh.segment(np.ascontiguousarray(sagittal), "hippocampus", progress=False)

    (warning,) = [text for text in result.warnings if "may lie otherwise" in text]
    assert isinstance(warning, Doubt)
    assert "-y down" in warning


def test_a_slice_as_it_was_learnt_has_a_note():
    middle = to_stack(uh.read_image(CROP)).pixels[20]
    result = uh.segment(np.ascontiguousarray(middle), "hippocampus", progress=False)
    assert any("read as axial slices with the front up" in note for note in result.image.notes)
    assert not [text for text in result.warnings if "otherwise" in text]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 4])
def test_few_slices_are_read_along_their_own_axis(answer, tmp_path, axis, count):
    others = tuple(other for other in range(3) if other != axis)
    first = int(np.argmax((answer > 0).sum(others)))
    few = tuple(slice(first, first + count) if i == axis else slice(None) for i in range(3))
    nib.save(nib.load(CROP).slicer[few], tmp_path / "few.nii.gz")

    result = uh.segment(tmp_path / "few.nii.gz", "hippocampus", progress=False)
    assert dice(answer[few] > 0, result.labels > 0) > 0.85


def test_axes_of_wide_slices():
    assert axes_to_read((40, 48, 36), AXES) == AXES
    assert axes_to_read((24, 48, 36), AXES) == AXES
    assert axes_to_read((23, 48, 36), AXES) == (0,)
    assert axes_to_read((48, 5, 36), AXES) == (1,)
    assert axes_to_read((5, 6, 7), AXES) == (0,)
    assert axes_to_read((1, 1, 7), AXES) == (0,)
    assert axes_to_read((17, 26, 18), AXES, zoom=2) == AXES
    assert axes_to_read((9, 9, 9), AXES) == AXES
    assert axes_to_read((40, 5, 36), (0,)) == (0,)


def seen_rightly_in(true_turn: Turn, strength: float = 1.0):
    """Return a ``See`` that finds one voxel in views of a true turn, and others in others."""
    right = list(views_of(true_turn))

    def see(view: Turn) -> np.ndarray:
        answers = np.zeros((1, 4, 4, 4))
        if view in right:
            answers[0, 0, 0, 0] = strength
        else:
            place = 1 + hash(view) % 60
            answers.reshape(-1)[place] = 1.0
        return answers

    return see


@pytest.mark.parametrize("turn", all_turns())
def test_the_orientation_in_which_all_axes_agree(turn):
    orientation = find_orientation(AXES, seen_rightly_in(turn, 1.5))
    assert orientation.turn == turn


def test_clear_agreement_needs_no_other_views():
    seen = []

    def see(view: Turn) -> np.ndarray:
        seen.append(view)
        return np.ones((1, 2, 2, 2))

    assert find_orientation(AXES, see).turn == AS_GIVEN
    assert seen == list(views_of(AS_GIVEN))


def test_where_no_turn_is_likelier_a_stack_stays_as_it_is_and_is_doubted():
    orientation = find_orientation(AXES, lambda view: np.zeros((1, 2, 2, 2)))
    assert orientation.turn == AS_GIVEN
    (doubt,) = orientation.doubts
    assert "orientation unknown" in doubt
