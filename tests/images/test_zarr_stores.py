"""OME-Zarr: axes, channels and scales by their names, collections and plates by those of images."""

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily
from unet_helpers.inference.sources import find_images

zarr = pytest.importorskip("zarr", "3")

RNG = np.random.default_rng(0)
MOVIE = RNG.integers(0, 4000, (2, 3, 4, 40, 50), np.uint16)
GREY = RNG.integers(0, 4000, (40, 50), np.uint16)
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
BOTH = pytest.mark.parametrize("read", [uh.read_image, open_lazily])


def attributes_of(axes, scales, names=(), **further):
    """OME-NGFF's attributes of arrays '0', '1', ... with these scales along the axes."""
    described = [
        {"name": axis, "type": KINDS[axis]}
        | ({"unit": "micrometer"} if KINDS[axis] == "space" else {})
        for axis in axes
    ]
    datasets = [
        {"path": str(index), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for index, scale in enumerate(scales)
    ]
    multiscale = {"version": "0.4", "axes": described, "datasets": datasets, **further}
    channels = [{"label": name} for name in names]
    return {"multiscales": [multiscale], **({"omero": {"channels": channels}} if names else {})}


def write_image(path, *levels, attributes, zarr_format=2):
    """An OME-Zarr image."""
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for number, pixels in enumerate(levels):
        chunks = (1,) * (pixels.ndim - 2) + pixels.shape[-2:]
        group.create_array(str(number), data=pixels, chunks=chunks)
    group.attrs.update({"ome": attributes} if zarr_format == 3 else attributes)
    return path


@pytest.fixture(params=[2, 3])
def movie(request, tmp_path):
    """Two frames of three channels of four slices."""
    attributes = attributes_of("tczyx", [[1, 1, 2, 0.5, 0.25]], ["GFP", "DAPI", "DIC"])
    return write_image(tmp_path / "a.zarr", MOVIE, attributes=attributes, zarr_format=request.param)


@BOTH
@pytest.mark.parametrize("channel", [1, "DAPI", "dap", None])
def test_channel_slice_and_frame_are_chosen_by_the_names_of_axes(read, channel, movie):
    image = read(movie, channel=channel, page=2, frame=1)
    np.testing.assert_array_equal(np.asarray(image.pixels), MOVIE[1, 1, 2])
    assert image.spacing == pytest.approx((0.5e-3, 0.25e-3))
    assert image.notes[:2] == ("took frame 1 of 2", "took page 2 of 4")


def test_the_whole_is_read_into_memory_and_one_plane_lazily(movie):
    image = uh.read_image(movie, channel="GFP")
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.pixels, MOVIE[:, 0])
    assert image.spacing == pytest.approx((2e-3, 0.5e-3, 0.25e-3))
    lazy = open_lazily(movie, channel="GFP")
    np.testing.assert_array_equal(np.asarray(lazy.pixels), MOVIE[0, 0, 0])
    assert "took frame 0 of 2; choose another one with frame=" in lazy.notes
    assert "took page 0 of 4; choose another one with page=" in lazy.notes


@BOTH
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel": "RFP"}, "its channels are GFP, DAPI, DIC"),
        ({"channel": 3}, "no channel 3"),
        ({"frame": 2}, "frames 0 to 1"),
        ({"page": 4}, "pages 0 to 3"),
        ({"level": 1}, "levels 0 to 0"),
        ({"series": "A/1"}, "no image 'A/1'"),
    ],
)
def test_what_a_store_does_not_have_is_refused(read, options, words, movie):
    with pytest.raises(uh.ImageError, match=words):
        read(movie, **options)


@BOTH
def test_levels_are_those_of_the_metadata_in_their_order(read, tmp_path):
    """Names of arrays sort otherwise: '10' before '2'."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    attributes = attributes_of("yx", [[0.5, 0.5], [1, 1]])
    for level, name in zip(attributes["multiscales"][0]["datasets"], ("s2", "s10")):
        level["path"] = name
    group.create_array("s10", data=GREY[::2, ::2])
    group.create_array("s2", data=GREY)
    group.attrs.update(attributes)
    np.testing.assert_array_equal(np.asarray(read(group.store.root).pixels), GREY)
    coarse = read(group.store.root, level=1)
    np.testing.assert_array_equal(np.asarray(coarse.pixels), GREY[::2, ::2])
    assert coarse.spacing == pytest.approx((1e-3, 1e-3))
    assert coarse.position.step == (2.0, 2.0)


@BOTH
def test_red_green_and_blue_of_a_slide_are_colours_and_dyes_are_not(read, tmp_path):
    colour = RNG.integers(0, 255, (40, 50, 3), np.uint8)
    attributes = attributes_of("cyx", [[1, 0.5, 0.5]], ["Channel 0", "Channel 1", "Channel 2"])
    for channel, shown in zip(attributes["omero"]["channels"], ("FF0000", "00FF00", "0000FF")):
        channel["color"] = shown
    planes = np.moveaxis(colour, -1, 0)
    path = write_image(tmp_path / "slide.zarr", planes, attributes=attributes)
    image = read(path)
    assert image.axes == "YXC"
    np.testing.assert_array_equal(np.asarray(image.pixels), colour)

    attributes["omero"]["channels"][2]["label"] = "DAPI"
    path = write_image(tmp_path / "dyes.zarr", planes, attributes=attributes)
    np.testing.assert_array_equal(np.asarray(read(path).pixels), colour[..., 2])


@pytest.fixture(params=["layout", "no layout"])
def collection(request, tmp_path):
    """An overview and a larger detail, side by side, as bioformats2raw writes them."""
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    for number, (name, step) in enumerate((("overview", 2), ("detail", 1))):
        attributes = attributes_of("yx", [[0.5 * step] * 2], name=name)
        write_image(tmp_path / "a.zarr" / str(number), GREY[::step, ::step], attributes=attributes)
    if request.param == "layout":
        root.attrs.update({"bioformats2raw.layout": 3})
        ome = root.create_group("OME")
        ome.attrs.update({"series": ["0", "1"]})
    return tmp_path / "a.zarr"


@BOTH
def test_of_a_collection_the_largest_image_is_taken_or_the_one_asked_for(read, collection):
    image = read(collection)
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY)
    assert image.notes == (
        "took image 1 (detail), the largest of 2 images: 0 (overview), 1 (detail); "
        "choose another one with series=",
    )
    for series in (0, "0", "overview"):
        overview = read(collection, series=series)
        np.testing.assert_array_equal(np.asarray(overview.pixels), GREY[::2, ::2])
        assert overview.spacing == pytest.approx((1e-3, 1e-3))
    with pytest.raises(uh.ImageError, match=r"it has 0 \(overview\), 1 \(detail\)"):
        read(collection, series="thumbnail")


@pytest.fixture
def plate(tmp_path):
    """Two wells of two fields."""
    root = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    wells = ["A/1", "B/03"]
    root.attrs.update(
        {"plate": {"wells": [{"path": well} for well in wells], "field_count": 2, "name": "p"}}
    )
    for row, well in enumerate(wells):
        group = root.create_group(well)
        group.attrs.update({"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for field in range(2):
            write_image(
                tmp_path / "plate.zarr" / well / str(field),
                GREY + np.uint16(10 * row + field),
                attributes=attributes_of("yx", [[0.5, 0.5]]),
            )
    return tmp_path / "plate.zarr"


@BOTH
@pytest.mark.parametrize(
    ("series", "added"),
    [
        (None, 0),
        ("A/1", 0),
        ("A/1/1", 1),
        ("B/03", 10),
        ("B03", 10),
        ("b3", 10),
        ("B/03/1", 11),
        (3, 11),
    ],
)
def test_wells_and_fields_of_a_plate_are_chosen_by_name(read, series, added, plate):
    image = read(plate, series=series)
    np.testing.assert_array_equal(np.asarray(image.pixels), GREY + added)
    assert "A/1/0, A/1/1, B/03/0, B/03/1" in image.notes[0]


def test_a_well_that_is_not_there_is_refused_with_those_there_are(plate):
    with pytest.raises(uh.ImageError, match="it has A/1/0, A/1/1, B/03/0, B/03/1"):
        uh.read_image(plate, series="C/1")


def test_a_store_in_a_folder_is_one_image(movie):
    (movie.parent / "b.tif").write_bytes(b"")
    found = [source.image.name for source in find_images(movie.parent)]
    assert found == ["a.zarr", "b.tif"]
    assert [source.image for source in find_images(movie)] == [movie]
    assert uh.read_image(movie).name == "a"
