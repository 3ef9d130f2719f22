"""The playground follows its slider, and the live page asks for nothing outside itself."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.volumes import hippocampus_result

import unet_helpers as uh
from unet_helpers.figures.widgets import live, playground

pytest.importorskip("ipywidgets")


@pytest.fixture
def lungs() -> uh.Segmentation:
    probabilities = np.random.default_rng(16).random((1, 40, 60)).astype(np.float32)
    image = uh.read_image(np.full((40, 60), 9, np.uint8))
    return uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)


@pytest.fixture
def truth() -> np.ndarray:
    return np.ones((40, 60), np.uint8)


@pytest.fixture
def widget(lungs, truth) -> SimpleNamespace:
    results = {"lungs": lungs, "volume": hippocampus_result()}
    choice, slider, pictures, text = playground(results, {"lungs": truth}).children
    image, overlay = pictures.children
    return SimpleNamespace(choice=choice, slider=slider, image=image, overlay=overlay, text=text)


def test_the_playground_begins_with_the_first_result_as_it_is(widget, lungs, truth):
    assert widget.slider.value == 0.5
    assert "Lung fields" in widget.text.value
    assert f"<b>{uh.dice(truth, lungs.labels):.3f}</b>" in widget.text.value
    assert widget.image.value != widget.overlay.value


def test_the_slider_moves_the_mask_and_its_dice(widget, lungs, truth):
    before = widget.overlay.value
    widget.slider.value = 0.8
    assert widget.overlay.value != before
    expected = uh.dice(truth, replace(lungs, threshold=0.8).labels)
    assert f"<b>{expected:.3f}</b>" in widget.text.value


def test_another_choice_has_its_own_threshold_and_numbers(widget):
    before = widget.overlay.value
    widget.slider.value = 0.8
    widget.choice.value = "volume"
    assert widget.slider.value == 0.5
    assert "Posterior 0.28 mL" in widget.text.value
    assert widget.overlay.value != before


def test_a_choice_of_the_same_threshold_is_drawn_too(widget):
    before = widget.overlay.value
    widget.choice.value = "volume"
    assert widget.overlay.value != before


def test_without_a_truth_there_is_no_dice(widget):
    widget.choice.value = "volume"
    assert "Dice against" not in widget.text.value


def test_the_live_page_lies_in_the_notebook_and_asks_for_nothing():
    text = live(hippocampus_result(), height=123).data
    assert text.startswith("<div><iframe")
    assert 'title="Hippocampus' in text
    assert "height:123px" in text
    page = text.split('srcdoc="', 1)[1].rsplit('"></iframe>', 1)[0]
    assert '"' not in page
    assert "<" not in page
    assert "default-src" in page


def test_the_live_page_does_not_name_the_folders_of_the_image(lungs, tmp_path):
    image = replace(lungs.image, path=tmp_path / "chest.png")
    text = live(replace(lungs, image=image)).data
    assert "chest.png" in text
    assert str(tmp_path) not in text
