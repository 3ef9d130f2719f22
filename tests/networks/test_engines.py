"""OpenVINO and ONNX Runtime answer as torch does, bfloat16 nearly so; weights are the latest."""

import copy
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier, get_ident

import numpy as np
import pytest
import torch
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.inference import export
from unet_helpers.networks import engine
from unet_helpers.networks.openvino_graph import compile_network, rounded_layers
from unet_helpers.networks.rounding import (
    kernels_of,
    rounded_to_bfloat16,
    rounded_to_steps,
    weights_of,
)
from unet_helpers.networks.unet import UNet, fold_batch_norm

SAMPLE_IMAGES = ROOT / "sample_images"
SIZES = [(1, 64, 96), (2, 33, 50), (1, 16, 7)]  # images, height, width


def has(*instructions: str) -> bool:
    """Whether the processor has any of these instructions; False where torch cannot say."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in instructions)


def images(model, count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(
        count, model.in_channels, height, width, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("card", ["retinal_vessels", "nuclei", "hippocampus"])
def test_openvino_answers_as_torch_does(card):
    pytest.importorskip("openvino")
    by_torch = uh.load_model(card, engine="torch")
    by_openvino = uh.load_model(card, engine="openvino")
    for size in SIZES:
        x = images(by_torch, *size)
        answer = engine.run(by_openvino, x)
        torch.testing.assert_close(answer, engine.run(by_torch, x), atol=2e-5, rtol=0)
    assert by_openvino in engine.COMPILED
    assert by_torch not in engine.COMPILED

    image = SAMPLE_IMAGES / "ihc.png"
    expected = uh.segment(image, by_torch, zoom=0.5, progress=False).labels
    labels = uh.segment(image, by_openvino, zoom=0.5, progress=False).labels
    assert np.mean(labels != expected) < 1e-4


def test_a_compiled_network_is_forgotten_on_request():
    pytest.importorskip("openvino")
    model = uh.load_model("retinal_vessels", engine="openvino")
    engine.run(model, images(model, 1, 32, 32))
    engine.forget_compiled(model)
    engine.forget_compiled(model)  # which is no longer there
    assert model not in engine.COMPILED


def test_integers_of_8_bits_answer_nearly_as_torch_does():
    pytest.importorskip("openvino")
    part_of_eye = uh.read_image(uh.sample("retina")).pixels[400:700, 300:700]
    results = {}
    for name in ("torch", "int8"):
        model = uh.load_model("retinal_vessels", engine=name)
        results[name] = uh.segment(part_of_eye, model, zoom=1, progress=False)
    plain, rounded = results["torch"], results["int8"]
    assert np.abs(plain.probabilities - rounded.probabilities).max() > 0
    assert (plain.labels != rounded.labels).mean() < 0.01
    assert 0.05 < (plain.labels > 0).mean() < 0.95
    assert any("8 bits" in note for note in rounded.image.notes)
    assert not any("8 bits" in note for note in plain.image.notes)


def test_rounded_inputs_and_weights_are_whole_steps_within_the_ranges():
    """The rounding is restated with torch's own operations.

    Inputs of the second convolutions and of all on the way up are rounded, those of a skip
    connection before its pooling, and the weights of all but the first and last convolution.
    """
    pytest.importorskip("openvino")
    network = UNet(1, 1, features=4, depth=1).eval()
    ranges = ((0.0, 2.0), (0.0, 4.0), (0.0, 1.0), (-1.0, 3.0), (0, 2))
    reference = fold_batch_norm(copy.deepcopy(network))
    network.card = replace(uh.MODELS["em_membranes"], int8_ranges=ranges)
    network.engine = "int8"
    names = [
        "encoder1.enc1conv2",
        "bottleneck.bottleneckconv2",
        "upconv1",
        "decoder1.dec1conv1",
        "decoder1.dec1conv2",
    ]
    assert rounded_layers(network) == names

    def rounded(x, low: float, high: float):
        step = (high - low) / 255
        return (x / step).round().clamp(round(low / step), round(low / step) + 255) * step

    for name in (*names, "bottleneck.bottleneckconv1"):
        layer = reference.get_submodule(name)
        weight = layer.weight.detach()
        other_axes = (0, 2, 3) if name == "upconv1" else (1, 2, 3)
        steps = (weight.abs().amax(other_axes, keepdim=True) / 63).expand(weight.shape)
        kernels = rounded_to_steps(kernels_of(layer, weight), kernels_of(layer, steps))
        layer.weight.data = weights_of(layer, kernels)
        assert ((layer.weight - weight).abs() < steps * 1.001).all()
    for name, reach in zip(names, ranges):
        if name == "decoder1.dec1conv1":
            for place in ("encoder1", "upconv1"):
                layer = reference.get_submodule(place)
                layer.register_forward_hook(
                    lambda layer, inputs, output, reach=reach: rounded(output, *reach)
                )
        else:
            layer = reference.get_submodule(name)
            layer.register_forward_pre_hook(
                lambda layer, inputs, reach=reach: rounded(inputs[0], *reach)
            )
    x = 3 * images(network, 1, 16, 32)
    answer = engine.run(network, x)
    plain = engine.run(fold_batch_norm(copy.deepcopy(reference)), x)
    torch.testing.assert_close(answer, plain, atol=1e-3, rtol=0)
    network.engine = "torch"
    assert (engine.run(network, x) - plain).abs().max() > 1e-2


def test_a_card_without_ranges_is_not_computed_with_8_bits(monkeypatch):
    installed(monkeypatch, "2026.4.1")
    for name in ("nuclei", "nuclei_he"):
        with pytest.raises(uh.ArgumentError, match=f"'{name}' loses too much with 8 bits"):
            uh.load_model(name, engine="int8")


def compiled(model):
    """What this thread computes it with."""
    return engine.COMPILED[model][get_ident()].network


def same(model, x) -> bool:
    """Is the answer that of torch with the weights of now?"""
    return torch.allclose(engine.run(model, x), model(x), atol=2e-5)


def test_a_network_is_computed_with_its_weights_of_now():
    pytest.importorskip("openvino")
    fast = uh.load_model("retinal_vessels", engine="openvino")
    x = images(fast, 1, 32, 32)
    assert same(fast, x)
    first = compiled(fast)
    assert same(fast, x)
    assert compiled(fast) is first
    for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast)), fast):
        other.load_state_dict({name: weights / 2 for name, weights in other.state_dict().items()})
        assert same(other, x)
        assert compiled(other) is not first
        other.conv.weight.data.add_(0.1)  # which counts as no other version
        assert same(other, x)
        torch.nn.init.zeros_(other.conv.weight)
        assert same(other, x)


def test_threads_do_not_wait_for_each_other():
    """OpenVINO computes the images of one compiled network in turn; Dask has several threads."""
    pytest.importorskip("openvino")
    fast = uh.load_model("retinal_vessels", engine="openvino")
    together = Barrier(2)
    x = images(fast, 1, 32, 32)

    def computed(number: int) -> torch.Tensor:
        together.wait(60)
        return engine.run(fast, x)

    with ThreadPoolExecutor(2) as executor:
        answers = list(executor.map(computed, range(2)))
    assert len({id(compiled.network) for compiled in engine.COMPILED[fast].values()}) == 2
    torch.testing.assert_close(answers[0], answers[1])


def test_as_many_threads_as_torch_has():
    pytest.importorskip("openvino")
    fast = uh.load_model("retinal_vessels", engine="openvino")
    before = torch.get_num_threads()
    # Else the sums of the weights, too, would depend on the threads.
    for weights in fast.parameters():
        torch.nn.init.zeros_(weights)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            engine.run(fast, images(fast, 1, 32, 32))
            assert compiled(fast).get_property("INFERENCE_NUM_THREADS") == threads
            # With pinning, two processes would be put on one core.
            assert not compiled(fast).get_property("ENABLE_CPU_PINNING")
    finally:
        torch.set_num_threads(before)


def test_hooks_see_what_layers_compute():
    pytest.importorskip("openvino")
    fast = uh.load_model("retinal_vessels", engine="openvino")
    shapes = []
    hook = fast.bottleneck.register_forward_hook(
        lambda layer, inputs, output: shapes.append(output.shape)
    )
    engine.run(fast, images(fast, 1, 32, 32))
    hook.remove()
    engine.run(fast, images(fast, 1, 32, 32))
    assert len(shapes) == 1


FORKED = """
import multiprocessing, torch, unet_helpers as uh
from concurrent.futures import ProcessPoolExecutor
from unet_helpers.networks.engine import run
model, x = uh.load_model("retinal_vessels", engine="openvino"), torch.rand(1, 1, 64, 64)
here = run(model, x)
def there(number):
    return run(model, x).numpy()
# With more than one thread torch, too, would wait for threads of its parent.
one = dict(initializer=torch.set_num_threads, initargs=(1,))
with ProcessPoolExecutor(2, multiprocessing.get_context("fork"), **one) as executor:
    for answer in executor.map(there, range(4)):
        assert abs(answer - here.numpy()).max() < 2e-5
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_does_not_wait_for_threads_that_only_its_parent_has():
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", FORKED], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


SILENT = """
import sys, torch, unet_helpers as uh
from unet_helpers.networks.engine import COMPILED, run
model = uh.load_model("retinal_vessels", engine="openvino")
run(model, torch.rand(1, 1, 32, 32))
assert COMPILED[model] and not sys.modules["openvino_telemetry"]
assert not any(name.startswith("openvino_telemetry.") for name in sys.modules)
"""


def test_openvino_reports_to_nobody():
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", SILENT], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def installed(monkeypatch, openvino: str | None):
    """As if this version were installed, or none."""
    monkeypatch.setattr(engine, "find_spec", lambda name: openvino)
    monkeypatch.setattr(engine, "version", lambda name: openvino)


def test_openvino_by_itself_where_it_is_installed(monkeypatch):
    installed(monkeypatch, "2025.0.0")
    assert uh.load_model("nuclei").engine == "openvino"
    assert uh.load_model("nuclei", trainable=True).engine == "torch"
    assert uh.load_model("nuclei", engine="torch").engine == "torch"


@pytest.mark.parametrize("version", [None, "2024.6.0"])
def test_an_engine_that_is_not_there_is_refused(version, monkeypatch):
    with pytest.raises(uh.ArgumentError, match="no engine 'tpu'"):
        uh.load_model("nuclei", engine="tpu")
    installed(monkeypatch, version)
    with pytest.raises(uh.ArgumentError, match="pip install -U openvino"):
        uh.load_model("nuclei", engine="openvino")
    assert uh.load_model("nuclei").engine == "torch"


def test_onnx_runtime_answers_as_torch_does(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = uh.load_model("nuclei")
    path = uh.export_onnx(model, tmp_path / "nuclei.onnx")
    session = runtime.InferenceSession(path)
    for size in [(1, 64, 96), (3, 128, 16)]:
        x = images(model, *size)
        answer = session.run(["probabilities"], {"image": x.numpy()})[0]
        np.testing.assert_allclose(answer, engine.run(model, x).numpy(), atol=2e-5)
    card = json.loads(session.get_modelmeta().custom_metadata_map["card"])
    assert card["name"] == "nuclei"
    assert card["preprocessing"]["channels"] == "stain"
    with pytest.raises(uh.SaveError, match="there already"):
        uh.export_onnx(model, path)
    assert [p.name for p in tmp_path.iterdir()] == ["nuclei.onnx"]


def test_onnx_without_its_packages_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(uh.ArgumentError, match="pip install onnx onnxscript"):
        uh.export_onnx(uh.load_model("nuclei"), tmp_path / "a.onnx")


@pytest.mark.skipif(not has("avx512_f"), reason="OpenVINO ignores bfloat16 without AVX-512")
def test_bfloat16_gives_the_same_labels_but_for_edges(monkeypatch):
    """Emulated where the processor has none; the answer stays in single precision."""
    pixels = uh.read_image(SAMPLE_IMAGES / "fluorescence.png").pixels[:128, :128]
    results = {}
    for precision in ("float32", "bfloat16"):
        monkeypatch.setenv("UNET_HELPERS_PRECISION", precision)
        results[precision] = uh.segment(pixels, "nuclei", zoom=1, flips=1, progress=False)
    plain, half = results["float32"], results["bfloat16"]
    assert half.probabilities.dtype == np.float32
    assert not np.array_equal(half.probabilities, plain.probabilities)
    assert np.mean(half.labels != plain.labels) < 0.01
    assert uh.dice(half.labels > 0, plain.labels > 0) > 0.99


@pytest.mark.parametrize(
    ("found", "expected"),
    [("avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16"), ("avx2", "float32")],
)
def test_bfloat16_where_the_processor_has_it(found, expected, monkeypatch):
    monkeypatch.delenv("UNET_HELPERS_PRECISION")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {found: True}, raising=False)
    assert engine.precision() == expected


@pytest.mark.parametrize("unknown", ["half", "bf16", "Float32", "1"])
def test_a_precision_that_is_not_known_is_refused(unknown, monkeypatch):
    monkeypatch.setenv("UNET_HELPERS_PRECISION", unknown)
    with pytest.raises(uh.ArgumentError, match=f"{unknown}.*set it to float32 or bfloat16"):
        uh.segment(np.eye(40, dtype=np.uint8), "em_membranes", progress=False)


def test_weights_are_rounded_to_bfloat16_so_that_the_errors_of_a_kernel_cancel_out():
    kernels = torch.randn(200, 9, generator=torch.Generator().manual_seed(3))
    rounded = rounded_to_bfloat16(kernels)
    nearest = kernels.bfloat16().float()
    assert torch.equal(rounded, rounded.bfloat16().float())
    steps = 2.0 ** (torch.frexp(kernels).exponent - 8)  # between numbers of bfloat16
    assert ((rounded - kernels).abs() < steps * 1.001).all()
    sums, sums_of_nearest = ((kernels - way).sum(1).abs().mean() for way in (rounded, nearest))
    assert sums < sums_of_nearest / 4

    whole = rounded_to_steps(kernels, torch.full_like(kernels, 0.25))
    assert torch.equal(whole, (whole / 0.25).round() * 0.25)
    assert ((whole - kernels).abs() < 0.2501).all()
    assert (whole - kernels).sum(1).abs().max() < 0.126

    exact = torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0]])
    assert torch.equal(rounded_to_bfloat16(exact), exact)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_bfloat16_is_computed_with_rounded_weights_of_now(name, monkeypatch):
    if name == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setenv("UNET_HELPERS_PRECISION", "bfloat16")
    network = uh.load_model("retinal_vessels", engine=name)
    x = images(network, 1, 32, 32)
    before = engine.run(network, x)
    torch.testing.assert_close(before, network(x), atol=0.1, rtol=0)

    torch.nn.init.zeros_(network.conv.weight)
    torch.testing.assert_close(engine.run(network, x), network(x), atol=1e-3, rtol=0)

    # A network with hooks is computed itself, and without a card as the processor can.
    seen = []
    network.conv.register_forward_hook(lambda *of: seen.append(of[-1].dtype))
    engine.run(network, x)
    bare = UNet(1, 1, features=4, depth=1).eval()
    torch.testing.assert_close(engine.run(bare, x), bare(x), atol=0.1, rtol=0)
    assert seen == [torch.bfloat16]


def test_a_card_may_forbid_bfloat16(monkeypatch):
    """The areas of nuclei in tissue would be 0.3 % larger."""
    monkeypatch.setenv("UNET_HELPERS_PRECISION", "bfloat16")
    network = uh.load_model("nuclei_he", engine="torch")
    x = images(network, 1, 32, 32)
    torch.testing.assert_close(engine.run(network, x), network(x), atol=0, rtol=0)
    assert engine.precision_of(uh.MODELS["nuclei_he"]) == "float32"
    assert engine.precision_of(uh.MODELS["nuclei"]) == "bfloat16"


def test_convolutions_with_8_bits_are_computed_in_integers():
    """Weights must be declared with 255 levels, or OpenVINO computes rounded floats, slowly."""
    pytest.importorskip("openvino")
    network = uh.load_model("retinal_vessels", engine="int8")
    compiled = compile_network(network, "float32", threads=1)

    precisions = [
        str(node.rt_info["runtimePrecision"].astype(str))
        for node in compiled.get_runtime_model().get_ops()
        if node.rt_info["layerType"].astype(str) in ("Convolution", "Deconvolution")
    ]
    in_floats = [name for name in precisions if name == "f32"]
    assert len(in_floats) == 2, "the first and the last"
    assert len(precisions) - len(in_floats) == 21
    assert set(precisions) == {"u8", "f32"}


CLIPPED = """
import os
os.environ["UNET_HELPERS_PRECISION"] = "float32"
import numpy as np, unet_helpers as uh
areas = []
for name in ("openvino", "int8"):
    network = uh.load_model("retinal_vessels", engine=name)
    result = uh.segment(uh.sample("retina"), network, progress=False)
    areas.append(np.count_nonzero(result.labels))
assert abs(areas[1] / areas[0] - 1) < 0.002, areas
"""


@pytest.mark.slow
def test_8_bits_are_not_clipped_by_processors_without_vnni():
    """Two products of 8 bits are added in 16 bits there: vessels covered 7 % more."""
    pytest.importorskip("openvino")
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", CLIPPED],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Way:
    """A way to compute: an engine in a precision."""

    engine: str
    precision: str


# bfloat16 is emulated by torch where the processor has none, with the same rounding.
WAYS = (Way("openvino", "float32"), Way("torch", "bfloat16"), Way("int8", "float32"))

# Share of the area by which it may differ.
LIMIT = 0.002


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.engine}-{way.precision}")
@pytest.mark.parametrize(
    ("sample", "card"),
    [
        ("retina", "retinal_vessels"),
        ("fluorescence", "nuclei"),
        ("ihc", "nuclei"),
        ("he", "nuclei_he"),
        ("hippocampus_mni", "hippocampus"),
    ],
)
def test_the_area_of_a_sample_is_the_same_whatever_computes_it(sample, card, way, monkeypatch):
    """Areas hardly differ, so that captions hold on every processor."""
    if way.engine != "torch":
        pytest.importorskip("openvino")
    if way.engine == "int8" and not uh.MODELS[card].int8_ranges:
        pytest.skip(f"{card} is not computed with 8 bits")

    monkeypatch.setenv("UNET_HELPERS_PRECISION", "float32")
    expected = uh.segment(uh.sample(sample), uh.load_model(card, engine="torch"), progress=False)
    monkeypatch.setenv("UNET_HELPERS_PRECISION", way.precision)
    result = uh.segment(uh.sample(sample), uh.load_model(card, engine=way.engine), progress=False)

    assert result.zoom == expected.zoom
    area = np.count_nonzero(result.labels)
    expected_area = np.count_nonzero(expected.labels)
    assert abs(area / expected_area - 1) < LIMIT
