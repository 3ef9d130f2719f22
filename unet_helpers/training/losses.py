"""The loss: cross-entropy plus soft Dice, and optionally the difference to a turned copy.

MONAI's ``DiceCELoss`` is not used, because it cannot ignore a label, which pixels outside the field
of view need.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from ..inference.tiles import AUGMENTATIONS
from ..networks.unet import UNet, in_fastest_order
from .examples import IGNORED
from .overlap import overlap_loss
from .recipes import DiceOver, Recipe
from .rng import StepRng


def loss_for(model: UNet) -> Callable[..., torch.Tensor]:
    """Return the loss for a network, of logits and targets: of classes that exclude or overlap."""
    return overlap_loss if model.overlapping else segmentation_loss


def segmentation_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    class_weights: torch.Tensor | None = None,
    dice_over: DiceOver = "batch",
) -> torch.Tensor:
    """Return cross-entropy plus 1 - soft Dice (Milletari et al. 2016) of logits (N, K, [D,] H, W).

    ``target`` holds class ids (N, [D,] H, W). Dice is computed over the whole 'batch' or for each
    'image'. With 'image', unclear images count as much as clear ones, so that the best threshold of
    their probabilities stays near 0.5.
    """
    logits = as_two_classes(logits)
    if (target == IGNORED).all():
        # A batch of which nothing is known teaches nothing; a mean over no pixels would be NaN.
        return 0 * logits.sum()

    cross_entropy = functional.cross_entropy(
        logits, target, weight=class_weights, ignore_index=IGNORED
    )
    return cross_entropy + 1 - soft_dice(logits, target, dice_over)


def soft_dice(logits: torch.Tensor, target: torch.Tensor, dice_over: DiceOver) -> torch.Tensor:
    """Return the mean soft Dice of the foreground classes, without IGNORED pixels."""
    is_known = (target != IGNORED).unsqueeze(1)
    class_ids = target.where(target != IGNORED, 0)

    truth = functional.one_hot(class_ids, logits.shape[1]).movedim(-1, 1)[:, 1:] * is_known
    answer = torch.softmax(logits, dim=1)[:, 1:] * is_known

    axes = tuple(range(2, logits.dim()))
    if dice_over == "batch":
        axes = (0, *axes)
    overlap = (truth * answer).sum(axes)
    total = truth.sum(axes) + answer.sum(axes)
    return ((2 * overlap + 1) / (total + 1)).mean()


def as_two_classes(logits: torch.Tensor) -> torch.Tensor:
    """Add a background logit of 0 to a single logit: sigmoid(x) = softmax(0, x)."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat((torch.zeros_like(logits), logits), dim=1)


def loss_of_step(
    model: UNet,
    images: torch.Tensor,
    targets: torch.Tensor,
    recipe: Recipe,
    rng: StepRng,
    half: bool = False,
) -> torch.Tensor:
    """Return the loss of a batch.

    If the recipe has ``consistency``, the network also sees a turned copy of the batch, and the
    weighted squared difference of the two predictions is added.
    """
    # One of the seven augmentations that change the image. It is always drawn, so that the order of
    # random numbers does not depend on the recipe.
    augmentation = AUGMENTATIONS[int(rng.number(1, len(AUGMENTATIONS)))]
    if recipe.consistency:
        images = torch.cat((images, augmentation.apply(images)))
        targets = torch.cat((targets, augmentation.apply(targets[:, None])[:, 0]))

    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        logits = model.logits(in_fastest_order(images)).float()

    class_weights = None
    if recipe.class_weights:
        class_weights = torch.tensor(recipe.class_weights, device=images.device)
    loss = loss_for(model)(logits, targets, class_weights, recipe.dice_over)
    if not recipe.consistency:
        return loss

    upright, turned = model.probabilities(logits).chunk(2)
    return loss + recipe.consistency * functional.mse_loss(upright, augmentation.undo(turned))
