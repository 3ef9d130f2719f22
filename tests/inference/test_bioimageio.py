"""Packages for BioImage.IO: valid by their own library, and the network in them is the same."""

import zipfile

import numpy as np
import pytest
import torch
import yaml
from helpers.networks import make_network
from helpers.places import ROOT
from PIL import Image

import unet_helpers as uh
from unet_helpers.inference.bioimageio import scaled, why_not

spec = pytest.importorskip("bioimageio.spec")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CARDS = ("em_membranes", "nuclei_he", "lungs")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A package of each card that can be one."""
    folder = tmp_path_factory.mktemp("packages")
    return {card: uh.export_bioimageio(card, folder / f"{card}.zip") for card in CARDS}


@pytest.mark.parametrize("card", CARDS)
def test_the_package_is_valid_by_the_formats_own_library(packages, card):
    description = spec.load_model_description(packages[card], perform_io_checks=True)
    assert description.validation_summary.status in ("valid-format", "passed")
    assert description.format_version.startswith("0.5.")
    (image,) = description.inputs
    for axis in image.axes:
        if axis.type == "space":
            assert axis.size.min >= 64
            assert axis.size.step == 16
    steps = [step.id for step in image.preprocessing if step.id != "ensure_dtype"]
    assert steps == ["scale_range", "clip"]
    assert description.weights.onnx is not None
    assert description.weights.pytorch_state_dict is None


@pytest.mark.parametrize("card", CARDS)
def test_the_test_tensors_belong_together(packages, card, tmp_path):
    with zipfile.ZipFile(packages[card]) as archive:
        archive.extractall(tmp_path)
    image = np.load(tmp_path / "test_input.npy")
    expected = np.load(tmp_path / "test_output.npy")
    session = onnxruntime.InferenceSession(tmp_path / "weights.onnx")
    (found,) = session.run(None, {"image": scaled(image[0], uh.MODELS[card])[None]})
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected) > 0.1


def test_the_onnx_in_onnx_runtime_equals_segment(packages, tmp_path, monkeypatch):
    """Of a stained tissue at the network's own scale, in one tile, without averaging."""
    monkeypatch.setenv("UNET_HELPERS_PRECISION", "float32")
    pixels = np.asarray(Image.open(ROOT / "sample_images/he.jpg").convert("RGB"))[:256, :320]
    network = uh.load_model("nuclei_he", engine="torch")
    result = uh.segment(pixels, network, zoom=1.0, flips=1, progress=False)

    with zipfile.ZipFile(packages["nuclei_he"]) as archive:
        archive.extract("weights.onnx", tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "weights.onnx")
    values = scaled(np.moveaxis(pixels, -1, 0), network.card)
    (found,) = session.run(None, {"image": values[None]})
    assert found.shape == (1, 3, 256, 320)
    np.testing.assert_allclose(found[0], result.probabilities, atol=2e-3)
    assert (found[0].argmax(0) == result.probabilities.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("card", CARDS)
def test_the_formats_runner_gets_the_same_answer(packages, card):
    """In an environment of its own, because bioimageio.core pins an older bioimageio.spec."""
    core = pytest.importorskip("bioimageio.core")
    assert core.test_model(packages[card]).status == "passed"


def test_ones_own_test_image_is_in_the_package(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (96, 112), np.uint8)
    path = uh.export_bioimageio("em_membranes", tmp_path / "a.zip", image=pixels)
    with zipfile.ZipFile(path) as archive, archive.open("test_input.npy") as file:
        np.testing.assert_array_equal(np.load(file)[0, 0], pixels)
    with pytest.raises(uh.ArgumentError, match="plus a multiple of 16"):
        uh.export_bioimageio("em_membranes", tmp_path / "b.zip", image=pixels[:90])
    with pytest.raises(uh.ArgumentError, match=r"\(H, W, 3\)"):
        uh.export_bioimageio("nuclei_he", tmp_path / "b.zip", image=pixels)
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("nuclei", "brown of DAB"),
        ("retinal_vessels", "one channel of several"),
        ("hippocampus", "volume"),
        ("brain_flair", "one channel of several"),
        ("brain_flair_buda2019", "whole volumes"),
    ],
)
def test_what_the_format_cannot_say_is_refused_with_the_reason(card, reason, tmp_path):
    assert reason in why_not(uh.MODELS[card])
    if card != "brain_flair_buda2019":
        with pytest.raises(uh.ArgumentError, match=reason):
            uh.export_bioimageio(card, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_names_and_earlier_files_are_respected(tmp_path):
    with pytest.raises(uh.SaveError, match=r"ends in \.zip"):
        uh.export_bioimageio("lungs", tmp_path / "a.onnx")
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(uh.SaveError, match="overwrite=True"):
        uh.export_bioimageio("lungs", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_text() == "mine"


def test_a_package_comes_back_as_a_network(packages):
    """Another's package goes the same way: its own description is its card."""
    network = uh.load_model(packages["em_membranes"])
    original = uh.load_model("em_membranes", engine="torch")
    assert network.card.preprocessing.percentiles == original.card.preprocessing.percentiles
    assert network.card.preprocessing.spacing == pytest.approx(4e-6)
    assert network.card.classes == ("membrane",)
    assert network.card.scores == ()
    x = torch.rand(1, 1, 70, 90)
    torch.testing.assert_close(network(x), original(x), atol=1e-4, rtol=1e-3)


def test_a_package_with_another_preprocessing_needs_a_card(packages, tmp_path):
    changed = tmp_path / "theirs.zip"
    with zipfile.ZipFile(packages["lungs"]) as archive, zipfile.ZipFile(changed, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "rdf.yaml":
                rdf = yaml.safe_load(content)
                rdf["inputs"][0]["preprocessing"] = [
                    {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}
                ]
                content = yaml.safe_dump(rdf).encode()
            copy.writestr(name, content)
    with pytest.raises(uh.ModelError, match=r"zero_mean_unit_variance.*Pass card="):
        uh.load_model(changed)
    assert uh.load_model(changed, card="lungs").card.name == "theirs"


def test_a_fine_tuned_network_can_be_a_package(tmp_path):
    network = make_network(3, depth=3)
    path = uh.export_bioimageio(network, tmp_path / "small.zip")
    description = spec.load_model_description(path, perform_io_checks=True)
    assert description.inputs[0].axes[2].size.step == 8
    assert len(description.outputs[0].axes[1].channel_names) == 3
