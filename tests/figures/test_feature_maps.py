"""A look inside: what is shown is what happens in the network, and the network is left as it was."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.network import (
    activations,
    as_seen,
    compare_skips,
    cut_skips,
    diagram,
    feature_maps,
    without_skips,
)


@pytest.fixture
def model() -> uh.UNet:
    return make_network()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (32, 44), dtype=np.uint8)


def answer(image, model) -> np.ndarray:
    return uh.segment(image, model, flips=1, progress=False).probabilities


def hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@torch.inference_mode()
def test_as_seen_is_what_segment_feeds_the_network(model, image):
    np.testing.assert_allclose(
        model(as_seen(image, model))[0].numpy(), answer(image, model), atol=1e-6
    )


@torch.inference_mode()
@pytest.mark.parametrize("intensities", ["percentile", "head"])
def test_as_seen_of_a_volume_is_scaled_like_the_whole_volume(model, intensities):
    model.card = replace(
        model.card, preprocessing=replace(model.card.preprocessing, intensities=intensities)
    )
    volume = np.random.default_rng(3).normal(100, 20, (5, 16, 24)).astype(np.float32)
    volume[3] *= 2  # a bright slice: on its own it would look like the others
    probabilities = answer(volume, model)
    for index in (0, 3):
        seen = as_seen(volume, model, index)
        np.testing.assert_allclose(model(seen)[0].numpy(), probabilities[:, index], atol=1e-5)
    assert torch.equal(as_seen(volume, model), as_seen(volume, model, 2))


def test_a_large_image_is_seen_from_its_centre(model):
    image = np.random.default_rng(4).integers(0, 255, (1100, 30), dtype=np.uint8)
    seen = as_seen(image, model)
    assert seen.shape == (1, 1, 1024, 30)
    low, high = np.percentile(image, [0.5, 99.5])
    assert seen[0, 0, 0, 0] == pytest.approx((image[38, 0] - low) / (high - low), abs=1e-5)


def test_activations_come_in_order_and_leave_no_trace(model, image):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = activations(model, as_seen(image, model))
    assert list(seen) == [
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
    assert seen["encoder2"].shape == (8, 16, 22)
    assert seen["bottleneck"].shape == (16, 8, 11)
    torch.testing.assert_close(torch.sigmoid(seen["conv"]), seen["answer"])
    assert hooks(model) == 0
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_cut_skips_silences_the_skip_half_of_the_chosen_levels_only(model, image):
    arrived = {}
    with cut_skips(model, [2]):
        watches = [
            model.get_submodule(name).register_forward_pre_hook(
                lambda m, x, name=name: arrived.update({name: x[0]})
            )
            for name in ("decoder1", "decoder2")
        ]
        activations(model, as_seen(image, model))
    for watch in watches:
        watch.remove()
    assert arrived["decoder2"][:, :8].abs().max() > 0
    assert arrived["decoder2"][:, 8:].abs().max() == 0
    assert arrived["decoder1"][:, 4:].abs().max() > 0


def test_without_skips_changes_the_answer_and_not_the_network(model, image):
    before = answer(image, model)
    cut = [
        without_skips(image, model, levels, flips=1, progress=False).probabilities
        for levels in [(1,), (2,), None]
    ]
    for other in cut:
        assert np.abs(other - before).max() > 1e-3
    assert np.abs(cut[0] - cut[1]).max() > 1e-3
    assert hooks(model) == 0
    np.testing.assert_array_equal(answer(image, model), before)
    np.testing.assert_array_equal(
        without_skips(image, model, (), flips=1, progress=False).probabilities, before
    )


def test_hooks_come_off_after_an_error(model):
    with pytest.raises(RuntimeError), cut_skips(model, [1, 2]):
        assert hooks(model) == 2
        raise RuntimeError
    assert hooks(model) == 0


@pytest.mark.parametrize("levels", [(0,), (3,), (1, 7)])
def test_an_unknown_level_is_named(model, image, levels):
    with pytest.raises(ValueError, match="levels 1 to 2"):
        without_skips(image, model, levels)
    assert hooks(model) == 0


def test_the_scale_is_found_by_the_whole_network(model, image, monkeypatch):
    model.card = replace(
        model.card, preprocessing=replace(model.card.preprocessing, scale="objects", size=24)
    )
    seen = []
    monkeypatch.setattr(
        "unet_helpers.figures.network.zoom_for_objects",
        lambda m, pixels: seen.append(hooks(m)) or 0.5,
    )
    assert without_skips(image, model, flips=1, progress=False).zoom == 0.5
    assert seen == [0]


def test_diagram_carries_the_sizes_of_the_forward_pass(model, image):
    def words(figure) -> list[str]:
        return [text.get_text() for text in figure.axes[0].texts if text.get_text()]

    drawn = words(diagram(model, image))
    assert [drawn.count(size) for size in ("32 × 44", "16 × 22", "8 × 11")] == [2, 2, 1]
    assert [n for n in drawn if n.isdigit()] == [
        "1",
        "4",
        "4",
        "4",
        "8",
        "8",
        "8",
        "16",
        "16",
        "16",
        "8",
        "8",
        "8",
        "4",
        "4",
        "1",
    ]
    assert words(diagram(uh.UNet(3, 2, features=2, depth=1))).count("128 × 128") == 1
    assert not plt.get_fignums()  # figures are returned closed: a cell shows them once


def test_feature_maps_show_the_channels_that_vary_most(model, image):
    figure = feature_maps(image, model, maps=3)
    block = activations(model, as_seen(image, model))["encoder2"]
    strongest = block[block.var(dim=(1, 2)).argmax()].numpy()
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), strongest)
    assert [figure.axes[i].get_title() for i in (1, 3)] == [
        "Encoder 2\n8 × 16 × 22",
        "Decoder 2\n8 × 16 × 22",
    ]
    assert len(feature_maps(image, model, maps=2).axes) == 2 * 5


def test_compare_skips_has_a_picture_for_every_cut(model, image):
    figure = compare_skips(image, model)
    titles = [ax.get_title().split(":")[0] for ax in figure.axes if ax.get_title()]
    assert titles == [
        "All skip connections",
        "Without skip connection 1",
        "Without skip connection 2",
        "Without any",
    ]
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes[:4]]
    np.testing.assert_array_equal(shown[0], answer(image, model)[0])
    assert all(np.abs(picture - shown[0]).max() > 1e-3 for picture in shown[1:])
