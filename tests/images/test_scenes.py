"""Of a file with several images, what is told belongs to the one that was read."""

import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily

RNG = np.random.default_rng(0)
OVERVIEW = RNG.integers(0, 4000, (2, 40, 50), np.uint16)
DETAIL = RNG.integers(0, 4000, (2, 80, 100), np.uint16)
CHANNELS = {"overview": ["DAPI", "GFP"], "detail": ["GFP", "DAPI"]}
MICROMETRES = {"overview": 1.0, "detail": 0.25}


def write_scenes(path, **scenes):
    """An OME-TIFF with an image (C, Y, X) for each name, of its own pixel size and channels."""
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, pixels in scenes.items():
            metadata = {
                "axes": "CYX",
                "Name": name,
                "PhysicalSizeX": MICROMETRES[name],
                "PhysicalSizeY": MICROMETRES[name],
                "Channel": {"Name": CHANNELS[name]},
            }
            file.write(pixels, photometric="minisblack", metadata=metadata)
    return path


@pytest.fixture
def scenes(tmp_path):
    """An overview, and a larger detail with another order of channels."""
    return write_scenes(tmp_path / "a.ome.tif", overview=OVERVIEW, detail=DETAIL)


@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
def test_size_and_channels_are_those_of_the_scene_that_is_read(read, scenes):
    image = read(scenes)
    np.testing.assert_array_equal(np.asarray(image.pixels), DETAIL[1])
    assert image.spacing == pytest.approx((0.25e-3, 0.25e-3))
    assert image.notes == (
        "took image 1 (detail), the largest of 2 images: 0 (overview), 1 (detail); "
        "choose another one with series=",
        "took channel 1 (DAPI) of 0 (GFP), 1 (DAPI); choose another one with channel=",
    )


@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
@pytest.mark.parametrize("series", [0, "0", "overview", "OVER"])
def test_a_scene_is_chosen_by_its_index_or_name(read, series, scenes):
    image = read(scenes, series=series)
    np.testing.assert_array_equal(np.asarray(image.pixels), OVERVIEW[0])
    assert image.spacing == pytest.approx((1e-3, 1e-3))
    assert "took image 0 (overview), one of 2 images" in image.notes[0]
    assert "took channel 0 (DAPI)" in image.notes[1]


@pytest.mark.parametrize("series", [2, "label", ""])
def test_a_scene_that_is_not_there_is_refused_with_those_there_are(series, scenes):
    with pytest.raises(uh.ImageError, match=r"it has 0 \(overview\), 1 \(detail\)"):
        uh.read_image(scenes, series=series)


def test_images_without_pixels_in_the_file_are_passed_over(tmp_path):
    """tifffile leaves them out, so that its images and OME's have different numbers."""
    path = write_scenes(tmp_path / "a.ome.tif", overview=OVERVIEW, detail=DETAIL)
    content = path.read_bytes()
    start = content.index(b"<Image ")
    stop = content.index(b"</Image>", start)
    emptied = (
        content[start:stop]
        .replace(b"<TiffData", b"<NoneData")
        .replace(b"</TiffData", b"</NoneData")
    )
    path.write_bytes(content[:start] + emptied + content[stop:])
    image = uh.read_image(path)
    np.testing.assert_array_equal(image.pixels, DETAIL[1])
    assert image.spacing == pytest.approx((0.25e-3, 0.25e-3))


def test_scenes_of_one_size_are_told_apart(tmp_path):
    path = write_scenes(tmp_path / "a.ome.tif", overview=OVERVIEW, detail=OVERVIEW[::-1].copy())
    image = uh.read_image(path)
    assert "the first of 2 images" in image.notes[0]
    second = uh.read_image(path, series="detail")
    assert second.spacing == pytest.approx((0.25e-3, 0.25e-3))
    np.testing.assert_array_equal(second.pixels, OVERVIEW[0])


def test_the_resolution_of_a_slide_is_not_that_of_the_thumbnail_before_it(tmp_path):
    path = tmp_path / "a.tif"
    options = {"photometric": "minisblack", "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as file:
        file.write(OVERVIEW[0], resolution=(10_000, 10_000), **options)
        file.write(DETAIL[0], resolution=(40_000, 40_000), **options)
    assert uh.read_image(path).spacing == pytest.approx((0.25e-3, 0.25e-3))


def write_two_files(folder):
    """An OME image whose two channels are in two files, of which the first is shorter."""
    first, second = folder / "a_C0.ome.tif", folder / "a_C1.ome.tif"
    pixels = "".join(
        f'<TiffData FirstC="{number}" FirstT="0" FirstZ="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{file.name}">urn:uuid:{number}</UUID></TiffData>'
        for number, file in enumerate((first, second))
    )
    for number, file in enumerate((first, second)):
        description = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{number}"><Image ID="Image:0" Name="a">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="50" SizeY="40" '
            'SizeZ="1" SizeC="2" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
            '<Channel ID="Channel:0:0" Name="GFP"/><Channel ID="Channel:0:1" Name="DAPI"/>'
            f"{pixels}</Pixels></Image></OME>"
        )
        compression = "zlib" if number == 0 else None
        content = np.zeros_like(OVERVIEW[0]) if number == 0 else OVERVIEW[1]
        tifffile.imwrite(
            file, content, description=description, metadata=None, compression=compression
        )
    assert first.stat().st_size < second.stat().st_size
    return first, second


def test_an_image_in_several_files_is_read_from_any_of_them(tmp_path):
    for path in write_two_files(tmp_path):
        image = uh.read_image(path)
        np.testing.assert_array_equal(image.pixels, OVERVIEW[1])
        assert image.spacing == pytest.approx((0.5e-3, 0.5e-3))
        assert image.channel_names == ("GFP", "DAPI")


def test_a_file_of_an_image_that_is_missing_is_named(tmp_path):
    first, second = write_two_files(tmp_path)
    second.unlink()
    with pytest.raises(uh.ImageError, match=r"several files, of which a_C1\.ome\.tif is missing"):
        uh.read_image(first)


# Each replacement has the length of the original, so that the file stays whole.
INVALID = {
    "a number without quotes": (b'SizeX="50"', b"SizeX=50  "),
    "no number": (b'SizeX="50"', b'SizeX="x0"'),
    "a size that is no number": (b'PhysicalSizeX="0.5"', b'PhysicalSizeX="0,x"'),
    "an unclosed element": (b"</Pixels>", b"</Pxxels>"),
    "no order of dimensions": (b"DimensionOrder", b"DimXnsionOrder"),
}


@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
@pytest.mark.parametrize("invalid", INVALID)
def test_metadata_that_cannot_be_read_are_a_note(read, invalid, tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, OVERVIEW[0], metadata=metadata)
    good, bad = INVALID[invalid]
    content = path.read_bytes()
    assert good in content
    path.write_bytes(content.replace(good, bad))
    image = read(path)
    np.testing.assert_array_equal(np.asarray(image.pixels), OVERVIEW[0])
    assert image.notes
