"""The trainer, for the shipped weights: ``python -m unet_helpers.train CARD --data DIR``.

Seeded step by step, so that a run that was killed goes on from its checkpoint to the same end.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from ..networks.cards import MODELS, ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from .datasets import read_cases
from .fit import fit
from .tasks import TASKS


def with_neighbours(card: ModelCard, model: UNet) -> UNet:
    """``model`` for a ``card`` that reads more neighbours of a slice: it answers as before, until it learns."""
    first = model.encoder1.enc1conv1
    more = card.in_channels - model.in_channels
    first.weight = nn.Parameter(F.pad(first.weight, (0, 0, 0, 0, more // 2, more // 2)))
    model.in_channels, first.in_channels, model.card = card.in_channels, card.in_channels, card
    return model


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="unet-helpers train", description=__doc__.split("\n")[0])
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the card's data set")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="checkpoints go to OUT/CARD (default: runs)")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes; run again to go on")
    parser.add_argument("--start", help="begin with these weights (a .safetensors file), not with random ones")
    parser.add_argument("--steps", type=int, help="how many steps, where not as many as the recipe says")
    parser.add_argument("--rate", type=float, help="the highest learning rate, where not the recipe's")
    parser.add_argument("--seed", type=int, help="another order of images and augmentations than the recipe's")
    parser.add_argument("--less-augmentation", action="store_true", help="half of it, for a last round of training")
    parser.add_argument("--refit", action="store_true", help="learn from the validation part too, once all is chosen")
    parser.add_argument("--features", type=int, help="channels at full resolution, where not the card's 16")
    parser.add_argument("--half", action="store_true", help="bfloat16: faster on processors that have it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(chosen.threads)
    task, card = TASKS[chosen.card], MODELS[chosen.card]
    card = replace(card, features=chosen.features or card.features)
    asked = {"steps": chosen.steps, "learning_rate": chosen.rate, "seed": chosen.seed}
    recipe = replace(task.recipe, **{name: value for name, value in asked.items() if value is not None})
    recipe = replace(recipe, low_resolution_share=0) if chosen.start else recipe
    recipe = recipe.with_less_augmentation() if chosen.less_augmentation else recipe
    parts = {"train": [], "validation": [], "test": []}
    for case in tqdm(read_cases(chosen.card, chosen.data), desc="reading"):
        parts[case.part] += task.examples(case) if case.part != "test" else ()
    if chosen.refit:
        parts["train"], parts["validation"] = parts["train"] + parts["validation"], []
    torch.manual_seed(recipe.seed)
    model = UNet(card.in_channels, card.out_channels, card.features, card.depth)
    model = with_neighbours(card, load_model(chosen.start, trainable=True) if chosen.start else model)
    folder = chosen.out / chosen.card
    fit(model, parts["train"], parts["validation"], recipe, folder, minutes=chosen.minutes, half=chosen.half)
