"""A look inside a network shows what happens in it, and leaves it as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.network import (
    activations,
    block_levels,
    feature_maps,
    most_varying,
    network_input,
)


@pytest.fixture
def model() -> uh.UNet:
    return make_network()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (32, 44), dtype=np.uint8)


def probabilities(image, model) -> np.ndarray:
    return uh.segment(image, model, flips=1, progress=False).probabilities


@torch.inference_mode()
def test_the_input_is_what_segment_feeds_the_network(model, image):
    answer = model(network_input(image, model))[0].numpy()
    np.testing.assert_allclose(answer, probabilities(image, model), atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("intensities", ["percentile", "head"])
def test_a_slice_of_a_volume_is_scaled_like_the_whole_volume(model, intensities):
    preprocessing = replace(model.card.preprocessing, intensities=intensities)
    model.card = replace(model.card, preprocessing=preprocessing)
    volume = np.random.default_rng(3).normal(100, 20, (5, 16, 24)).astype(np.float32)
    volume[3] *= 2  # a bright slice, which would look like the others if it were scaled alone
    expected = probabilities(volume, model)
    for index in (0, 3):
        answer = model(network_input(volume, model, index))[0].numpy()
        np.testing.assert_allclose(answer, expected[:, index], atol=1e-5)


def test_of_a_volume_the_middle_slice_is_read(model):
    volume = np.random.default_rng(3).normal(100, 20, (5, 16, 24)).astype(np.float32)
    middle = network_input(volume, model, 2)
    assert torch.equal(network_input(volume, model), middle)


def test_a_large_image_is_read_at_its_centre(model):
    image = np.random.default_rng(4).integers(0, 255, (1400, 30), dtype=np.uint8)
    x = network_input(image, model)
    assert x.shape == (1, 1, 1280, 30)
    low, high = np.percentile(image, [0.5, 99.5])
    first_row = (1400 - 1280) // 2
    expected = (image[first_row, 0] - low) / (high - low)
    assert x[0, 0, 0, 0] == pytest.approx(expected, abs=1e-5)


def test_blocks_are_listed_down_and_up_again(model):
    assert block_levels(model) == {
        "encoder1": 1,
        "encoder2": 2,
        "bottleneck": 3,
        "decoder2": 2,
        "decoder1": 1,
    }


def test_activations_come_in_the_order_of_computation(model, image):
    outputs = activations(model, network_input(image, model))
    assert list(outputs) == [
        "encoder1",
        "encoder2",
        "bottleneck",
        "upconv2",
        "decoder2",
        "upconv1",
        "decoder1",
        "conv",
        "answer",
    ]
    assert outputs["encoder2"].shape == (8, 16, 22)
    assert outputs["bottleneck"].shape == (16, 8, 11)
    torch.testing.assert_close(torch.sigmoid(outputs["conv"]), outputs["answer"])


def test_activations_leave_the_network_as_it_was(model, image):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    activations(model, network_input(image, model))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_channels_that_vary_most_come_first():
    block = torch.tensor([[[1.0, 1.0]], [[0.0, 4.0]], [[0.0, 2.0]]])
    assert most_varying(block, 2).tolist() == [[[0.0, 4.0]], [[0.0, 2.0]]]
    assert len(most_varying(block, 5)) == 3


def test_feature_maps_have_a_column_for_each_block(model, image):
    figure = feature_maps(image, model, maps=3)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:5] == [
        "Encoder 1\n4 × 32 × 44",
        "Encoder 2\n8 × 16 × 22",
        "Bottleneck\n16 × 8 × 11",
        "Decoder 2\n8 × 16 × 22",
        "Decoder 1\n4 × 32 × 44",
    ]
    assert set(titles[5:]) == {""}
    assert len(titles) == 3 * 5


def test_feature_maps_show_the_strongest_channel_on_top(model, image):
    figure = feature_maps(image, model, maps=3)
    block = activations(model, network_input(image, model))["encoder2"]
    strongest = block[block.var(dim=(1, 2)).argmax()].numpy()
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), strongest)
