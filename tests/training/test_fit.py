"""The training loop: that it learns, and that a killed run ends where an unbroken one does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import discs, make_network

from unet_helpers import load_model, segment
from unet_helpers.errors import TrainingError
from unet_helpers.networks.unet import UNet
from unet_helpers.training import fit as module
from unet_helpers.training.examples import IGNORED, Example
from unet_helpers.training.fit import (
    fit,
    floating_tensors,
    is_check,
    learning_rate_at,
    update_average,
    validate,
)
from unet_helpers.training.losses import loss_of_step
from unet_helpers.training.recipes import Recipe

RECIPE = Recipe(
    steps=40, crop=32, batch=4, learning_rate=1e-2, ema_decay=0.9, noise=0.01, rotation=10
)


def untrained() -> UNet:
    """A small network, the same each time."""
    torch.manual_seed(0)
    network = UNet(in_channels=1, out_channels=1, features=4, depth=2)
    network.card = make_network().card
    return network


def test_it_learns_and_keeps_its_files(tmp_path):
    fit(untrained(), discs(12), discs(4, seed=9), RECIPE, tmp_path, checks=2)

    rows = [line.split(",") for line in (tmp_path / "curve.csv").read_text().splitlines()]
    assert rows[0] == ["step", "loss", "validation_dice"]
    assert [row[0] for row in rows[1:]] == ["20", "40"]
    assert float(rows[-1][2]) > 0.85
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"curve.csv", "checkpoint.pt", "best.safetensors", "last.safetensors"}


def test_the_weights_it_keeps_segment(tmp_path):
    fit(untrained(), discs(12), discs(4, seed=9), RECIPE, tmp_path, checks=2)
    square = np.pad(np.full((20, 20), 200, np.uint8), 14)
    answer = segment(square, load_model(tmp_path / "best.safetensors"), progress=False)
    assert answer.labels[24, 24] == 1
    assert answer.labels[2, 2] == 0


class KilledInItsSixthStep:
    """Stands for ``loss_of_step``; one of the run's checks is then behind it."""

    def __init__(self):
        self.steps = 0

    def __call__(self, *arguments):
        self.steps += 1
        if self.steps == 6:
            raise KeyboardInterrupt
        return loss_of_step(*arguments)


def test_a_killed_run_goes_on_to_the_same_end(tmp_path, monkeypatch):
    examples = discs(6)
    validation = discs(2, seed=9)
    recipe = replace(RECIPE, steps=8)
    unbroken = fit(untrained(), examples, validation, recipe, tmp_path / "a", checks=2)

    with monkeypatch.context() as patch:
        patch.setattr(module, "loss_of_step", KilledInItsSixthStep())
        with pytest.raises(KeyboardInterrupt):
            fit(untrained(), examples, validation, recipe, tmp_path / "b", checks=2)
    resumed = fit(untrained(), examples, validation, recipe, tmp_path / "b", checks=2)

    assert resumed.curve.step.tolist() == [4, 8]
    tensors = resumed.state_dict()
    for name, expected in unbroken.state_dict().items():
        torch.testing.assert_close(tensors[name], expected, msg=name)


def test_the_best_weights_are_those_of_the_best_check(tmp_path, monkeypatch):
    scores = iter([0.4, 0.9, 0.5])
    monkeypatch.setattr(module, "validate", lambda *_: next(scores))
    saved = []
    monkeypatch.setattr(module, "save_model", lambda network, path: saved.append(path.name))
    fit(untrained(), discs(2), discs(1), replace(RECIPE, steps=3), tmp_path, checks=3)
    best, last = "best.safetensors", "last.safetensors"
    assert saved == [best, last, best, last, last]


def test_without_validation_the_last_weights_are_the_best(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(module, "save_model", lambda network, path: saved.append(path.name))
    trained = fit(untrained(), discs(2), [], replace(RECIPE, steps=2), tmp_path, checks=2)
    assert saved == ["best.safetensors", "last.safetensors"] * 2
    curve = trained.curve
    assert curve.validation_dice.tolist() == [-loss for loss in curve.loss]


def test_the_learning_rate_rises_for_a_tenth_of_the_steps_and_falls_to_a_hundredth():
    recipe = Recipe(steps=500, learning_rate=1.0)
    assert learning_rate_at(0, recipe) == pytest.approx(0.05)
    assert learning_rate_at(25, recipe) == pytest.approx(0.525, abs=0.005)
    assert learning_rate_at(50, recipe) == pytest.approx(0.976, abs=0.001)
    assert learning_rate_at(250, recipe) == pytest.approx(0.505)
    assert learning_rate_at(500, recipe) == pytest.approx(0.01)


def test_the_learning_rate_rises_for_a_hundred_steps_at_most():
    recipe = Recipe(steps=100_000, learning_rate=1.0)
    assert learning_rate_at(50, recipe) == pytest.approx(0.525, abs=1e-3)
    assert learning_rate_at(100, recipe) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("step", "kept"), [(0, 1 / 10), (8, 9 / 18), (10_000, 0.99)])
def test_the_average_keeps_more_and_more_of_itself(step, kept):
    average, model = (UNet(1, 1, 2, 1) for _ in range(2))
    before = [tensor.clone() for tensor in floating_tensors(average)]
    update_average(average, model, step, ema_decay=0.99)
    for old, new, now in zip(before, floating_tensors(model), floating_tensors(average)):
        torch.testing.assert_close(now, kept * old + (1 - kept) * new)


def test_checks_are_evenly_spread_and_the_last_is_the_end():
    assert [step for step in range(1, 11) if is_check(step, checks=4, steps=10)] == [3, 5, 8, 10]


class Ramp(UNet):
    """Answers logits that are 1 in the first two of four columns, and -1 in the others."""

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([1.0, 1, -1, -1]).expand(1, 1, 4, 4)


def test_validation_is_the_dice_over_the_pixels_of_all_examples_without_ignored_ones():
    """Of the 16 pixels known, 8 are found; 4 of these are true, and so are 4 others."""
    pixels = np.zeros((1, 4, 4), np.float16)
    first = np.zeros((4, 4), np.uint8)
    first[:, 1:3] = 1
    second = np.full((4, 4), IGNORED, np.uint8)
    examples = [Example(pixels, first), Example(pixels, second)]
    assert validate(Ramp(1, 1, 2, 1), examples) == pytest.approx(0.5)


def test_nothing_to_learn_from_is_said(tmp_path):
    with pytest.raises(TrainingError, match="training examples"):
        fit(UNet(1, 1, 2, 1), [], [], RECIPE, tmp_path)


def test_weights_with_other_channels_are_refused_in_words(tmp_path):
    with pytest.raises(TrainingError, match="reads 3 channels, but examples have 1"):
        fit(make_network(in_channels=3), discs(4), discs(4), RECIPE, tmp_path)
