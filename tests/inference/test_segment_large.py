"""Images from disk to disk have the labels and objects of the whole image."""

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
from helpers.stored import COLOUR, GREY, LEVELS, STORED, write_pyramid, write_tiff, write_tiles

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily
from unet_helpers.inference import large, large_objects, large_surroundings, large_window
from unet_helpers.inference.large import refuse_if_seen_whole
from unet_helpers.inference.scale import working_shape
from unet_helpers.inference.tiles import predict
from unet_helpers.preprocessing.prepare import prepare

zarr = pytest.importorskip("zarr", "3")


def segment_large(source, model, out, **options):
    """(labels, objects, table, manifest) of the one result in ``out``."""
    table = uh.segment_large(source, model, out, progress=False, **options)
    labels = tifffile.imread(next(out.glob("*_labels.ome.tif")))
    objects = tifffile.imread(next(out.glob("*_objects.ome.tif")))
    saved = pd.read_csv(next(out.glob("*_measurements.csv")))
    pd.testing.assert_frame_equal(saved, table, check_dtype=False)
    return labels, objects, table, json.loads(next(out.glob("*.json")).read_text())


def same_objects(first: np.ndarray, second: np.ndarray) -> bool:
    """Are these the same objects, whatever their numbers?"""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return all(len(np.unique(ids)) == pairs.shape[1] for ids in pairs)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A slide, the number of its nuclei and its answer in memory.

    Three clusters of nuclei lie across blocks and tiles.
    """
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    count = write_slide(path, 1500, [(0, 100), (30, 890), (700, 450)])
    return path, count, uh.segment(path, "nuclei", flips=1, zoom=0.9, progress=False)


def test_streamed_nuclei_are_those_of_the_whole_image(slide, tmp_path, monkeypatch):
    path, count, whole = slide
    monkeypatch.setattr(large_objects, "BLOCK", 500)
    labels, objects, table, record = segment_large(path, "nuclei", tmp_path, flips=1, zoom=0.9)
    assert (labels != whole.labels).mean() < 1e-5
    assert same_objects(objects, whole.objects)
    assert len(table) == objects.max() == record["objects"] == count == whole.objects.max()
    measured = whole.measure().sort_values(["centroid_y_px", "centroid_x_px"], ignore_index=True)
    table = table.sort_values(["centroid_y_px", "centroid_x_px"], ignore_index=True)
    for column in ("area_px", "diameter_px", "centroid_y_px", "centroid_x_px"):
        np.testing.assert_allclose(table[column], measured[column])
    assert not list(tmp_path.glob(".*"))  # nothing is left over
    with tifffile.TiffFile(next(tmp_path.glob("*_labels.ome.tif"))) as tif:
        assert tif.is_ome
        assert tif.pages[0].is_tiled


@pytest.mark.slow
def test_a_window_stands_for_the_whole(slide, tmp_path, monkeypatch):
    """Scale and levels found where contrast is highest are those of all of it."""
    path, count, whole = slide
    model = uh.load_model("nuclei")
    prepared_slides = []

    def spy(model, prepared, *arguments, **options):
        prepared_slides.append(prepared)
        predict(model, prepared, *arguments, **options)

    monkeypatch.setattr(large, "predict", spy)
    monkeypatch.setattr(large_window, "WINDOW", 600)
    said = []
    _, objects, _, record = segment_large(path, model, tmp_path, flips=1, tell=said.append)
    pixels = whole.image.pixels
    shape = working_shape(model, pixels)
    expected = prepare(pixels[None], model.card.preprocessing, shape)[0]
    (prepared,) = prepared_slides
    assert prepared.zoom == pytest.approx(expected.zoom, rel=0.1)
    assert record["zoom"] == pytest.approx(prepared.zoom[0])
    assert prepared.gain == pytest.approx(expected.gain, rel=0.3)
    assert objects.max() == count
    assert any("600 × 600 px" in note for note in record["notes"])
    assert "600 × 600 px" in said[0]


@pytest.mark.parametrize("stored", STORED, ids=[stored.id for stored in STORED])
def test_any_source_gives_what_the_same_pixels_give_in_memory(stored, tmp_path, monkeypatch):
    """A random network: its labels are mazes through many blocks."""
    pixels = stored.pixels
    in_channels = 3 if pixels.ndim == 3 else 1
    network = make_network(in_channels=in_channels)
    threshold = float(np.quantile(uh.segment(pixels, network, progress=False).foreground, 0.65))
    network.card = replace(network.card, threshold=threshold)
    monkeypatch.setattr(large_objects, "HALO", 8)
    monkeypatch.setattr(large_objects, "BLOCK", 64)
    whole = uh.segment(pixels, network, progress=False)
    assert whole.objects.max() > 20
    labels, objects, table, _ = segment_large(
        stored.write_to(tmp_path), network, tmp_path / "out", **stored.read_with
    )
    assert (labels == whole.labels).all()
    assert same_objects(objects, whole.objects)
    assert len(table) == whole.objects.max()
    assert set(table["class"]) == {"class 1"}


def test_colours_are_grey_to_a_grey_network(tmp_path):
    network = make_network()
    whole = uh.segment(COLOUR, network, progress=False)
    labels, *_ = segment_large(
        write_tiles(tmp_path / "a.tif", COLOUR, photometric="rgb"), network, tmp_path
    )
    assert whole.labels.any()
    assert (labels != whole.labels).mean() < 1e-3


def test_the_spacing_of_a_level_reaches_the_table(tmp_path):
    source = write_pyramid(tmp_path / "a.tif", LEVELS, resolution=(20000, 20000), resolutionunit=3)
    table = uh.segment_large(source, make_network(), tmp_path, level=1, progress=False)
    np.testing.assert_allclose(table["area_um2"], table["area_px"])
    assert uh.read_image(tmp_path / "a_small_labels.ome.tif").spacing == pytest.approx((1e-3, 1e-3))


def test_tiles_from_disk_to_disk_are_those_of_memory(tmp_path):
    """Tiles smaller than the image, at a scale of their own, some of them constant."""
    grey = GREY.copy()
    grey[:80, :80] = 7
    network = make_network(3)
    source = write_tiles(tmp_path / "a.tif", grey)
    prepared = prepare(grey[None], network.card.preprocessing, (105, 147))[0]
    whole = np.zeros((3, 150, 210), np.float32)
    store = zarr.create_array(
        tmp_path / "a.zarr", shape=whole.shape, dtype="float32", chunks=(3, 40, 40)
    )
    predict(network, prepared, whole, tile=32, overlap=8)
    predict(
        network,
        replace(prepared, pixels=open_lazily(source).pixels),
        store,
        tile=32,
        overlap=8,
    )
    assert (store[:] == whole).all()
    assert (whole[1:, :20, :20] == 0).all()
    assert np.ptp(whole[1]) > 0


def test_logits_are_shifted_by_the_diameter_as_in_memory(tmp_path):
    """At zoom 1/2, objects of 24 working px are 48 px wide."""
    source = write_tiles(tmp_path / "a.tif", GREY)
    reading = {"scale": "objects", "size": 24}
    foreground = {}
    for name, shifts in (("plain", ()), ("shifted", ((24.0, 0.0), (48.0, -4.0)))):
        network = make_network(3, **reading, logit_shifts=shifts)
        labels, *_ = segment_large(source, network, tmp_path / name, zoom=0.5)
        whole = uh.segment(source, network, zoom=0.5, progress=False)
        assert (labels != whole.labels).mean() < 1e-4
        foreground[name] = np.count_nonzero(labels)
    assert foreground["shifted"] < 0.95 * foreground["plain"]


@pytest.fixture
def tiled(tmp_path):
    """The path of a TIFF in tiles."""
    return write_tiles(tmp_path / "a.tif", GREY)


def test_the_same_answer_is_done_before_and_others_are_replaced_only_if_asked(tiled, tmp_path):
    network = uh.load_model("nuclei")
    options = {"zoom": 1.0, "progress": False}
    first = uh.segment_large(tiled, network, tmp_path, **options)
    manifest = tmp_path / "a_nuclei.json"
    before = manifest.stat().st_mtime_ns
    told = []
    again = uh.segment_large(tiled, network, tmp_path, tell=told.append, **options)
    pd.testing.assert_frame_equal(again, first, check_dtype=False)
    assert told == [f"done before: {tiled}: {tmp_path} already holds a_nuclei.json"]

    with pytest.raises(uh.SaveError, match=r"threshold 0\.6, now 0\.4.*overwrite=True"):
        uh.segment_large(tiled, network, tmp_path, threshold=0.4, **options)
    with pytest.raises(uh.SaveError, match=r"region not given, now .*overwrite=True"):
        uh.segment_large(tiled, network, tmp_path, region=(0, 0, 64, 64), **options)
    write_tiles(tiled, GREY[::-1])
    with pytest.raises(uh.SaveError, match=r"from another file: overwrite=True"):
        uh.segment_large(tiled, network, tmp_path, **options)
    assert manifest.stat().st_mtime_ns == before
    uh.segment_large(tiled, network, tmp_path, overwrite=True, **options)
    assert manifest.stat().st_mtime_ns > before

    (tmp_path / "a_nuclei_measurements.csv").unlink()
    with pytest.raises(uh.SaveError, match=r"without its table.*overwrite=True"):
        uh.segment_large(tiled, network, tmp_path, **options)


def test_a_tilde_is_the_home_folder_of_results_and_image(tiled, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    uh.segment_large("~/a.tif", make_network(), "~/out", progress=False)
    assert (tmp_path / "out/a_small.json").is_file()


def test_labels_are_written_as_they_are_up_to_the_highest(tiled, tmp_path, monkeypatch):
    """As of a network of 255 classes."""

    def find(blank, answer, labels, objects, channels):
        labels[:] = np.arange(np.prod(labels.shape)).reshape(labels.shape) % 256
        return large_objects.find_objects_by_blocks(blank, answer, objects, objects, channels)

    monkeypatch.setattr(large, "find_objects_by_blocks", find)
    labels, *_ = segment_large(tiled, make_network(), tmp_path)
    assert np.array_equal(labels.ravel(), np.arange(labels.size) % 256)


@pytest.mark.parametrize("model", ["lungs", "hippocampus", "brain_flair"])
def test_networks_that_see_an_image_as_a_whole_are_refused(model, tiled, tmp_path):
    with pytest.raises(uh.ArgumentError, match="as a whole"):
        uh.segment_large(tiled, model, tmp_path)


@pytest.mark.parametrize(
    ("reading", "share", "is_refused"),
    [
        ({}, 0.0, False),
        ({"context": 1}, 0.0, True),
        ({}, 0.1, True),
        ({"scale": "square", "size": 32}, 0.0, True),
        ({"scale": "objects", "size": 9}, 0.0, False),
    ],
)
def test_neighbours_sizes_of_parts_and_most_scales_need_an_image_as_a_whole(
    reading, share, is_refused
):
    card = replace(make_network(**reading).card, min_component_share=share)
    if is_refused:
        with pytest.raises(uh.ArgumentError, match="as a whole"):
            refuse_if_seen_whole(card)
    else:
        refuse_if_seen_whole(card)


def test_what_is_not_in_the_file_is_named(tiled, tmp_path):
    network = make_network()
    with pytest.raises(uh.ImageError, match="is 150 × 210 px, there is no"):
        uh.segment_large(tiled, network, tmp_path, region=(0, 200, 50, 50))
    with pytest.raises(uh.ImageError, match="there is no level 3"):
        uh.segment_large(tiled, network, tmp_path, level=3)
    stack = write_tiff(tmp_path / "z.tif", np.zeros((2, 2, 9, 9), np.uint8))
    with pytest.raises(uh.ImageError, match="no channel 4"):
        uh.segment_large(stack, network, tmp_path, channel=4)
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    with pytest.raises(uh.ImageError, match="no level 0"):
        uh.segment_large(tmp_path / "group.zarr", network, tmp_path)


def test_files_that_are_no_large_images_are_named(tmp_path):
    network = make_network()
    with pytest.raises(uh.ImageError, match=r"ihc\.png"):
        uh.segment_large("sample_images/ihc.png", network, tmp_path)
    with pytest.raises(uh.ImageError, match="no such file"):
        uh.segment_large(tmp_path / "none.tif", network, tmp_path)


def test_what_is_too_large_for_segment_is_sent_here(tiled, monkeypatch):
    monkeypatch.setattr("unet_helpers.images.limits.MAX_VALUES", 1000)
    for huge in (tiled, GREY):
        with pytest.raises(uh.ImageError, match="segment_large"):
            uh.segment(huge, make_network())


def test_without_zarr_the_package_is_named(tiled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(uh.ImageError, match="pip install zarr"):
        uh.segment_large(tiled, make_network(), tmp_path)


def test_notes_and_warnings_are_told_and_kept(tmp_path):
    said = []
    source = write_tiles(tmp_path / "a.tif", np.full((64, 64), 7, np.uint8))
    *_, record = segment_large(source, make_network(), tmp_path, spacing=0.1, tell=said.append)
    assert record["notes"] == ["spacing given by hand"]
    assert "all values are the same" in record["warnings"][0]
    assert said == [f"{source}: {words}" for words in (*record["notes"], *record["warnings"])]


def test_the_manifest_says_what_was_asked(tiled, tmp_path):
    *_, table, record = segment_large(
        tiled, make_network(), tmp_path, region=(10, 20, 100, 90), threshold=0.4, flips=2, zoom=0.5
    )
    assert record["level"] == 0
    assert record["region"] == [10, 20, 100, 90]
    assert record["channel"] is None
    assert record["threshold"] == 0.4
    assert record["flips"] == 2
    assert record["zoom"] == 0.5
    assert record["objects"] == len(table)
    assert record["model"] == "small"


def test_a_slide_that_is_damaged_leaves_nothing(tmp_path):
    source = write_tiles(tmp_path / "a.tif", GREY, compression="zlib")
    with tifffile.TiffFile(source) as tif:
        last_offset = tif.pages[0].dataoffsets[-1]
        last_size = tif.pages[0].databytecounts[-1]
    with source.open("r+b") as file:
        file.seek(last_offset)
        file.write(b"\xff" * last_size)
    with pytest.raises(uh.ImageError, match=r"a\.tif"):
        uh.segment_large(source, make_network(), tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("*"))


def test_colours_on_a_dark_ground_are_seen_as_in_memory(tmp_path):
    """By the brightest of each pixel, and not as colours with the levels of the brightest."""
    dyes = [draw_nuclei(12, 200, seed)[0] for seed in range(3)]
    pixels = np.stack(dyes, axis=-1) // np.array([1, 2, 3], np.uint8)
    tifffile.imwrite(tmp_path / "dyes.tif", pixels, photometric="rgb", tile=(64, 64))
    labels, *_ = segment_large(tmp_path / "dyes.tif", "nuclei", tmp_path / "out", zoom=1.0)
    whole = uh.segment(pixels, "nuclei", zoom=1.0, progress=False)
    assert whole.image.channels == 3
    assert whole.labels.any()
    assert (labels == whole.labels).mean() > 0.9999


@pytest.mark.parametrize(("engine", "is_noted"), [("openvino", False), ("int8", True)])
def test_integers_of_8_bits_are_noted(engine, is_noted, tmp_path, monkeypatch):
    """No shipped network for large images has such integers: this one is given wide ranges."""
    pytest.importorskip("openvino")
    with_ranges = replace(uh.MODELS["em_membranes"], int8_ranges=((-8.0, 8.0),) * 17)
    monkeypatch.setitem(uh.MODELS, "em_membranes", with_ranges)
    network = uh.load_model("em_membranes", engine=engine)
    *_, record = segment_large(write_tiff(tmp_path / "z.tif", GREY), network, tmp_path / "out")
    assert any("8 bits" in note for note in record["notes"]) == is_noted


def padded(pixels: np.ndarray) -> np.ndarray:
    """Floats, whose border of 30 px is a negative constant far from the rest."""
    return np.pad(pixels.astype(np.float32), 30, constant_values=-10_000)


def framed(pixels: np.ndarray) -> np.ndarray:
    return np.pad(pixels, ((25, 20), (22, 30)), constant_values=255)


def barred(pixels: np.ndarray) -> np.ndarray:
    barred = pixels.copy()
    barred[-40:, -120:] = np.median(pixels)
    barred[-24:-18, -100:-20] = 255
    return barred


@pytest.mark.parametrize(
    ("surround", "word"), [(padded, "padding"), (framed, "frame"), (barred, "scale bar")]
)
def test_padding_frames_and_bars_are_left_out_as_by_segment(surround, word, tmp_path):
    pixels = surround(draw_nuclei(30, 320, 3)[0])
    source = write_tiles(tmp_path / "a.tif", pixels)
    labels, _, table, record = segment_large(source, "nuclei", tmp_path / "out", zoom=1.0)
    whole = uh.segment(source, "nuclei", zoom=1.0, progress=False)
    assert any(word in note for note in whole.image.notes)
    assert [note for note in record["notes"] if word in note] == [
        note for note in whole.image.notes if word in note
    ]
    assert whole.labels.any()
    assert (labels != whole.labels).mean() < 1e-4
    # Intensities are those in the file.
    measured = whole.measure()
    column = "intensity_mean"
    assert table[column].mean() == pytest.approx(measured[column].mean(), rel=1e-3)


def test_a_frame_of_a_very_large_image_is_found_in_every_so_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(large_surroundings, "WINDOW", 100)
    pixels = framed(draw_nuclei(30, 320, 3)[0])
    source = write_tiles(tmp_path / "a.tif", pixels)
    labels, *_, record = segment_large(source, "nuclei", tmp_path / "out", zoom=1.0)
    assert any("frame" in note for note in record["notes"])
    assert not labels[:20].any()
    assert not labels[:, -26:].any()
    whole = uh.segment(source, "nuclei", zoom=1.0, progress=False)
    assert uh.dice(labels > 0, whole.labels > 0) > 0.98
