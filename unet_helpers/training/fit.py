"""``fit``: the training loop, seeded step by step, so that a run that was killed goes on to the same end."""

import csv
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from ..errors import TrainingError
from ..files import written_whole
from ..networks.unet import UNet
from ..networks.weights import save_model
from .augment import batch_at
from .loss import loss_of
from .recipes import IGNORED, Example, Recipe


@torch.inference_mode()
def validate(model: UNet, examples: Sequence[Example]) -> float:
    """Mean over the foreground classes of the Dice over all pixels of the validation examples."""
    model.eval()
    classes = range(1, max(2, model.out_channels))
    hits, sizes = np.zeros(len(classes)), np.zeros(len(classes))
    for e in examples:
        scores = model.logits(torch.from_numpy(e.pixels.astype(np.float32))[None])[0]
        guess = (scores.argmax(0) if len(scores) > 1 else scores[0] > 0).numpy()
        seen = e.target != IGNORED
        for i, k in enumerate(classes):
            hits[i] += ((guess == k) & (e.target == k)).sum()
            sizes[i] += ((guess == k) & seen).sum() + (e.target == k).sum()
    return float(np.mean(2 * hits / np.maximum(sizes, 1)))


def moving_average(decay: float, averaged, current, count) -> None:
    """Exponential, over a short past at first, so that the random start is soon forgotten."""
    get_ema_multi_avg_fn(min(decay, (1 + int(count)) / (10 + int(count))))(averaged, current, count)


def fit(
    model: UNet,
    train: Sequence[Example],
    validation: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    every: int = 100,
    minutes: float | None = None,
    half: bool = False,
) -> UNet:
    """Train ``model``; returns its moving average. ``folder`` gets checkpoint.pt, curve.csv, best and last.safetensors.

    Goes on from ``folder/checkpoint.pt`` where there is one; ends after ``recipe.steps`` or ``minutes``.
    ``half`` convolves in bfloat16, 1.7 times as fast on processors that have it, and slower on others.
    """
    if not train:
        raise TrainingError("No training examples: give at least one image with its mask.")
    folder.mkdir(parents=True, exist_ok=True)
    model = model.to(memory_format=torch.channels_last)
    average = AveragedModel(model, multi_avg_fn=partial(moving_average, recipe.ema), use_buffers=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    warm = max(1, min(100, recipe.steps // 10))
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 0.05, total_iters=warm),
            torch.optim.lr_scheduler.CosineAnnealingLR(
                optimiser, max(1, recipe.steps - warm), eta_min=recipe.learning_rate / 100
            ),
        ],
        milestones=[warm],
    )
    parts = {"model": model, "average": average, "optimiser": optimiser, "schedule": schedule}
    first, best, curve = 0, -1.0, []
    if (folder / "checkpoint.pt").exists():
        saved = torch.load(folder / "checkpoint.pt", weights_only=True)
        first, best, curve = saved["step"], saved["best"], saved["curve"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    weights = torch.tensor([e.weight for e in train])
    class_weights = torch.tensor(recipe.class_weights) if recipe.class_weights else None
    started, losses = time.monotonic(), []
    for step in (bar := tqdm(range(first, recipe.steps), initial=first, total=recipe.steps, desc=folder.name)):
        model.train()
        images, targets = batch_at(step, train, weights, recipe)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model.logits(images)
        loss = loss_of(logits.float(), targets, class_weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        average.update_parameters(model)
        losses.append(loss.item())
        out_of_time = minutes is not None and time.monotonic() - started > 60 * minutes
        if (step + 1) % every == 0 or step + 1 == recipe.steps or out_of_time:
            score = validate(average.module, validation) if validation else -float(np.mean(losses))
            curve.append([step + 1, float(np.mean(losses)), score])
            bar.set_postfix(loss=f"{curve[-1][1]:.3f}", score=f"{score:.4f}")
            losses = []
            if score > best or not validation:
                best = score
                save_model(average.module, folder / "best.safetensors")
            save_model(average.module, folder / "last.safetensors")
            state = {name: part.state_dict() for name, part in parts.items()}
            state |= {"step": step + 1, "best": best, "curve": curve}
            with written_whole(folder / "checkpoint.pt") as part:
                torch.save(state, part)
            with written_whole(folder / "curve.csv") as part, part.open("w", newline="") as file:
                csv.writer(file).writerows([("step", "loss", "validation_dice"), *curve])
        if out_of_time:
            break
    return average.module
