"""A view measures each thing once, and goes to other processes without copies of the pixels."""

import pickle

import numpy as np
import pytest
from helpers.drawn import head

import unet_helpers as uh
from unet_helpers.checks import view as module
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.images.image import MedicalImage

COUNTED = ("to_stack", "measure_likeness", "shows_something", "middle_slices")


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """The names of what was measured, in order."""
    calls = []

    def counted(name):
        measure = getattr(module, name)

        def call(*arguments):
            calls.append(name)
            return measure(*arguments)

        return call

    for name in COUNTED:
        monkeypatch.setattr(module, name, counted(name))
    return calls


def photograph() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)


def test_nothing_is_measured_before_it_is_asked_for(calls):
    View(from_array(photograph()))
    assert calls == []


def test_everything_is_measured_once(calls):
    view = View(from_array(photograph()))
    for _ in range(2):
        assert view.likeness.score("lungs") > 0
        assert view.shows_something
        assert len(view.stack.pixels) == len(view.frames) == 1
    assert sorted(calls) == sorted(COUNTED)


def test_fields_of_view_of_a_movie_are_those_of_its_frames(monkeypatch):
    asked = []

    def first_value(pixels):
        asked.append(int(pixels[0, 0]))
        return np.full(pixels.shape, pixels[0, 0] > 2)

    monkeypatch.setattr("unet_helpers.preprocessing.field_of_view.field_of_view", first_value)
    pixels = np.zeros((2, 3, 4, 5), np.uint8)
    pixels += np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1)
    view = View(MedicalImage(pixels, "TZYX"))
    assert [bool(view.field_of_view(i).all()) for i in range(6)] == [False] * 3 + [True] * 3
    assert bool(view.fields_of_view[1][2].all())
    assert asked == [0, 1, 2, 3, 4, 5]


def test_a_pickled_view_holds_its_likeness_but_no_copies():
    view = View(from_array(photograph()))
    score = view.likeness.score("lungs")
    assert view.fields_of_view[0][0].shape == (40, 50)
    other = pickle.loads(pickle.dumps(view))
    assert set(vars(other)) == {"image", "likeness"}
    assert other.likeness.score("lungs") == score
    np.testing.assert_array_equal(other.stack.pixels, view.stack.pixels)


def test_a_result_of_another_image_measures_anew():
    first = from_array(photograph())
    other = from_array(photograph())
    answer = np.zeros((1, 40, 50), np.float32)
    card = uh.MODELS["lungs"]
    view = View(first)
    same = uh.Segmentation(first, card, answer, threshold=0.5, measured=view)
    assert same.view is view
    changed = uh.Segmentation(other, card, answer, threshold=0.5, measured=view)
    assert changed.view.image is other


@pytest.mark.parametrize("value", [-32768, -1000])
def test_a_padded_head_is_as_usual_as_one_without(value):
    pixels = head("flair", 5).astype(np.int16)
    plain = View(from_array(pixels)).likeness.score("brain_flair")
    padded = np.pad(pixels, ((0, 0), (80, 80), (80, 80)), constant_values=value)
    assert View(from_array(padded)).likeness.score("brain_flair") == pytest.approx(plain)
