"""Engines: OpenVINO and ONNX Runtime answer as torch does, bfloat16 nearly so, and a copy forgets its engine."""

import copy
import json
import pickle
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.networks import load
from unet_helpers.networks.unet import UNet, quantised

SAMPLE_IMAGES = ROOT / "sample_images"
SIZES = [(1, 64, 96), (2, 33, 50), (1, 16, 7)]  # images, height, width


def images(model, count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, model.in_channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("card", ["retinal_vessels", "nuclei"])
def test_openvino_answers_as_torch_does(card):
    pytest.importorskip("openvino")
    plain, fast = uh.load_model(card), uh.load_model(card, engine="openvino")
    for size in SIZES:
        x = images(plain, *size)
        torch.testing.assert_close(load.run(fast, x), load.run(plain, x), atol=2e-5, rtol=0)
    image = SAMPLE_IMAGES / "ihc.png"
    here, there = (uh.segment(image, model, zoom=0.5, progress=False).labels for model in (plain, fast))
    assert np.mean(here != there) < 1e-4


def drawn_membranes(height: int = 300, width: int = 400) -> np.ndarray:
    """Dark lines half-way between forty points, on a grey and noisy ground."""
    random = np.random.default_rng(5)
    points, places = random.random((40, 2)) * (height, width), np.indices((height, width)).reshape(2, -1).T
    nearest = np.partition(np.linalg.norm(places[:, None] - points, axis=2), 1, axis=1)
    walls = (nearest[:, 1] - nearest[:, 0] < 6).reshape(height, width)
    grey = cv2.GaussianBlur(np.where(walls, 70.0, 170.0), (0, 0), 1.5) + random.normal(0, 10, walls.shape)
    return grey.clip(0, 255).astype(np.uint8)


def test_integers_of_8_bits_answer_nearly_as_torch_does():
    pytest.importorskip("openvino")
    plain, fast = uh.load_model("em_membranes"), uh.load_model("em_membranes", engine="int8")
    here, there = (uh.segment(drawn_membranes(), model, progress=False) for model in (plain, fast))
    assert 0 < np.abs(here.probabilities - there.probabilities).max() and (here.labels != there.labels).mean() < 0.01
    assert 0.05 < (here.labels > 0).mean() < 0.95
    assert any("8 bits" in note for note in there.image.notes) and not any("8 bits" in n for n in here.image.notes)


def test_rounded_inputs_and_weights_are_whole_steps_within_the_ranges():
    network = UNet(1, 1, features=2, depth=1).eval()
    ranges = ((0.0, 2.0), (0.0, 4.0), (0.0, 1.0), (0.0, 1.0), (-1.0, 3.0), (0.0, 2.0))
    network.card = replace(uh.MODELS["em_membranes"], int8_ranges=ranges)
    rounded, seen = quantised(network), []
    layer, kept = rounded.decoder1.dec1conv1, network.decoder1.dec1conv1.weight
    layer.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    rounded(10 * torch.rand(1, 1, 16, 16))
    steps = seen[0] / (4 / 255)
    torch.testing.assert_close(steps, steps.round().clamp(-64, 191), atol=1e-2, rtol=0)
    by_channel = layer.weight / (kept.abs().amax((1, 2, 3), keepdim=True) / 127)
    torch.testing.assert_close(by_channel, by_channel.round(), atol=1e-3, rtol=0)
    assert (layer.weight - kept).abs().max() <= kept.abs().max() / 254 * 1.01 and not torch.equal(layer.weight, kept)


def test_a_card_without_ranges_is_not_computed_with_8_bits(monkeypatch):
    monkeypatch.setattr(load, "find_spec", lambda name: name)
    network = uh.load_model("em_membranes")
    network.card = replace(network.card, int8_ranges=())
    with pytest.raises(uh.ArgumentError, match="loses too much with 8 bits, or was not tried"):
        load.with_engine(network, "int8")


def test_a_copy_of_the_network_is_computed_by_torch():
    """It may be given other weights, as the one whose skip connections are cut is."""
    pytest.importorskip("openvino")
    fast = uh.load_model("retinal_vessels", engine="openvino")
    assert fast.engine and copy.deepcopy(fast).engine is None and pickle.loads(pickle.dumps(fast)).engine is None
    other = copy.deepcopy(fast)
    torch.nn.init.zeros_(other.conv.weight)
    x = images(fast, 1, 32, 32)
    assert not torch.allclose(load.run(other, x), load.run(fast, x))


@pytest.mark.parametrize("count, asked", [(2, []), (3, ["nuclei"])])
def test_many_images_are_computed_by_the_faster_engine(count, asked, tmp_path, monkeypatch):
    prepared = []
    monkeypatch.setattr(load, "OpenVINO", lambda model, int8: prepared.append(model.card.name))
    monkeypatch.setattr(load, "find_spec", lambda name: name)
    monkeypatch.setattr("unet_helpers.inference.batch.MANY", 3)
    for i in range(count):
        shutil.copy(SAMPLE_IMAGES / "ihc.png", tmp_path / f"{i}.png")
    uh.segment_folder(tmp_path, "nuclei", tmp_path / "out", progress=False, zoom=0.2)
    assert prepared == asked


def test_a_callers_own_network_is_left_as_it_is(tmp_path, monkeypatch):
    """Else it would be computed with its weights of then, whatever is done to them later."""
    monkeypatch.setattr(load, "OpenVINO", lambda *given: pytest.fail("prepared"))
    monkeypatch.setattr("unet_helpers.inference.batch.MANY", 1)
    model = uh.load_model("nuclei")
    uh.segment_folder(SAMPLE_IMAGES / "ihc.png", model, tmp_path, progress=False, zoom=0.2)
    assert model.engine is None


def test_an_engine_that_is_not_there_is_refused(monkeypatch):
    with pytest.raises(uh.ArgumentError, match="no engine 'tpu'"):
        uh.load_model("nuclei", engine="tpu")
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(uh.ArgumentError, match="pip install openvino"):
        uh.load_model("nuclei", engine="openvino")
    assert uh.load_model("nuclei", engine="auto").engine is None


def test_onnx_runtime_answers_as_torch_does(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = uh.load_model("nuclei")
    path = uh.export_onnx(model, tmp_path / "nuclei.onnx")
    session = runtime.InferenceSession(path)
    for size in [(1, 64, 96), (3, 128, 16)]:
        x = images(model, *size)
        answer = session.run(["probabilities"], {"image": x.numpy()})[0]
        np.testing.assert_allclose(answer, load.run(model, x).numpy(), atol=2e-5)
    card = json.loads(session.get_modelmeta().custom_metadata_map["card"])
    assert card["name"] == "nuclei" and card["preprocessing"]["channels"] == "stain"
    with pytest.raises(uh.SaveError, match="there already"):
        uh.export_onnx(model, path)
    assert [p.name for p in tmp_path.iterdir()] == ["nuclei.onnx"]


def test_onnx_without_its_packages_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(uh.ArgumentError, match="pip install onnx onnxscript"):
        uh.export_onnx(uh.load_model("nuclei"), tmp_path / "a.onnx")


def test_bfloat16_gives_the_same_labels_but_for_edges(monkeypatch):
    """Emulated where the processor has none; the answer stays in single precision."""
    pixels, results = uh.read_image(SAMPLE_IMAGES / "fluorescence.png").pixels[:128, :128], {}
    for precision in ("float32", "bfloat16"):
        monkeypatch.setenv("UNET_HELPERS_PRECISION", precision)
        results[precision] = uh.segment(pixels, "nuclei", zoom=1, flips=1, progress=False)
    plain, half = results["float32"], results["bfloat16"]
    assert half.probabilities.dtype == np.float32 and not np.array_equal(half.probabilities, plain.probabilities)
    assert np.mean(half.labels != plain.labels) < 0.01 and uh.dice(half.labels > 0, plain.labels > 0) > 0.99


@pytest.mark.parametrize(
    "found, expected", [("avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16"), ("avx2", "float32")]
)
def test_bfloat16_where_the_processor_has_it(found, expected, monkeypatch):
    monkeypatch.delenv("UNET_HELPERS_PRECISION")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {found: True}, raising=False)
    assert load.precision() == expected


def test_a_precision_that_is_not_known_is_single_precision(monkeypatch):
    monkeypatch.setenv("UNET_HELPERS_PRECISION", "half")
    assert load.precision() == "float32"
