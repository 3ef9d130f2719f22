"""The channel of nuclei is found by the names of stains, not by parts of other words."""

import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.images.nuclear_stains import Channel, nuclear_channel

STAINED = [
    "DAPI",
    "dapi",
    "w1DAPI",
    "C01-DAPI",
    "DapiChannel",
    "Hoechst 33342",
    "HOECHST-33258",
    "DRAQ5",
    "NucBlue Live",
    "NucSpot 470",
    "SYTO 13",
    "SYTOX Green",
    "TO-PRO-3",
    "Propidium Iodide",
    "PI",
    "7-AAD",
    "SiR-DNA",
    "SPY505-DNA",
    "H2B-mCherry",
    "mCherry-H2B",
    "Histone-GFP",
    "NLS-mScarlet",
    "Nuclei",
    "nuclear stain",
    "Nucleus",
    "DNA",
    "Zellkerne",
    "KERNE",
    "noyaux",
    "núcleos",
    "Núcleo",
    "celkernen",
    "jądra",
    "cellkärnor",
    "çekirdek",
    "ЯДРА",
    "细胞核",
    "細胞核",
    "核",
    "세포핵",
]

NOT_STAINED = [
    "anti-Nucleolin",
    "Nucleolin",
    "Nucleoporin 98",
    "nuclear pore complex",
    "Nuclear envelope",
    "Perinuclear",
    "non-nuclear",
    "Anti-Histone H3",
    "anti-DNA",
    "Autofluorescence (DAPI)",
    "Opal 520",
    "Phalloidin",
    "GFP",
    "CD3",
    "PI3K",
    "without DAPI",
    "ohne DAPI",
    "noyaux sans colorant",
    "nucleolo",
    "Kernspin",
    "核膜",
    "核仁",
    "ядрышко",
    "",
]


@pytest.mark.parametrize("name", STAINED)
def test_stains_of_nuclei_are_taken_first(name):
    others = [Channel(other) for other in NOT_STAINED]
    assert nuclear_channel([*others, Channel(name), Channel("Tubulin")]) == len(others)


@pytest.mark.parametrize("name", NOT_STAINED)
def test_other_names_are_none_of_nuclei(name):
    assert nuclear_channel([Channel("Actin"), Channel(name)]) == 0


def test_a_dye_counts_before_a_word():
    assert nuclear_channel([Channel("nuclear receptor"), Channel("DAPI")]) == 1


def test_light_that_excites_dapi_is_a_hint_where_names_say_nothing():
    channels = [Channel("C1", 561.0), Channel("C2", 405.0)]
    assert nuclear_channel(channels) == 1
    assert nuclear_channel([Channel("C1", 405.0), Channel("C2", 375.0)]) == 0
    assert nuclear_channel([Channel("488"), Channel("Ex 405 nm")]) == 1
    assert nuclear_channel([Channel("488"), Channel("Alexa 405")]) == 0


def test_the_wavelength_in_ome_is_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 40, 50), np.uint16)
    channels = {"Name": ["C1", "C2"], "ExcitationWavelength": [561.0, 405.0]}
    metadata = {"axes": "CYX", "Channel": channels}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="minisblack", metadata=metadata)
    np.testing.assert_array_equal(uh.read_image(tmp_path / "a.ome.tif").pixels, pixels[1])


def test_the_dye_of_ome_and_the_pages_of_qptiff_name_channels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 40, 50), np.uint16)
    channels = {"Fluor": ["Opal 520", "DAPI"]}
    metadata = {"axes": "CYX", "Channel": channels}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="minisblack", metadata=metadata)
    assert uh.read_image(tmp_path / "a.ome.tif").channel_names == ("Opal 520", "DAPI")

    with tifffile.TiffWriter(tmp_path / "a.qptiff") as file:
        for name, page in zip(channels["Fluor"], pixels):
            description = (
                '<?xml version="1.0" encoding="utf-16"?><PerkinElmer-QPI-ImageDescription>'
                f"<ImageType>FullResolution</ImageType><Name>{name}</Name>"
                "</PerkinElmer-QPI-ImageDescription>"
            )
            file.write(
                page,
                description=description,
                software="PerkinElmer-QPI",
                metadata=None,
                photometric="minisblack",
            )
    image = uh.read_image(tmp_path / "a.qptiff")
    np.testing.assert_array_equal(image.pixels, pixels[1])
    assert image.channel_names == ("Opal 520", "DAPI")
