"""Augmentation: image and mask stay together, a step is always the same, and what is carved lands with its label."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import discs

from unet_helpers.training.augment import (
    batch_at,
    carve_mix,
    cut,
    swap_sides,
    vary_gain,
    vary_intensities,
    vary_neighbours,
)
from unet_helpers.training.recipes import IGNORED, Example, Recipe

RECIPE = Recipe(steps=40, crop=32, noise=0.01, rotation=10)


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


def test_a_softer_camera_blurs_and_keeps_its_place():
    recipe = Recipe(steps=1, downsample=1.0, gamma=0, contrast=0, noise=0)
    sharp = torch.zeros(1, 32, 32)
    sharp[:, 8:24, 4:20] = 1
    soft = vary_intensities(sharp, recipe)
    assert soft.shape == sharp.shape and (soft - sharp - (soft - sharp).median()).abs().max() > 0.05
    centre = lambda x: (torch.argwhere(x[0] > (x.min() + x.max()) / 2).float()).mean(0)  # noqa: E731
    torch.testing.assert_close(centre(soft), centre(sharp), atol=0.3, rtol=0)


@pytest.mark.parametrize("downsample, least, most", [(0.0, -0.05, 0.05), (1.0, 0.3, 1.0)])
def test_noise_is_of_the_cameras_own_pixels(downsample, least, most):
    """With fewer pixels its grain is coarser than the image's, and not averaged away when they were made fewer."""
    torch.manual_seed(0)
    recipe = Recipe(steps=1, downsample=downsample, gamma=0, contrast=0, noise=0.2)
    grain = [vary_intensities(torch.full((1, 96, 96), 0.5), recipe)[0] for _ in range(64)]
    alike = np.mean([np.corrcoef(g[:, :-1].flatten(), g[:, 1:].flatten())[0, 1] for g in grain])
    assert least < alike < most and np.mean([g.std() for g in grain]) > 0.08


def test_neighbours_are_hidden_or_swapped_now_and_then():
    recipe = Recipe(steps=1, hide_neighbours=0.3)
    drawn = [vary_neighbours(torch.tensor([1, 2, 3])[:, None, None], recipe).flatten().tolist() for _ in range(100)]
    assert {tuple(d) for d in drawn} == {(1, 2, 3), (3, 2, 1), (2, 2, 2)}
    assert 15 < drawn.count([2, 2, 2]) < 45


def test_the_first_steps_see_the_same_at_half_the_resolution():
    recipe = replace(RECIPE, steps=10, low_resolution_share=0.5, batch=16, rotation=0)
    (coarse, small), (fine, large) = (batch_at(step, discs(5), torch.ones(5), recipe) for step in (4, 5))
    assert coarse.shape[-2:] == (16, 16) and fine.shape[-2:] == (32, 32)
    share = [float((target == 1).float().mean()) for target in (small, large)]
    assert share[0] == pytest.approx(share[1], abs=0.08)


def test_less_augmentation_is_half_of_it():
    recipe = replace(RECIPE, low_resolution_share=0.5, gamma=0, noise=0)

    def contrasts(recipe: Recipe) -> torch.Tensor:
        drawn = [vary_intensities(torch.tensor([[[0.4, 0.6]]]), recipe) for _ in range(300)]
        return torch.stack([(image.max() - image.min()).log() for image in drawn])

    assert contrasts(recipe.with_less_augmentation()).std().item() == pytest.approx(contrasts(recipe).std().item() / 2, rel=0.2)
    assert recipe.with_less_augmentation().zoom == pytest.approx([z**0.5 for z in recipe.zoom])  # half as far, as a ratio
    assert recipe.with_less_augmentation().at(0) == recipe.with_less_augmentation()  # no steps at low resolution


def lesion(ground: float, bright: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Three alike slices of a head of 64 px, with a disc in its middle."""
    y, x = np.mgrid[:96, :96]
    head, disc = (np.hypot(y - 48, x - 48) < r for r in (32, 8))
    pixels = np.where(disc, bright, np.where(head, ground, 0))
    return torch.from_numpy(np.stack([pixels] * 3)).float(), torch.from_numpy(disc).long()


def test_a_carved_structure_lands_with_its_label_and_as_bright_as_it_was_against_its_surroundings():
    (image, target), (other, other_target) = lesion(0.6, 0.6), lesion(0.3, 0.45)
    mixed, label = carve_mix(image, torch.zeros_like(target), other, other_target)
    assert label[48, 48] == 1 and torch.equal(label, other_target)
    torch.testing.assert_close(mixed[:, 48, 48], torch.full((3,), 0.9))
    far = np.hypot(*(np.mgrid[:96, :96] - 48)) > 8 + 8 + 3
    torch.testing.assert_close(mixed[:, far], image[:, far])


def test_a_structure_is_carved_out_of_tissue_alone():
    (image, target), (other, other_target) = lesion(0.6, 0.6), lesion(0.3, 0.45)
    image[:, :, :48] = 0  # half of the head was cut off
    _, label = carve_mix(image, torch.zeros_like(target), other, other_target)
    assert label[:, :48].sum() == 0 and label[:, 48:].sum() > 60
    unseen = torch.where(other_target > 0, IGNORED, 0)
    for nothing in (torch.zeros_like(target), unseen):
        assert carve_mix(image, target, other, nothing)[0] is image


def test_carving_adds_structure_to_a_batch():
    plain = replace(RECIPE, batch=32, zoom=(1.0, 1.0), contrast=0, gamma=0)
    recipes = [plain, replace(plain, carve_mix=1.0)]
    shares = [(batch_at(0, discs(9), torch.ones(9), recipe)[1] == 1).float().mean() for recipe in recipes]
    assert 1.2 * shares[0] < shares[1] < 2 * shares[0]


def test_a_bias_field_varies_slowly_and_alike_in_all_channels():
    torch.manual_seed(0)
    drawn = [vary_gain(torch.ones(3, 64, 64), Recipe(steps=1, bias_field=0.25)) for _ in range(40)]
    varied = torch.stack([d for d in drawn if d.std() > 0])
    assert 10 < len(varied) < 30
    assert torch.equal(varied[:, 0], varied[:, 2]) and varied.min() > 0
    assert 0.15 < varied.log().std() < 0.3
    assert varied.log().diff(dim=-1).abs().max() < 0.06
    assert torch.equal(vary_gain(torch.ones(1, 8, 8), RECIPE), torch.ones(1, 8, 8))


def test_a_batch_gets_the_bias_field_of_its_recipe():
    plain, uneven = (batch_at(0, discs(4), torch.ones(4), replace(RECIPE, bias_field=b))[0] for b in (0.0, 0.25))
    assert not torch.equal(plain, uneven)
