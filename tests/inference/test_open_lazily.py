"""What is taken of a large image on disk, and what is known of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.stored import COLOUR, GREY, SIDE, TILE, write_pyramid

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily

zarr = pytest.importorskip("zarr", "3")

# DAPI, the second channel, is what networks of nuclei know.
TWO_CHANNELS = np.stack([GREY[::-1], GREY])
NAMES = ["Phalloidin", "DAPI"]

# µm along rows and columns.
STEPS = [0.25, 0.5]
SPACING = (0.25e-3, 0.5e-3)


def write_ome_tiff(path: Path) -> Path:
    """An OME-TIFF with named channels and a spacing."""
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": NAMES},
        "PhysicalSizeX": STEPS[1],
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": STEPS[0],
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(
        path, TWO_CHANNELS, ome=True, tile=TILE, photometric="minisblack", metadata=metadata
    )
    return path


def write_ome_zarr(path: Path, version: str, image: dict[str, Any] | None = None) -> Path:
    """An OME-Zarr with named channels and a spacing; ``image`` replaces what it says of it."""
    about_image = {
        "version": version,
        "axes": [
            {"name": "c"},
            {"name": "y", "unit": "micrometer"},
            {"name": "x", "unit": "micrometer"},
        ],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [1, *STEPS]}],
            }
        ],
        **(image or {}),
    }
    attributes: dict[str, Any] = {
        "multiscales": [about_image],
        "omero": {"channels": [{"label": name} for name in NAMES]},
    }
    zarr_format = 2
    if version == "0.5":
        zarr_format = 3
        attributes = {"ome": attributes}

    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.create_array("0", data=TWO_CHANNELS, chunks=(1, SIDE, SIDE))
    group.attrs.update(attributes)
    return path


def assert_channels_have_names(path: Path) -> None:
    """DAPI is taken by itself, the other by its name, and a name that is not there is refused."""
    image = open_lazily(path)
    np.testing.assert_array_equal(image.pixels, GREY)
    words = "took channel 1 (DAPI) of 0 (Phalloidin), 1 (DAPI); choose another one with channel="
    assert image.notes == (words,)
    np.testing.assert_array_equal(open_lazily(path, channel="phall").pixels, GREY[::-1])
    np.testing.assert_array_equal(open_lazily(path, channel=0).pixels, GREY[::-1])
    with pytest.raises(uh.ImageError, match="no channel 'GFP'; its channels are Phalloidin, DAPI"):
        open_lazily(path, channel="GFP")


def test_names_and_spacing_of_an_ome_tiff_are_read(tmp_path):
    path = write_ome_tiff(tmp_path / "a.ome.tif")
    assert open_lazily(path).spacing == pytest.approx(SPACING)
    assert_channels_have_names(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_names_and_spacing_of_an_ome_zarr_are_read(version, tmp_path):
    path = write_ome_zarr(tmp_path / "a.zarr", version)
    assert open_lazily(path).spacing == pytest.approx(SPACING)
    assert_channels_have_names(path)


def test_versions_that_hold_no_spacing_have_names_all_the_same(tmp_path):
    before_spacing = {"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}
    path = write_ome_zarr(tmp_path / "a.zarr", "0.3", before_spacing)
    assert open_lazily(path).spacing is None
    assert_channels_have_names(path)


def test_a_spacing_that_is_scaled_once_more_is_multiplied(tmp_path):
    of_all_levels = {"coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2]}]}
    path = write_ome_zarr(tmp_path / "a.zarr", "0.4", of_all_levels)
    assert open_lazily(path).spacing == pytest.approx((0.5e-3, 1e-3))
    assert_channels_have_names(path)


def test_of_several_images_in_a_tiff_the_largest_is_taken_and_said(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY[:20, :30], photometric="minisblack", tile=(16, 16))
        file.write(GREY, photometric="minisblack", tile=(16, 16))
    image = open_lazily(tmp_path / "a.tif")
    assert image.pixels.shape == GREY.shape
    assert "largest of 2" in image.notes[0]
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY)


def test_which_array_of_a_zarr_group_was_taken_is_said(tmp_path):
    group = zarr.open_group(tmp_path / "b.zarr", mode="w")
    group.create_array("0", data=GREY, chunks=TILE)
    group.create_array("1", data=GREY[::2, ::2], chunks=TILE)
    image = open_lazily(tmp_path / "b.zarr", level=1)
    assert image.pixels.shape == GREY[::2, ::2].shape
    assert "'1' of 0, 1" in image.notes[0]


def test_planar_colours_are_colours(tmp_path):
    path = tmp_path / "a.tif"
    planes = np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", tile=TILE)
    image = open_lazily(path)
    assert image.axes == "YXC"
    np.testing.assert_array_equal(np.asarray(image.pixels), COLOUR)
    green = open_lazily(path, channel="green")
    np.testing.assert_array_equal(np.asarray(green.pixels), COLOUR[..., 1])


def test_slices_and_channels_of_an_ome_tiff_are_told_apart(tmp_path):
    path = tmp_path / "a.ome.tif"
    stack = np.stack([TWO_CHANNELS // (page + 1) for page in range(3)], axis=1)
    metadata = {"axes": "CZYX", "Channel": {"Name": NAMES}}
    tifffile.imwrite(path, stack, photometric="minisblack", metadata=metadata, tile=TILE)
    image = open_lazily(path, channel="Phalloidin", page=2)
    np.testing.assert_array_equal(np.asarray(image.pixels), stack[0, 2])
    np.testing.assert_array_equal(np.asarray(open_lazily(path, page=1).pixels), stack[1, 1])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("pages", [1, 2])
def test_a_huge_strip_without_compression_is_mapped(byteorder, pages, tmp_path, monkeypatch):
    monkeypatch.setattr("unet_helpers.images.lazy.LARGEST_CHUNK", 1000)
    deep = np.stack([GREY * np.uint16(7), GREY * np.uint16(9)])[:pages]
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, byteorder=byteorder) as file:
        for page in deep:
            # Descriptions of different lengths, so that pages do not follow one another directly.
            file.write(page, rowsperstrip=len(page), contiguous=False, metadata=None)
    image = open_lazily(path, page=pages - 1, region=(10, 20, 30, 40))
    np.testing.assert_array_equal(np.asarray(image.pixels), deep[-1, 10:40, 20:60])


def test_a_huge_strip_with_compression_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("unet_helpers.images.lazy.LARGEST_CHUNK", 1000)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, rowsperstrip=len(GREY), compression="zlib")
    with pytest.raises(uh.ImageError, match="Save it in tiles"):
        open_lazily(path)


def test_where_a_region_of_a_level_lies_in_the_slide(tmp_path):
    path = write_pyramid(tmp_path / "a.tif", [np.kron(GREY, np.ones((4, 4), np.uint8)), GREY])
    image = open_lazily(path, level=1, region=(10, 20, 30, 40))
    assert image.position.step == (4.0, 4.0)
    assert image.position.start == (40.0, 80.0)
