"""Unusual statistics of an image do not count against an answer that is as good as is usual."""

from types import SimpleNamespace

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.checks.checks import distribution_warning
from unet_helpers.checks.expected_dice import ExpectedDice, calibrations, usual_dice
from unet_helpers.checks.likeness import Likeness, known_groups
from unet_helpers.doubt import Doubt, Unlikeness
from unet_helpers.inference.segment import reconsidered

CARD = uh.MODELS["em_membranes"]
ODD = Unlikeness("looks unlike the images")


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
