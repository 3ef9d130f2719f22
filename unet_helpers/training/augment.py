"""Random crops and their augmentation with torchvision.transforms.v2, image and mask together."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..preprocessing.resize import resize, resize_labels
from .recipes import IGNORED, Example, Recipe

MARGIN = 1.25  # crops are cut this much larger, so that rotating and bending them pulls in no blank corners


def cut(example: Example, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """A random window at a random zoom: (C, s, s) float32 and (s, s) int64, s = crop * MARGIN."""
    zoom = float(torch.empty(()).uniform_(*np.log(recipe.zoom)).exp())
    size = round(recipe.crop * MARGIN)
    window = max(8, round(size / zoom))
    pixels, target = example.pixels, example.target
    for _ in range(8):
        corner = [int(torch.randint(max(1, n - window + 1), ())) for n in target.shape]
        part = tuple(slice(c, c + window) for c in corner)
        seen = target[part] != IGNORED
        if seen.mean() > 0.6 and (target[part][seen] > 0).any():  # little is learnt where there is nothing
            break
    missing = [max(0, window - n) for n in target.shape]
    before = [int(torch.randint(m + 1, ())) for m in missing]
    around = [(b, m - b) for b, m in zip(before, missing)]
    pixels, target = pixels[(slice(None), *part)].astype(np.float32), target[part]
    if recipe.mirror:
        pixels = np.pad(pixels, [(0, 0), *around], mode="symmetric")
        target = np.pad(target, around, mode="symmetric")
    else:
        pixels = np.pad(pixels, [(0, 0), *around])
        target = np.pad(target, around, constant_values=IGNORED)
    planes = resize(np.moveaxis(pixels, 0, -1), (size, size))
    target = resize_labels(target, (size, size))
    return torch.from_numpy(planes).reshape(size, size, -1).permute(2, 0, 1), torch.from_numpy(target)


def augmentation(recipe: Recipe) -> v2.Compose:
    """Random geometry and intensities for one (image, mask) pair."""
    steps = [
        v2.RandomAffine(
            recipe.rotation,
            shear=8,
            interpolation=v2.InterpolationMode.BILINEAR,
            fill={tv_tensors.Image: 0.0, tv_tensors.Mask: IGNORED},
        )
    ]
    if recipe.elastic:
        bend = v2.ElasticTransform(recipe.elastic, sigma=6.0, fill={tv_tensors.Image: 0.0, tv_tensors.Mask: IGNORED})
        steps.append(v2.RandomApply([bend], p=0.3))
    steps.append(v2.CenterCrop(recipe.crop))
    steps += [v2.RandomHorizontalFlip()] if recipe.symmetry == "all" else []  # with quarter turns, all eight
    if recipe.colour:
        steps += [v2.ColorJitter(saturation=recipe.colour, hue=recipe.colour / 5), v2.RandomGrayscale(0.1)]
    steps += [v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 1.5))], p=0.2)]
    return v2.Compose(steps)


def vary_neighbours(image: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """(C, H, W): a slice of a volume between its neighbours, these swapped or hidden now and then."""
    if not recipe.hide_neighbours:
        return image
    if torch.rand(()) < recipe.hide_neighbours:
        return image[[len(image) // 2]].expand_as(image)
    return image.flip(0) if torch.rand(()) < 0.5 else image


def swap_sides(image: torch.Tensor, target: torch.Tensor, left_right: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, H, W) and (H, W) of a mirrored body, whose slices are mirrored or come in the other order."""
    return image.flip(left_right), target.flip(left_right - 1) if left_right else target


def vary_intensities(image: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Gamma, contrast, brightness, fewer pixels, noise and a hidden box, each drawn anew; for one channel or three."""
    g, c, b, n = torch.randn(4).tolist()
    image = image.clamp(0, 1.5) ** float(np.exp(recipe.gamma * g))
    middle = image.mean()
    image = (image - middle) * float(np.exp(recipe.contrast * c)) + middle + 0.08 * b
    full, share = list(image.shape[1:]), 1.0
    if torch.rand(()) < recipe.downsample:
        share = float(torch.empty(()).uniform_(0.5, 1))
    image = v2.functional.resize(image, [round(side * share) for side in full])
    image = image + torch.randn_like(image) * abs(n) * recipe.noise  # of the camera's pixels, few or many
    image = v2.functional.resize(image, full)
    return v2.RandomErasing(recipe.erase, scale=(0.002, 0.02), value=float(torch.rand(())))(image)


def carve_mix(image: torch.Tensor, target: torch.Tensor, other: torch.Tensor, other_target: torch.Tensor) -> tuple:
    """(C, H, W) and (H, W): the structure of ``other``, with a margin of up to its own depth, set into ``image``.

    After CarveMix (Zhang et al. 2021, MICCAI, arXiv:2108.06883), but never less than the whole structure, only where
    both show tissue, feathered over 3 px, and as bright against its new surroundings as it was against its old ones.
    ``image`` and ``target`` come back unchanged where there is little to carve.
    """
    structure = ((other_target > 0) & (other_target != IGNORED)).numpy().astype(np.uint8)
    tissue = (image.amin(0) > 0.05) & (other.amin(0) > 0.05)  # neither air nor the blank beyond an image
    away = torch.from_numpy(cv2.distanceTransform(1 - structure, cv2.DIST_L2, 5))
    ring = tissue & (away > 2) & (away < 12)
    if structure.sum() < 30 or ring.sum() < 50:
        return image, target
    margin = 1 + float(cv2.distanceTransform(structure, cv2.DIST_L2, 5).max() * torch.rand(()))
    share = ((margin + 1.5 - away) / 3).clamp(0, 1) * tissue
    other = other * (image[:, ring].mean() / other[:, ring].mean()).clamp(0.4, 2.5)
    return image * (1 - share) + other * share, torch.where(share > 0.5, other_target, target)


def vary_gain(image: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """(C, H, W): now and then brighter on one side than on another, all channels alike."""
    if not recipe.bias_field or torch.rand(()) < 0.5:
        return image
    gain = F.interpolate(torch.randn(1, 1, 4, 4), image.shape[1:], mode="bicubic", align_corners=True)[0]
    return image * (recipe.bias_field * gain).exp()


def batch_at(step: int, examples: Sequence[Example], weights: torch.Tensor, recipe: Recipe) -> tuple:
    """The batch of a step: (N, C, s, s) float32 and (N, s, s) int64; the same whenever it is asked for."""
    torch.manual_seed(recipe.seed * 1_000_003 + step)
    recipe = recipe.at(step)
    augment, images, targets = augmentation(recipe), [], []
    for i in torch.multinomial(weights, recipe.batch, replacement=True).tolist():
        image, target = cut(examples[i], recipe)
        image = vary_neighbours(image, recipe)
        if recipe.symmetry == "left-right" and torch.rand(()) < 0.5:
            image, target = swap_sides(image, target, examples[i].left_right)
        image, target = augment(tv_tensors.Image(image), tv_tensors.Mask(target))
        turns = int(torch.randint(4, ())) if recipe.symmetry == "all" else 0
        images.append(torch.rot90(image.as_subclass(torch.Tensor), turns, (1, 2)))
        targets.append(torch.rot90(target.as_subclass(torch.Tensor), turns, (0, 1)).long())
    for i, (image, target) in enumerate(pairs := list(zip(images, targets))):
        if torch.rand(()) < recipe.carve_mix:
            image, target = carve_mix(image, target, *pairs[i - 1])
        images[i], targets[i] = vary_intensities(vary_gain(image, recipe), recipe), target
    return torch.stack(images).contiguous(memory_format=torch.channels_last), torch.stack(targets)
