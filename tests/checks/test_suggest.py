"""Without a name a network is suggested, or none, and that is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn import head
from helpers.places import ROOT
from helpers.volumes import nifti

import unet_helpers as uh
from unet_helpers.checks.likeness import Group, Likeness, known_groups
from unet_helpers.checks.suggest import fitting_networks, nearest_first, suggest
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.images.image import MedicalImage

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


def view_with(shape=(64, 64), **distances: float) -> View:
    """A view of an image at 5 limits of every group, and at 100 of photographs, but for these."""
    everywhere = {}
    for name, group in known_groups().items():
        everywhere[name] = 5.0 if isinstance(group, Group) else 100.0
    values = np.arange(np.prod(shape)) % 56 + 200
    view = View(from_array(values.astype(np.uint8).reshape(shape)))
    view.__dict__["likeness"] = Likeness(everywhere | distances)
    return view


def test_the_note_names_other_networks_that_would_fit():
    alone = suggest(view_with(lungs=0.5))
    assert alone.model == "lungs"
    assert alone.reason == "by its pixels"
    assert alone.note == "no network was named: lungs knows images like this one, by its pixels"

    first = suggest(view_with((64, 64, 3), nuclei=0.5, nuclei_he=0.4))
    assert first.model == "nuclei_he"
    assert first.note.endswith("(would fit, too: nuclei)")


def test_of_the_networks_for_one_kind_of_image_the_first_is_always_the_same():
    """Chest X-rays, of whichever machine: `lungs`, then `chest`."""
    for lungs, chest in ((0.3, 0.6), (0.6, 0.3)):
        suggestion = suggest(view_with(lungs=lungs, chest=chest))
        assert suggestion.model == "lungs"
        assert suggestion.note.endswith("(would fit, too: chest)")

    assert suggest(view_with(lungs=2.5, chest=0.3)).model == "chest"


def test_networks_for_other_images_are_sorted_by_their_distance():
    distances = {"lungs": 0.9, "chest": 0.4, "em_membranes": 0.5, "nuclei": 0.2}
    names = ("em_membranes", "chest", "nuclei", "lungs", "brain_flair")
    expected = ("nuclei", "lungs", "chest", "em_membranes", "brain_flair")
    assert nearest_first(names, distances) == expected


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


def named(name: str, pixels: np.ndarray, **fields) -> View:
    """The view of an image whose file has this name, and which looks like one card's images."""
    image = replace(from_array(pixels), path=Path(name), **fields)
    return View(image)


GREY = np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8)
COLOUR = np.random.default_rng(0).integers(150, 255, (80, 80, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "pixels", "card"),
    [
        ("DAPI_01.tif", GREY, "nuclei"),
        ("well_A1_hoechst33342.tif", GREY, "nuclei"),
        ("patient2_HE.png", COLOUR, "nuclei_he"),
        ("H&E 40x.jpg", COLOUR, "nuclei_he"),
        ("haematoxylin.jpg", COLOUR, "nuclei_he"),
        ("fundus12.jpg", COLOUR, "retinal_vessels"),
        ("cxr-0042.png", GREY, "lungs"),
        ("stem_TEM.tif", GREY, "em_membranes"),
        ("sub-01_FLAIR.nii.gz", GREY, "brain_flair"),
        ("t2_flair.png", GREY, "brain_flair"),
        ("TCGA_CS_4944_20010208_10.tif", COLOUR, "brain_flair"),
    ],
)
def test_a_name_tells_the_kind_before_the_pixels_do(name, pixels, card):
    suggestion = suggest(named(name, pixels))
    assert suggestion.model == card
    assert suggestion.reason.startswith("as its name says")
    assert suggestion.reason in suggestion.note


@pytest.mark.parametrize("name", ["cell_t1.tif", "the_cat.png", "stemcells.tif", "cheme.tif"])
def test_words_inside_others_and_points_in_time_tell_nothing(name):
    assert fitting_networks(named(name, GREY)).cards == ()


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("fashion_HE.png", GREY),  # grey, so not stained tissue
        ("chest.jpg", COLOUR),  # coloured, so no X-ray
        ("chest_CT.png", GREY),
        ("hippocampus.png", GREY),  # no volume
    ],
)
def test_a_name_that_the_pixels_contradict_is_not_followed(name, pixels):
    assert fitting_networks(named(name, pixels)).cards == ()


def test_a_t1_volume_by_its_name_is_for_the_hippocampus():
    volume = nifti(np.random.default_rng(0).integers(0, 255, (20, 30, 40), np.uint8))
    for name in ("sub-01_T1w.nii.gz", "MPRAGE.nii", "hippocampus_left.nii"):
        view = View(replace(volume, path=Path(name)))
        assert fitting_networks(view).cards == ("hippocampus",)
    view = View(replace(volume, path=Path("series"), description="AX T1 SE", modality="MR"))
    assert fitting_networks(view).cards == ("hippocampus",)
    for name in ("sub-01_T2w.nii.gz", "dwi.nii"):
        assert fitting_networks(View(replace(volume, path=Path(name)))).cards == ()


def looking_like(view: View, card: str) -> View:
    """The view of an image that resembles the training images of a card."""
    view.__dict__["likeness"] = view_with(**{card: 0.3}).likeness
    return view


@pytest.mark.parametrize("sequence", ["t1", "t2", "flair"])
def test_a_whole_head_without_a_telling_name_is_never_for_flair(sequence):
    image = nifti(head(sequence).transpose(2, 1, 0), spacing=(2.9, 2.9, 2.9))
    view = looking_like(View(image), "brain_flair")
    expected = ("hippocampus",) if sequence == "t1" else ()
    assert fitting_networks(view).cards == expected
    if expected:
        assert "a whole head in T1" in suggest(view).note


def test_a_thick_stack_of_flair_is_for_flair_and_one_of_t1_is_not():
    for sequence, expected in (("flair", ("brain_flair",)), ("t1", ())):
        image = MedicalImage(head(sequence, depth=24), "ZYX", (6.0, 3.0, 3.0))
        view = looking_like(View(image), "brain_flair")
        assert fitting_networks(view).cards == expected


@pytest.mark.parametrize("card", ["brain_flair", "lungs", "em_membranes", "hippocampus"])
def test_a_grey_network_is_never_for_a_coloured_picture(card):
    assert fitting_networks(looking_like(View(from_array(COLOUR)), card)).cards == ()
    stack = np.stack([COLOUR] * 4)
    assert fitting_networks(looking_like(View(from_array(stack)), card)).cards == ()


@pytest.mark.parametrize(
    ("modality", "card"),
    [("CT", "lungs"), ("US", "nuclei"), ("MR", "lungs"), ("DX", "em_membranes"), ("OP", "nuclei")],
)
def test_the_modality_excludes_networks_for_others(modality, card):
    view = looking_like(View(replace(from_array(GREY), modality=modality)), card)
    assert fitting_networks(view).cards == ()


@pytest.mark.parametrize(
    ("modality", "card"),
    [("DX", "lungs"), ("CR", "lungs"), ("OP", "retinal_vessels"), ("SM", "nuclei"), ("", "nuclei")],
)
def test_the_modality_leaves_its_own_networks(modality, card):
    view = looking_like(View(replace(from_array(GREY), modality=modality)), card)
    assert fitting_networks(view).cards == (card,)


def test_another_part_of_the_body_or_view_excludes_the_network_for_chests():
    for changes in ({"body_part": "KNEE"}, {"body_part": "CHEST", "view": "LL"}):
        image = replace(from_array(GREY), modality="DX", **changes)
        assert fitting_networks(looking_like(View(image), "lungs")).cards == ()
    image = replace(from_array(GREY), modality="DX", body_part="CHEST", view="PA")
    assert suggest(View(image)).reason == "as its name says an X-ray of the chest"
