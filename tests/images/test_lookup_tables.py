"""Lookup tables only display measured values; palettes of pictures are colours."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 50), np.uint8)
RAMP = np.arange(256)

# Red, green and blue of 32 entries of ImageJ's table Fire, which are interpolated.
FIRE = np.array(
    [
        [
            *(0, 0, 1, 25, 49, 73, 98, 122, 146, 162, 173, 184, 195, 207, 217, 229),
            *(240, 252, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255),
        ],
        [
            *(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14, 35, 57),
            *(79, 101, 117, 133, 147, 161, 175, 190, 205, 219, 234, 248, 255, 255, 255, 255),
        ],
        [
            *(0, 61, 96, 130, 165, 192, 220, 227, 210, 181, 151, 122, 93, 64, 35, 5),
            *(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 35, 98, 160, 223, 255),
        ],
    ]
)


def interpolated(table):
    """(3, 256) uint16: a table of ImageJ with all its entries."""
    places = np.linspace(0, 31, 256)
    colours = np.stack([np.interp(places, np.arange(32), colour) for colour in table])
    return colours.round().astype(np.uint16) * 257


GREENS = np.stack([0 * RAMP, RAMP, 0 * RAMP]).astype(np.uint16) * 257
INVERTING = np.stack([255 - RAMP] * 3).astype(np.uint16) * 257
SPECTRUM = np.array(
    [Image.new("HSV", (1, 1), (hue, 255, 255)).convert("RGB").getpixel((0, 0)) for hue in RAMP]
).T.astype(np.uint16)


def write_palette(path, colours, *, by_imagej, pixels=GREY):
    """A TIFF with a palette; ImageJ's description is what it is recognised by."""
    description = "ImageJ=1.54f\nmin=0.0\nmax=255.0\n" if by_imagej else None
    tifffile.imwrite(
        path,
        pixels,
        photometric="palette",
        colormap=colours,
        description=description,
        metadata=None,
    )
    return path


@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
@pytest.mark.parametrize("colours", [interpolated(FIRE), GREENS, INVERTING, SPECTRUM * 257])
def test_stored_values_of_imagej_are_used_whatever_displays_them(read, colours, tmp_path):
    path = write_palette(tmp_path / "a.tif", colours, by_imagej=True)
    image = read(path)
    assert image.axes == "YX"
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY)
    assert "the stored values are used" in image.notes[-1]


@pytest.mark.parametrize("colours", [interpolated(FIRE), GREENS, INVERTING])
def test_a_table_from_dark_to_light_is_one_in_any_file(colours, tmp_path):
    path = write_palette(tmp_path / "a.tif", colours, by_imagej=False)
    np.testing.assert_array_equal(uh.read_image(path).pixels, GREY)


def test_an_inverting_table_of_imagej_does_not_invert_values(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, imagej=True, photometric="miniswhite")
    image = uh.read_image(path)
    np.testing.assert_array_equal(image.pixels, GREY)
    assert "the stored values are used" in image.notes[-1]
    tifffile.imwrite(path, GREY, photometric="miniswhite")
    np.testing.assert_array_equal(uh.read_image(path).pixels, 255 - GREY)


@pytest.mark.parametrize("by_imagej", [True, False])
def test_palettes_of_pictures_are_colours(by_imagej, tmp_path):
    """Also of ImageJ, whose '8-bit Color' is a palette that median cut chose."""
    with Image.open("sample_images/retina.jpg") as photograph:
        small = photograph.convert("RGB").resize((200, 200))
    picture = small.quantize(256, method=Image.Quantize.MEDIANCUT)
    palette = np.array(picture.getpalette("RGB"), np.uint16).reshape(-1, 3)
    colours = np.zeros((3, 256), np.uint16)
    colours[:, : len(palette)] = palette.T * 257
    path = write_palette(tmp_path / "a.tif", colours, by_imagej=by_imagej, pixels=np.array(picture))
    image = uh.read_image(path)
    assert image.axes == "YXC"
    np.testing.assert_array_equal(image.pixels, palette.astype(np.uint8)[np.array(picture)])
    assert image.notes == ("expanded the colour palette",)
