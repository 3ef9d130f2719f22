"""Unusual statistics of an image do not count against an answer that is as good as is usual."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.checks.checks import distribution_warning
from unet_helpers.checks.expected_dice import ExpectedDice, calibrations, usual_dice
from unet_helpers.checks.likeness import Likeness, known_groups
from unet_helpers.checks.view import LEAST_SIDE_SEEN, View
from unet_helpers.doubt import Doubt, OtherKind, Unlikeness
from unet_helpers.images.arrays import from_array
from unet_helpers.inference.segment import reconsidered

CARD = uh.MODELS["em_membranes"]
NUCLEI = uh.MODELS["nuclei"]
ODD = Unlikeness("looks unlike the images")
OTHER_KIND = OtherKind("looks like cells")


def answer(*warnings: str, card: uh.ModelCard = CARD) -> uh.Segmentation:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    probabilities = np.zeros((card.out_channels, 40, 40), np.float32)
    probabilities[-1, ::4] = 1
    probabilities[0] = 1 - probabilities[-1] if card.out_channels > 1 else probabilities[0]
    image = uh.MedicalImage(pixels, "YX")
    return uh.Segmentation(image, card, probabilities, threshold=0.5, warnings=warnings)


@pytest.fixture
def expect(monkeypatch):
    """Set the Dice that is expected of every answer."""

    def set_to(value: float) -> None:
        monkeypatch.setattr(
            "unet_helpers.checks.expected_dice.expected_dice",
            lambda *arguments: ExpectedDice(value, value - 0.1, value + 0.1),
        )

    return set_to


def test_the_doubt_is_dropped_with_a_note_if_the_answer_is_good(expect):
    expect(usual_dice(CARD))
    result = reconsidered(answer("it is small", ODD))
    assert result.warnings == ("it is small",)
    assert "statistics are unusual" in result.image.notes[-1]
    assert result.expected_dice is not None


def test_the_doubt_stays_if_the_answer_is_not_good(expect):
    expect(0.5 * usual_dice(CARD))
    result = reconsidered(answer(ODD))
    assert result.warnings == (ODD,)
    assert result.expected_dice is None


def test_any_other_doubt_stays(expect):
    expect(usual_dice(CARD))
    other = Doubt("it is an angiogram")
    assert reconsidered(answer(other)).warnings == (other,)
    assert reconsidered(answer(other, ODD)).expected_dice is None


def test_a_card_that_knows_no_other_kinds_keeps_the_doubt(expect):
    unfitted = next(uh.MODELS[name] for name, x in calibrations().items() if not x.outweighs_from)
    expect(0.9)
    assert reconsidered(answer(ODD, card=unfitted)).warnings == (ODD,)


@pytest.mark.parametrize(
    ("near", "kind"), [({}, Unlikeness), ({"lungs": 0.5}, Doubt), ({"lungs inverted": 0.9}, Doubt)]
)
def test_an_image_that_another_kind_claims_is_doubted_for_good(near, kind):
    distances = dict.fromkeys(known_groups(), 9.0) | near
    view = SimpleNamespace(likeness=Likeness(distances), image=SimpleNamespace(channels=1))
    warning = distribution_warning(view, CARD)
    assert type(warning) is kind


@pytest.mark.parametrize(
    ("zoom", "score", "is_dropped"), [(0.15, 0.4, True), (0.15, 1.2, False), (0.8, 0.4, False)]
)
def test_what_is_usual_at_the_zoom_of_the_network_is_not_doubted(
    zoom, score, is_dropped, expect, monkeypatch
):
    expect(0.95)  # which does not outweigh that it is of another kind
    seen = SimpleNamespace(score=lambda card: score)
    monkeypatch.setattr(View, "likeness_at", lambda view, zoom: seen)
    result = reconsidered(replace(answer(OTHER_KIND, card=NUCLEI), zoom=zoom))
    assert (result.warnings == ()) is is_dropped
    assert ("usual at the zoom of 0.15" in " ".join(result.image.notes)) is is_dropped


def test_a_card_of_a_fixed_scale_knows_its_zoom_before(expect, monkeypatch):
    expect(0.5 * usual_dice(CARD))
    monkeypatch.setattr(View, "likeness_at", lambda view, zoom: pytest.fail("measured"))
    assert reconsidered(replace(answer(ODD), zoom=0.2)).warnings == (ODD,)


def test_the_likeness_is_that_of_the_image_made_smaller():
    pixels = uh.read_image(uh.sample("fluorescence")).pixels
    smaller = cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_AREA)
    found = View(from_array(pixels)).likeness_at(0.5)
    assert found.score("nuclei") == pytest.approx(
        View(from_array(smaller)).likeness.score("nuclei"), abs=0.05
    )
    assert View(from_array(pixels)).likeness_at(0.99 * LEAST_SIDE_SEEN / 512) is None


def test_nuclei_at_another_magnification_are_not_doubted():
    """Of 30 good fields of another laboratory, 29 were warned of."""
    pixels = uh.read_image(uh.sample("fluorescence")).pixels[300:450, 300:450]
    large = cv2.resize(pixels, None, fx=7, fy=7, interpolation=cv2.INTER_CUBIC)
    assert isinstance(distribution_warning(View(from_array(large)), NUCLEI), OtherKind)
    result = uh.segment(large, "nuclei", flips=1, progress=False)
    assert result.warnings == ()
    assert "usual at the zoom" in result.image.notes[-1]
    assert result.expected_dice is not None
