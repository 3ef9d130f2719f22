"""The loss of the trainer."""

import torch
import torch.nn.functional as F

from ..networks.unet import UNet
from .augment import Draws, turn, turn_back
from .recipes import IGNORED, Recipe


def loss_of(
    logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor | None = None, dice: str = "batch"
) -> torch.Tensor:
    """Cross-entropy plus soft Dice (Milletari et al. 2016) of logits (N, K, H, W) and class ids (N, H, W).

    ``dice`` is taken over the whole 'batch', or over each 'image': then unclear images count as much as clear ones,
    and the probability at which Dice is best stays near a half in them.
    """
    logits = two_classes(logits)
    entropy = F.cross_entropy(logits, target, weight=class_weights, ignore_index=IGNORED)
    seen = (target != IGNORED).unsqueeze(1)
    truth = F.one_hot(target.where(target != IGNORED, 0), logits.shape[1]).movedim(-1, 1)[:, 1:] * seen
    guess = torch.softmax(logits, dim=1)[:, 1:] * seen
    over = (2, 3) if dice == "image" else (0, 2, 3)
    overlap = 2 * (truth * guess).sum(over) + 1
    return entropy + 1 - (overlap / (truth.sum(over) + guess.sum(over) + 1)).mean()


def two_classes(logits: torch.Tensor) -> torch.Tensor:
    """A sigmoid is a softmax against 0."""
    return logits if logits.shape[1] > 1 else torch.cat((torch.zeros_like(logits), logits), dim=1)


def loss_of_step(model: UNet, images, targets, recipe: Recipe, draws: Draws, half: bool = False) -> torch.Tensor:
    """The loss of a batch. With ``consistency``, of it and of a turned copy, and how far the two answers differ."""
    way = int(draws.number(1, 8))
    shown = torch.cat((images, turn(images, way))) if recipe.consistency else images
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        logits = model.logits(shown.contiguous(memory_format=torch.channels_last))
    logits = logits.float()
    class_weights = torch.tensor(recipe.class_weights, device=images.device) if recipe.class_weights else None
    if not recipe.consistency:
        return loss_of(logits, targets, class_weights, recipe.dice)
    loss = loss_of(logits, torch.cat((targets, turn(targets, way))), class_weights, recipe.dice)
    upright, turned = (torch.softmax(two_classes(part), 1) for part in logits.chunk(2))
    return loss + recipe.consistency * F.mse_loss(upright, turn_back(turned, way))
