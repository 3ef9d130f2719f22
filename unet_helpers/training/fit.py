"""The training loop, on a CPU or a GPU: ``fit(model, train, validation, recipe, folder)``."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from ..errors import TrainingError
from ..files import written_whole
from ..inference.tiles import FLIPS, turn, turn_back
from ..networks.load import save_model
from ..networks.unet import UNet
from .augment import batch_of
from .recipes import IGNORED, Example, Recipe
from .windows import Draws, Pool

MOST = 64  # validation examples looked at


def loss_of(
    logits: torch.Tensor, target: torch.Tensor, class_weights=None, dice: str = "batch"
) -> torch.Tensor:
    """Cross-entropy plus soft Dice (Milletari et al. 2016) of logits (N, K, H, W) and class ids (N, H, W).
    ``dice`` is taken over the whole 'batch', or over each 'image': then unclear images count as much as clear ones,
    and the probability at which Dice is best stays near a half in them.
    """
    logits = two_classes(logits)
    entropy = F.cross_entropy(logits, target, weight=class_weights, ignore_index=IGNORED)
    seen = (target != IGNORED).unsqueeze(1)
    truth = (
        F.one_hot(target.where(target != IGNORED, 0), logits.shape[1]).movedim(-1, 1)[:, 1:] * seen
    )
    guess = torch.softmax(logits, dim=1)[:, 1:] * seen
    over = (2, 3) if dice == "image" else (0, 2, 3)
    overlap = 2 * (truth * guess).sum(over) + 1
    return entropy + 1 - (overlap / (truth.sum(over) + guess.sum(over) + 1)).mean()


def two_classes(logits: torch.Tensor) -> torch.Tensor:
    """A sigmoid is a softmax against 0."""
    return logits if logits.shape[1] > 1 else torch.cat((torch.zeros_like(logits), logits), dim=1)


def loss_of_step(
    model: UNet, images, targets, recipe: Recipe, draws: Draws, half: bool = False
) -> torch.Tensor:
    """The loss of a batch. With ``consistency``, of it and of a turned copy, and how far the two answers differ."""
    way = FLIPS[int(draws.number(1, 8))]
    if recipe.consistency:
        images, targets = (torch.cat((x, turn(x, *way))) for x in (images, targets[:, None]))
        targets = targets[:, 0]
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        logits = model.logits(images.contiguous(memory_format=torch.channels_last)).float()
    class_weights = (
        torch.tensor(recipe.class_weights, device=images.device) if recipe.class_weights else None
    )
    loss = loss_of(logits, targets, class_weights, recipe.dice)
    if not recipe.consistency:
        return loss
    upright, turned = (torch.softmax(two_classes(part), 1) for part in logits.chunk(2))
    return loss + recipe.consistency * F.mse_loss(upright, turn_back(turned, *way))


@torch.inference_mode()
@torch.backends.cudnn.flags(
    benchmark=False
)  # images of many sizes: a search for the fastest way would not pay
def validate(model: UNet, examples: Sequence[Example]) -> float:
    """Mean over the foreground classes of the Dice over all pixels of the validation examples."""
    model.eval()
    device, classes = next(model.parameters()).device, max(2, model.out_channels)
    pixels = np.zeros((classes, classes))  # of each class of the truth (rows), given to each class
    for e in examples[:: max(1, len(examples) // MOST)]:
        scores = two_classes(model.logits(torch.from_numpy(e.pixels).float()[None].to(device)))[0]
        guess, seen = scores.argmax(0).cpu().numpy(), e.target != IGNORED
        np.add.at(pixels, (e.target[seen], guess[seen]), 1)
    return float((2 * pixels.diagonal() / np.maximum(pixels.sum(0) + pixels.sum(1), 1))[1:].mean())


def rate_at(step: int, recipe: Recipe) -> float:
    """The learning rate: a short rise, then half a cosine down to a hundredth."""
    warm = max(1, min(100, recipe.steps // 10))
    fall = 0.01 + 0.99 * (1 + math.cos(math.pi * step / recipe.steps)) / 2
    return recipe.learning_rate * min(1.0, 0.05 + 0.95 * step / warm) * fall


def fit(
    model: UNet,
    train: Sequence[Example],
    validation: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    *,
    checks: int = 8,
    half: bool = False,
    device: str | torch.device = "cpu",
) -> UNet:
    """Train ``model``; returns its moving average, on the CPU.
    ``folder`` gets checkpoint.pt, curve.csv, best and last.safetensors at each of ``checks``; goes on from its
    checkpoint.pt where there is one. ``half`` convolves in bfloat16, faster where the device has it.
    """
    import pandas as pd

    if not train:
        raise TrainingError("No training examples: give at least one image with its mask.")
    if (channels := len(train[0].pixels)) != model.in_channels:
        raise TrainingError(
            f"The network reads {model.in_channels} channels, but examples have {channels}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = True
    model = model.to(device, memory_format=torch.channels_last)
    pool = Pool(train, device, recipe.shares)
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    parts: dict[str, Any] = {"model": model, "average": average, "optimiser": optimiser}
    state: dict[str, Any] = {"step": 0, "curve": []}
    if (folder / "checkpoint.pt").exists():
        state = torch.load(folder / "checkpoint.pt", weights_only=True, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(state.pop(name))
    step, losses = state["step"], []
    bar = tqdm(initial=step, total=recipe.steps, desc=folder.name, mininterval=10)
    while step < recipe.steps:
        draws = Draws(recipe.seed * 1_000_003 + step, device)
        optimiser.param_groups[0]["lr"] = rate_at(step, recipe)
        loss = loss_of_step(model.train(), *batch_of(pool, draws, recipe), recipe, draws, half)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay = min(recipe.ema, (1 + step) / (10 + step))  # the start is soon forgotten
        for old, new in zip(
            average.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
        losses.append(loss.detach())
        bar.update()
        step += 1
        if step * checks // recipe.steps > (step - 1) * checks // recipe.steps:
            loss = float(torch.stack(losses).mean())
            score = validate(average, validation) if validation else -loss
            bar.set_postfix(loss=f"{loss:.3f}", score=f"{score:.4f}")
            losses = []
            if not validation or all(score > earlier for _, _, earlier in state["curve"]):
                save_model(average, folder / "best.safetensors")
            save_model(average, folder / "last.safetensors")
            state["curve"].append([step, loss, score])
            state["step"] = step
            with written_whole(folder / "checkpoint.pt") as path:
                torch.save({name: part.state_dict() for name, part in parts.items()} | state, path)
            average.curve = pd.DataFrame(
                state["curve"], columns=["step", "loss", "validation_dice"]
            )
            with written_whole(folder / "curve.csv") as path:
                average.curve.to_csv(path, index=False)
    bar.close()
    return average.cpu()
