"""TIFFs of microscopes, cameras and scanners: channels, time, spacing, levels, orientation."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

import unet_helpers as uh
from unet_helpers.images.axes import StoredPixels, arrange
from unet_helpers.images.lazy import open_lazily
from unet_helpers.images.options import ReadOptions

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 4000, (40, 50), np.uint16)
WAVES = np.sin(np.arange(40)[:, None] / 6) * np.cos(np.arange(50) / 7)
SMOOTH = (1000 + 900 * WAVES).astype(np.uint16)


def write_channels(path: Path, channels, names=(), **options) -> Path:
    """An OME-TIFF of grey channels, with names where there are some."""
    metadata = {"axes": "CYX"}
    if names:
        metadata["Channel"] = {"Name": list(names)}
    tifffile.imwrite(
        path, np.stack(channels), photometric="minisblack", metadata=metadata, **options
    )
    return path


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_are_no_colours_and_the_first_is_taken(count, kind, tmp_path):
    channels = [NOISE] * (count - 1) + [SMOOTH]
    path = write_channels(tmp_path / "a.tif", channels, **{kind: True})
    image = uh.read_image(path)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, NOISE)
    listed = ", ".join(map(str, range(count)))
    assert image.notes == (
        f"took channel 0 of {listed}; choose another one with channel=",
        f"channel {count - 1} has clearly more structure than the one taken",
    )


def test_a_channel_is_chosen_by_its_index_without_a_hint(tmp_path):
    path = write_channels(tmp_path / "a.ome.tif", [SMOOTH, NOISE, NOISE // 2])
    image = uh.read_image(path, channel=2)
    np.testing.assert_array_equal(image.pixels, NOISE // 2)
    assert image.notes == ("took channel 2 of 0, 1, 2; choose another one with channel=",)
    with pytest.raises(
        uh.ImageError,
        match="no channel 3; its channels are 0 to 2, without names; choose one with channel=",
    ):
        uh.read_image(path, channel=3)


@pytest.mark.parametrize("channel", ["dapi", "DAPI nuclei", "d", "1", 1])
def test_a_channel_is_chosen_by_its_name_or_the_beginning_of_it(channel, tmp_path):
    path = write_channels(tmp_path / "a.ome.tif", [NOISE, SMOOTH], ["FITC", "DAPI nuclei"])
    np.testing.assert_array_equal(uh.read_image(path, channel=channel).pixels, SMOOTH)


@pytest.mark.parametrize("channel", ["GFP", "f"])
def test_a_name_of_no_channel_or_of_two_is_refused_with_those_there_are(channel, tmp_path):
    path = write_channels(tmp_path / "a.ome.tif", [NOISE, SMOOTH], ["FITC", "FarRed"])
    with pytest.raises(uh.ImageError, match="its channels are FITC, FarRed"):
        uh.read_image(path, channel=channel)


def test_a_nuclear_dye_is_taken_first(tmp_path):
    path = write_channels(tmp_path / "a.ome.tif", [NOISE, SMOOTH], ["Actin", "DAPI"])
    image = uh.read_image(path)
    np.testing.assert_array_equal(image.pixels, SMOOTH)
    assert "took channel 1 (DAPI) of 0 (Actin), 1 (DAPI)" in image.notes[0]


def test_imagej_names_channels_too(tmp_path):
    pixels = np.stack([NOISE, SMOOTH])
    metadata = {"axes": "CYX", "Labels": ["Actin", "Hoechst"]}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=metadata)
    image = uh.read_image(tmp_path / "a.tif")
    assert "took channel 1 (Hoechst)" in image.notes[0]


def test_structure_is_that_of_neighbours_in_the_middle_plane():
    from unet_helpers.images.channels import structure

    ramp = np.tile(np.arange(50.0), (40, 1))
    assert structure(ramp) == pytest.approx(1)
    assert structure(np.stack([np.zeros((40, 50)), ramp, np.zeros((40, 50))])) == pytest.approx(1)
    assert abs(structure(NOISE)) < 0.1
    assert structure(np.ones((40, 50))) == 0
    assert structure(np.array([[1.0, 2.0]])) == 0


def test_three_samples_of_8_bit_are_colours_and_two_of_16_bit_are_channels(tmp_path):
    rgb = RNG.integers(0, 255, (40, 50, 3), np.uint8)
    options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, **options)
    assert uh.read_image(tmp_path / "rgb.tif").axes == "YXC"
    two = np.stack([NOISE, SMOOTH], -1)
    tifffile.imwrite(tmp_path / "two.tif", two, **options)
    image = uh.read_image(tmp_path / "two.tif", channel=1)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, SMOOTH)


def test_a_palette_is_expanded_to_its_colours(tmp_path):
    indices = RNG.integers(0, 256, (40, 50), np.uint8)
    colours = RNG.integers(0, 65536, (3, 256), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, indices, photometric="palette", colormap=colours, metadata=None)
    image = uh.read_image(path)
    assert image.axes == "YXC"
    np.testing.assert_array_equal(image.pixels, (colours >> 8).T[indices])
    assert image.notes == ("expanded the colour palette",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
def test_inks_of_a_printer_become_red_green_and_blue(read, dtype, tmp_path):
    """Black ink was taken for alpha, and cyan, magenta and yellow for red, green and blue."""
    white = np.iinfo(dtype).max
    inks = np.zeros((40, 50, 4), dtype)
    inks[:20, :, 0] = white
    inks[:, 25:, 3] = white // 2
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, inks, photometric="separated", tile=(16, 16), metadata=None)
    image = read(path)
    pixels = np.asarray(image.pixels)
    assert image.axes == "YXC"
    assert pixels[0, 0].tolist() == [0, white, white]
    assert pixels[30, 0].tolist() == [white] * 3
    assert pixels[30, 30].tolist() == [white - white // 2] * 3
    assert "converted from CMYK to RGB" in image.notes


def test_pages_that_say_nothing_are_slices_and_a_note_says_so(tmp_path):
    pages = np.stack([SMOOTH, NOISE])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", metadata=None)
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert image.notes == ("2 pages read as slices of a stack; page= takes one",)
    page = uh.read_image(tmp_path / "a.tif", page=1)
    np.testing.assert_array_equal(page.pixels, NOISE)
    assert page.notes[-1] == "took page 1 of 2"


def test_axes_of_pages_that_say_nothing_are_counted_together_as_slices(tmp_path):
    pages = RNG.integers(0, 65536, (2, 3, 40, 50), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pages, photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == "QQYX"

    image = uh.read_image(path)
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.pixels, pages.reshape(6, 40, 50))
    assert image.notes == ("6 pages read as slices of a stack; page= takes one",)
    page = uh.read_image(path, page=4)
    np.testing.assert_array_equal(page.pixels, pages[1, 1])


def test_of_several_axes_that_say_nothing_beside_slices_the_first_index_is_taken(tmp_path):
    pixels = RNG.integers(0, 256, (2, 3, 4, 40, 50), np.uint8)
    tiff = StoredPixels(pixels, axes="QQZYX", spacing={})
    image = arrange(tiff, ReadOptions(), tmp_path / "a.tif")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.pixels, pixels[0, 0])
    assert image.notes == ("took the first of 2 along axis Q", "took the first of 3 along axis Q")


def write_movie(path: Path) -> np.ndarray:
    """Six points in time, as ImageJ has them; the pixels."""
    pixels = np.stack([np.roll(SMOOTH, 5 * i, 0) for i in range(6)])
    metadata = {"axes": "TYX", "unit": "um"}
    tifffile.imwrite(path, pixels, imagej=True, resolution=(4, 4), metadata=metadata)
    return pixels


def test_time_is_not_depth(tmp_path):
    pixels = write_movie(tmp_path / "a.tif")
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "TYX"
    assert image.spacing == pytest.approx((0.25e-3, 0.25e-3))
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("option", ["frame", "page"])
def test_a_point_in_time_is_a_frame_or_a_page(option, tmp_path):
    pixels = write_movie(tmp_path / "a.tif")
    image = uh.read_image(tmp_path / "a.tif", **{option: 2})
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, pixels[2])
    assert image.notes == (f"took {option} 2 of 6",)
    with pytest.raises(uh.ImageError, match=f"{option}s 0 to 5, there is no {option} 6"):
        uh.read_image(tmp_path / "a.tif", **{option: 6})


def test_frame_and_page_together_take_a_slice_of_one_point_in_time(tmp_path):
    pixels = RNG.integers(0, 99, (2, 3, 40, 50), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "TZYX"})
    image = uh.read_image(tmp_path / "a.tif", frame=1, page=2)
    np.testing.assert_array_equal(image.pixels, pixels[1, 2])
    assert image.notes == ("took frame 1 of 2", "took page 2 of 3")


def test_a_file_without_time_has_frame_0_alone(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", NOISE)
    np.testing.assert_array_equal(uh.read_image(tmp_path / "a.tif", frame=0).pixels, NOISE)
    with pytest.raises(uh.ImageError, match="there is no frame 1"):
        uh.read_image(tmp_path / "a.tif", frame=1)


def test_a_channel_of_a_movie_of_stacks(tmp_path):
    pixels = RNG.integers(0, 99, (2, 3, 2, 40, 50), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "TZCYX"})
    image = uh.read_image(tmp_path / "a.tif", channel=1)
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.pixels, pixels[:, :, 1])


def arranged(pixels: np.ndarray, axes: str, **options) -> uh.MedicalImage:
    """The image of decoded pixels, without a file."""
    from unet_helpers.images.axes import StoredPixels, arrange
    from unet_helpers.images.options import ReadOptions

    return arrange(StoredPixels(pixels, axes, spacing={}), ReadOptions(**options), Path("a.tif"))


def test_of_axes_that_an_image_does_not_have_the_first_is_taken():
    pixels = RNG.integers(0, 99, (2, 3, 4, 5), np.uint8)
    image = arranged(pixels, "RZYX")
    np.testing.assert_array_equal(image.pixels, pixels[0])
    assert image.notes == ("took the first of 2 along axis R",)
    assert arranged(pixels[:1], "RZYX").notes == ()


def test_of_two_kinds_of_plain_pages_the_first_are_slices():
    pixels = RNG.integers(0, 99, (2, 3, 4, 5), np.uint8)
    image = arranged(pixels, "QIYX")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.pixels, pixels[:, 0])
    pages_beside_slices = arranged(pixels, "IZYX")
    np.testing.assert_array_equal(pages_beside_slices.pixels, pixels[0])


def test_samples_beside_channels_are_neither_colours_nor_channels():
    pixels = RNG.integers(0, 99, (2, 4, 5, 3), np.uint16)
    image = arranged(pixels, "CYXS", channel=1)
    np.testing.assert_array_equal(image.pixels, pixels[1, :, :, 0])
    assert "took the first of 3 along axis S" in image.notes


def test_axes_of_length_1_are_dropped():
    pixels = RNG.integers(0, 99, (1, 1, 1, 4, 5), np.uint8)
    image = arranged(pixels, "TZCYX")
    assert image.axes == "YX"
    assert image.notes == ()
    np.testing.assert_array_equal(image.pixels, pixels[0, 0, 0])


UNITS = {
    "um": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "\\u00B5m": 1e-3,
    "micrometer": 1e-3,
    "micrometres": 1e-3,
    "nm": 1e-6,
    "mm": 1,
    "cm": 10,
    "inches": 25.4,
    "inch": 25.4,
    "m": 1000,
    "pixel": None,
}


@pytest.mark.parametrize("unit", UNITS)
def test_imagej_names_its_unit(unit, tmp_path):
    metadata = {"unit": unit}
    tifffile.imwrite(tmp_path / "a.tif", NOISE, imagej=True, resolution=(2, 4), metadata=metadata)
    millimetres = UNITS[unit]
    expected = None
    if millimetres is not None:
        expected = pytest.approx((millimetres / 4, millimetres / 2))
    assert uh.read_image(tmp_path / "a.tif").spacing == expected


@pytest.mark.parametrize(
    ("resolution", "unit", "spacing"),
    [
        ((20000, 40000), "CENTIMETER", (0.25e-3, 0.5e-3)),
        ((501, 501), "CENTIMETER", (10 / 501, 10 / 501)),
        ((500, 500), "CENTIMETER", None),
        ((118, 20000), "CENTIMETER", None),
        ((50800, 101600), "INCH", (0.25e-3, 0.5e-3)),
        ((1270, 1270), "INCH", None),
        ((72, 72), "INCH", None),
        ((20000, 20000), "NONE", None),
    ],
)
def test_a_resolution_counts_where_no_printer_is_as_fine(resolution, unit, spacing, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, resolution=resolution, resolutionunit=unit)
    assert uh.read_image(path).spacing == (spacing and pytest.approx(spacing))


def test_aperio_says_micrometres_per_px(tmp_path):
    path = tmp_path / "a.tif"
    aperio = "Aperio Image|AppMag = 40|MPP = 0.25"
    tifffile.imwrite(path, NOISE, description=aperio, metadata=None)
    assert uh.read_image(path).spacing == pytest.approx((0.25e-3, 0.25e-3))
    tifffile.imwrite(path, NOISE, description=f"Not {aperio}", metadata=None)
    assert uh.read_image(path).spacing is None


def test_ome_gives_each_axis_its_own_unit_or_micrometres(tmp_path):
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeZ": 0.002,
        "PhysicalSizeZUnit": "mm",
        "PhysicalSizeY": 500,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeX": 0.25,
    }
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([NOISE, SMOOTH]), ome=True, metadata=metadata)
    assert uh.read_image(path).spacing == pytest.approx((2e-3, 0.5e-3, 0.25e-3))


def test_a_stack_without_a_distance_of_its_slices_keeps_that_of_rows_and_columns(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([NOISE, SMOOTH]), ome=True, metadata=metadata)
    image = uh.read_image(path)
    assert image.spacing == pytest.approx((0.5e-3, 0.25e-3))
    words = "the spacing of its slices is not in the file: give it with spacing="
    assert image.notes == (words,)


def write_slide(path: Path) -> np.ndarray:
    """A slide of Aperio's with a thumbnail between its two levels; the pixels of the finer one."""
    slide = np.random.default_rng(0).integers(0, 255, (256, 384, 3), np.uint8)
    description = (
        "Aperio Image Library v11.2.1\r\n384x256 [0,0 384x256] (64x64)|AppMag = 40|MPP = 0.25"
    )
    options = {"photometric": "rgb", "metadata": None, "software": False}
    options["description"] = description
    with tifffile.TiffWriter(path) as file:
        file.write(slide, tile=(64, 64), **options)
        file.write(slide[::8, ::8], **options)
        file.write(slide[::4, ::4], tile=(64, 64), **options)
    return slide


def test_a_level_of_a_slide_has_its_own_spacing(tmp_path):
    slide = write_slide(tmp_path / "a.svs")
    fine = uh.read_image(tmp_path / "a.svs", level=0)
    coarse = uh.read_image(tmp_path / "a.svs", level=1)
    np.testing.assert_array_equal(fine.pixels, slide)
    np.testing.assert_array_equal(coarse.pixels, slide[::4, ::4])
    assert fine.spacing == pytest.approx((0.25e-3, 0.25e-3))
    assert coarse.spacing == pytest.approx((1e-3, 1e-3))
    assert fine.position.step == (1.0, 1.0)
    assert coarse.position.step == (4.0, 4.0)
    with pytest.raises(uh.ImageError, match="levels 0 to 1"):
        uh.read_image(tmp_path / "a.svs", level=2)


@pytest.mark.parametrize(("limit", "level"), [(256 * 384 * 3, 0), (256 * 384 * 3 - 1, 1)])
def test_the_finest_level_that_is_small_enough_is_taken(limit, level, tmp_path, monkeypatch):
    write_slide(tmp_path / "a.svs")
    monkeypatch.setattr("unet_helpers.images.limits.MAX_VALUES", limit)
    image = uh.read_image(tmp_path / "a.svs")
    assert image.pixels.shape == ((256, 384, 3) if level == 0 else (64, 96, 3))
    assert f"took level {level} of 0 (384 px wide), 1 (96 px wide)" in image.notes[0]
    assert image.notes[1] == (
        "took image 0 (Baseline), the largest of 2 images: 0 (Baseline), 1 (Thumbnail); "
        "choose another one with series="
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_as_pillow_turns_a_picture(orientation, tmp_path):
    pixels = RNG.integers(0, 255, (6, 9, 3), np.uint8)
    tag = [(274, 3, 1, orientation, True)]
    options = {"resolution": (20000, 40000), "resolutionunit": "CENTIMETER", "extratags": tag}
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    with Image.open(tmp_path / "a.tif") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))

    image = uh.read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, expected)
    is_turned = orientation > 1
    assert image.notes == (("turned as the file's orientation says",) if is_turned else ())
    is_transposed = orientation > 4
    spacing = (0.5e-3, 0.25e-3) if is_transposed else (0.25e-3, 0.5e-3)
    assert image.spacing == pytest.approx(spacing)
