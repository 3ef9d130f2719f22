"""The trainer: its loss by hand, and that a killed run ends where an unbroken one does."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from helpers.networks import discs, make_network

from unet_helpers import MODELS, load_model, read_image, segment
from unet_helpers.errors import TrainingError
from unet_helpers.figures.network import as_seen
from unet_helpers.networks.unet import UNet
from unet_helpers.training.fit import fit, loss_of, loss_of_step
from unet_helpers.training.recipes import IGNORED, Case, Recipe
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.tasks.nuclei import interiors_and_borders
from unet_helpers.training.train import main as train

RECIPE = Recipe(steps=40, crop=32, batch=4, learning_rate=1e-2, ema=0.9, noise=0.01, rotation=10)


def start() -> UNet:
    torch.manual_seed(0)
    network = UNet(1, 1, 4, 2)
    network.card = make_network().card
    return network


def test_the_loss_by_hand():
    """Logits 0: every pixel 0.5, entropy ln 2; Dice of 4 true of 8: (2 * 2 + 1) / (4 + 4 + 1)."""
    target = torch.tensor([[[1, 1, 1, 1], [0, 0, 0, 0]]])
    logits = torch.zeros(1, 1, 2, 4)
    assert loss_of(logits, target).item() == pytest.approx(np.log(2) + 1 - 5 / 9, abs=1e-6)
    sure = (target * 2 - 1).float()[:, None] * 50
    assert loss_of(sure, target).item() == pytest.approx(0, abs=1e-6)


def test_ignored_pixels_do_not_count():
    target = torch.tensor([[[1, 0, IGNORED, IGNORED]]])
    logits = torch.tensor([[[[3.0, -3.0, 9.0, -9.0]]]])
    assert loss_of(logits, target).item() == pytest.approx(
        loss_of(-logits.flip(3).flip(3) * -1, target).item()
    )
    other = logits.clone()
    other[..., 2:] = -other[..., 2:]
    assert loss_of(other, target).item() == pytest.approx(loss_of(logits, target).item())


def test_borders_are_drawn_where_nuclei_touch():
    labels = np.zeros((7, 12), np.uint16)
    labels[1:6, 1:6], labels[1:6, 6:11] = 1, 2
    target = interiors_and_borders(labels, 1)
    assert (target[1:6, 5:7] == 2).all()
    assert (target == 2).sum() == 10
    assert ((target > 0) == (labels > 0)).all()
    alone = interiors_and_borders((labels == 1).astype(np.uint16), 1)
    assert (alone == 2).sum() == 0


@pytest.mark.parametrize("card", ["brain_flair", "hippocampus"])
def test_a_slice_is_learnt_from_as_it_will_be_seen(card):
    """Levels, neighbours and working scale of inference; bright, dim and faint slices, the structure in each."""
    tops = np.array([200, 100, 180, 150, 3])
    volume = np.random.default_rng(0).uniform(0.2, 1, (5, 40, 36)) * tops[:, None, None]
    image = read_image(volume.astype(np.uint8))
    truth = np.broadcast_to(np.arange(1, 6, dtype=np.uint8)[:, None, None], volume.shape)
    examples = list(TASKS[card].examples(MODELS[card], Case("a", "train", card, image, truth)))
    assert len(examples) >= 5
    for i, example in enumerate(examples[:5]):  # those of the first axis
        np.testing.assert_allclose(example.pixels, as_seen(image, card, i)[0], atol=2e-3)
        assert (example.target == i + 1).all()


def test_it_learns(tmp_path):
    fit(start(), discs(12), discs(4, seed=9), RECIPE, tmp_path, checks=2)
    rows = [line.split(",") for line in (tmp_path / "curve.csv").read_text().splitlines()]
    assert rows[0] == ["step", "loss", "validation_dice"]
    assert float(rows[-1][2]) > 0.85
    expected = {"curve.csv", "checkpoint.pt", "best.safetensors", "last.safetensors"}
    assert {p.name for p in tmp_path.iterdir()} == expected
    answer = segment(
        np.pad(np.full((20, 20), 200, np.uint8), 14), load_model(tmp_path / "best.safetensors")
    )
    assert answer.labels[24, 24] == 1
    assert answer.labels[2, 2] == 0


class Killed:
    """Kills the run in its sixth step; one of its checks is then behind it."""

    def __init__(self):
        self.steps = 0

    def __call__(self, *arguments):
        self.steps += 1
        if self.steps == 6:
            raise KeyboardInterrupt
        return loss_of_step(*arguments)


def test_a_killed_run_goes_on_to_the_same_end(tmp_path, monkeypatch):
    examples, check = discs(6), discs(2, seed=9)
    recipe = replace(RECIPE, steps=8)
    unbroken = fit(start(), examples, check, recipe, tmp_path / "a", checks=2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("unet_helpers.training.fit.loss_of_step", Killed())
        fit(start(), examples, check, recipe, tmp_path / "b", checks=2)
    resumed = fit(start(), examples, check, recipe, tmp_path / "b", checks=2)
    for (name, one), two in zip(
        unbroken.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, two, msg=name)


def test_nothing_to_learn_from_is_said(tmp_path):
    with pytest.raises(TrainingError, match="training examples"):
        fit(UNet(1, 1, 2, 1), [], [], RECIPE, tmp_path)


def test_weights_with_other_channels_are_refused_in_words(tmp_path):
    with pytest.raises(TrainingError, match="reads 3 channels, but examples have 1"):
        fit(make_network(in_channels=3), discs(4), discs(4), RECIPE, tmp_path)


def test_the_command_trains_with_any_seed(tmp_path):
    disc = cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 20, 200, thickness=-1)
    for folder in (tmp_path / "images", tmp_path / "masks"):
        folder.mkdir()
        for number in range(2):  # the first one is for the test
            cv2.imwrite(str(folder / f"CHNCXR_{number}.png"), disc)
    curves = []
    for out, seed in enumerate((["--seed", "0"], ["--seed", "0"], [])):
        folders = ["--data", str(tmp_path), "--out", str(tmp_path / str(out))]
        train(["lungs", *folders, "--features", "4", "--steps", "1", *seed])
        curves.append((tmp_path / str(out) / "lungs" / "curve.csv").read_text())
    assert curves[0] == curves[1] != curves[2]
    assert load_model(tmp_path / "0" / "lungs" / "last.safetensors").features == 4


def test_a_refit_learns_from_validation_never_from_the_test(tmp_path, monkeypatch):
    for folder in (tmp_path / "images", tmp_path / "masks"):
        folder.mkdir()
        for number in range(21):  # 0, 10 and 20 are for the test, 9 and 19 for validation
            cv2.imwrite(str(folder / f"CHNCXR_{number:02}.png"), np.full((8, 8), 255, np.uint8))
    asked = []

    def fit(model, train, check, recipe, folder, **_):
        asked.append((len(train), len(check)))

    monkeypatch.setattr("unet_helpers.training.train.fit", fit)
    for asked_for in ([], ["--refit"], ["--without", "CHNCXR"]):
        train(["lungs", "--data", str(tmp_path), "--features", "2", *asked_for])
    assert asked == [(16, 2), (18, 0), (0, 0)]
