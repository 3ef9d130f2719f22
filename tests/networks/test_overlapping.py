"""A network whose classes overlap: a sigmoid for each, in all engines; what such a card may be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import unet_helpers as uh
from unet_helpers.inference.tiles import averaged, background_answer
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.unet import network_of

CHEST = MODELS["chest"]

# A card whose classes have no sides, so that mirrored copies may be averaged.
NO_SIDES = replace(
    CHEST,
    classes=("bone", "air"),
    colors=("#E69F00", "#56B4E9"),
    out_channels=2,
    measures="objects",
    expected_parts=(),
    features=2,
    depth=1,
)


def small_network() -> uh.UNet:
    torch.manual_seed(3)
    return network_of(NO_SIDES).eval()


def test_each_channel_has_its_own_sigmoid():
    network = small_network()
    x = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), torch.sigmoid(network.logits(x)))


def test_without_overlap_channels_sum_to_one():
    network = uh.UNet(1, 2, features=2, depth=1).eval()
    assert torch.allclose(network(torch.rand(1, 1, 8, 8)).sum(1), torch.ones(1, 8, 8), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out_channels": 6}, "out_channels=6: 5, one for each class that may overlap,"),
        ({"instance_method": "membranes"}, "'components' for classes that overlap"),
        ({"flips": 2}, "1 for classes of the left and right side"),
        ({"overlapping": False}, "out_channels=5: 6 is needed"),
    ],
)
def test_a_card_that_cannot_be_is_refused(changes, words):
    with pytest.raises(uh.ModelError) as error:
        replace(CHEST, **changes)
    assert words in str(error.value)


def test_a_chest_needs_lungs_and_a_heart():
    with pytest.raises(uh.ModelError, match="'chest' for a card with the classes heart, left lung"):
        replace(MODELS["lungs"], measures="chest")


def test_only_softmax_has_a_background():
    assert not CHEST.has_background
    assert not MODELS["lungs"].has_background
    assert MODELS["hippocampus"].has_background


def test_a_blank_tile_is_no_class_at_all():
    assert not background_answer(small_network()).any()


def test_the_spread_is_that_of_the_most_probable_class():
    """The first class answers alike to all copies; the second, which is likelier, does not."""
    network = small_network()
    network.forward = lambda x: torch.cat([torch.full_like(x, 0.1), 0.5 + x / 2], dim=1)
    tile = np.zeros((1, 4, 4), np.float32)
    tile[0, :, 0] = 1
    spread = averaged(network, tile, flips=2)[-1]
    assert spread.max() == 0

    answers = iter([0.2, 0.6])
    network.forward = lambda x: torch.cat(
        [torch.full_like(x, 0.1), torch.full_like(x, next(answers))], dim=1
    )
    np.testing.assert_allclose(averaged(network, tile, flips=2)[-1], 0.2, atol=1e-6)


def test_copies_that_swap_left_and_right_are_refused():
    with pytest.raises(uh.ArgumentError, match="flips=2: chest tells the left side from the right"):
        uh.segment(np.zeros((64, 64), np.uint8), "chest", flips=2)


def test_it_is_saved_and_loaded_with_its_sigmoids(tmp_path):
    network = small_network()
    uh.save_model(network, tmp_path / "a.safetensors")
    again = uh.load_model(tmp_path / "a.safetensors", engine="torch")
    assert again.overlapping
    x = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network(x), atol=2e-3, rtol=0)


def test_openvino_gives_the_same_answers():
    pytest.importorskip("openvino")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (64, 64), np.uint8)
    plain = uh.segment(pixels, uh.load_model("chest", engine="torch"), progress=False)
    other = uh.segment(pixels, uh.load_model("chest", engine="openvino"), progress=False)
    np.testing.assert_allclose(plain.probabilities, other.probabilities, atol=0.02)
    assert plain.probabilities.shape[0] == 5


def test_an_onnx_file_holds_the_sigmoids(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = small_network()
    path = uh.export_onnx(network, tmp_path / "a.onnx")
    x = torch.rand(1, 1, 16, 16)
    (answer,) = onnxruntime.InferenceSession(str(path)).run(None, {"image": x.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(answer, network(x).numpy(), atol=1e-5)


def test_a_card_that_has_no_field_for_overlap_is_as_before():
    assert not MODELS["lungs"].overlapping
    assert not uh.load_model("lungs", engine="torch").overlapping
