"""Probabilities of an unfamiliar source: shifted towards the usual share, and never far."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.places import ROOT
from scipy.special import expit, logit

import unet_helpers as uh
from unet_helpers.checks.likeness import Likeness
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.inference.prediction import VolumePrediction
from unet_helpers.inference.prevalence import match_prevalence, shift_towards_prevalence
from unet_helpers.networks.cards import MODELS, ModelCard

CARD = MODELS["retinal_vessels"]


def view_at(distance: float, card: ModelCard = CARD) -> View:
    """A view of an image at that distance from the card's."""
    view = View(from_array(np.zeros((60, 80, 3), np.uint8)))
    view.__dict__["likeness"] = Likeness({card.name: distance})
    return view


def answer(mean: float) -> np.ndarray:
    """(60, 80) probabilities around a mean, whose top rows lie outside the field of view."""
    odds = logit(mean) + 2 * np.random.default_rng(0).standard_normal((60, 80))
    probabilities = (1 / (1 + np.exp(-odds))).astype(np.float32)
    probabilities[:10] = 0
    return probabilities


def shifted(before: np.ndarray, distance: float, card: ModelCard = CARD):
    """The probabilities at that distance, and the notes."""
    prediction = VolumePrediction(before[None].copy(), spread=None, zoom=1.0, notes=("first",))
    after = match_prevalence(prediction, card, view_at(distance, card))
    assert after.notes[0] == "first"
    return after.probabilities[0], after.notes[1:]


def test_an_image_like_those_learnt_from_is_left_as_it_is():
    before = answer(0.02)
    after, notes = shifted(before, distance=0.45)
    assert notes == ()
    assert np.array_equal(before, after)


def test_a_card_without_a_prevalence_is_left_as_it_is():
    before = answer(0.02)
    after, notes = shifted(before, distance=3.0, card=replace(CARD, prevalence=0.0))
    assert notes == ()
    assert np.array_equal(before, after)


@pytest.mark.parametrize("mean", [0.055, 0.045, 0.07])
def test_another_source_comes_to_the_usual_share(mean):
    before = answer(mean)
    after, notes = shifted(before, distance=0.7)
    missed_before = abs(before[10:].mean() - CARD.prevalence)
    missed_after = abs(after[10:].mean() - CARD.prevalence)
    assert missed_after < 0.002 < missed_before
    assert "in logit, towards 11% of vessel" in notes[0]
    assert (after[:10] == 0).all()
    assert after.dtype == np.float32


@pytest.mark.parametrize(("mean", "most"), [(0.003, 0.75), (0.6, -0.75)])
def test_but_no_further_than_the_largest_shift(mean, most):
    before = answer(mean)
    after, (note,) = shifted(before, distance=0.7)
    moved = logit(after[10:].astype(float)) - logit(before[10:].astype(float))
    np.testing.assert_allclose(moved, most, atol=2e-3)
    assert f"{most:+.2f}" in note


def test_half_as_strange_is_half_as_far():
    before = answer(0.003)
    after, _ = shifted(before, distance=0.5)
    moved = logit(after[10:].astype(float)) - logit(before[10:].astype(float))
    np.testing.assert_allclose(moved, 0.375, atol=2e-3)


@pytest.mark.parametrize(("shift", "is_made"), [(0.049, False), (0.051, True), (-0.051, True)])
def test_a_shift_that_is_hardly_seen_is_not_made(shift, is_made):
    odds = np.full((60, 80), logit(CARD.prevalence) - shift)
    _, notes = shifted(expit(odds).astype(np.float32), distance=1.0)
    assert bool(notes) == is_made


def test_the_shift_is_the_difference_in_logit_of_equal_probabilities():
    probabilities = np.full(100, 0.2, np.float32)
    shift = shift_towards_prevalence(probabilities, 0.25, distance=1.0)
    assert shift == pytest.approx(logit(0.25) - logit(0.2), abs=1e-6)
    assert shift_towards_prevalence(probabilities, 0.25, distance=0.45) == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_or_full_answer_stays_finite(value):
    after, _ = shifted(np.full((20, 20), value, np.float32), distance=1.0)
    assert (after == value).all()


def test_segment_says_so_and_the_sample_is_familiar(monkeypatch):
    path = ROOT / "sample_images/retina.jpg"
    usual = uh.segment(path, "retinal_vessels", progress=False)
    assert not any("logit" in note for note in usual.image.notes)

    strange_distances = {**usual.view.likeness.distances, CARD.name: 1.0}
    strange_likeness = Likeness(strange_distances)
    monkeypatch.setattr(
        "unet_helpers.checks.view.measure_likeness", lambda overviews: strange_likeness
    )
    strange = uh.segment(path, "retinal_vessels", progress=False)
    assert any("logit" in note for note in strange.image.notes)
    outside = usual.probabilities == 0
    assert outside.any()
    assert (strange.probabilities[outside] == 0).all()
    usual_gap = abs(usual.probabilities[~outside].mean() - CARD.prevalence)
    strange_gap = abs(strange.probabilities[~outside].mean() - CARD.prevalence)
    assert strange_gap < usual_gap


def test_a_fine_tuned_network_for_other_things_has_no_prevalence():
    from unet_helpers.training.new_task import new_card

    assert new_card(CARD, "disc", ("disc",), None).prevalence == 0
