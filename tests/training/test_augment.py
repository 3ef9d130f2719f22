"""Augmentation: image and mask stay together, a step is always the same, and what is carved lands with its label."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import discs

from unet_helpers.inference.tiles import AUGMENTATIONS
from unet_helpers.training.augment import (
    batch_of,
    carve_mix,
    swap_sides,
    vary_intensities,
    vary_neighbours,
    vary_stain,
)
from unet_helpers.training.recipes import IGNORED, Example, Recipe
from unet_helpers.training.windows import Draws, Pool, draw_weights

RECIPE = Recipe(steps=40, crop=32, noise=0.01, rotation=10, focus=0)


def batch_at(step: int, examples, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    return batch_of(Pool(examples, shares=recipe.shares), Draws(step), recipe)


def test_a_step_always_gives_the_same_batch():
    examples = discs(5)
    first, again = (batch_at(7, examples, RECIPE) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], batch_at(8, examples, RECIPE)[0])


@pytest.mark.parametrize("elastic", [0.0, 2.0])
def test_image_and_mask_move_together(elastic):
    recipe = replace(RECIPE, elastic=elastic, gamma=0, contrast=0, noise=0, batch=16)
    images, targets = batch_at(1, discs(6), recipe)
    inside, outside = images[:, 0][targets == 1], images[:, 0][targets == 0]
    assert inside.mean() - outside.mean() > 0.4
    assert (torch.sum(targets == 1, (1, 2)) > 0).float().mean() > 0.9


@pytest.mark.parametrize("zoom", [0.6, 0.93, 1.2, 1.7])
def test_image_and_mask_do_not_part_when_zoomed(zoom):
    """Half a pixel would cost a hippocampus a hundredth of its Dice."""
    y, x = np.mgrid[:64, :64]
    target = (np.hypot(y - 30.3, x - 33.6) < 15).astype(np.uint8)
    pool = Pool([Example(target[None].astype(np.float16), target)])
    recipe = replace(RECIPE, crop=48, zoom=(zoom, zoom), rotation=0)
    (image,), (mask,) = pool.windows(torch.zeros(1, dtype=torch.long), Draws(0), recipe)
    centre = lambda m: np.argwhere(np.asarray(m) > 0.5).mean(0)
    np.testing.assert_allclose(centre(image[0]), centre(mask), atol=0.2)


def test_a_mirrored_body_has_mirrored_slices_or_their_order_reversed():
    image, target = (
        torch.arange(12).reshape(1, 3, 2, 2).expand(3, -1, -1, -1),
        torch.tensor([[[0, 1], [0, 0]]] * 3),
    )
    images, targets = swap_sides(
        image, target, torch.tensor([2, 0, 2]), torch.tensor([True, True, False])
    )
    assert images[0, 1].tolist() == [[5, 4], [7, 6]]
    assert targets[0].tolist() == [[1, 0], [0, 0]]
    assert images[1, 0].tolist() == [[8, 9], [10, 11]]
    assert targets[1].tolist() == target[1].tolist()
    assert torch.equal(images[2], image[2])


def test_sides_are_swapped_in_half_of_the_examples():
    recipe = replace(
        RECIPE,
        symmetry="left-right",
        batch=64,
        rotation=0,
        zoom=(1, 1),
        crop=8,
        noise=0,
        contrast=0,
        gamma=0,
    )
    ramp = np.broadcast_to(np.arange(8), (1, 8, 8)).astype(np.float16) / 8
    images, _ = batch_at(
        0, [Example(ramp, np.ones((8, 8), np.uint8))], replace(recipe, mirror=False)
    )
    rising = (images[:, 0, 4, 6] > images[:, 0, 4, 1]).float().mean()
    assert 0.3 < rising < 0.7


def test_a_camera_of_fewer_pixels_blurs_and_keeps_its_place():
    recipe = Recipe(steps=1, downsample=1.0, gamma=0, contrast=0, brightness=0, noise=0, focus=0)
    sharp = torch.zeros(1, 1, 32, 32)
    sharp[:, :, 8:24, 4:20] = 1
    soft = vary_intensities(sharp, recipe, Draws(0))
    assert soft.shape == sharp.shape
    assert (soft - sharp).abs().max() > 0.05
    centre = lambda x: (torch.argwhere(x[0, 0] > 0.5).float()).mean(0)
    torch.testing.assert_close(centre(soft), centre(sharp), atol=0.3, rtol=0)


@pytest.mark.parametrize(("downsample", "least", "most"), [(0.0, -0.05, 0.05), (1.0, 0.3, 1.0)])
def test_noise_is_of_the_cameras_own_pixels(downsample, least, most):
    """With fewer pixels its grain is coarser than the image's, and not averaged away when they were made fewer."""
    recipe = Recipe(steps=1, downsample=downsample, gamma=0, contrast=0, noise=0.2, focus=0)
    grain = vary_intensities(torch.full((64, 1, 96, 96), 0.5), recipe, Draws(0))[:, 0]
    alike = np.mean([np.corrcoef(g[:, :-1].flatten(), g[:, 1:].flatten())[0, 1] for g in grain])
    assert least < alike < most
    assert np.mean([g.std() for g in grain]) > 0.08


def test_neighbours_are_hidden_or_swapped_now_and_then():
    images = torch.tensor([1, 2, 3])[None, :, None, None].expand(100, -1, 1, 1)
    drawn = [
        tuple(d.flatten().tolist())
        for d in vary_neighbours(images, Recipe(steps=1, hide_neighbours=0.3), Draws(0))
    ]
    assert set(drawn) == {(1, 2, 3), (3, 2, 1), (2, 2, 2)}
    assert 15 < drawn.count((2, 2, 2)) < 45


def test_turned_back_is_as_before():
    image = torch.arange(9).reshape(1, 1, 3, 3)
    turned = [augmentation.apply(image) for augmentation in AUGMENTATIONS]
    for augmentation, copy in zip(AUGMENTATIONS, turned):
        assert torch.equal(augmentation.undo(copy), image)
    assert len({tuple(copy.flatten().tolist()) for copy in turned}) == 8


def test_kinds_and_groups_are_drawn_by_their_shares():
    pixels, target = np.zeros((1, 2, 2), np.float16), np.zeros((2, 2), np.uint8)
    of = lambda kind, group: Example(pixels, target, kind=kind, group=group)
    examples = [of("a", "1"), of("a", "1"), of("a", "2"), of("b", "1")]
    assert draw_weights(examples, {"a": 0.6, "b": 0.4}) == pytest.approx([0.15, 0.15, 0.3, 0.4])
    assert draw_weights(examples, {}) == [1, 1, 1, 1]


def test_beyond_an_image_is_its_mirror_image_or_nothing():
    example = Example(np.arange(4).reshape(1, 2, 2).astype(np.float16), np.ones((2, 2), np.uint8))
    for mirror, expected in ((True, 1), (False, IGNORED)):
        recipe = replace(RECIPE, crop=8, zoom=(1, 1), rotation=0, mirror=mirror, symmetry="none")
        image, target = Pool([example]).windows(torch.zeros(1, dtype=torch.long), Draws(0), recipe)
        assert (target == 1).sum() == (64 if mirror else 4)
        assert target.max() == expected
        assert mirror or image[0, 0][target[0] == IGNORED].abs().sum() == 0


def test_stain_moves_colours_of_tissue_and_leaves_white_nearly_white():
    images = torch.tensor([0.5, 0.2, 0.6])[None, :, None, None].expand(64, -1, 4, 4).clone()
    images[..., 0, 0] = 1.0
    varied = vary_stain(images, Recipe(steps=1, stain=0.3), Draws(0))
    assert varied[:, :, 1, 1].std(0).min() > 0.02
    assert varied[:, :, 0, 0].std(0).max() < 0.12
    torch.testing.assert_close(
        vary_stain(images, Recipe(steps=1), Draws(0)), images, atol=1e-4, rtol=0
    )


def lesion(ground: float, bright: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Three alike slices of a head of 64 px, with a disc in its middle."""
    y, x = np.mgrid[:96, :96]
    head, disc = (np.hypot(y - 48, x - 48) < r for r in (32, 8))
    pixels = np.where(disc, bright, np.where(head, ground, 0))
    return torch.from_numpy(np.stack([pixels] * 3)).float(), torch.from_numpy(disc).long()


def test_a_carved_structure_lands_with_its_label_and_as_bright_as_it_was_against_its_surroundings():
    (image, target), (other, other_target) = lesion(0.6, 0.6), lesion(0.3, 0.45)
    mixed, label = carve_mix(image, torch.zeros_like(target), other, other_target)
    assert label[48, 48] == 1
    assert torch.equal(label, other_target)
    torch.testing.assert_close(mixed[:, 48, 48], torch.full((3,), 0.9))
    far = np.hypot(*(np.mgrid[:96, :96] - 48)) > 8 + 8 + 3
    torch.testing.assert_close(mixed[:, far], image[:, far])


def test_a_structure_is_carved_out_of_tissue_alone():
    (image, target), (other, other_target) = lesion(0.6, 0.6), lesion(0.3, 0.45)
    image[:, :, :48] = 0  # half of the head was cut off
    _, label = carve_mix(image, torch.zeros_like(target), other, other_target)
    assert label[:, :48].sum() == 0
    assert label[:, 48:].sum() > 60
    unseen = torch.where(other_target > 0, IGNORED, 0)
    for nothing in (torch.zeros_like(target), unseen):
        assert carve_mix(image, target, other, nothing)[0] is image


def test_carving_adds_structure_to_a_batch():
    plain = replace(RECIPE, batch=32, zoom=(1.0, 1.0), contrast=0, gamma=0)
    recipes = [plain, replace(plain, carve_mix=1.0)]
    shares = [(batch_at(0, discs(9), recipe)[1] == 1).float().mean() for recipe in recipes]
    assert 1.2 * shares[0] < shares[1] < 2 * shares[0]


def test_a_smooth_field_varies_slowly_and_in_half_of_the_images():
    field = Draws(0).smooth(40, 1, 4, (64, 64))
    varied = field[field.std((1, 2, 3)) > 0]
    assert 10 < len(varied) < 30
    assert field.shape == (40, 1, 64, 64)
    assert 0.5 < varied.std() < 1.3
    assert varied.diff(dim=-1).abs().max() < 0.5


def test_a_batch_gets_the_bias_field_of_its_recipe():
    plain, uneven = (batch_at(0, discs(4), replace(RECIPE, bias_field=b))[0] for b in (0.0, 0.25))
    assert not torch.equal(plain, uneven)
