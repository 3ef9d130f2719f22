"""Augmentation of windows of the examples, a whole batch at a time, on the CPU or a GPU."""

import math

import cv2
import torch
import torch.nn.functional as F
from torchvision.transforms.v2.functional import gaussian_blur, rgb_to_grayscale

from .recipes import IGNORED, Recipe
from .windows import Draws, Pool

DYES = (
    (0.65, 0.70, 0.29),
    (0.07, 0.99, 0.11),
    (0.27, 0.57, 0.78),
)  # what H, E and DAB absorb of red, green, blue


@torch.no_grad()
def batch_of(pool: Pool, draws: Draws, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C, s, s) float32 and (N, s, s) int64, augmented."""
    index = torch.multinomial(
        pool.weights, recipe.batch, replacement=True, generator=draws.generator
    )
    images, targets = pool.windows(index, draws, recipe)
    if recipe.hide_neighbours:
        images = vary_neighbours(images, recipe, draws)
    if recipe.symmetry == "left-right":
        images, targets = swap_sides(
            images, targets, pool.left_right[index], draws.coin(0.5, recipe.batch)
        )
    if recipe.carve_mix:
        images, targets = carve_some(images, targets, recipe, draws)
    return vary_intensities(images, recipe, draws), targets


def vary_neighbours(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """(N, C, H, W): slices of a volume between their neighbours, these hidden or swapped now and then."""
    each = (len(images), 1, 1, 1)
    swapped = torch.where(draws.coin(0.5, *each), images.flip(1), images)
    return torch.where(
        draws.coin(recipe.hide_neighbours, *each), images[:, [images.shape[1] // 2]], swapped
    )


def swap_sides(
    images, targets, left_right: torch.Tensor, chosen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``chosen`` of (N, C, H, W) and (N, H, W) as of a mirrored body: its columns, or the order of its slices."""
    columns, slices = ((chosen & (left_right == axis))[:, None, None] for axis in (2, 0))
    images = torch.where(columns[:, None], images.flip(3), images)
    return torch.where(slices[:, None], images.flip(1), images), torch.where(
        columns, targets.flip(2), targets
    )


def vary_intensities(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """Dyes, colours, light, contrast, camera and hidden boxes, each drawn anew for each of (N, C, H, W)."""
    each = (len(images), 1, 1, 1)
    if recipe.stain:
        images = vary_stain(images, recipe, draws)
    if recipe.colour:
        images = vary_colours(images, recipe, draws)
    if recipe.bias_field:
        images = (
            images * (recipe.bias_field * draws.smooth(len(images), 1, 4, images.shape[2:])).exp()
        )
    if recipe.haze:
        images = images + recipe.haze * draws.smooth(len(images), 1, 4, images.shape[2:])
    images = images.clamp(0, 1.5) ** (recipe.gamma * draws.normal(*each)).exp()
    middle = images.mean((1, 2, 3), keepdim=True)
    contrast = (recipe.contrast * draws.normal(*each)).exp()
    images = (images - middle) * contrast + middle + recipe.brightness * draws.normal(*each)
    images = vary_camera(images, recipe, draws)
    return hide_boxes(images, recipe, draws) if recipe.erase else images


def vary_stain(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """Haematoxylin, eosin and DAB, each stronger or weaker, in the space of their optical densities.
    After Tellez et al. 2018, IEEE TMI 37(9); dyes: Ruifrok and Johnston 2001. A pixel of 0 lets 15 % of light pass.
    """
    n, faint = len(images), 0.15
    dyes = torch.tensor(DYES, device=images.device)
    density = -(faint + (1 - faint) * images).clamp(0.02, 1.5).log()
    amounts = torch.einsum("nchw,cd->ndhw", density, torch.linalg.inv(dyes))
    amounts = amounts * (
        1 + recipe.stain * draws.normal(n, 3, 1, 1)
    ) + 0.2 * recipe.stain * draws.normal(n, 3, 1, 1)
    dyes = dyes + 0.15 * recipe.stain * draws.normal(
        n, 3, 3
    )  # no two laboratories' dyes are of the same hue
    return ((-torch.einsum("ndhw,ndc->nchw", amounts, dyes)).exp() - faint) / (1 - faint)


def vary_colours(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """Saturation, hue (turned around the axis of greys) and, for one in ten, no colour at all."""
    n, each = len(images), (len(images), 1, 1, 1)
    grey = rgb_to_grayscale(images)
    chroma = (images - grey) * (
        (recipe.colour * draws.normal(*each)).exp() * ~draws.coin(0.1, *each)
    )
    angle = draws.uniform(-1, 1, n) * recipe.colour / 5 * 2 * math.pi
    around_grey = torch.tensor(
        [[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=images.device
    ) / math.sqrt(3)
    return grey + torch.einsum(
        "nij,njhw->nihw", torch.linalg.matrix_exp(angle[:, None, None] * around_grey), chroma
    )


def vary_camera(
    images: torch.Tensor, recipe: Recipe, draws: Draws, groups: int = 8
) -> torch.Tensor:
    """Fewer pixels, their noise, and blur or sharpening; resolution and width are drawn for groups of images."""
    seen = []
    for part in images.chunk(groups):
        full, each = part.shape[2:], (len(part), 1, 1, 1)
        share = draws.number(0.45, 1) if draws.number(0, 1) < recipe.downsample else 1.0
        if share < 1:
            part = F.interpolate(
                part, [round(s * share) for s in full], mode="bilinear", antialias=True
            )
        part = part + draws.normal(*part.shape) * (
            draws.normal(*each).abs() * recipe.noise
        )  # of few pixels or many
        if share < 1:
            part = F.interpolate(part, full, mode="bilinear", antialias=True)
        amount = draws.uniform(-1, 1, *each) * draws.coin(recipe.focus, *each)
        if recipe.focus:
            part = part + amount * (gaussian_blur(part, [11, 11], [draws.number(0.5, 2.0)]) - part)
        seen.append(part)
    return torch.cat(seen)


def hide_boxes(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """A small box of even grey in some of the images."""
    n, _, height, width = images.shape
    sides = draws.uniform(0.05, 0.2, n, 2) * draws.coin(recipe.erase, n, 1)
    centre = draws.uniform(0, 1, n, 2)
    rows = (torch.arange(height, device=images.device) / height - centre[:, :1]).abs() < sides[
        :, :1
    ] / 2
    columns = (torch.arange(width, device=images.device) / width - centre[:, 1:]).abs() < sides[
        :, 1:
    ] / 2
    return torch.where(
        rows[:, None, :, None] & columns[:, None, None, :], draws.uniform(0, 1, n, 1, 1, 1), images
    )


def carve_some(images, targets, recipe: Recipe, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """With a chance of ``carve_mix``, the structure of the image before it in the batch is set into an image."""
    pairs = list(zip(images.cpu(), targets.cpu()))
    mixed = [
        carve_mix(*pair, *pairs[i - 1], draws.number(0, 1))
        if draws.number(0, 1) < recipe.carve_mix
        else pair
        for i, pair in enumerate(pairs)
    ]
    return tuple(torch.stack(part).to(draws.device) for part in zip(*mixed))


def carve_mix(
    image, target, other, other_target, share: float = 0.5
) -> tuple[torch.Tensor, torch.Tensor]:
    """The structure of ``other`` (C, H, W), with a ``share`` of its own depth as a margin, set into ``image``.
    After CarveMix (Zhang et al. 2021, MICCAI, arXiv:2108.06883), but never less than the whole structure, only where
    both show tissue, feathered over 3 px, and as bright against its new surroundings as it was against its old ones.
    ``image`` and ``target`` come back unchanged where there is little to carve.
    """
    structure = ((other_target > 0) & (other_target != IGNORED)).to(torch.uint8).numpy()
    tissue = (image.amin(0) > 0.05) & (
        other.amin(0) > 0.05
    )  # neither air nor the blank beyond an image
    away = torch.from_numpy(cv2.distanceTransform(1 - structure, cv2.DIST_L2, 5))
    ring = tissue & (away > 2) & (away < 12)
    if structure.sum() < 30 or ring.sum() < 50:
        return image, target
    margin = 1 + share * float(cv2.distanceTransform(structure, cv2.DIST_L2, 5).max())
    weight = ((margin + 1.5 - away) / 3).clamp(0, 1) * tissue
    other = other * (image[:, ring].mean() / other[:, ring].mean()).clamp(0.4, 2.5)
    return image * (1 - weight) + other * weight, torch.where(weight > 0.5, other_target, target)
