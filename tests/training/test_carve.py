"""CarveMix: the structure of another image lands with its label, in tissue alone."""

from dataclasses import replace

import numpy as np
import torch
from helpers.networks import discs

from unet_helpers.training.augment import batch_of
from unet_helpers.training.carve import carve_mix
from unet_helpers.training.examples import IGNORED
from unet_helpers.training.recipes import Recipe
from unet_helpers.training.rng import StepRng
from unet_helpers.training.windows import ExamplePool

SIDE = 96
LESION_RADIUS = 8


def distance_from_middle() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - 48, x - 48)


def head(ground: float, lesion: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Three slices, all the same, of a head of 64 px with a disc in its middle; and the label."""
    distance = distance_from_middle()
    in_head = distance < 32
    in_lesion = distance < LESION_RADIUS
    pixels = np.where(in_lesion, lesion, np.where(in_head, ground, 0))
    return torch.from_numpy(np.stack([pixels] * 3)).float(), torch.from_numpy(in_lesion).long()


def test_a_carved_structure_lands_with_its_label():
    image, target = head(0.6, 0.6)
    other, other_target = head(0.3, 0.45)
    _, label = carve_mix(image, torch.zeros_like(target), other, other_target)
    assert torch.equal(label, other_target)


def test_it_is_as_bright_against_its_new_surroundings_as_against_the_old():
    """0.45 on 0.3 becomes 0.9 on 0.6."""
    image, target = head(0.6, 0.6)
    other, other_target = head(0.3, 0.45)
    mixed, _ = carve_mix(image, torch.zeros_like(target), other, other_target)
    torch.testing.assert_close(mixed[:, 48, 48], torch.full((3,), 0.9))


def test_beyond_its_margin_the_image_stays():
    """The margin is half of the lesion's depth, and the feather 3 px wide."""
    image, target = head(0.6, 0.6)
    other, other_target = head(0.3, 0.45)
    other[:, distance_from_middle() > LESION_RADIUS] = 0.2
    mixed, _ = carve_mix(image, torch.zeros_like(target), other, other_target, share=0.5)
    distance = distance_from_middle()
    far = distance > LESION_RADIUS + 1 + 0.5 * LESION_RADIUS + 2
    near = distance < LESION_RADIUS - 2
    torch.testing.assert_close(mixed[:, far], image[:, far])
    assert (mixed[:, near] - image[:, near]).abs().min() > 0.1


def test_a_structure_is_carved_out_of_tissue_alone():
    """Half of the head was cut off: nothing is set in there."""
    image, target = head(0.6, 0.6)
    other, other_target = head(0.3, 0.45)
    image[:, :, :48] = 0
    _, label = carve_mix(image, torch.zeros_like(target), other, other_target)
    assert label[:, :48].sum() == 0
    assert label[:, 48:].sum() > 60


def test_without_a_structure_the_image_comes_back_as_it_is():
    image, target = head(0.6, 0.6)
    other, other_target = head(0.3, 0.45)
    unknown = torch.where(other_target > 0, IGNORED, 0)
    for nothing in (torch.zeros_like(target), unknown):
        mixed, label = carve_mix(image, target, other, nothing)
        assert mixed is image
        assert label is target


def test_carving_adds_structure_to_a_batch():
    plain = Recipe(steps=1, crop=32, batch=32, zoom=(1.0, 1.0), rotation=10, contrast=0, gamma=0)
    shares = []
    for recipe in (plain, replace(plain, carve_mix=1.0)):
        _, targets = batch_of(ExamplePool(discs(9)), StepRng(0), recipe)
        shares.append((targets == 1).float().mean())
    before, after = shares
    assert 1.2 * before < after < 2 * before
