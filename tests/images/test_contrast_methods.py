"""The channel that a network reads is chosen by its modality, where the file names contrasts."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.checks.view import View
from unet_helpers.images.channels import with_channel_for
from unet_helpers.images.contrast_methods import channel_for, contrast_of
from unet_helpers.images.nuclear_stains import Channel

NAMES = {
    "differential interference contrast": [
        "DIC",
        "TL DIC",
        "DIC N2",
        "dic-1",
        "Nomarski",
        "T PMT DIC",
        "Differential Interference Contrast",
    ],
    "phase contrast": ["Phase", "Ph2", "phase-contrast", "Trans Ph1", "PhaseContrast"],
    "bright field": [
        "BF",
        "Brightfield",
        "bright field",
        "TL",
        "Trans",
        "T-PMT",
        "ChS2-T PMT",
        "Transmitted light",
    ],
    "electron microscopy": ["SEM", "TEM", "EM"],
    "": ["DAPI", "GFP", "Actin", "CD3", "Indicator", "Transferrin", "Emerin", "pTEM1", "", "1"],
}
NAMED = [(name, contrast) for contrast, names in NAMES.items() for name in names]


@pytest.mark.parametrize(("name", "contrast"), NAMED)
def test_names_say_how_a_channel_shows_the_specimen(name, contrast):
    assert contrast_of(Channel(name)) == contrast


def test_metadata_count_before_names():
    assert contrast_of(Channel("C2", contrast="DIC")) == "differential interference contrast"
    assert contrast_of(Channel("DIC-like", contrast="Fluorescence")) == "fluorescence"
    assert contrast_of(Channel("Phase", contrast="Other")) == "phase contrast"


DIC, PHASE, BRIGHT = "differential interference contrast", "phase contrast", "bright field"


@pytest.mark.parametrize(
    ("modality", "contrasts", "taken", "expected"),
    [
        ("differential interference contrast microscopy", ("", DIC), 0, 1),
        ("phase contrast of cells", ("", BRIGHT, PHASE), 0, 2),
        # Light that passes the specimen is nearer than that of a dye.
        ("differential interference contrast microscopy", ("", BRIGHT), 0, 1),
        ("electron microscopy", ("", DIC, "electron microscopy"), 0, 2),
        ("electron microscopy", ("", DIC), 0, 0),
        ("fluorescence, stained tissue, bright field", (DIC, ""), 0, 1),
        ("fluorescence, stained tissue, bright field", (DIC, "", ""), 2, 2),
        ("fluorescence, stained tissue, bright field", (DIC, PHASE), 1, 1),
        ("chest X-ray, frontal", ("", DIC), 0, 0),
        ("phase contrast", ("", ""), 1, 1),
    ],
)
def test_the_channel_of_the_modality_is_read(modality, contrasts, taken, expected):
    assert channel_for(modality, contrasts, taken) == expected


@pytest.fixture
def two_channels(tmp_path):
    """Two channels, DAPI first."""
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 64, 80), np.uint16)
    pixels[1] //= 2
    path = tmp_path / "cells.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "DIC"]}}
    tifffile.imwrite(
        path, pixels, photometric="minisblack", metadata=metadata, tile=(16, 16), ome=True
    )
    return path, pixels


def for_dic(name: str):
    """A network whose card reads differential interference contrast."""
    network = uh.load_model(name)
    modality = "differential interference contrast microscopy"
    network.card = replace(network.card, modality=modality)
    return network


def test_networks_take_their_channel_unless_another_is_asked_for(two_channels):
    path, pixels = two_channels
    network = for_dic("em_membranes")
    result = uh.segment(path, network, progress=False)
    np.testing.assert_array_equal(result.image.pixels, pixels[1])
    taken = [note for note in result.image.notes if note.startswith("took channel")]
    assert len(taken) == 1
    assert "took channel 1 (DIC) of 0 (DAPI), 1 (DIC), because the network reads" in taken[0]
    assert not any("more structure" in note for note in result.image.notes)

    read_before = uh.segment(uh.read_image(path), network, progress=False)
    np.testing.assert_array_equal(read_before.image.pixels, pixels[1])
    for image in (uh.read_image(path, channel=0), uh.read_image(path, channel="DAPI")):
        asked = uh.segment(image, network, progress=False)
        np.testing.assert_array_equal(asked.image.pixels, pixels[0])
    in_memory = uh.segment(uh.read_image(path), network, channel=0, progress=False)
    np.testing.assert_array_equal(in_memory.image.pixels, pixels[0])

    nuclei = uh.segment(path, "nuclei", zoom=1, progress=False)
    np.testing.assert_array_equal(nuclei.image.pixels, pixels[0])


def test_large_images_take_the_same_channel(two_channels, tmp_path):
    path, _ = two_channels
    told = []
    network = for_dic("em_membranes")
    uh.segment_large(path, network, tmp_path / "out", progress=False, tell=told.append)
    assert any("took channel 1 (DIC)" in text for text in told)


def test_a_note_on_structure_is_about_the_channel_taken(tmp_path):
    smooth = np.tile(np.arange(64, dtype=np.uint16), (64, 1))
    noise = np.random.default_rng(0).integers(0, 99, (64, 64), np.uint16)
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "DIC"]}}
    tifffile.imwrite(path, np.stack([noise, smooth]), photometric="minisblack", metadata=metadata)
    image = uh.read_image(path)
    assert any("more structure" in note for note in image.notes)
    assert with_channel_for(image, "chest X-ray") is image
    view = View(image)
    assert view.for_card(uh.MODELS["nuclei"]) is view

    taken = with_channel_for(image, DIC)
    np.testing.assert_array_equal(taken.pixels, smooth)
    assert len(taken.notes) == 1
