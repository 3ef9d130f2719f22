"""A raw ONNX graph answers as `segment` does, from pixels as they are."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.fundus import photograph
from helpers.networks import make_network
from helpers.places import DATA, SAMPLES

import unet_helpers as uh
from unet_helpers.inference.onnx_nodes import Nodes
from unet_helpers.inference.onnx_resize import resized
from unet_helpers.inference.raw_graph import finished, left_outside
from unet_helpers.networks.unet import UNet
from unet_helpers.preprocessing.resample import resize

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# The largest difference of a probability.
TOLERANCE = 1e-3


def session_of(path: Path):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(path, options)


def answer_of(session, result) -> np.ndarray:
    """Run a raw graph on the image of a result, at its zoom and in its field of view."""
    pixels = result.image.pixels
    if session.get_inputs()[0].type == "tensor(float)":
        pixels = pixels.astype(np.float32)
    feeds = {"pixels": pixels}
    optional = {value.name for value in session.get_overridable_initializers()}
    scale = result.card.preprocessing.scale
    if "zoom" in optional and scale != "field of view":
        feeds["zoom"] = np.array(result.zoom, np.float32)
    if "inside" in optional:
        feeds["inside"] = result.view.fields_of_view[0][0]
    return session.run(None, feeds)[0]


def assert_same(session, result) -> None:
    np.testing.assert_allclose(answer_of(session, result), result.probabilities, atol=TOLERANCE)


@pytest.mark.parametrize("sample", ["fluorescence", "he", "retina"])
def test_shipped_samples_have_the_probabilities_of_segment(tmp_path, sample):
    row = uh.list_samples().loc[sample]
    model = uh.load_model(row["model"], engine="torch")
    session = session_of(uh.export_onnx(model, tmp_path / "raw.onnx", raw=True))
    assert_same(session, uh.segment(uh.sample(sample), model, progress=False))


def test_the_brown_stain_is_removed_in_the_graph(tmp_path):
    model = uh.load_model("nuclei", engine="torch")
    session = session_of(uh.export_onnx(model, tmp_path / "raw.onnx", raw=True))
    # At this zoom it fits into one tile: `segment` blends tiles, the graph does not.
    assert_same(session, uh.segment(uh.sample("ihc"), model, zoom=1.5, progress=False))


DOWNLOADED = {
    "em_membranes": [SAMPLES / "em_membranes/25.png"],
    "lungs": [SAMPLES / "lungs/MCUCXR_0003_0.png", DATA / "lungs/images/CHNCXR_0129_0.jpg"],
    "brain_flair": [
        SAMPLES / "brain_flair/TCGA_CS_4944.png",
        SAMPLES / "brain_flair/TCGA_DU_6404_19850629_35.tif",
    ],
    "retinal_vessels": [
        SAMPLES / "retinal_vessels/Image_11L.jpg",
        DATA / "retinal_vessels/images/drive_24.jpg",
    ],
    "nuclei_he": [DATA / "nuclei_he/images/consep_train_19_004.jpg"],
    "nuclei": sorted(SAMPLES.glob("nuclei/*.png")),
    "chest": [DATA / "chest/images/JPCLN005.jpg", DATA / "lungs/images/CHNCXR_0129_0.jpg"],
    "artery_vein": [DATA / "retinal_vessels/images/drive_24.jpg"],
    "dic_cells": [DATA / "dic_cells/images/hela_01_050.png"],
}


@pytest.mark.slow
@pytest.mark.parametrize("card", DOWNLOADED)
def test_other_samples_have_the_probabilities_of_segment(tmp_path, card):
    paths = [path for path in DOWNLOADED[card] if path.is_file()]
    if not paths:
        pytest.skip("the samples are not beside the repository")
    model = uh.load_model(card, engine="torch")
    session = session_of(uh.export_onnx(model, tmp_path / "raw.onnx", raw=True))
    for path in paths:
        assert_same(session, uh.segment(path, model, progress=False))


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Raw graphs of small networks that have not learnt anything, by preprocessing."""
    folder = tmp_path_factory.mktemp("raw")
    made: dict = {}

    def make(raw="uint8", flips=1, out_channels=1, in_channels=1, **preprocessing):
        key = json.dumps([raw, flips, out_channels, in_channels, preprocessing], sort_keys=True)
        if key not in made:
            model: UNet = make_network(out_channels, in_channels, **preprocessing)
            model.card = replace(model.card, flips=flips)
            path = uh.export_onnx(model, folder / f"{len(made)}.onnx", raw=raw)
            made[key] = model, session_of(path)
        return made[key]

    return make


def drawn(shape, seed=0):
    """Smooth pixels of 8 bits with dark, bright and textured parts."""
    rng = np.random.default_rng(seed)
    values = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), 3)
    values = values / values.std() + rng.normal(0, 0.2, shape)
    return (90 + 40 * values).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(300, 200), (97, 131), (64, 64), (40, 200), (200, 40), (17, 9)])
@pytest.mark.parametrize("colour", [False, True])
def test_any_size_is_resized_to_a_square_and_back(sessions, shape, colour):
    model, session = sessions(scale="square", size=64)
    pixels = drawn((*shape, 3) if colour else shape)
    assert_same(session, uh.segment(pixels, model, progress=False))


@pytest.mark.parametrize("shape", [(40, 50), (80, 60), (120, 90)])
def test_a_large_field_of_view_keeps_more_of_its_pixels(sessions, shape):
    field = {"scale": "field of view", "intensities": "local", "sigma": 10.0}
    model, session = sessions(**field, size=64, largest_size=96)
    assert_same(session, uh.segment(drawn(shape), model, progress=False))


@pytest.mark.parametrize("zoom", [0.37, 0.5, 1.0, 1.31])
def test_colours_are_read_at_a_zoom_that_is_given(sessions, zoom):
    model, session = sessions(in_channels=3, out_channels=3)
    assert_same(session, uh.segment(drawn((90, 120, 3)), model, zoom=zoom, progress=False))


def test_mirrored_answers_are_averaged(sessions):
    model, session = sessions(flips=2)
    assert_same(session, uh.segment(drawn((50, 70)), model, progress=False))


def test_pixels_of_16_bits_and_floats_are_read(sessions):
    model, session = sessions("float32", scale="square", size=64)
    pixels = drawn((90, 130)).astype(np.uint16) * 200
    assert_same(session, uh.segment(pixels, model, progress=False))
    assert_same(session, uh.segment(pixels / np.float32(7), model, progress=False))


@pytest.mark.parametrize("colour", [False, True])
def test_pixels_of_16_bits_are_rounded_and_have_the_white_of_8_bits(sessions, colour):
    """So few levels that rounding shows; and they are light, as in 8 bits."""
    model, session = sessions("uint16", in_channels=3, out_channels=3)
    # From odd to odd lengths (79 x 107), no interpolated value lies half-way between two levels.
    pixels = 200 + drawn((61, 83, 3) if colour else (61, 83)).astype(np.uint16) // 24
    assert_same(session, uh.segment(pixels, model, zoom=1.29, progress=False))


@pytest.mark.parametrize("card", ["chest", "artery_vein", "dic_cells"])
@pytest.mark.parametrize("colour", [False, True])
def test_a_network_of_any_shipped_card_answers_as_segment_does(tmp_path, card, colour):
    """Classes that overlap, colours whose light is levelled, and a usual pixel size."""
    model = make_network(uh.MODELS[card].out_channels, uh.MODELS[card].in_channels)
    model.card = uh.MODELS[card]
    session = session_of(uh.export_onnx(model, tmp_path / "raw.onnx", raw=True))
    pixels = drawn((150, 200, 3) if colour else (150, 200))
    has_field = model.card.preprocessing.scale == "field of view"
    if has_field:
        pixels, inside = photograph(radius=70, side=200)
        if colour:
            pixels = drawn((200, 200, 3)) * inside[..., None].astype(np.uint8)
    result = uh.segment(pixels, model, progress=False)
    assert has_field != result.view.field_of_view(0).all()
    assert_same(session, result)
    assert np.ptp(result.probabilities) > 0.01


def test_a_marker_does_not_set_the_range(sessions):
    model, session = sessions(scale="square", size=64)
    pixels = drawn((100, 100)) // 4
    pixels[5:17, 60:90] = 255
    assert_same(session, uh.segment(pixels, model, progress=False))


def test_a_head_is_scaled_without_its_air(sessions):
    model, session = sessions(intensities="head")
    pixels = np.zeros((80, 90), np.uint8)
    pixels[20:60, 25:70] = drawn((40, 45))
    assert_same(session, uh.segment(pixels, model, progress=False))


def test_an_image_without_a_pixel_size_is_seen_at_the_usual_one(sessions):
    model, session = sessions(spacing=4e-4, usual_spacing=2e-4)
    result = uh.segment(drawn((96, 120)), model, progress=False)
    assert result.zoom == pytest.approx(0.5)
    # Without the input 'zoom'.
    answer = session.run(None, {"pixels": result.image.pixels})[0]
    np.testing.assert_allclose(answer, result.probabilities, atol=1e-3)


def test_a_constant_image_is_background(sessions):
    _, session = sessions(in_channels=3, out_channels=3)
    pixels = np.full((30, 40, 3), 7, np.uint8)
    answer = session.run(None, {"pixels": pixels})[0]
    assert (answer[0] == 1).all()
    assert (answer[1:] == 0).all()


@pytest.mark.parametrize("new", [(30, 41), (60, 90), (20, 30), (113, 77), (200, 260), (64, 20)])
@pytest.mark.parametrize("is_integer", [True, False])
def test_resizing_is_that_of_opencv(new, is_integer):
    pixels = drawn((60, 90))
    nodes = Nodes("test_")
    image = nodes.add("Unsqueeze", nodes.input("pixels").as_float(), [0])
    height, width = (nodes.constant(length) for length in new)
    answer = resized(image, height, width, nodes.constant(np.bool_(is_integer)))
    model = finished(nodes, uh.MODELS["lungs"], "uint8", {"resized": answer})
    found = runtime.InferenceSession(model.SerializeToString()).run(None, {"pixels": pixels})[0]
    expected = resize(pixels if is_integer else pixels.astype(np.float32), new)
    np.testing.assert_allclose(found[0], expected, atol=0 if is_integer else 1e-3)


def test_the_metadata_say_what_stays_outside(tmp_path):
    path = uh.export_onnx("nuclei", tmp_path / "raw.onnx", raw=True)
    metadata = session_of(path).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["card"])["name"] == "nuclei"
    outside = " ".join(json.loads(metadata["outside"]))
    assert "size of objects" in outside
    assert "scale bars" in outside


def test_the_metadata_say_that_votes_along_vessels_stay_outside():
    assert "votes along vessels" in " ".join(left_outside(uh.MODELS["artery_vein"]))
    assert "votes along vessels" not in " ".join(left_outside(uh.MODELS["retinal_vessels"]))


@pytest.mark.parametrize("card", ["hippocampus", "brain_flair_buda2019"])
def test_a_network_of_volumes_is_refused(tmp_path, card):
    model = make_network()
    model.card = uh.MODELS[card]
    with pytest.raises(uh.ArgumentError, match="which a graph of single images cannot"):
        uh.export_onnx(model, tmp_path / "raw.onnx", raw=True)
    assert list(tmp_path.iterdir()) == []


def test_another_type_of_pixels_is_refused(tmp_path):
    with pytest.raises(uh.ArgumentError, match="'uint16' or 'float32'"):
        uh.export_onnx("lungs", tmp_path / "raw.onnx", raw="int16")
