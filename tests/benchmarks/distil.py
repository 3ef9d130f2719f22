"""One pass that answers as the mean over turned copies: ``python tests/benchmarks/distil.py CARD --data DIR``.

The card's network goes on from its weights, and learns the mean of its own answers to four of the eight turned and
mirrored copies of windows of the training part (knowledge distillation, Hinton et al. 2015, arXiv:1503.02531); no mask
is looked at. Augmentation is half as strong as in the recipe, batch normalisation keeps its statistics. Goes on from
its checkpoint. What is printed: squared difference from the mean, of the network and of the shipped one's single pass.
"""

import argparse
import copy
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from unet_helpers.inference.tiles import FLIPS, turn, turn_back
from unet_helpers.networks.engine import run
from unet_helpers.networks.load import load_model, save_model
from unet_helpers.training.augment import batch_of
from unet_helpers.training.recipes import Recipe
from unet_helpers.training.rng import StepRng
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.train import read_examples
from unet_helpers.training.windows import ExamplePool

RATE, DECAY, EMA, COPIES, EVERY, SEED = 2e-4, 1e-3, 0.99, 4, 25, 4_000_000
HALVED = (
    "elastic",
    "colour",
    "stain",
    "gamma",
    "contrast",
    "noise",
    "downsample",
    "focus",
    "haze",
    "bias_field",
)


def calmer(recipe: Recipe) -> Recipe:
    zoom = tuple(math.sqrt(z) for z in recipe.zoom)
    halved = {name: getattr(recipe, name) / 2 for name in HALVED}
    return replace(recipe, batch=4, zoom=zoom, erase=0.0, carve_mix=0.0, **halved)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of the card's data set"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="OUT/CARD gets distilled.safetensors"
    )
    parser.add_argument("--steps", type=int, default=700)
    chosen = parser.parse_args(arguments)
    task, folder = TASKS[chosen.card], chosen.out / chosen.card
    recipe, ways = calmer(task.recipe), FLIPS if task.recipe.symmetry == "all" else FLIPS[:2]
    train = read_examples(task, chosen.data).train
    pool = ExamplePool(train, shares=recipe.shares)
    teacher = load_model(chosen.card)
    student = load_model(chosen.card, trainable=True)
    average, optimiser = (
        copy.deepcopy(student),
        torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY),
    )
    parts = {"student": student, "average": average, "optimiser": optimiser}
    step, seen = 0, []
    folder.mkdir(parents=True, exist_ok=True)
    if (checkpoint := folder / "distil.pt").exists():
        state = torch.load(checkpoint, weights_only=True)
        step = state.pop("step")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    while step < chosen.steps:
        rng = StepRng(SEED + step)
        images = batch_of(pool, rng, recipe)[0].contiguous(memory_format=torch.channels_last)
        some = [ways[i] for i in torch.randperm(len(ways), generator=rng.host)[:COPIES]]
        target = (
            torch.stack([turn_back(run(teacher, turn(images, *way)), *way) for way in some])
            .mean(0)
            .clone()
        )
        single = run(teacher, images).clone()
        fall = 0.02 + 0.98 * (1 + math.cos(math.pi * step / chosen.steps)) / 2
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 30) * fall
        logits = student.logits(images)
        if student.out_channels > 1:
            answer, entropy = (
                torch.softmax(logits, 1),
                -(target * torch.log_softmax(logits, 1)).sum(1).mean(),
            )
        else:
            answer, entropy = (
                torch.sigmoid(logits),
                F.binary_cross_entropy_with_logits(logits, target),
            )
        far = F.mse_loss(answer, target)
        optimiser.zero_grad()
        (entropy + 2 * far).backward()
        optimiser.step()
        with torch.no_grad():
            for old, new in zip(
                average.state_dict().values(), student.state_dict().values(), strict=True
            ):
                if old.is_floating_point():
                    old.lerp_(new, 1 - min(EMA, (1 + step) / (10 + step)))
        seen.append((far.item(), F.mse_loss(single, target).item()))
        step += 1
        if step % EVERY == 0 or step == chosen.steps:
            print(f"step {step}: {np.mean(seen, 0).round(6)}", flush=True)
            torch.save(
                {name: part.state_dict() for name, part in parts.items()} | {"step": step},
                checkpoint,
            )
            save_model(average, folder / "distilled.safetensors")
            seen = []


if __name__ == "__main__":
    main()
