"""Networks for volumes: shapes, values, engines and files, and what a card may ask of them."""

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.networks import engine
from unet_helpers.networks.cards import Preprocessing
from unet_helpers.networks.openvino_graph import rounded_layers
from unet_helpers.networks.unet import UNet, fold_batch_norm, network_of


def voxels(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 17, 9), (16, 8, 12)])
@pytest.mark.parametrize("out_channels", [1, 3])
def test_a_volume_of_any_size_comes_back_as_probabilities(size, out_channels):
    network = UNet(1, out_channels, features=2, depth=2, dims=3).eval()
    answer = network(voxels(2, 1, *size))
    assert answer.shape == (2, out_channels, *size)
    assert answer.min() >= 0
    assert answer.max() <= 1
    if out_channels > 1:
        torch.testing.assert_close(answer.sum(1), torch.ones(2, *size))


def test_a_slice_depends_on_those_beside_it():
    network = make_network(dims=3)
    x = voxels(1, 1, 8, 16, 16)
    changed = x.clone()
    changed[:, :, 6] = 0
    difference = (network(x) - network(changed)).abs().amax((0, 1, 3, 4))
    assert (difference[4:] > 0).all()


def test_all_three_axes_are_treated_alike():
    """With kernels that look the same along all axes, a turned volume has the turned answer."""
    network = make_network(dims=3)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 5:
                parameter.copy_(parameter.mean((2, 3, 4), keepdim=True).expand_as(parameter))
    x = voxels(1, 1, 8, 12, 16)
    turned = network(x.permute(0, 1, 4, 2, 3)).permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(network(x), turned, atol=1e-5, rtol=0)


def test_folding_batch_norm_changes_no_answer():
    network = make_network(3, dims=3)
    x = voxels(1, 1, 9, 10, 11)
    expected = network(x)
    torch.testing.assert_close(fold_batch_norm(network)(x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["openvino", "int8"])
def test_openvino_answers_for_volumes_as_torch_does(name, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("UNET_HELPERS_PRECISION", "float32")
    network = fold_batch_norm(make_network(3, dims=3))
    x = voxels(1, 1, 9, 17, 12)
    expected = engine.run(network, x)

    network.engine = name
    object.__setattr__(network.card, "int8_ranges", ((-8.0, 8.0),) * len(rounded_layers(network)))
    difference = (engine.run(network, x) - expected).abs()
    if name == "openvino":
        assert difference.max() < 2e-5
    else:
        assert 1e-4 < difference.mean() < 0.02


def test_a_network_for_volumes_is_saved_with_its_card(tmp_path):
    network = make_network(3, dims=3)
    uh.save_model(network, tmp_path / "volumes.safetensors")
    loaded = uh.load_model(tmp_path / "volumes.safetensors", engine="torch")
    assert loaded.card.preprocessing.dims == loaded.dims == 3
    x = voxels(1, 1, 8, 8, 8)
    # Kernels are saved in half precision.
    torch.testing.assert_close(loaded(x), network(x), atol=2e-3, rtol=0)


def test_the_card_says_which_network_it_is_of():
    assert network_of(make_network(dims=3).card).dims == 3
    assert network_of(uh.MODELS["lungs"]).dims == 2


@pytest.mark.parametrize(
    "other",
    [
        {"context": 1},
        {"axes": (0, 1, 2)},
        {"channels": "rgb"},
        {"channels": "green"},
        {"scale": "square", "size": 64},
        {"size": 20, "smallest_objects": 20},
        {"spacing": 1.0, "usual_spacing": 0.5},
    ],
)
def test_a_card_of_volumes_has_plain_slices(other):
    with pytest.raises(uh.ModelError, match="dims"):
        Preprocessing(dims=3, **other)


def test_onnx_takes_volumes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = make_network(3, dims=3)
    path = uh.export_onnx(network, tmp_path / "volumes.onnx")
    session = onnxruntime.InferenceSession(str(path))
    x = voxels(1, 1, 12, 8, 20)
    (answer,) = session.run(None, {"image": x.numpy()})
    np.testing.assert_allclose(answer, network(x).detach().numpy(), atol=1e-5)

    # The file is read again, and takes sizes that are no multiples of the step.
    x = voxels(1, 1, 9, 7, 21)
    expected = network(x).detach()
    torch.testing.assert_close(uh.load_model(path)(x), expected, atol=1e-5, rtol=0)
