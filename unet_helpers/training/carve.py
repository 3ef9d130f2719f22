"""CarveMix: the structure of one image is set into another one, with its label.

After Zhang et al. 2021, MICCAI, arXiv:2108.06883; but never less than the whole structure is set
in, only where both images show tissue, feathered, and as bright against its new surroundings as it
was against its old ones.
"""

from __future__ import annotations

import cv2
import torch

from .examples import IGNORED
from .rng import StepRng

# Intensity above which there is tissue: neither air nor the blank beyond an image.
TISSUE = 0.05

# px from the structure: the ring of surroundings in which brightness is measured.
RING = (2, 12)

# Fewer pixels of structure, or of its surroundings, are not carved.
LEAST_STRUCTURE = 30
LEAST_RING = 50

# px over which the border of what is set in fades.
FEATHER = 3


def carve_some(
    images: torch.Tensor, targets: torch.Tensor, chance: float, rng: StepRng
) -> tuple[torch.Tensor, torch.Tensor]:
    """Set the structure of the image before it in the batch into some images, with a ``chance``."""
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
    """Set the structure of ``other`` (C, H, W) into ``image``, with its label (H, W).

    A ``share`` of the structure's own depth comes along as a margin. Where there is too little to
    carve, ``image`` and ``target`` come back as they are.
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
