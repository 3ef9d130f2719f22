"""The command that trains a card: its options, and which parts it learns from."""

import cv2
import numpy as np
import pytest

from unet_helpers import load_model
from unet_helpers.training import train as module
from unet_helpers.training.train import main as train


@pytest.fixture
def lungs(tmp_path):
    """X-rays of Shenzhen in which all is lung; of 0 to 20, 0, 10 and 20 are the test part."""
    for folder in (tmp_path / "images", tmp_path / "masks"):
        folder.mkdir()
        for number in range(21):
            cv2.imwrite(str(folder / f"CHNCXR_{number:02}.png"), np.full((8, 8), 255, np.uint8))
    return tmp_path


def test_the_same_seed_trains_the_same_network(tmp_path):
    disc = cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 20, 200, thickness=-1)
    for folder in (tmp_path / "images", tmp_path / "masks"):
        folder.mkdir()
        for number in range(2):
            cv2.imwrite(str(folder / f"CHNCXR_{number}.png"), disc)

    curves = []
    for run, seed in enumerate((["--seed", "0"], ["--seed", "0"], [])):
        out = tmp_path / str(run)
        options = ["--data", str(tmp_path), "--out", str(out), "--features", "4", "--steps", "1"]
        train(["lungs", *options, *seed])
        curves.append((out / "lungs" / "curve.csv").read_text())
    assert curves[0] == curves[1] != curves[2]
    assert load_model(tmp_path / "0" / "lungs" / "last.safetensors").features == 4


@pytest.mark.parametrize(
    ("option", "train_count", "validation_count"),
    [([], 16, 2), (["--refit"], 18, 0), (["--without", "CHNCXR"], 0, 0)],
)
def test_a_refit_learns_from_validation_never_from_the_test(
    lungs, monkeypatch, option, train_count, validation_count
):
    counts = []

    def fit(model, train, validation, recipe, folder, **_):
        counts.append((len(train), len(validation)))

    monkeypatch.setattr(module, "fit", fit)
    train(["lungs", "--data", str(lungs), "--features", "2", *option])
    assert counts == [(train_count, validation_count)]


def test_options_replace_what_the_recipe_says(lungs, monkeypatch):
    recipes = []
    monkeypatch.setattr(module, "fit", lambda *arguments, **_: recipes.append(arguments[3]))
    train(["lungs", "--data", str(lungs), "--features", "2"])
    train(["lungs", "--data", str(lungs), "--features", "2", "--rate", "0.5", "--seed", "0"])
    own, changed = recipes
    assert (own.learning_rate, own.seed, own.steps) == (2e-3, 2015, 5000)
    assert (changed.learning_rate, changed.seed, changed.steps) == (0.5, 0, 5000)


def test_examples_know_their_kind_and_group(lungs):
    examples = module.read_examples(module.TASKS["lungs"], lungs).train
    assert {example.kind for example in examples} == {"CHNCXR"}
    assert len({example.group for example in examples}) == 16
