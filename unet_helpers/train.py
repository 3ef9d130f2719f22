"""The trainer, for the shipped weights: ``python -m unet_helpers.train CARD --data DIR``.

Seeded step by step, so that a run that was killed goes on from its checkpoint to the same end.
"""

import argparse
import csv
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from .augment import batch_at
from .cards import MODELS, ModelCard
from .datasets import read_cases
from .errors import TrainingError
from .models import load_model, save_model
from .recipes import IGNORED, RECIPES, Example, Recipe
from .unet import UNet


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


def write_atomically(path: Path, write) -> None:
    """``write`` to a file beside ``path`` and then rename: there is never half a file under that name."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


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
            write_atomically(folder / "checkpoint.pt", partial(torch.save, state))
            write_atomically(folder / "curve.csv", partial(write_curve, curve))
        if out_of_time:
            break
    return average.module


def reading_as(card: ModelCard, model: UNet) -> UNet:
    """``model`` for a ``card`` that reads more neighbours of a slice: it answers as before, until it learns."""
    first = model.encoder1.enc1conv1
    more = card.in_channels - model.in_channels
    first.weight = nn.Parameter(F.pad(first.weight, (0, 0, 0, 0, more // 2, more // 2)))
    model.in_channels, first.in_channels, model.card = card.in_channels, card.in_channels, card
    return model


def write_curve(curve: list, path: Path) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("step", "loss", "validation_dice"), *curve])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m unet_helpers.train", description=__doc__.split("\n")[0])
    parser.add_argument("card", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the card's data set")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="checkpoints go to OUT/CARD (default: runs)")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes; run again to go on")
    parser.add_argument("--start", help="begin with these weights (a .safetensors file), not with random ones")
    parser.add_argument("--steps", type=int, help="how many steps, where not as many as the recipe says")
    parser.add_argument("--rate", type=float, help="the highest learning rate, where not the recipe's")
    parser.add_argument("--seed", type=int, help="another order of images and augmentations than the recipe's")
    parser.add_argument("--calm", action="store_true", help="half the augmentation, for a last round of training")
    parser.add_argument("--refit", action="store_true", help="learn from the validation part too, once all is chosen")
    parser.add_argument("--features", type=int, help="channels at full resolution, where not the card's 16")
    parser.add_argument("--half", action="store_true", help="bfloat16: faster on processors that have it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(chosen.threads)
    recipe, card = RECIPES[chosen.card], MODELS[chosen.card]
    card = replace(card, features=chosen.features or card.features)
    asked = {"steps": chosen.steps, "learning_rate": chosen.rate, "seed": chosen.seed}
    recipe = replace(recipe, **{name: value for name, value in asked.items() if value is not None})
    recipe = replace(recipe, coarse=0) if chosen.start else recipe  # only the first steps of all are coarse
    recipe = recipe.calm() if chosen.calm else recipe
    parts = {"train": [], "validation": [], "test": []}
    for case in tqdm(read_cases(chosen.card, chosen.data), desc="reading"):
        parts[case.part] += recipe.examples(case) if case.part != "test" else ()
    if chosen.refit:
        parts["train"], parts["validation"] = parts["train"] + parts["validation"], []
    torch.manual_seed(recipe.seed)
    model = UNet(card.in_channels, card.out_channels, card.features, card.depth)
    model = reading_as(card, load_model(chosen.start, trainable=True) if chosen.start else model)
    folder = chosen.out / chosen.card
    fit(model, parts["train"], parts["validation"], recipe, folder, minutes=chosen.minutes, half=chosen.half)


if __name__ == "__main__":
    main()
