"""Networks of other programs: ONNX runs through the same tiles, programs are refused."""

import pickle

import numpy as np
import pytest
import torch
from helpers.networks import make_network
from torch import nn

import unet_helpers as uh
from unet_helpers.networks.foreign import are_probabilities

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class Threshold(nn.Module):
    """A network of another author: logits of 'brighter than one half', at half the resolution."""

    def __init__(self, channels=1):
        super().__init__()
        self.mean = nn.Conv2d(1, channels, 2, stride=2)
        nn.init.constant_(self.mean.weight, 10)
        nn.init.constant_(self.mean.bias, -20)

    def forward(self, x):
        return nn.functional.interpolate(self.mean(x), scale_factor=2.0)


def card(**changes):
    fields = {
        "name": "theirs",
        "title": "Bright things",
        "modality": "drawn pictures",
        "classes": ("bright",),
        "colors": ("#E69F00",),
        "depth": 1,
    }
    return uh.ModelCard(**(fields | changes))


def export(network, path, *, fixed=False):
    sizes = None
    if not fixed:
        sizes = ({0: "n", 2: 2 * torch.export.Dim("h"), 3: 2 * torch.export.Dim("w")},)
    program = torch.onnx.export(
        network, (torch.zeros(2, 1, 32, 48),), dynamo=True, dynamic_shapes=sizes, verbose=False
    )
    program.save(path)
    return path


@pytest.fixture
def onnx(tmp_path):
    return export(Threshold(), tmp_path / "theirs.onnx")


@pytest.fixture
def picture():
    pixels = np.full((101, 203), 20, np.uint8)
    pixels[20:60, 30:90] = 220
    pixels[70:90, 150:180] = 220
    return pixels


def test_their_network_goes_through_tiles_results_and_report(onnx, picture, tmp_path):
    network = uh.load_model(onnx, card=card())
    assert network.gives_logits
    result = uh.segment(picture, network, progress=False)
    assert len(result.measure()) == 2
    assert uh.dice(picture > 100, result.labels) > 0.97
    assert result.expected_dice is None
    assert result.save(tmp_path / "out", formats=(".html",))[".html"].exists()
    averaged = uh.segment(picture, network, flips=8, progress=False)
    assert uh.dice(picture > 100, averaged.labels) > 0.97


def test_a_large_image_is_cut_into_tiles(onnx, monkeypatch):
    network = uh.load_model(onnx, card=card())
    picture = np.zeros((300, 500), np.uint8)
    picture[100:200, 100:400] = 255
    whole = uh.segment(picture, network, progress=False)
    monkeypatch.setattr("unet_helpers.inference.tiles.TILE", 128)
    monkeypatch.setattr("unet_helpers.inference.tiles.OVERLAP", 32)
    shapes = []
    answer = network.answer
    monkeypatch.setattr(network, "answer", lambda x: shapes.append(x.shape) or answer(x))
    tiled = uh.segment(picture, network, progress=False)
    assert len(tiled.measure()) == len(whole.measure()) == 1
    np.testing.assert_array_equal(tiled.labels, whole.labels)


def test_a_card_may_be_named_and_keeps_no_scores_of_other_weights(onnx):
    network = uh.load_model(onnx, card="em_membranes")
    assert network.card.name == "theirs"
    assert network.card.scores == ()
    assert network.card.preprocessing == uh.MODELS["em_membranes"].preprocessing


def test_ones_own_export_knows_its_card(tmp_path):
    path = uh.export_onnx("lungs", tmp_path / "mine.onnx")
    network = uh.load_model(path)
    assert network.card.name == "mine"
    assert network.card.preprocessing == uh.MODELS["lungs"].preprocessing
    assert not network.gives_logits
    x = torch.rand(2, 1, 70, 90)
    expected = uh.load_model("lungs", engine="torch")(x)
    torch.testing.assert_close(network(x), expected, atol=1e-4, rtol=1e-3)


def test_it_can_be_sent_to_another_process(onnx):
    network = pickle.loads(pickle.dumps(uh.load_model(onnx, card=card())))
    assert network.gives_logits
    assert network.card.title == "Bright things"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("a", "b"), "colors": ("#E69F00",) * 2, "out_channels": 3}, "answers"),
        ({"preprocessing": {"channels": "rgb"}}, "does not take images"),
    ],
)
def test_a_card_that_does_not_fit_is_named(onnx, changes, words):
    from unet_helpers.networks.cards import Preprocessing

    if "preprocessing" in changes:
        changes["preprocessing"] = Preprocessing(**changes["preprocessing"])
    with pytest.raises(uh.ModelError, match=words):
        uh.load_model(onnx, card=card(**changes))


def test_a_network_of_fixed_size_is_refused(tmp_path):
    path = export(Threshold(), tmp_path / "fixed.onnx", fixed=True)
    with pytest.raises(uh.ModelError, match="sizes are fixed"):
        uh.load_model(path, card=card())


def test_without_a_card_the_way_is_named(onnx):
    with pytest.raises(uh.ModelError, match=r"Pass card="):
        uh.load_model(onnx)
    with pytest.raises(uh.ArgumentError, match="other programs"):
        uh.load_model("lungs", card="nuclei")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(uh.ModelError, match="no ONNX file"):
        uh.load_model(tmp_path / "a.onnx", card=card())
    with pytest.raises(uh.ModelError, match="there is no such file"):
        uh.load_model(tmp_path / "b.onnx", card=card())
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(uh.ModelError, match=r"no BioImage\.IO package|more package"):
        uh.load_model(tmp_path / "a.zip")


class Evil:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


def test_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Evil()}, tmp_path / "a.pt")
    with pytest.raises(uh.ModelError, match="Export it as ONNX"):
        uh.load_model(tmp_path / "a.pt", card=card())
    assert not (tmp_path / "ran").exists()


def test_torchscript_is_refused_with_the_reason(tmp_path):
    torch.jit.trace(Threshold(), torch.zeros(1, 1, 32, 32)).save(tmp_path / "a.pt")
    with pytest.raises(uh.ModelError, match=r"TorchScript, which is a program.*ONNX"):
        uh.load_model(tmp_path / "a.pt", card=card())


def test_the_tensors_of_a_unet_are_read(tmp_path):
    original = make_network()
    torch.save(original.state_dict(), tmp_path / "a.pth")
    network = uh.load_model(tmp_path / "a.pth", card=original.card)
    x = torch.rand(1, 1, 32, 48)
    torch.testing.assert_close(network(x), original(x), atol=1e-4, rtol=1e-3)
    assert network.card.name == "a"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.2], True), ([1.2], False), ([-0.1], False), ([0.3, 0.7], True), ([0.3, 0.3], False)],
)
def test_probabilities_are_told_from_logits(values, expected):
    answer = torch.tensor(values).view(1, -1, 1, 1).expand(1, len(values), 4, 4)
    assert are_probabilities(answer) == expected
