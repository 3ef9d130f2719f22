"""Images from disk to disk: the labels, objects and counts of the whole image, wherever tiles and blocks begin."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.drawn import draw_nuclei
from helpers.networks import make_network
from helpers.slides import write_slide

import unet_helpers as uh
from unet_helpers.images.read import open_lazily
from unet_helpers.inference import large
from unet_helpers.results.segmentation import Segmentation

zarr = pytest.importorskip("zarr", "3")

RANDOM = np.random.default_rng(0)
GREY, COLOUR = (
    RANDOM.integers(0, 255, (150, 210), np.uint8),
    RANDOM.integers(0, 255, (150, 210, 3), np.uint8),
)


def segment_large(source, model, out, **options):
    """(labels, objects, table, manifest) of the one result in ``out``."""
    table = uh.segment_large(source, model, out, progress=False, **options)
    labels, objects = (
        tifffile.imread(next(out.glob(f"*_{kind}.ome.tif"))) for kind in ("labels", "objects")
    )
    saved = pd.read_csv(next(out.glob("*_measurements.csv")))
    pd.testing.assert_frame_equal(saved, table, check_dtype=False)
    return labels, objects, table, json.loads(next(out.glob("*.json")).read_text())


def same_parts(a: np.ndarray, b: np.ndarray) -> bool:
    """Are these the same objects, whatever their numbers?"""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A slide of three clusters that lie across blocks and tiles; the number of nuclei, and the answer in memory."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    count = write_slide(path, 1500, [(0, 100), (30, 890), (700, 450)])
    return path, count, uh.segment(path, "nuclei", flips=1, zoom=0.75, progress=False)


def test_streamed_nuclei_are_those_of_the_whole_image(slide, tmp_path, monkeypatch):
    path, count, whole = slide
    monkeypatch.setattr(large, "BLOCK", 500)
    labels, objects, table, record = segment_large(path, "nuclei", tmp_path, flips=1, zoom=0.75)
    assert (labels != whole.labels).mean() < 1e-5
    assert same_parts(objects, whole.objects)
    assert len(table) == objects.max() == record["objects"] == count == whole.objects.max()
    measured = whole.measure().sort_values(["centroid_y_px", "centroid_x_px"], ignore_index=True)
    table = table.sort_values(["centroid_y_px", "centroid_x_px"], ignore_index=True)
    for column in ("area_px", "diameter_px", "centroid_y_px", "centroid_x_px"):
        np.testing.assert_allclose(table[column], measured[column])
    assert not list(tmp_path.glob(".*"))  # nothing is left over
    with tifffile.TiffFile(next(tmp_path.glob("*_labels.ome.tif"))) as tif:
        assert tif.is_ome
        assert tif.pages[0].is_tiled


def test_a_window_stands_for_the_whole(slide, tmp_path, monkeypatch):
    """Scale and levels found where contrast is highest are those of all of it, and so is the count."""
    path, count, whole = slide
    model, seen, predict = uh.load_model("nuclei"), [], large.predict

    def spy(model, prepared, *arguments, **options):
        seen.append(prepared)
        predict(model, prepared, *arguments, **options)

    monkeypatch.setattr(large, "predict", spy)
    monkeypatch.setattr(large, "SAMPLE", 600)
    said = []
    _, objects, _, record = segment_large(path, model, tmp_path, flips=1, tell=said.append)
    pixels = whole.image.pixels
    shape = large.working_shape(model, pixels)
    other = large.prepare(pixels[None], model.card.preprocessing, shape)[0]
    assert seen[0].zoom == pytest.approx(other.zoom, rel=0.1)
    assert record["zoom"] == pytest.approx(seen[0].zoom[0])
    assert seen[0].gain == pytest.approx(other.gain, rel=0.3)
    assert objects.max() == count
    assert "600 × 600 px" in record["notes"][-1]
    assert "600 × 600 px" in said[0]


def pyramid(path, levels, **options):
    with tifffile.TiffWriter(path) as file:
        for i, pixels in enumerate(levels):
            kind = {"subifds": len(levels) - 1} if i == 0 else {"subfiletype": 1}
            file.write(pixels, tile=(64, 64), **kind, **options)
    return path


def ome_zarr(path, levels):
    group = zarr.open_group(path, mode="w")
    for i, pixels in enumerate(levels):
        group.create_array(str(i), data=pixels[None], chunks=(1, 64, 64))
    return path


def zarr_array(path, pixels, chunks=(64, 64)):
    zarr.create_array(path, data=pixels, chunks=chunks)
    return path


def tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, **options)
    return path


LEVELS = [np.kron(GREY, np.ones((2, 2), np.uint8)), GREY]
BLUE = np.pad(GREY[..., None], ((0, 0), (0, 0), (2, 0)))
OPAQUE = np.pad(COLOUR, ((0, 0), (0, 0), (0, 1)), constant_values=255)
MIDDLE = {"region": (37, 50, 101, 151)}
SOURCES = {
    "tiles": (lambda path: tiff(path / "a.tif", GREY, tile=(64, 64)), GREY, {}),
    "one piece": (lambda path: tiff(path / "a.tif", GREY), GREY, {}),
    "strips": (
        lambda path: tiff(path / "a.tif", GREY, rowsperstrip=7, compression="zlib"),
        GREY,
        {},
    ),
    "region": (
        lambda path: tiff(path / "a.tif", GREY, tile=(64, 64)),
        GREY[37:138, 50:201],
        MIDDLE,
    ),
    "colour": (
        lambda path: tiff(path / "a.tif", COLOUR, tile=(64, 64), photometric="rgb"),
        COLOUR,
        {},
    ),
    "alpha": (
        lambda path: tiff(
            path / "a.tif", OPAQUE, tile=(64, 64), photometric="rgb", extrasamples=[2]
        ),
        COLOUR,
        {},
    ),
    "one live colour": (
        lambda path: tiff(path / "a.tif", BLUE, tile=(64, 64), photometric="rgb"),
        GREY,
        {},
    ),
    "big-endian": (
        lambda path: tiff(path / "a.tif", GREY * np.uint16(9), tile=(64, 64), byteorder=">"),
        GREY * 9.0,
        {},
    ),
    "level": (lambda path: pyramid(path / "a.tif", LEVELS), GREY, {"level": 1}),
    "zarr": (lambda path: zarr_array(path / "a.zarr", GREY), GREY, {}),
    "zarr in colour": (lambda path: zarr_array(path / "a.zarr", COLOUR, (64, 64, 3)), COLOUR, {}),
    "zarr channel": (
        lambda path: zarr_array(path / "a.zarr", np.stack([GREY[::-1], GREY]), (1, 64, 64)),
        GREY,
        {"channel": 1},
    ),
    "zarr level": (lambda path: ome_zarr(path / "a.zarr", LEVELS), GREY, {"level": 1}),
    "zarr region": (
        lambda path: ome_zarr(path / "a.zarr", LEVELS),
        GREY[37:138, 50:201],
        {"level": 1} | MIDDLE,
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_source_gives_what_the_same_pixels_give_in_memory(name, tmp_path, monkeypatch):
    """A random network: its labels are mazes through many blocks."""
    write, pixels, options = SOURCES[name]
    network = make_network(in_channels=3 if pixels.ndim == 3 else 1)
    threshold = float(np.quantile(uh.segment(pixels, network, progress=False).foreground, 0.65))
    network.card = replace(network.card, threshold=threshold)
    monkeypatch.setattr(large, "HALO", 8)
    monkeypatch.setattr(large, "BLOCK", 64)
    whole = uh.segment(pixels, network, progress=False)
    assert whole.objects.max() > 20
    labels, objects, table, record = segment_large(
        write(tmp_path), network, tmp_path / "out", **options
    )
    assert (labels == whole.labels).all()
    assert same_parts(objects, whole.objects)
    assert len(table) == whole.objects.max()
    assert set(table["class"]) == {"class 1"}


def test_colours_are_grey_to_a_grey_network(tmp_path):
    network = make_network()
    whole = uh.segment(COLOUR, network, progress=False)
    labels, *_ = segment_large(
        tiff(tmp_path / "a.tif", COLOUR, tile=(64, 64), photometric="rgb"), network, tmp_path
    )
    assert whole.labels.any()
    assert (labels != whole.labels).mean() < 1e-3


def test_what_was_taken_of_several_images_or_arrays_is_the_largest_and_said(tmp_path):
    """A thumbnail that comes first, and a Zarr group of two arrays."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(GREY[:20, :30], photometric="minisblack", tile=(16, 16))
        tif.write(GREY, photometric="minisblack", tile=(16, 16))
    group = zarr.open_group(tmp_path / "b.zarr", mode="w")
    for name, pixels in (("0", GREY), ("1", GREY[::2, ::2])):
        group.create_array(name, data=pixels, chunks=(64, 64))
    taken = open_lazily(tmp_path / "a.tif")
    assert taken.pixels.shape == GREY.shape
    assert "largest of 2" in taken.notes[0]
    np.testing.assert_array_equal(np.asarray(taken.pixels), GREY)
    taken = open_lazily(tmp_path / "b.zarr", level=1)
    assert taken.pixels.shape == GREY[::2, ::2].shape
    assert "'1' of 0, 1" in taken.notes[0]


def test_the_spacing_of_a_level_reaches_the_table(tmp_path):
    source = pyramid(tmp_path / "a.tif", LEVELS, resolution=(20000, 20000), resolutionunit=3)
    table = uh.segment_large(source, make_network(), tmp_path, level=1, progress=False)
    np.testing.assert_allclose(table["area_um2"], table["area_px"])
    assert uh.read_image(tmp_path / "a_small_labels.ome.tif").spacing == pytest.approx((1e-3, 1e-3))


def test_tiles_from_disk_to_disk_are_those_of_memory(tmp_path):
    """Tiles smaller than the image, at a scale of their own, some of them constant."""
    grey = GREY.copy()
    grey[:80, :80] = 7
    network, source = make_network(3), tiff(tmp_path / "a.tif", grey, tile=(64, 64))
    prepared = large.prepare(grey[None], network.card.preprocessing, (105, 147))[0]
    whole = np.zeros((3, 150, 210), np.float32)
    store = zarr.create_array(
        tmp_path / "a.zarr", shape=whole.shape, dtype="float32", chunks=(3, 40, 40)
    )
    large.predict(network, prepared, whole, tile=32, overlap=8)
    large.predict(
        network,
        replace(prepared, pixels=large.open_lazily(source).pixels),
        store,
        tile=32,
        overlap=8,
    )
    assert (store[:] == whole).all()
    assert (whole[1:, :20, :20] == 0).all()
    assert np.ptp(whole[1]) > 0


def tell_apart(method: str, probabilities: np.ndarray):
    """(labels, objects, table) as ``segment_large`` tells objects apart, from probabilities in memory."""
    card = replace(make_network(len(probabilities)).card, instance_method=method)
    like = Segmentation(uh.MedicalImage(np.zeros((4, 4)), "YX"), card, probabilities, 0.5)
    labels, objects = (np.zeros(probabilities.shape[1:], kind) for kind in (np.uint8, np.int32))
    answer = zarr.create_array({}, data=probabilities, chunks=(len(probabilities), 100, 100))
    numbers, table = large.tell_apart(like, answer, labels, objects)
    return labels, numbers[objects], table


@pytest.mark.parametrize("side", [70, 128, 1000])
@pytest.mark.parametrize("method", ["components", "interiors", "membranes"])
def test_objects_of_all_methods_are_joined(method, side, monkeypatch):
    """Cells and nuclei that touch, some doubtful and some larger than a block."""
    y, x = np.mgrid[:320, :320]
    centres = np.mgrid[20:320:28, 20:320:28].reshape(2, -1).T + np.random.default_rng(0).integers(
        -4, 5, (121, 2)
    )
    first, second = np.sort(
        np.hypot(y[..., None] - centres[:, 0], x[..., None] - centres[:, 1]), axis=-1
    )[..., :2].T
    membrane = np.exp(-(((second - first) / 3) ** 2)).T.astype(np.float32)
    membrane[100:220, 100:220] *= 0.1  # a cell of many
    if method == "interiors":
        interior = np.clip(1.4 - first.T / 12, 0, 1).astype(np.float32) * (1 - membrane)
        interior[y < 60] *= 0.72  # paler
        probabilities = np.stack([1 - interior, interior, 0 * interior])
    else:
        probabilities = membrane[None] if method == "membranes" else 1 - membrane[None]
    card = replace(make_network(len(probabilities)).card, instance_method=method)
    whole = Segmentation(uh.MedicalImage(np.zeros((320, 320)), "YX"), card, probabilities, 0.5)
    monkeypatch.setattr(large, "BLOCK", side)
    monkeypatch.setattr(large, "HALO", 64)
    labels, objects, table = tell_apart(method, probabilities)
    assert whole.objects.max() > 60
    assert len(table) == whole.objects.max()
    assert (labels == whole.labels).all()
    assert (
        (objects > 0) == (whole.objects > 0)
    ).mean() > 0.99  # lines within a cell larger than a block may stay
    assert table["area_px"].sum() == np.count_nonzero(objects)


def test_a_wrong_way_to_join_is_noticed(monkeypatch):
    """The tests above can fail: without joining there are more objects."""
    monkeypatch.setattr(
        large, "connected_components", lambda graph, _: (graph.shape[0], np.arange(graph.shape[0]))
    )
    with pytest.raises(AssertionError):
        test_objects_of_all_methods_are_joined("components", 70, monkeypatch)


def test_an_empty_answer_has_no_objects():
    _, objects, table = tell_apart(
        "interiors", np.stack([np.ones((50, 60), np.float32)] + [np.zeros((50, 60))] * 2)
    )
    assert len(table) == 0
    assert not objects.any()
    assert {"area_px", "centroid_y_px"} <= set(table)


def test_errors_say_what_to_do(tmp_path, monkeypatch):
    source, network = tiff(tmp_path / "a.tif", GREY, tile=(64, 64)), make_network()
    uh.segment_large(source, network, tmp_path, progress=False)
    with pytest.raises(uh.SaveError, match="overwrite=True"):
        uh.segment_large(source, network, tmp_path, progress=False)
    uh.segment_large(source, network, tmp_path, progress=False, overwrite=True)
    with pytest.raises(uh.ArgumentError, match="as a whole"):
        uh.segment_large(source, "lungs", tmp_path)
    with pytest.raises(uh.ImageError, match="is 150 × 210 px, there is no"):
        uh.segment_large(source, network, tmp_path, region=(0, 200, 50, 50))
    with pytest.raises(uh.ImageError, match="there is no level 3"):
        uh.segment_large(source, network, tmp_path, level=3)
    with pytest.raises(uh.ImageError, match="no channel 4"):
        uh.segment_large(
            tiff(tmp_path / "z.tif", np.zeros((2, 2, 9, 9), np.uint8)), network, tmp_path, channel=4
        )
    with pytest.raises(uh.ImageError, match="ihc.png"):
        uh.segment_large("sample_images/ihc.png", network, tmp_path)
    with pytest.raises(uh.ImageError, match="no such file"):
        uh.segment_large(tmp_path / "none.tif", network, tmp_path)
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    with pytest.raises(uh.ImageError, match="no level 0"):
        uh.segment_large(tmp_path / "group.zarr", network, tmp_path)
    monkeypatch.setattr("unet_helpers.images.image.MAX_VALUES", 1000)
    for huge in (source, GREY):
        with pytest.raises(uh.ImageError, match="segment_large"):
            uh.segment(huge, network)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(uh.ImageError, match="pip install zarr"):
        uh.segment_large(source, network, tmp_path)


def test_a_slide_that_is_damaged_leaves_nothing(tmp_path):
    source = tiff(tmp_path / "a.tif", GREY, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(source) as tif:
        at, size = tif.pages[0].dataoffsets[-1], tif.pages[0].databytecounts[-1]
    with source.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * size)
    with pytest.raises(uh.ImageError, match="a.tif"):
        uh.segment_large(source, make_network(), tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("*"))


def test_colours_on_a_dark_ground_are_seen_as_in_memory(tmp_path):
    """By the brightest of each pixel, and not as colours with the levels of the brightest."""
    pixels = np.stack([draw_nuclei(12, 200, seed)[0] for seed in range(3)], -1) // np.array(
        [1, 2, 3], np.uint8
    )
    tifffile.imwrite(tmp_path / "dyes.tif", pixels, photometric="rgb", tile=(64, 64))
    labels, *_ = segment_large(tmp_path / "dyes.tif", "nuclei", tmp_path / "out", zoom=1.0)
    whole = uh.segment(pixels, "nuclei", zoom=1.0, progress=False)
    assert whole.image.channels == 3
    assert whole.labels.any()
    assert (labels == whole.labels).mean() > 0.9999


@pytest.mark.parametrize(
    "format", ["tiff", "zarr 0.4", "zarr 0.5", "zarr 0.3", "zarr 0.4, scaled as a whole"]
)
def test_names_of_channels_and_spacing_are_read_as_for_images_in_memory(format, tmp_path):
    pixels, names = np.stack([GREY[::-1], GREY]), ["Phalloidin", "DAPI"]
    if format == "tiff":
        path, about = (
            tmp_path / "a.ome.tif",
            {"axes": "CYX", "Channel": {"Name": names}, "PhysicalSizeX": 0.5},
        )
        metadata = about | {
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.25,
            "PhysicalSizeYUnit": "µm",
        }
        tifffile.imwrite(
            path, pixels, ome=True, tile=(64, 64), photometric="minisblack", metadata=metadata
        )
    else:
        path, version = tmp_path / "a.zarr", format[5:8]
        group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
        group.create_array("0", data=pixels, chunks=(1, 64, 64))
        axes = [
            {"name": "c"},
            {"name": "y", "unit": "micrometer"},
            {"name": "x", "unit": "micrometer"},
        ]
        held = {
            "path": "0",
            "coordinateTransformations": [{"type": "scale", "scale": [1, 0.25, 0.5]}],
        }
        image = {"version": version, "axes": axes, "datasets": [held]}
        image = (
            image
            if version != "0.3"
            else {"version": version, "axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}
        )
        image |= (
            {"coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2]}]}
            if "whole" in format
            else {}
        )
        about = {"multiscales": [image], "omero": {"channels": [{"label": name} for name in names]}}
        group.attrs.update({"ome": about} if version == "0.5" else about)
    image = open_lazily(path)
    assert image.spacing == (
        None if "0.3" in format or "whole" in format else pytest.approx((0.25e-3, 0.5e-3))
    )
    np.testing.assert_array_equal(image.pixels, GREY)  # DAPI, which networks of nuclei know
    assert image.notes == ("took channel 1 (DAPI) of 2; choose another one with channel=",)
    np.testing.assert_array_equal(open_lazily(path, channel="phall").pixels, GREY[::-1])
    np.testing.assert_array_equal(open_lazily(path, channel=0).pixels, GREY[::-1])
    with pytest.raises(uh.ImageError, match="no channel 'GFP'; its channels are Phalloidin, DAPI"):
        open_lazily(path, channel="GFP")


def test_integers_of_8_bits_are_noted(tmp_path):
    pytest.importorskip("openvino")
    path = tiff(tmp_path / "z.tif", GREY)
    for engine, told in (("openvino", False), ("int8", True)):
        record = segment_large(
            path, uh.load_model("em_membranes", engine=engine), tmp_path / engine
        )[3]
        assert any("8 bits" in note for note in record["notes"]) == told
