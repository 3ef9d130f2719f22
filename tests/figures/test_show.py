"""A result beside its image and against the truth, and the words above it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.volumes import hippocampus_result

import unet_helpers as uh
from unet_helpers.doubt import Doubt
from unet_helpers.figures.layout import describe, headline, panels
from unet_helpers.figures.show import compare, show
from unet_helpers.palette import FALSE_ALARM, HIT, MISS, TEXT_DOUBTFUL


def result_of(mask: np.ndarray) -> uh.Segmentation:
    image = uh.MedicalImage(np.full(mask.shape, 90, np.uint8), "YX")
    return uh.Segmentation(image, uh.MODELS["lungs"], mask[None].astype(np.float32), threshold=0.5)


@pytest.fixture
def lungs() -> uh.Segmentation:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:20] = 1
    return result_of(mask)


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def test_panels_have_no_frames_and_a_note_below():
    figure, axes = panels(2, 3, (6, 4), "a note")
    assert axes.shape == (2, 3)
    assert not any(ax.axison for ax in axes.flat)
    assert figure.get_supxlabel() == "a note"
    assert figure.get_size_inches().tolist() == [6, 4]


def test_a_long_name_is_cut(lungs):
    names = {"x" * 28: "x" * 28, "x" * 29: "x" * 27 + "…"}
    for name, expected in names.items():
        assert headline(replace(lungs.image, path=Path(f"{name}.png"))) == expected


def test_the_slice_is_named_where_there_are_several(lungs):
    assert headline(lungs.image, 0) == "array"
    assert headline(hippocampus_result().image, 3) == "array, slice 3"


def test_the_description_has_four_numbers_in_lines_of_the_width(lungs):
    lines = describe(lungs, width=40).splitlines()
    assert lines[0].startswith("Lung fields: 1 object")
    assert max(len(line) for line in lines) <= 40
    assert " ".join(lines).count(",") == len(list(lungs.summary().items())[:4]) - 1


def test_image_overlay_and_probability_stand_side_by_side(lungs):
    figure = show(lungs)
    image, overlay, probability = (ax.images[0].get_array() for ax in figure.axes[:3])
    assert (image == 90).all()
    np.testing.assert_array_equal(overlay, lungs.overlay(0))
    np.testing.assert_array_equal(probability, lungs.foreground)
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["Lung"]


def test_of_a_volume_the_busiest_slice_is_shown():
    assert show(hippocampus_result()).axes[0].get_title() == "array, slice 4"
    assert show(hippocampus_result(), index=2).axes[0].get_title() == "array, slice 2"


def test_warnings_stand_below(lungs):
    assert show(lungs).get_supxlabel() == f"{lungs.assessment.sentence}."
    warned = replace(lungs, warnings=("it is blurred",))
    assert "it is blurred." in show(warned).get_supxlabel()


def test_a_doubt_is_said_once_in_its_colour(lungs):
    doubted = replace(lungs, warnings=(Doubt("it is no X-ray"),))
    figure = show(doubted)
    assert figure.get_supxlabel() == "expected Dice withheld: it is no X-ray."
    assert figure._supxlabel.get_color() == TEXT_DOUBTFUL


def test_an_empty_answer_explains_itself(lungs):
    nothing = replace(lungs, probabilities=np.zeros_like(lungs.probabilities))
    assert "nothing reaches the threshold" in show(nothing).get_supxlabel()


def test_hits_misses_and_false_alarms_have_their_colours(lungs):
    truth = np.zeros((20, 30), np.uint8)
    truth[5:15, 10:25] = 7
    figure = compare(lungs, truth)
    painted = figure.axes[0].images[0].get_array().astype(int)
    grey = np.full(3, 90)
    for place, color in {(10, 15): HIT, (10, 22): MISS, (10, 7): FALSE_ALARM}.items():
        np.testing.assert_allclose(painted[place], 0.7 * rgb(color) + 0.3 * grey, atol=1)
    assert painted[0, 0].tolist() == [90, 90, 90]
    assert figure.axes[0].get_title().endswith("Dice 0.667")


def test_the_truth_must_have_the_shape_of_the_image(lungs):
    with pytest.raises(uh.ArgumentError, match="resize"):
        compare(lungs, np.zeros((20, 29)))
