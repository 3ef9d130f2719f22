"""The trainer: its loss by hand, its augmentation, and that a killed run ends where an unbroken one does."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from conftest import make_network

from unet_helpers import load_model, segment
from unet_helpers.augment import batch_at, cut, swap_sides, vary_intensities, vary_neighbours
from unet_helpers.average import average_weights
from unet_helpers.average import main as average
from unet_helpers.errors import TrainingError
from unet_helpers.models import WEIGHTS, save_model
from unet_helpers.recipes import IGNORED, Example, Recipe, interiors_and_borders
from unet_helpers.train import fit, loss_of, reading_as
from unet_helpers.train import main as train
from unet_helpers.unet import UNet

RECIPE = Recipe(None, steps=40, crop=32, batch=4, learning_rate=1e-2, ema=0.9, noise=0.01, rotation=10)


def discs(count: int, seed: int = 0) -> list[Example]:
    """Bright discs on a dark, noisy ground; the target is the disc."""
    random, (y, x) = np.random.default_rng(seed), np.mgrid[:48, :48]
    examples = []
    for _ in range(count):
        cy, cx, r = *random.integers(14, 34, 2), random.integers(6, 12)
        target = ((y - cy) ** 2 + (x - cx) ** 2 < r**2).astype(np.uint8)
        pixels = 0.2 + 0.5 * target + random.normal(0, 0.1, target.shape)
        examples.append(Example(pixels[None].astype(np.float16), target))
    return examples


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
    assert loss_of(logits, target).item() == pytest.approx(loss_of(-logits.flip(3).flip(3) * -1, target).item())
    other = logits.clone()
    other[..., 2:] = -other[..., 2:]
    assert loss_of(other, target).item() == pytest.approx(loss_of(logits, target).item())


def test_a_step_always_gives_the_same_batch():
    examples, weights = discs(5), torch.ones(5)
    first, again = (batch_at(7, examples, weights, RECIPE) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], batch_at(8, examples, weights, RECIPE)[0])


@pytest.mark.parametrize("elastic", [0.0, 40.0])
def test_image_and_mask_move_together(elastic):
    recipe = replace(RECIPE, elastic=elastic, gamma=0, contrast=0, noise=0, batch=16)
    images, targets = batch_at(1, discs(6), torch.ones(6), recipe)
    inside, outside = images[:, 0][targets == 1], images[:, 0][targets == 0]
    assert inside.mean() - outside.mean() > 0.4
    assert (torch.sum(targets == 1, (1, 2)) > 0).float().mean() > 0.9


@pytest.mark.parametrize("zoom", [0.6, 0.93, 1.2, 1.7])
def test_image_and_mask_do_not_part_when_zoomed(zoom):
    """Half a pixel would cost a hippocampus a hundredth of its Dice."""
    y, x = np.mgrid[:64, :64]
    target = (np.hypot(y - 30.3, x - 33.6) < 15).astype(np.uint8)
    image, mask = cut(Example(target[None].astype(np.float16), target), replace(RECIPE, crop=48, zoom=(zoom, zoom)))
    centre = lambda m: np.argwhere(np.asarray(m) > 0.5).mean(0)  # noqa: E731
    np.testing.assert_allclose(centre(image[0]), centre(mask), atol=0.1)


def test_a_mirrored_body_has_mirrored_slices_or_their_order_reversed():
    image, target = torch.arange(12).reshape(3, 2, 2), torch.tensor([[0, 1], [0, 0]])
    columns, slices = swap_sides(image, target, 2), swap_sides(image, target, 0)
    assert columns[0][1].tolist() == [[5, 4], [7, 6]] and columns[1].tolist() == [[1, 0], [0, 0]]
    assert slices[0][0].tolist() == [[8, 9], [10, 11]] and slices[1].tolist() == target.tolist()


def test_sides_are_swapped_in_half_of_the_examples():
    recipe = replace(
        RECIPE, symmetry="left-right", batch=64, rotation=0, zoom=(1, 1), crop=8, noise=0, contrast=0, gamma=0
    )
    ramp = np.broadcast_to(np.arange(8), (1, 8, 8)).astype(np.float16) / 8
    images, _ = batch_at(0, [Example(ramp, np.ones((8, 8), np.uint8))], torch.ones(1), replace(recipe, mirror=False))
    rising = (images[:, 0, 4, 6] > images[:, 0, 4, 1]).float().mean()
    assert 0.3 < rising < 0.7


def test_a_network_that_gets_neighbours_answers_as_before():
    network, image = make_network(), torch.rand(1, 3, 32, 32)
    before = network.logits(image[:, 1:2])
    wider = make_network(in_channels=3, channels="grey", context=1).card
    torch.testing.assert_close(reading_as(wider, network).logits(image), before)
    assert network.in_channels == 3 and network.card == wider


def test_a_softer_camera_blurs_and_keeps_its_place():
    recipe = Recipe(None, steps=1, soft=1.0, gamma=0, contrast=0, noise=0)
    sharp = torch.zeros(1, 32, 32)
    sharp[:, 8:24, 4:20] = 1
    soft = vary_intensities(sharp, recipe)
    assert soft.shape == sharp.shape and (soft - sharp - (soft - sharp).median()).abs().max() > 0.05
    centre = lambda x: (torch.argwhere(x[0] > (x.min() + x.max()) / 2).float()).mean(0)  # noqa: E731
    torch.testing.assert_close(centre(soft), centre(sharp), atol=0.3, rtol=0)


def test_neighbours_are_hidden_or_swapped_now_and_then():
    recipe = Recipe(None, steps=1, alone=0.3)
    drawn = [vary_neighbours(torch.tensor([1, 2, 3])[:, None, None], recipe).flatten().tolist() for _ in range(100)]
    assert {tuple(d) for d in drawn} == {(1, 2, 3), (3, 2, 1), (2, 2, 2)}
    assert 15 < drawn.count([2, 2, 2]) < 45


def test_borders_are_drawn_where_nuclei_touch():
    labels = np.zeros((7, 12), np.uint16)
    labels[1:6, 1:6], labels[1:6, 6:11] = 1, 2
    target = interiors_and_borders(labels, 1)
    assert (target[1:6, 5:7] == 2).all() and (target == 2).sum() == 10
    assert ((target > 0) == (labels > 0)).all()
    alone = interiors_and_borders((labels == 1).astype(np.uint16), 1)
    assert (alone == 2).sum() == 0


def test_it_learns(tmp_path):
    fit(start(), discs(12), discs(4, seed=9), RECIPE, tmp_path, every=20)
    rows = [line.split(",") for line in (tmp_path / "curve.csv").read_text().splitlines()]
    assert rows[0] == ["step", "loss", "validation_dice"]
    assert float(rows[-1][2]) > 0.85
    expected = {"curve.csv", "checkpoint.pt", "best.safetensors", "last.safetensors"}
    assert {p.name for p in tmp_path.iterdir()} == expected
    answer = segment(np.pad(np.full((20, 20), 200, np.uint8), 14), load_model(tmp_path / "best.safetensors"))
    assert answer.labels[24, 24] == 1 and answer.labels[2, 2] == 0


def test_a_killed_run_goes_on_to_the_same_end(tmp_path):
    examples, check = discs(6), discs(2, seed=9)
    recipe = replace(RECIPE, steps=8)
    unbroken = fit(start(), examples, check, recipe, tmp_path / "a", every=4)
    fit(start(), examples, check, recipe, tmp_path / "b", every=4, minutes=0)  # stops after its first step
    resumed = fit(start(), examples, check, recipe, tmp_path / "b", every=4)
    for (name, one), two in zip(unbroken.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, msg=name)


def test_nothing_to_learn_from_is_said(tmp_path):
    with pytest.raises(TrainingError, match="training examples"):
        fit(UNet(1, 1, 2, 1), [], [], RECIPE, tmp_path)


def test_the_first_steps_see_the_same_at_half_the_resolution():
    recipe = replace(RECIPE, steps=10, coarse=0.5, batch=16, rotation=0)
    (coarse, small), (fine, large) = (batch_at(step, discs(5), torch.ones(5), recipe) for step in (4, 5))
    assert coarse.shape[-2:] == (16, 16) and fine.shape[-2:] == (32, 32)
    share = [float((target == 1).float().mean()) for target in (small, large)]
    assert share[0] == pytest.approx(share[1], abs=0.08)


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


def test_a_refit_learns_from_the_validation_part_and_never_from_the_test(tmp_path, monkeypatch):
    for folder in (tmp_path / "images", tmp_path / "masks"):
        folder.mkdir()
        for number in range(21):  # 0, 10 and 20 are for the test, 9 and 19 for validation
            cv2.imwrite(str(folder / f"CHNCXR_{number:02}.png"), np.full((8, 8), 255, np.uint8))
    asked = []
    monkeypatch.setattr("unet_helpers.train.fit", lambda model, train, check, *_, **__: asked.append((train, check)))
    for refit in ([], ["--refit"]):
        train(["lungs", "--data", str(tmp_path), "--features", "2", *refit])
    assert [[len(part) for part in parts] for parts in asked] == [[16, 2], [18, 0]]


def test_the_mean_of_rounds(tmp_path):
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path in paths:
        network = make_network()
        torch.manual_seed(int(path.stem))
        for values in network.state_dict().values():
            values.copy_(values + torch.rand(values.shape) if values.is_floating_point() else values)
        save_model(network, path)
    average([str(tmp_path / "mean.safetensors"), *map(str, paths)])
    found = load_model(tmp_path / "mean.safetensors", trainable=True).state_dict()
    parts = [load_model(path, trainable=True).state_dict() for path in paths]
    for name in ("conv.weight", "encoder1.enc1norm1.running_mean", "encoder1.enc1conv1.weight"):
        expected = torch.stack([part[name] for part in parts]).mean(0)
        torch.testing.assert_close(found[name], expected, atol=1e-3, rtol=1e-3)  # half precision
    with pytest.raises(TrainingError, match="mean.safetensors is there already"):
        average([str(tmp_path / "mean.safetensors"), *map(str, paths)])


def test_networks_of_different_cards_have_no_mean():
    with pytest.raises(TrainingError, match="em_membranes.safetensors is another network"):  # of the same shape
        average_weights([WEIGHTS / "lungs.safetensors", WEIGHTS / "em_membranes.safetensors"])
