"""How good an answer probably is: one sentence, one colour and one number, the same everywhere."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.checks.expected_dice import ExpectedDice, usual_dice
from unet_helpers.doubt import Doubt
from unet_helpers.palette import TEXT_DOUBTFUL, TEXT_LOWER, TEXT_UNKNOWN, TEXT_USUAL
from unet_helpers.results.assessment import Level, assess
from unet_helpers.shell.segment import print_summary

USUAL = usual_dice(uh.MODELS["lungs"])


def lungs_answer(*warnings: str, mask: bool = True) -> uh.Segmentation:
    probabilities = np.zeros((1, 40, 40), np.float32)
    probabilities[0, 10:30, 5:35] = mask
    pixels = np.random.default_rng(0).integers(0, 200, (40, 40), np.uint8)
    image = uh.MedicalImage(pixels, "YX")
    return uh.Segmentation(
        image, uh.MODELS["lungs"], probabilities, threshold=0.5, warnings=warnings
    )


def with_expected(value: float) -> uh.Segmentation:
    result = lungs_answer()
    result.__dict__["expected_dice"] = ExpectedDice(value, value - 0.1, value + 0.02)
    return result


def test_a_doubt_withholds_the_expected_dice_and_is_the_reason():
    result = lungs_answer("it is small", Doubt("it is no X-ray"), Doubt("nor a chest"))
    assert result.expected_dice is None
    assert result.expected_dice_reason == "it is no X-ray"
    assert result.assessment.sentence == "expected Dice withheld: it is no X-ray"
    assert result.assessment.level is Level.DOUBTFUL


def test_other_warnings_withhold_nothing():
    result = lungs_answer("it is small")
    assert result.expected_dice is not None
    assert result.expected_dice_reason == ""


def test_an_empty_answer_has_no_expected_dice():
    result = lungs_answer(mask=False)
    assert result.expected_dice is None
    assert result.assessment.sentence == "expected Dice withheld: nothing was found"


def test_nothing_is_known_of_an_own_network():
    result = replace(lungs_answer(), card=make_network(1).card)
    assert result.expected_dice is None
    assert "was not measured" in result.expected_dice_reason
    assert result.assessment.level is Level.UNKNOWN


@pytest.mark.parametrize(
    ("value", "level", "colour", "words"),
    [
        (USUAL, Level.USUAL, TEXT_USUAL, "as is usual for lungs"),
        (USUAL - 0.04, Level.USUAL, TEXT_USUAL, "as is usual for lungs"),
        (USUAL - 0.06, Level.LOWER, TEXT_LOWER, "lower than is usual for lungs"),
        (0.7 * USUAL, Level.DOUBTFUL, TEXT_DOUBTFUL, "look at it with doubt"),
    ],
)
def test_the_number_is_compared_with_what_is_usual(value, level, colour, words):
    assessment = assess(with_expected(value))
    assert assessment.level is level
    assert assessment.colour == colour
    assert words in assessment.sentence
    low, high = value - 0.1, value + 0.02
    assert f"expected Dice {value:.2f} ({low:.2f} to {high:.2f})" == assessment.number


def luminance(colour: str) -> float:
    """Relative luminance of '#RRGGBB' (WCAG 2.2)."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", [TEXT_USUAL, TEXT_LOWER, TEXT_DOUBTFUL, TEXT_UNKNOWN])
def test_the_colours_can_be_read_on_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) > 4.5


def test_it_is_the_same_sentence_wherever_an_answer_appears(tmp_path):
    table = uh.segment_folder(uh.sample("fluorescence"), "lungs", tmp_path, progress=False)
    result = uh.segment(table["input"][0], "lungs", progress=False)
    sentence = result.assessment.sentence
    assert sentence.startswith("expected Dice withheld: looks unlike the images")

    assert sentence in repr(result)
    assert sentence in result.report(tmp_path / "a.html").read_text("utf-8").replace("&#39;", "'")
    assert sentence in " ".join(uh.show(result).get_supxlabel().split())
    assert table["assessment"][0] == sentence
    summary = pd.read_csv(tmp_path / "summary.csv", keep_default_na=False)
    assert summary["assessment"][0] == sentence


def test_the_table_of_the_shell_has_the_number_with_its_interval(tmp_path, capsys):
    table = uh.segment_folder(uh.sample("fluorescence"), "nuclei", tmp_path, progress=False)
    print_summary(table, tmp_path / "summary.csv")
    result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
    assert result.assessment.number in capsys.readouterr().out


def test_a_doubt_is_still_one_on_the_way_between_processes():
    result = pickle.loads(pickle.dumps(lungs_answer(Doubt("it is no X-ray"))))
    assert result.expected_dice is None
    assert replace(result, threshold=0.4).expected_dice is None
