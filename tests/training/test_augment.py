"""Augmentation: image and mask stay together, a step is always the same, intensities vary."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import discs

from unet_helpers.inference.tiles import AUGMENTATIONS
from unet_helpers.training.augment import (
    batch_of,
    blur,
    fewer_pixels,
    hide_boxes,
    swap_sides,
    vary_colours,
    vary_intensities,
    vary_neighbours,
    vary_stain,
)
from unet_helpers.training.examples import Example
from unet_helpers.training.recipes import Recipe
from unet_helpers.training.rng import StepRng
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.windows import ExamplePool

RECIPE = Recipe(steps=40, crop=32, noise=0.01, rotation=10, focus=0)

# No intensity varies.
STILL = Recipe(steps=1, gamma=0, contrast=0, brightness=0, noise=0, focus=0)


def batch_at(step: int, examples, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    return batch_of(ExamplePool(examples, shares=recipe.shares), StepRng(step), recipe)


def test_a_step_always_gives_the_same_batch():
    examples = discs(5)
    images, targets = batch_at(7, examples, RECIPE)
    images_again, targets_again = batch_at(7, examples, RECIPE)
    assert torch.equal(images, images_again)
    assert torch.equal(targets, targets_again)


def test_another_step_gives_another_batch():
    examples = discs(5)
    images, _ = batch_at(7, examples, RECIPE)
    others, _ = batch_at(8, examples, RECIPE)
    assert not torch.equal(images, others)


# Mean of the pixels, their standard deviation and the share of the disc in a batch of each recipe,
# as version 0.2 of the trainer drew it.
RECORDED = {
    "brain_flair": [0.4159, 0.4320, 0.2523],
    "em_membranes": [0.3515, 0.3021, 0.2472],
    "hippocampus": [0.2376, 0.2572, 0.2183],
    "lungs": [0.3346, 0.3079, 0.2129],
    "nuclei": [0.2246, 0.2608, 0.1875],
    "nuclei_he": [0.2931, 0.2395, 0.2124],
    "retinal_vessels": [0.3386, 0.2916, 0.2326],
}


@pytest.mark.parametrize("card", RECORDED)
def test_the_order_of_random_numbers_is_that_of_earlier_versions(card):
    """Else a training could not be repeated."""
    examples = [replace(e, pixels=np.repeat(e.pixels, 3, axis=0)) for e in discs(6)]
    recipe = replace(TASKS[card].recipe, crop=32, batch=6, shares={})
    images, targets = batch_at(2015, examples, recipe)
    facts = [images.mean(), images.std(), (targets == 1).float().mean()]
    assert [float(fact) for fact in facts] == pytest.approx(RECORDED[card], abs=2e-4)


@pytest.mark.parametrize("elastic", [0.0, 2.0])
def test_image_and_mask_move_together(elastic):
    recipe = replace(RECIPE, elastic=elastic, gamma=0, contrast=0, noise=0, batch=16)
    images, targets = batch_at(1, discs(6), recipe)
    inside = images[:, 0][targets == 1]
    outside = images[:, 0][targets == 0]
    assert inside.mean() - outside.mean() > 0.4
    shows_disc = (targets == 1).sum((1, 2)) > 0
    assert shows_disc.float().mean() > 0.9


def sides() -> tuple[torch.Tensor, torch.Tensor]:
    """Three images of three slices of 2 x 2 px, with the upper right px marked."""
    images = torch.arange(12).reshape(1, 3, 2, 2).expand(3, -1, -1, -1)
    targets = torch.tensor([[[0, 1], [0, 0]]] * 3)
    left_right = torch.tensor([2, 0, 2])
    chosen = torch.tensor([True, True, False])
    return images, targets, *swap_sides(images, targets, left_right, chosen)


def test_a_mirrored_body_has_mirrored_columns():
    _, _, images, targets = sides()
    assert images[0, 1].tolist() == [[5, 4], [7, 6]]
    assert targets[0].tolist() == [[1, 0], [0, 0]]


def test_where_slices_run_from_left_to_right_their_order_is_reversed():
    _, before, images, targets = sides()
    assert images[1, 0].tolist() == [[8, 9], [10, 11]]
    assert torch.equal(targets[1], before[1])


def test_a_body_that_is_not_chosen_stays():
    before, _, images, _ = sides()
    assert torch.equal(images[2], before[2])


def test_sides_are_swapped_in_half_of_the_examples():
    recipe = replace(
        STILL,
        crop=8,
        batch=64,
        rotation=0,
        zoom=(1, 1),
        symmetry="left-right",
        mirror_border=False,
    )
    ramp = np.broadcast_to(np.arange(8), (1, 8, 8)).astype(np.float16) / 8
    images, _ = batch_at(0, [Example(ramp, np.ones((8, 8), np.uint8))], recipe)
    rising = (images[:, 0, 4, 6] > images[:, 0, 4, 1]).float().mean()
    assert 0.3 < rising < 0.7


def centre_of(image: torch.Tensor) -> torch.Tensor:
    return torch.argwhere(image[0, 0] > 0.5).float().mean(0)


def test_a_camera_of_fewer_pixels_blurs_and_keeps_its_place():
    sharp = torch.zeros(1, 1, 32, 32)
    sharp[:, :, 8:24, 4:20] = 1
    soft = vary_intensities(sharp, replace(STILL, downsample=1.0), StepRng(0))
    assert soft.shape == sharp.shape
    assert (soft - sharp).abs().max() > 0.05
    torch.testing.assert_close(centre_of(soft), centre_of(sharp), atol=0.3, rtol=0)


@pytest.mark.parametrize(("downsample", "least", "most"), [(0.0, -0.05, 0.05), (1.0, 0.3, 1.0)])
def test_noise_is_of_the_cameras_own_pixels(downsample, least, most):
    """With fewer pixels its grain is coarser than the image's, and not averaged away."""
    recipe = Recipe(steps=1, downsample=downsample, gamma=0, contrast=0, noise=0.2, focus=0)
    grey = torch.full((64, 1, 96, 96), 0.5)
    grain = vary_intensities(grey, recipe, StepRng(0))[:, 0]
    correlations = [
        np.corrcoef(image[:, :-1].flatten(), image[:, 1:].flatten())[0, 1] for image in grain
    ]
    assert least < np.mean(correlations) < most
    assert np.mean([image.std() for image in grain]) > 0.08


def test_some_images_are_blurred_and_some_sharpened():
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.uniform(0.3, 0.7, (64, 1, 32, 32))).float()
    varied = vary_intensities(noise, replace(STILL, focus=1.0), StepRng(0))
    ratio = varied.std((1, 2, 3)) / noise.std((1, 2, 3))
    assert (ratio < 0.8).sum() > 10
    assert (ratio > 1.2).sum() > 10


def test_without_variation_the_image_stays():
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(vary_intensities(images, STILL, StepRng(0)), images)


def test_contrast_turns_around_the_mean_and_brightness_moves_it():
    images = torch.rand(40, 1, 16, 16)
    mean = images.mean((1, 2, 3))
    contrast = vary_intensities(images, replace(STILL, contrast=0.5), StepRng(0))
    torch.testing.assert_close(contrast.mean((1, 2, 3)), mean, atol=1e-4, rtol=0)
    assert (contrast.std((1, 2, 3)) / images.std((1, 2, 3))).std() > 0.2
    brighter = vary_intensities(images, replace(STILL, brightness=0.3), StepRng(0))
    assert (brighter.mean((1, 2, 3)) - mean).std() > 0.2


def test_neighbours_are_hidden_or_swapped_now_and_then():
    images = torch.tensor([1, 2, 3])[None, :, None, None].expand(100, -1, 1, 1)
    varied = vary_neighbours(images, Recipe(steps=1, hide_neighbours=0.3), StepRng(0))
    drawn = [tuple(image.flatten().tolist()) for image in varied]
    assert set(drawn) == {(1, 2, 3), (3, 2, 1), (2, 2, 2)}
    assert 15 < drawn.count((2, 2, 2)) < 45


def test_what_was_turned_is_turned_back():
    image = torch.arange(9).reshape(1, 1, 3, 3)
    for augmentation in AUGMENTATIONS:
        assert torch.equal(augmentation.undo(augmentation.apply(image)), image)


def test_stain_moves_colours_of_tissue_and_leaves_white_nearly_white():
    images = torch.tensor([0.5, 0.2, 0.6])[None, :, None, None].expand(64, -1, 4, 4).clone()
    images[..., 0, 0] = 1.0
    varied = vary_stain(images, Recipe(steps=1, stain=0.3), StepRng(0))
    tissue = varied[:, :, 1, 1]
    white = varied[:, :, 0, 0]
    assert tissue.std(0).min() > 0.02
    assert white.std(0).max() < 0.12


def test_without_variation_of_the_stain_the_image_stays():
    images = torch.rand(4, 3, 8, 8)
    varied = vary_stain(images, Recipe(steps=1), StepRng(0))
    torch.testing.assert_close(varied, images, atol=1e-4, rtol=0)


def test_colours_vary_around_grey_and_one_in_ten_loses_them():
    images = torch.tensor([0.6, 0.3, 0.2])[None, :, None, None].expand(200, -1, 2, 2)
    varied = vary_colours(images, Recipe(steps=1, colour=0.3), StepRng(0))[:, :, 0, 0]
    is_grey = varied.std(1) < 1e-5
    assert 8 < is_grey.sum() < 40
    assert varied[~is_grey].std(0).min() > 0.02


def test_some_images_lose_a_small_box():
    images = torch.zeros(100, 1, 40, 40)
    hidden = hide_boxes(images, Recipe(steps=1, erase=0.5), StepRng(0))
    shares = (hidden > 0).float().mean((1, 2, 3))
    assert 30 < (shares > 0).sum() < 70
    assert shares.max() <= (0.2 + 1 / 40) ** 2


def test_a_smooth_field_varies_slowly_and_in_half_of_the_images():
    field = StepRng(0).smooth_field(40, 1, 4, (64, 64))
    varied = field[field.std((1, 2, 3)) > 0]
    assert field.shape == (40, 1, 64, 64)
    assert 10 < len(varied) < 30
    assert 0.5 < varied.std() < 1.3
    assert varied.diff(dim=-1).abs().max() < 0.5


@pytest.mark.parametrize("name", ["bias_field", "haze"])
def test_a_batch_gets_the_slow_fields_of_its_recipe(name):
    plain, _ = batch_at(0, discs(4), RECIPE)
    uneven, _ = batch_at(0, discs(4), replace(RECIPE, **{name: 0.25}))
    assert not torch.equal(plain, uneven)


# Volumes.


def test_a_batch_of_volumes_is_augmented_by_all_that_slices_are():
    target = np.zeros((24, 24, 24), np.uint8)
    target[8:16, 8:16, 8:16] = 1
    example = Example(target[None].astype(np.float16), target)
    recipe = replace(RECIPE, crop=24, downsample=1, focus=1, bias_field=0.2, haze=0.1, erase=1)
    images, targets = batch_at(3, [example], recipe)
    assert images.shape == (4, 1, 24, 24, 24)
    assert targets.shape == (4, 24, 24, 24)
    inside = images[targets[:, None] == 1].mean()
    assert inside > images[targets[:, None] == 0].mean() + 0.3


def test_left_and_right_of_a_volume_are_swapped_in_its_columns():
    images = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    targets = torch.arange(8).reshape(1, 2, 2, 2)
    swapped, with_them = swap_sides(images, targets, torch.tensor([2]), torch.tensor([True]))
    assert swapped[0, 0, 0].tolist() == [[1, 0], [3, 2]]
    assert with_them[0, 1].tolist() == [[5, 4], [7, 6]]


def test_volumes_of_a_lower_resolution_have_thicker_slices_or_larger_voxels():
    rng = StepRng(0)
    sizes = np.array([fewer_pixels((40, 40, 40), rng) for _ in range(300)])
    along_one_axis = (sizes == 40).sum(1) >= 2
    assert 0.4 < along_one_axis.mean() < 0.65

    thick = sizes[along_one_axis]
    assert thick.min() == 8
    assert (thick < 40).sum(0).min() > 30

    coarse = sizes[~along_one_axis]
    assert (coarse == coarse[:, :1]).all()
    assert coarse.min() >= 18


def test_images_of_a_lower_resolution_keep_their_shape():
    sizes = np.array([fewer_pixels((40, 60), StepRng(step)) for step in range(30)])
    assert sizes.min() >= 18
    np.testing.assert_allclose(sizes[:, 1] / sizes[:, 0], 1.5, rtol=0.05)


def test_a_volume_is_blurred_alike_along_its_three_axes():
    point = torch.zeros(1, 2, 21, 21, 21)
    point[:, :, 10, 10, 10] = 1
    blurred = blur(point, 1.5)
    assert blurred.sum() == pytest.approx(2)
    for axes in ((2, 3), (2, 4), (3, 4)):
        torch.testing.assert_close(blurred, blurred.transpose(*axes))
    assert 0.01 < blurred.max() < 0.03
