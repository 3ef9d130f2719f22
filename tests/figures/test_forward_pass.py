"""The steps through a network are those that it computes, with the sizes and maps of the image."""

import re
from html import unescape

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.forward_pass import GAP, MAP_HEIGHT, picture_of, steps_through
from unet_helpers.figures.network import activations, network_input


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (32, 44), dtype=np.uint8)


@pytest.fixture
def steps(image) -> list:
    model = make_network()
    x = network_input(image, model)
    return list(steps_through(model, x, activations(model, x)))


def test_the_steps_go_down_across_and_up_in_the_order_of_computation(steps):
    parts = [step.parts[0] for step in steps]
    down = ["image", "encoder1", "pool1", "encoder2", "pool2", "bottleneck"]
    up = ["upconv2", "skip2", "decoder2", "upconv1", "skip1", "decoder1", "answer"]
    assert parts == down + up


def test_each_step_shows_maps_of_its_own_size(steps):
    sizes = {step.parts[0]: step.maps.shape[1:] for step in steps}
    assert sizes["encoder1"] == (32, 44)
    assert sizes["pool1"] == sizes["encoder2"] == sizes["upconv2"] == (16, 22)
    assert sizes["bottleneck"] == (8, 11)
    assert sizes["answer"] == (32, 44)


def test_a_pooled_map_holds_the_largest_of_each_four_values(steps):
    maps = {step.parts[0]: step.maps for step in steps}
    blocks = maps["encoder1"][:, :32, :44].reshape(-1, 16, 2, 22, 2).max(axis=(2, 4))
    for pooled in maps["pool1"]:
        # Which of the maps vary most may change with their size.
        assert any(np.allclose(pooled, block) for block in blocks)


@torch.no_grad()
def test_the_surroundings_that_a_value_depends_on_are_as_large_as_said():
    """A pixel at the rim of the said square changes the value; the one beyond it does not."""
    network = make_network(features=2).requires_grad_(False)
    x = torch.rand(1, 1, 64, 64)
    outputs = activations(network, x)
    texts = [step.text for step in steps_through(network, x, outputs) if "depends" in step.text]
    seen = [int(re.search(r"square of (\d+) px", text)[1]) for text in texts]
    assert seen == [5, 14, 32]

    depends = torch.zeros(64, dtype=torch.bool)
    before = outputs["bottleneck"][:, 8, 8]
    for column in range(64):
        changed = x.clone()
        changed[..., column] += 50
        depends[column] = not torch.equal(
            activations(network, changed)["bottleneck"][:, 8, 8], before
        )
    first, *_, last = depends.nonzero().flatten().tolist()
    assert last - first + 1 <= 32
    assert last - first + 1 >= 32 - 2


def test_at_the_bottom_of_the_shipped_networks_a_value_depends_on_140_px(image):
    page = unescape(uh.forward_pass("lungs", image).data)
    titles = re.findall(r"<li><strong>(.*?)\.</strong> (.*?)</li>", page)
    title, text = titles[9]
    assert title == "At the bottom: two convolutions"
    assert "a square of 140 px" in text


def test_every_step_is_a_part_of_the_drawing(image):
    page = unescape(uh.forward_pass(make_network(), image).data)
    drawn = set(re.findall(r'data-part="([\w-]+)"', page))
    named = set(re.findall(r'"((?:encoder|decoder|pool|skip|upconv)\d(?:-input)?)"', page))
    assert named
    assert named <= drawn
    assert {"image", "answer", "bottleneck"} <= drawn


def test_a_network_with_several_classes_is_walked_through_too(image):
    page = unescape(uh.forward_pass(make_network(out_channels=3), image).data)
    assert "3 numbers a pixel" in page


@pytest.mark.parametrize("side", [8, 400])
def test_maps_are_drawn_beside_each_other_each_from_dark_to_bright(side):
    ramp = np.linspace(0, 1, side * side).reshape(side, side)
    picture = picture_of(np.stack([ramp, 100 * ramp]))
    assert picture.shape == (MAP_HEIGHT, 2 * MAP_HEIGHT + GAP, 3)
    left, right = picture[:, :MAP_HEIGHT], picture[:, -MAP_HEIGHT:]
    np.testing.assert_allclose(left.astype(int), right, atol=1)
    assert left.min() < 5
    assert left.max() > 250


def test_a_map_of_one_value_is_drawn_without_a_division_by_zero():
    assert picture_of(np.ones((1, 8, 8))).max() == 0
