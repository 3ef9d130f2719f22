"""The loss by hand, and what it leaves out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import discs, make_network

from unet_helpers.training.augment import batch_of
from unet_helpers.training.examples import IGNORED
from unet_helpers.training.losses import loss_of_step, segmentation_loss, soft_dice
from unet_helpers.training.recipes import Recipe
from unet_helpers.training.rng import StepRng
from unet_helpers.training.windows import ExamplePool

HALF_OF_EIGHT = torch.tensor([[[1, 1, 1, 1], [0, 0, 0, 0]]])


def test_logits_of_zero_cost_the_entropy_of_a_coin_and_one_minus_their_dice():
    """Every pixel is 0.5; Dice with the added one is (2 * 2 + 1) / (4 + 4 + 1)."""
    loss = segmentation_loss(torch.zeros(1, 1, 2, 4), HALF_OF_EIGHT)
    assert loss.item() == pytest.approx(np.log(2) + 1 - 5 / 9, abs=1e-6)


def test_a_right_and_certain_answer_costs_nothing():
    certain = (HALF_OF_EIGHT * 2 - 1).float()[:, None] * 50
    assert segmentation_loss(certain, HALF_OF_EIGHT).item() == pytest.approx(0, abs=1e-6)


def test_ignored_pixels_do_not_count():
    target = torch.tensor([[[1, 0, IGNORED, IGNORED]]])
    logits = torch.tensor([[[[3.0, -3.0, 9.0, -9.0]]]])
    others_there = torch.tensor([[[[3.0, -3.0, -9.0, 9.0]]]])
    loss = segmentation_loss(logits, target).item()
    assert segmentation_loss(others_there, target).item() == pytest.approx(loss)


def test_ignored_pixels_do_not_count_in_dice():
    """Of the two pixels that count both are 0.5, one is true: (2 * 0.5 + 1) / (1 + 1 + 1)."""
    target = torch.tensor([[[1, 0, IGNORED, IGNORED]]])
    logits = torch.zeros(1, 2, 1, 4)
    assert soft_dice(logits, target, "batch").item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(("dice_over", "expected"), [("batch", 5 / 9), ("image", (1 + 5 / 7) / 2)])
def test_dice_is_taken_over_the_batch_or_each_image(dice_over, expected):
    """An image without structure and without any answer, and one of four pixels, two found."""
    target = torch.tensor([[[0, 0, 0, 0]], [[1, 1, 1, 1]]])
    answer = torch.tensor([[[-99.0, -99, -99, -99]], [[99.0, 99, -99, -99]]])
    logits = torch.stack((torch.zeros_like(answer), answer), dim=1)
    if dice_over == "batch":
        expected = (2 * 2 + 1) / (4 + 2 + 1)
    assert soft_dice(logits, target, dice_over).item() == pytest.approx(expected, abs=1e-6)


def test_class_weights_make_a_class_dearer():
    """Twice the weight of the border: the mean of entropies is weighted, 0.9 to 0.1."""
    logits = torch.log(torch.tensor([0.9, 0.1]))[None, :, None, None].expand(1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]])
    plain = segmentation_loss(logits, target)
    weighted = segmentation_loss(logits, target, torch.tensor([1.0, 2.0]))
    entropies = -np.log([0.9, 0.1])
    expected = np.average(entropies, weights=[1, 2]) - entropies.mean()
    assert (weighted - plain).item() == pytest.approx(expected, abs=1e-6)


def step_loss(consistency: float, answer) -> float:
    """The loss of a step of a network that gives this answer to images."""
    recipe = Recipe(steps=1, crop=16, consistency=consistency)
    network = make_network()
    network.logits = answer
    images, targets = batch_of(ExamplePool(discs(4)), StepRng(0), recipe)
    return loss_of_step(network, images, targets, recipe, StepRng(1)).item()


def test_consistency_costs_nothing_where_answers_turn_with_the_image():
    """The turned copy is in the batch either way, which weighs the one in Dice a little less."""
    assert step_loss(9.0, lambda x: x) == pytest.approx(step_loss(1e-9, lambda x: x), abs=1e-5)


def test_consistency_costs_where_answers_do_not_turn_with_the_image():
    def ramp(x: torch.Tensor) -> torch.Tensor:
        return torch.linspace(-4, 4, 16).expand_as(x) + torch.linspace(-1, 1, 16)[:, None]

    weak, strong = (step_loss(weight, ramp) for weight in (1e-6, 2.0))
    assert strong > weak + 0.05
    weight_doubled = step_loss(4.0, ramp)
    assert weight_doubled - weak == pytest.approx(2 * (strong - weak), rel=1e-3)


def test_the_turned_copy_is_never_the_image_as_it_is(monkeypatch):
    drawn = []
    recipe = replace(Recipe(steps=1, crop=16), consistency=1.0)
    network = make_network()
    for seed in range(40):
        images, targets = torch.rand(1, 1, 16, 16), torch.zeros(1, 16, 16, dtype=torch.long)

        def note(x: torch.Tensor) -> torch.Tensor:
            drawn.append(not torch.equal(x[0], x[1]))
            return x

        network.logits = note
        loss_of_step(network, images, targets, recipe, StepRng(seed))
    assert all(drawn)
