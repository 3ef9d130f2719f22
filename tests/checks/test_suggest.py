"""Without a name a network is suggested, or none, and that is said."""

import numpy as np
import pytest
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.checks.likeness import Group, Likeness, known_groups
from unet_helpers.checks.suggest import suggest
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array

RETINA = ROOT / "sample_images/retina.jpg"


def test_the_nearest_network_is_suggested_first():
    assert uh.suggest_model(RETINA) == ["retinal_vessels"]
    assert uh.suggest_model(ROOT / "sample_images/ihc.png") == ["nuclei_he", "nuclei"]


def test_no_network_is_suggested_for_noise():
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    assert uh.suggest_model(noise) == []
    with pytest.raises(uh.ModelError, match="array: like no images that the networks know"):
        uh.segment(noise)


def test_no_network_is_suggested_for_an_empty_image():
    assert uh.suggest_model(np.zeros((64, 64), np.uint8)) == []


def view_with(**distances: float) -> View:
    """A view of an image at 5 limits of every group, and at 100 of photographs, but for these."""
    everywhere = {}
    for name, group in known_groups().items():
        everywhere[name] = 5.0 if isinstance(group, Group) else 100.0
    view = View(from_array(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)))
    view.__dict__["likeness"] = Likeness(everywhere | distances)
    return view


def test_the_note_names_other_networks_that_would_fit():
    alone = suggest(view_with(lungs=0.5))
    assert alone.model == "lungs"
    assert alone.note == "no network was named: lungs knows images like this one"

    first = suggest(view_with(nuclei=0.5, nuclei_he=0.4))
    assert first.model == "nuclei_he"
    assert first.note.endswith("knows images like this one (would fit, too: nuclei)")


def test_segment_takes_the_suggestion_and_says_so():
    pixels = uh.read_image(RETINA).pixels
    result = uh.segment(pixels[::4, ::4], progress=False)
    assert result.card.name == "retinal_vessels"
    assert "no network was named" in result.image.notes[-1]


def test_the_score_takes_a_file_and_a_name_a_card_or_a_network():
    expected = uh.ood_score(uh.read_image(RETINA), "lungs")
    assert expected > 1
    assert uh.ood_score(RETINA, uh.MODELS["lungs"]) == expected
    assert uh.ood_score(str(RETINA), uh.load_model("lungs")) == expected
