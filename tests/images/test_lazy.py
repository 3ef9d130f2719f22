"""Images on disk of which only what is asked for is read."""

import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily
from unet_helpers.images.zarr_stores import scale_of

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (64, 96), np.uint8)


def write_ome_zarr(folder, *levels: np.ndarray, attributes=None) -> str:
    group = zarr.open_group(folder, mode="w")
    for index, values in enumerate(levels):
        chunks = (1,) * (values.ndim - 2) + (32, 32)
        array = group.create_array(
            str(index), shape=values.shape, dtype=values.dtype, chunks=chunks
        )
        array[:] = values
    group.attrs.update(attributes or {})
    return str(folder)


def test_a_region_of_a_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(">u2"), tile=(32, 32))
    image = open_lazily(tmp_path / "a.tif", region=(3, 5, 20, 30))
    assert image.axes == "YX"
    assert image.pixels.dtype == np.uint16
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY[3:23, 5:35])
    for region in ((0, 0, 65, 96), (0, 0, 64, 97), (60, 0, 5, 5)):
        with pytest.raises(uh.ImageError, match="is 64 × 96 px"):
            open_lazily(tmp_path / "a.tif", region=region)


def test_the_whole_of_a_tiff_in_colour(tmp_path):
    pixels = RNG.integers(0, 255, (64, 96, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(32, 32))
    image = open_lazily(tmp_path / "a.tif", spacing=0.5)
    assert image.axes == "YXC"
    assert image.spacing == (0.5, 0.5)
    np.testing.assert_array_equal(np.asarray(image.pixels), pixels)


def test_a_level_of_a_tiff_has_its_own_spacing(tmp_path):
    options = {"photometric": "minisblack", "metadata": None, "tile": (32, 32)}
    resolution = {"resolution": (20000, 40000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, subifds=1, **resolution, **options)
        file.write(GREY[::2, ::2], subfiletype=1, **options)
    fine = open_lazily(tmp_path / "a.tif")
    coarse = open_lazily(tmp_path / "a.tif", level=1)
    assert fine.spacing == pytest.approx((0.25e-3, 0.5e-3))
    assert coarse.spacing == pytest.approx((0.5e-3, 1e-3))
    np.testing.assert_array_equal(np.asarray(coarse.pixels), GREY[::2, ::2])
    assert coarse.notes[0].startswith("took level 1 of 0 (96 px wide), 1 (48 px wide)")
    with pytest.raises(uh.ImageError, match="no level 2"):
        open_lazily(tmp_path / "a.tif", level=2)


def test_a_channel_of_a_tiff(tmp_path):
    channels = np.stack([GREY, GREY // 2, GREY // 3])
    metadata = {"axes": "CYX", "Channel": {"Name": ["Actin", "Tubulin", "DAPI"]}}
    options = {"photometric": "minisblack", "tile": (32, 32), "metadata": metadata}
    tifffile.imwrite(tmp_path / "a.ome.tif", channels, **options)
    nuclear = open_lazily(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(np.asarray(nuclear.pixels), channels[2])
    assert nuclear.notes == (
        "took channel 2 (DAPI) of 0 (Actin), 1 (Tubulin), 2 (DAPI); "
        "choose another one with channel=",
    )
    chosen = open_lazily(tmp_path / "a.ome.tif", channel="tub")
    np.testing.assert_array_equal(np.asarray(chosen.pixels), channels[1])


@pytest.mark.parametrize("photometric", ["miniswhite", "palette"])
def test_values_are_those_that_are_read_into_memory(photometric, tmp_path):
    colours = RNG.integers(0, 65536, (3, 256), np.uint16)
    options = {"colormap": colours} if photometric == "palette" else {}
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric=photometric, **options)
    lazy = open_lazily(tmp_path / "a.tif")
    image = uh.read_image(tmp_path / "a.tif")
    assert lazy.notes == image.notes
    assert lazy.axes == image.axes
    np.testing.assert_array_equal(np.asarray(lazy.pixels), image.pixels)


def test_a_store_in_too_large_pieces_is_refused(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", GREY, tile=(32, 32))
    monkeypatch.setattr("unet_helpers.images.lazy.LARGEST_CHUNK", 32 * 32)
    open_lazily(tmp_path / "a.tif")
    monkeypatch.setattr("unet_helpers.images.lazy.LARGEST_CHUNK", 32 * 32 - 1)
    with pytest.raises(uh.ImageError, match=r"stored in pieces of .32, 32. values"):
        open_lazily(tmp_path / "a.tif")


def multiscale(*scales, unit="micrometer", **further) -> dict:
    """Attributes of OME-NGFF of arrays '0', '1', ... along (y, x)."""
    datasets = [
        {"path": str(index), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for index, scale in enumerate(scales)
    ]
    axes = [{"name": name, "unit": unit} for name in "yx"]
    return {"axes": axes, "datasets": datasets, **further}


def test_a_level_of_a_zarr_store(tmp_path):
    attributes = {"multiscales": [multiscale([0.5, 0.25], [1.0, 0.5], version="0.4")]}
    folder = write_ome_zarr(tmp_path / "a.zarr", GREY, GREY[::2, ::2], attributes=attributes)
    image = open_lazily(folder, level=1)
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY[::2, ::2])
    assert image.spacing == pytest.approx((1e-3, 0.5e-3))
    assert image.notes == ("took the array '1' of 0, 1; choose another one with level=",)
    with pytest.raises(uh.ImageError, match="no level 2"):
        open_lazily(folder, level=2)


def test_a_channel_of_a_zarr_store_by_its_name(tmp_path):
    pixels = np.stack([GREY, GREY // 2])[None]
    attributes = {"omero": {"channels": [{"label": "GFP"}, {"label": "H2B"}]}}
    folder = write_ome_zarr(tmp_path / "a.zarr", pixels, attributes=attributes)
    image = open_lazily(folder)
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY // 2)
    assert image.notes == (
        "took channel 1 (H2B) of 0 (GFP), 1 (H2B); choose another one with channel=",
    )


def test_names_that_do_not_fit_the_channels_are_not_used(tmp_path):
    attributes = {"omero": {"channels": [{"label": "DAPI"}]}}
    pixels = np.stack([GREY, GREY // 2])
    folder = write_ome_zarr(tmp_path / "a.zarr", pixels, attributes=attributes)
    assert "took channel 0 of 0, 1" in open_lazily(folder).notes[0]


def test_the_spacing_of_a_zarr_store():
    along_rows_and_columns = [None, pytest.approx(0.5e-3), pytest.approx(0.25e-3)]
    with_channels = multiscale([5, 0.5, 0.25])
    with_channels["axes"].insert(0, {"name": "c", "type": "channel"})
    assert scale_of(with_channels, "0") == along_rows_and_columns
    assert scale_of({}, "0") == []
    assert scale_of(multiscale([0.5, 0.25]), "1") == []
    assert scale_of(multiscale([0.5, 0.25], version="0.3"), "0") == []
    assert scale_of(multiscale([0.5, 0.25], unit=""), "0") == [None, None]


def test_the_scale_of_all_levels_multiplies_that_of_one():
    common = [{"type": "scale", "scale": [2, 4]}]
    image = multiscale([0.5, 0.25], coordinateTransformations=common)
    assert scale_of(image, "0") == pytest.approx([1e-3, 1e-3])
