"""Windows of examples: where they lie, how they are turned, and what is drawn how often."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import discs

from unet_helpers.training.examples import IGNORED, Example
from unet_helpers.training.recipes import Recipe
from unet_helpers.training.rng import StepRng
from unet_helpers.training.windows import (
    ExamplePool,
    SourceImages,
    draw_weights,
    lies_inside,
    mirrored,
    window_to_image,
)

RECIPE = Recipe(steps=40, crop=32, rotation=10)
FIRST = torch.zeros(1, dtype=torch.long)


def centre_of(mask: torch.Tensor) -> np.ndarray:
    return np.argwhere(np.asarray(mask) > 0.5).mean(axis=0)


@pytest.mark.parametrize("zoom", [0.6, 0.93, 1.2, 1.7])
def test_image_and_mask_do_not_part_when_zoomed(zoom):
    """Half a pixel would cost a hippocampus a hundredth of its Dice."""
    y, x = np.mgrid[:64, :64]
    target = (np.hypot(y - 30.3, x - 33.6) < 15).astype(np.uint8)
    pool = ExamplePool([Example(target[None].astype(np.float16), target)])
    recipe = replace(RECIPE, crop=48, zoom=(zoom, zoom), rotation=0)
    (image,), (mask,) = pool.windows(FIRST, StepRng(0), recipe)
    np.testing.assert_allclose(centre_of(image[0]), centre_of(mask), atol=0.2)


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_a_larger_zoom_shows_things_larger(zoom):
    """A disc of radius 8 px; its area grows with the square of the zoom."""
    y, x = np.mgrid[:64, :64]
    target = (np.hypot(y - 31.5, x - 31.5) < 8).astype(np.uint8)
    pool = ExamplePool([Example(target[None].astype(np.float16), target)])
    recipe = replace(RECIPE, crop=96, zoom=(zoom, zoom), rotation=0, mirror_border=False)
    _, (mask,) = pool.windows(FIRST, StepRng(0), recipe)
    assert (mask == 1).sum().item() == pytest.approx(target.sum() * zoom**2, rel=0.05)


@pytest.mark.parametrize(("mirror_border", "marked"), [(True, 64), (False, 4)])
def test_beyond_an_image_is_its_mirror_image_or_nothing(mirror_border, marked):
    pixels = np.arange(1, 5).reshape(1, 2, 2).astype(np.float16)
    pool = ExamplePool([Example(pixels, np.ones((2, 2), np.uint8))])
    recipe = Recipe(
        steps=1, crop=8, zoom=(1, 1), rotation=0, mirror_border=mirror_border, symmetry="none"
    )
    images, targets = pool.windows(FIRST, StepRng(0), recipe)
    assert (targets == 1).sum() == marked
    assert (targets == IGNORED).sum() == 64 - marked
    assert images[0, 0][targets[0] == IGNORED].abs().sum() == 0


def test_a_mirror_lies_at_the_border_of_the_image():
    positions = torch.tensor([[[-1.0, 0], [0, 1], [2, 2], [3, 3], [4, 4]]])
    shapes = torch.tensor([[[3, 5]]])
    expected = [[0.0, 0], [0, 1], [2, 2], [2, 3], [1, 4]]
    assert mirrored(positions, shapes)[0].tolist() == expected


def test_a_pixel_reaches_half_a_pixel_from_its_centre():
    positions = torch.tensor([[[-0.6, 0], [-0.4, 0], [2.4, 4.4], [2.6, 0], [0, 4.6]]])
    inside = lies_inside(positions, torch.tensor([[3, 5]]))
    assert inside.tolist() == [[False, True, True, False, False]]


def test_pixels_are_interpolated_between_their_four_neighbours():
    pixels = np.array([[[0, 4], [8, 16]]], np.float16)
    pool = ExamplePool([Example(pixels, np.array([[0, 1], [2, 3]], np.uint8))])
    images = SourceImages(shapes=pool.shapes, starts=pool.starts)
    positions = torch.tensor([[[0, 0], [0, 0.25], [0.5, 0], [0.5, 0.5], [1, 1]]])
    values, target = pool.look_up(positions, images, mirror_border=False)
    assert values[0, :, 0].tolist() == [0, 1, 4, 7, 16]
    assert target[0, [0, 1, 4]].tolist() == [0, 0, 3]


def test_examples_of_other_sizes_in_the_pool_do_not_mix():
    shapes = [(2, 3), (4, 2), (1, 1)]
    examples = [
        Example(np.full((1, *shape), i, np.float16), np.full(shape, i, np.uint8))
        for i, shape in enumerate(shapes)
    ]
    pool = ExamplePool(examples)
    recipe = replace(RECIPE, crop=8)
    images, targets = pool.windows(torch.arange(3), StepRng(0), recipe)
    for i in range(3):
        torch.testing.assert_close(images[i], torch.full_like(images[i], i))
        assert set(targets[i].flatten().tolist()) == {i}


def test_windows_show_structure_where_there_is_little():
    """A dot in a corner of a large image: one of eight random places seldom hits it."""
    target = np.zeros((200, 200), np.uint8)
    target[100:120, 100:120] = 1
    pool = ExamplePool([Example(target[None].astype(np.float16), target)])
    index = torch.zeros(64, dtype=torch.long)
    _, targets = pool.windows(index, StepRng(0), replace(RECIPE, crop=48, zoom=(1, 1)))
    shown = (targets == 1).any(2).any(1).float().mean()
    assert shown > 0.6


def test_windows_of_unknown_truth_are_avoided():
    """The left half is ignored; structure lies everywhere else."""
    target = np.ones((200, 200), np.uint8)
    target[:, :100] = IGNORED
    pool = ExamplePool([Example(target[None].astype(np.float16), target)])
    index = torch.zeros(64, dtype=torch.long)
    _, targets = pool.windows(index, StepRng(0), replace(RECIPE, crop=32, zoom=(1, 1)))
    known = (targets != IGNORED).float().mean((1, 2))
    assert (known > 0.5).float().mean() > 0.95


@pytest.mark.parametrize(("symmetry", "count"), [("all", 8), ("left-right", 1), ("none", 1)])
def test_all_eight_ways_to_lie_are_drawn_where_all_are_allowed(symmetry, count):
    recipe = Recipe(steps=1, rotation=0, symmetry=symmetry)
    matrices = window_to_image(torch.ones(200), StepRng(0), recipe, dims=2)
    assert len({tuple(matrix.flatten().tolist()) for matrix in matrices}) == count


def test_rotation_stretch_and_shear_stay_within_their_limits():
    recipe = Recipe(steps=1, rotation=20, symmetry="none")
    matrices = window_to_image(torch.full((500,), 2.0), StepRng(0), recipe, dims=2)
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg().abs()
    assert 18 < angles.max() <= 20.001
    lengths = 2 * matrices.norm(dim=1)
    assert lengths.max() <= np.exp(0.1) + 1e-5
    assert lengths.min() >= np.exp(-0.1) - 1e-5
    areas = 4 * torch.linalg.det(matrices)
    assert areas.min() >= np.cos(np.radians(8)) - 1e-5


def test_an_elastic_displacement_is_of_half_of_the_windows():
    recipe = replace(RECIPE, rotation=0, zoom=(1, 1), symmetry="none", batch=40)
    index = torch.zeros(40, dtype=torch.long)
    pool = ExamplePool(discs(1))
    plain, _ = pool.windows(index, StepRng(0), recipe)
    bent, _ = pool.windows(index, StepRng(0), replace(recipe, elastic=3.0))
    changed = [not torch.equal(a, b) for a, b in zip(plain, bent)]
    assert 10 < sum(changed) < 30


def example_of(kind: str, group: str) -> Example:
    return Example(
        np.zeros((1, 2, 2), np.float16), np.zeros((2, 2), np.uint8), kind=kind, group=group
    )


def test_kinds_and_groups_are_drawn_by_their_shares():
    groups = [("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")]
    examples = [example_of(kind, group) for kind, group in groups]
    assert draw_weights(examples, {"a": 0.6, "b": 0.4}) == pytest.approx([0.15, 0.15, 0.3, 0.4])


def test_without_shares_all_examples_are_drawn_alike():
    examples = [example_of("a", "1"), example_of("a", "1"), example_of("b", "2")]
    assert draw_weights(examples, {}) == [1, 1, 1]


def test_a_kind_without_a_share_is_never_drawn():
    examples = [example_of("a", "1"), example_of("b", "2")]
    pool = ExamplePool(examples, shares={"b": 1.0})
    assert set(pool.draw(50, StepRng(0)).tolist()) == {1}


# Volumes.


def ball(radius: float = 9) -> np.ndarray:
    """A ball whose middle is not that of the volume."""
    z, y, x = np.mgrid[:32, :40, :36]
    return (np.sqrt((z - 15.3) ** 2 + (y - 20.6) ** 2 + (x - 17.2) ** 2) < radius).astype(np.uint8)


@pytest.mark.parametrize("zoom", [0.8, 1.3])
def test_volume_and_mask_do_not_part_when_zoomed_and_turned(zoom):
    target = ball()
    pool = ExamplePool([Example(target[None].astype(np.float16), target)])
    recipe = replace(RECIPE, crop=40, zoom=(zoom, zoom), rotation=20, mirror_border=False)
    images, targets = pool.windows(FIRST, StepRng(0), recipe)
    assert images.shape == (1, 1, 40, 40, 40)
    np.testing.assert_allclose(centre_of(images[0, 0]), centre_of(targets[0] == 1), atol=0.2)
    # Shear and stretch keep the volume but for a few percent.
    assert (targets == 1).sum().item() == pytest.approx(target.sum() * zoom**3, rel=0.1)


def test_a_window_of_a_volume_that_is_neither_turned_nor_zoomed_is_the_volume():
    rng = np.random.default_rng(0)
    pixels = rng.random((1, 24, 24, 24)).astype(np.float16)
    target = rng.integers(0, 3, (24, 24, 24)).astype(np.uint8)
    pool = ExamplePool([Example(pixels, target)])
    recipe = Recipe(steps=1, crop=24, zoom=(1, 1), rotation=0, symmetry="none")
    images, targets = pool.windows(FIRST, StepRng(0), recipe)
    np.testing.assert_allclose(images[0], pixels.astype(np.float32), atol=1e-6)
    np.testing.assert_array_equal(targets[0], target)


def test_volumes_are_turned_about_all_three_axes():
    matrices = window_to_image(torch.ones(50), StepRng(0), Recipe(steps=1, rotation=20), dims=3)
    assert matrices.shape == (50, 3, 3)
    off_diagonal = matrices[:, ~torch.eye(3, dtype=torch.bool)]
    assert (off_diagonal.std(0) > 0.05).all()
    torch.testing.assert_close(torch.linalg.det(matrices).abs(), torch.ones(50), atol=0.05, rtol=0)
