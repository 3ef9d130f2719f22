"""CarveMix: copies the structure of one image into another, with its label.

After Zhang et al. 2021, MICCAI, arXiv:2108.06883, with these differences: always the whole
structure is copied, only where both images show tissue, with a soft border, and as bright relative
to its new surroundings as to its old ones.
"""

from __future__ import annotations

import cv2
import torch

from .examples import IGNORED
from .rng import StepRng

# Pixels above this intensity are tissue, neither air nor the blank outside an image.
TISSUE = 0.05

# px from the structure: inner and outer limit of the ring in which the surroundings' brightness is
# measured.
RING = (2, 12)

# px: nothing is copied if the structure, or the ring around it, is smaller.
LEAST_STRUCTURE = 30
LEAST_RING = 50

# px: width of the soft border of the copied region.
FEATHER = 3


def carve_some(
    images: torch.Tensor, targets: torch.Tensor, chance: float, rng: StepRng
) -> tuple[torch.Tensor, torch.Tensor]:
    """Copy into each image, with a ``chance``, the structure of the one before it in the batch."""
    all_images = images.cpu()
    all_targets = targets.cpu()

    mixed_images = []
    mixed_targets = []
    for i, (image, target) in enumerate(zip(all_images, all_targets)):
        if rng.number(0, 1) < chance:
            share = rng.number(0, 1)
            image, target = carve_mix(image, target, all_images[i - 1], all_targets[i - 1], share)
        mixed_images.append(image)
        mixed_targets.append(target)

    return torch.stack(mixed_images).to(rng.device), torch.stack(mixed_targets).to(rng.device)


def carve_mix(
    image: torch.Tensor,
    target: torch.Tensor,
    other: torch.Tensor,
    other_target: torch.Tensor,
    share: float = 0.5,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Copy the structure of ``other`` (C, H, W) into ``image``, with its label (H, W).

    A margin around it is copied, too: 1 px + ``share`` * the structure's largest distance from its
    border. If structure or ring are too small, ``image`` and ``target`` are returned unchanged.
    """
    is_structure = (other_target > 0) & (other_target != IGNORED)
    structure = is_structure.to(torch.uint8).numpy()
    tissue = (image.amin(0) > TISSUE) & (other.amin(0) > TISSUE)

    distance = torch.from_numpy(cv2.distanceTransform(1 - structure, cv2.DIST_L2, 5))
    nearest, farthest = RING
    ring = tissue & (distance > nearest) & (distance < farthest)
    if structure.sum() < LEAST_STRUCTURE or ring.sum() < LEAST_RING:
        return image, target

    depth = float(cv2.distanceTransform(structure, cv2.DIST_L2, 5).max())
    margin = 1 + share * depth
    weight = ((margin + FEATHER / 2 - distance) / FEATHER).clamp(0, 1) * tissue

    gain = (image[:, ring].mean() / other[:, ring].mean()).clamp(0.4, 2.5)
    mixed = image * (1 - weight) + other * gain * weight
    return mixed, torch.where(weight > 0.5, other_target, target)
