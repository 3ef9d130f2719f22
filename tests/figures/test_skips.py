"""Skip connections are cut only where and while it is asked; the network is left as it was."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.network import activations, network_input
from unet_helpers.figures.skips import compare_skips, cut_skips, without_skips
from unet_helpers.inference.object_zoom import ObjectZoom


@pytest.fixture
def model() -> uh.UNet:
    return make_network()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (32, 44), dtype=np.uint8)


def probabilities(image, model) -> np.ndarray:
    return uh.segment(image, model, flips=1, progress=False).probabilities


def without(image, model, levels) -> np.ndarray:
    return without_skips(image, model, levels, flips=1, progress=False).probabilities


def count_hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_zeros_come_over_the_chosen_skip_connection_only(model, image):
    arrived = {}
    with cut_skips(model, [2]):
        for name in ("decoder1", "decoder2"):
            model.get_submodule(name).register_forward_pre_hook(
                lambda module, inputs, name=name: arrived.update({name: inputs[0]})
            )
        activations(model, network_input(image, model))

    # The first half of the channels comes from below, the second over the skip connection.
    assert arrived["decoder2"][:, :8].abs().max() > 0
    assert arrived["decoder2"][:, 8:].abs().max() == 0
    assert arrived["decoder1"][:, 4:].abs().max() > 0


@pytest.mark.parametrize("levels", [(1,), (2,), None])
def test_a_cut_changes_the_answer(model, image, levels):
    assert np.abs(without(image, model, levels) - probabilities(image, model)).max() > 1e-3


def test_each_cut_changes_it_in_its_own_way(model, image):
    first = without(image, model, [1])
    second = without(image, model, [2])
    neither = without(image, model, None)
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - neither).max() > 1e-3
    np.testing.assert_array_equal(without(image, model, [1, 2]), neither)


def test_no_cut_changes_nothing(model, image):
    np.testing.assert_array_equal(without(image, model, ()), probabilities(image, model))


def test_the_network_is_left_as_it_was(model, image):
    before = probabilities(image, model)
    without(image, model, None)
    assert count_hooks(model) == 0
    np.testing.assert_array_equal(probabilities(image, model), before)


def test_hooks_come_off_after_an_error(model):
    hooks_within = []

    def fail() -> None:
        with cut_skips(model, [1, 2]):
            hooks_within.append(count_hooks(model))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert hooks_within == [2]
    assert count_hooks(model) == 0


@pytest.mark.parametrize("levels", [(0,), (3,), (1, 7)])
def test_an_unknown_level_is_named(model, image, levels):
    with pytest.raises(uh.ArgumentError, match="levels 1 to 2"):
        without_skips(image, model, levels)
    assert count_hooks(model) == 0


def test_the_scale_is_found_by_the_whole_network(model, image, monkeypatch):
    preprocessing = replace(model.card.preprocessing, scale="objects", size=24)
    model.card = replace(model.card, preprocessing=preprocessing)
    hooks_then = []

    def zoom_by_objects(model, view):
        hooks_then.append(count_hooks(model))
        return ObjectZoom(0.5)

    monkeypatch.setattr("unet_helpers.figures.skips.zoom_by_objects", zoom_by_objects)
    assert without_skips(image, model, flips=1, progress=False).zoom == 0.5
    assert hooks_then == [0]


def test_a_scale_that_is_given_is_not_looked_for(model, image, monkeypatch):
    preprocessing = replace(model.card.preprocessing, scale="objects", size=24)
    model.card = replace(model.card, preprocessing=preprocessing)
    monkeypatch.delattr("unet_helpers.figures.skips.zoom_by_objects")
    assert without_skips(image, model, zoom=2.0, flips=1, progress=False).zoom == 2.0


def test_the_comparison_has_a_panel_for_every_cut(model, image):
    figure = compare_skips(image, model)
    titles = [ax.get_title().split(":")[0] for ax in figure.axes if ax.get_title()]
    assert titles == [
        "All skip connections",
        "Without skip connection 1",
        "Without skip connection 2",
        "Without any",
    ]
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes[:4]]
    np.testing.assert_array_equal(shown[0], probabilities(image, model)[0])
    np.testing.assert_array_equal(shown[1], without(image, model, [1])[0])
    np.testing.assert_array_equal(shown[3], without(image, model, None)[0])


def test_the_comparison_gives_the_dice_with_the_whole_network(model, image):
    whole = uh.segment(image, model, flips=1, progress=False)
    cut = without_skips(image, model, [2], flips=1, progress=False)
    figure = compare_skips(whole, model)
    expected = uh.dice(whole.labels, cut.labels)
    assert figure.axes[2].get_title() == f"Without skip connection 2: Dice {expected:.2f}"
