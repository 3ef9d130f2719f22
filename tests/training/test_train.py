"""The training of a card: what may be chosen, and which parts it learns from."""

import cv2
import nibabel
import numpy as np
import pytest
import torch

from unet_helpers import MODELS, TrainingError, load_model, segment
from unet_helpers.networks.unet import UNet
from unet_helpers.training import train as module
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.train import Choices, start_from, train


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
    for run, seed in enumerate((0, 0, None)):
        out = tmp_path / str(run)
        train("lungs", tmp_path, out, Choices(features=4, steps=1, seed=seed))
        curves.append((out / "lungs" / "curve.csv").read_text())
    assert curves[0] == curves[1] != curves[2]
    assert load_model(tmp_path / "0" / "lungs" / "last.safetensors").features == 4


@pytest.mark.parametrize(
    ("choices", "train_count", "validation_count"),
    [
        (Choices(features=2), 16, 2),
        (Choices(features=2, refit=True), 18, 0),
        (Choices(features=2, without="CHNCXR"), 0, 0),
    ],
)
def test_a_refit_learns_from_validation_never_from_the_test(
    lungs, monkeypatch, choices, train_count, validation_count
):
    counts = []

    def fit(model, train, validation, recipe, folder, **_):
        counts.append((len(train), len(validation)))

    monkeypatch.setattr(module, "fit", fit)
    train("lungs", lungs, choices=choices)
    assert counts == [(train_count, validation_count)]


def test_choices_replace_what_the_recipe_says(lungs, monkeypatch):
    recipes = []
    monkeypatch.setattr(module, "fit", lambda *arguments, **_: recipes.append(arguments[3]))
    train("lungs", lungs, choices=Choices(features=2))
    train("lungs", lungs, choices=Choices(features=2, rate=0.5, seed=0))
    own, changed = recipes
    assert (own.learning_rate, own.seed, own.steps) == (2e-3, 2015, 5000)
    assert (changed.learning_rate, changed.seed, changed.steps) == (0.5, 0, 5000)


def test_a_card_without_a_task_is_refused_before_its_data_are_read(tmp_path):
    with pytest.raises(TrainingError, match=r"no data set for 'lung'. Did you mean 'lungs'\?"):
        train("lung", tmp_path / "nowhere")


def test_examples_know_their_kind_and_group(lungs):
    examples = module.read_examples(TASKS["lungs"], lungs, MODELS["lungs"]).train
    assert {example.kind for example in examples} == {"CHNCXR"}
    assert len({example.group for example in examples}) == 16


def test_a_start_from_other_classes_and_one_channel_keeps_all_but_the_ends(tmp_path):
    grey = UNet(1, 1, features=2, depth=2)
    colours = UNet(3, 4, features=2, depth=2)
    head = colours.conv.weight.clone()
    start_from(colours, grey)

    first = colours.encoder1.enc1conv1.weight
    assert torch.equal(first[:, 1:2], grey.encoder1.enc1conv1.weight)
    assert not first[:, [0, 2]].any()
    assert torch.equal(colours.conv.weight, head)
    assert torch.equal(
        colours.bottleneck.bottleneckconv1.weight, grey.bottleneck.bottleneckconv1.weight
    )

    # A photograph whose colours are all alike gives the same features.
    picture = torch.rand(1, 1, 16, 16)
    blank = torch.zeros_like(picture)
    in_colour = torch.cat((blank, picture, blank), dim=1)
    assert torch.allclose(
        grey.eval().encoder1(picture), colours.eval().encoder1(in_colour), atol=1e-6
    )


def test_a_network_of_five_slices_starts_as_the_one_of_three():
    three = UNet(3, 1, features=2, depth=2)
    five = UNet(5, 1, features=2, depth=2)
    start_from(five, three)
    slices = torch.rand(1, 5, 16, 16)
    assert torch.allclose(five.eval()(slices), three.eval()(slices[:, 1:4]), atol=1e-6)


def test_a_start_from_the_same_shape_is_that_network():
    one = UNet(1, 3, features=2, depth=2)
    other = UNet(1, 3, features=2, depth=2)
    start_from(other, one)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))


def test_volumes_are_learnt_from_as_a_whole(tmp_path):
    """By a 3D U-Net with a card of its own, which is saved with its weights."""
    for folder in (tmp_path / "images", tmp_path / "labels"):
        folder.mkdir()
        for number in range(2):
            values = np.random.default_rng(number).integers(0, 3, (20, 24, 22)).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{number}.nii.gz")

    choices = Choices(volumes=True, features=2, steps=1, refit=True)
    network = train("hippocampus", tmp_path, tmp_path / "runs", choices)
    assert network.dims == network.card.preprocessing.dims == 3
    loaded = load_model(tmp_path / "runs" / "hippocampus" / "last.safetensors")
    result = segment(tmp_path / "images" / "0.nii.gz", loaded, progress=False)
    assert result.probabilities.shape == (3, 20, 24, 22)


def test_images_are_not_learnt_from_as_volumes(lungs):
    with pytest.raises(TrainingError, match="learns from slices"):
        train("lungs", lungs, lungs, Choices(volumes=True))


def test_a_network_of_slices_is_no_start_for_one_of_volumes():
    card = Choices(volumes=True).card_from(MODELS["hippocampus"])
    with pytest.raises(TrainingError, match="along 2 axes"):
        module.starting_network(card, "hippocampus", seed=0)
