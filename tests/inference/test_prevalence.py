"""Probabilities of a source that the network has not learnt from: shifted towards the usual share, and never far."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.places import ROOT
from scipy.special import logit

import unet_helpers as uh
from unet_helpers.images.image import from_array
from unet_helpers.inference import segment as inference
from unet_helpers.networks.cards import MODELS

CARD = MODELS["retinal_vessels"]
IMAGE = from_array(np.zeros((60, 80, 3), np.uint8))


@pytest.fixture
def shifted(monkeypatch):
    """The answer for (60, 80) probabilities whose top rows lie outside the field of view, at a distance."""

    def shifted(mean: float, away: float, card=CARD):
        monkeypatch.setattr(inference, "distances", lambda image: {card.name: away})
        odds = logit(mean) + 2 * np.random.default_rng(0).standard_normal((60, 80))
        before = (1 / (1 + np.exp(-odds))).astype(np.float32)
        before[:10] = 0
        return before, *inference.at_prevalence(before.copy(), IMAGE, card)

    return shifted


def test_an_image_like_those_learnt_from_is_left_as_it_is(shifted):
    before, after, notes = shifted(0.02, away=0.45)
    assert notes == ()
    assert np.array_equal(before, after)


def test_a_card_without_a_prevalence_is_left_as_it_is(shifted):
    before, after, notes = shifted(0.02, away=3.0, card=replace(CARD, prevalence=0.0))
    assert notes == ()
    assert np.array_equal(before, after)


@pytest.mark.parametrize("mean", [0.055, 0.045, 0.07])
def test_another_source_comes_to_the_usual_share(mean, shifted):
    before, after, notes = shifted(mean, away=0.7)
    near, far = abs(after[10:].mean() - CARD.prevalence), abs(before[10:].mean() - CARD.prevalence)
    assert near < 0.002 < far
    assert "in logit, towards 11% of vessel" in notes[0]
    assert (after[:10] == 0).all()
    assert after.dtype == np.float32


@pytest.mark.parametrize(("mean", "most"), [(0.003, 0.75), (0.6, -0.75)])
def test_but_no_further_than_most(mean, most, shifted):
    before, after, (note,) = shifted(mean, away=0.7)
    moved = logit(after[10:].astype(float)) - logit(before[10:].astype(float))
    np.testing.assert_allclose(moved, most, atol=2e-3)
    assert f"{most:+.2f}" in note


def test_half_as_strange_is_half_as_far(shifted):
    before, after, _ = shifted(0.003, away=0.5)
    moved = logit(after[10:].astype(float)) - logit(before[10:].astype(float))
    np.testing.assert_allclose(moved, 0.375, atol=2e-3)


def test_an_empty_or_full_answer_stays_finite(monkeypatch):
    monkeypatch.setattr(inference, "distances", lambda image: {CARD.name: 1.0})
    for value in (0.0, 1.0):
        after, _ = inference.at_prevalence(np.full((20, 20), value, np.float32), IMAGE, CARD)
        assert (after == value).all()


def test_segment_says_so_and_the_sample_is_familiar(monkeypatch):
    path = ROOT / "sample_images/retina.jpg"
    usual = uh.segment(path, "retinal_vessels", progress=False)
    assert not any("logit" in note for note in usual.image.notes)
    monkeypatch.setattr(inference, "distances", lambda image: {CARD.name: 1.0})
    strange = uh.segment(path, "retinal_vessels", progress=False)
    assert any("logit" in note for note in strange.image.notes)
    outside = usual.probabilities == 0
    assert outside.any()
    assert (strange.probabilities[outside] == 0).all()
    gap = [abs(r.probabilities[~outside].mean() - CARD.prevalence) for r in (usual, strange)]
    assert gap[1] < gap[0]


def test_a_fine_tuned_network_for_other_things_has_no_prevalence():
    from unet_helpers.training.finetune import new_card

    assert new_card(CARD, "disc", ("disc",), None).prevalence == 0
