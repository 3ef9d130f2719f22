"""The loss of the trainer."""

import torch
import torch.nn.functional as F

from .recipes import IGNORED


def loss_of(logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy plus soft Dice (Milletari et al. 2016) of logits (N, K, H, W) and class ids (N, H, W)."""
    if logits.shape[1] == 1:
        logits = torch.cat((torch.zeros_like(logits), logits), dim=1)  # sigmoid is softmax against 0
    entropy = F.cross_entropy(logits, target, weight=class_weights, ignore_index=IGNORED)
    seen = (target != IGNORED).unsqueeze(1)
    truth = F.one_hot(target.where(target != IGNORED, 0), logits.shape[1]).movedim(-1, 1)[:, 1:] * seen
    guess = torch.softmax(logits, dim=1)[:, 1:] * seen
    overlap = 2 * (truth * guess).sum((0, 2, 3)) + 1
    return entropy + 1 - (overlap / (truth.sum((0, 2, 3)) + guess.sum((0, 2, 3)) + 1)).mean()
