"""One pass that answers as the mean over turned copies (knowledge distillation).

``python tests/benchmarks/distil.py CARD --data DIR``

The card's network goes on from its weights, and learns the mean of its own answers to four of the
eight turned and mirrored copies of windows of the training part (Hinton et al. 2015,
arXiv:1503.02531); no mask is looked at. Augmentation is half as strong as in the recipe, and batch
normalisation keeps its statistics. The training goes on from its checkpoint.

It prints the squared difference from the mean, of the network and of the shipped one's single pass.
"""

import argparse
import copy
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.inference.tiles import AUGMENTATIONS, Augmentation
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.engine import run
from unet_helpers.networks.load import load_model, save_model
from unet_helpers.networks.unet import UNet, in_fastest_order
from unet_helpers.training.augment import batch_of
from unet_helpers.training.fit import update_average
from unet_helpers.training.recipes import Recipe
from unet_helpers.training.rng import StepRng
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.train import read_examples
from unet_helpers.training.windows import ExamplePool

# The highest learning rate; it rises over the first steps, and falls along half a cosine.
LEARNING_RATE = 2e-4
WARM_UP_STEPS = 30

WEIGHT_DECAY = 1e-3

# The moving average of the weights keeps this much at each step.
EMA_DECAY = 0.99

# Windows in a batch.
BATCH = 4

# Turned and mirrored copies of each window whose mean is learnt.
COPIES = 4

# Steps between two checkpoints.
CHECKPOINT_EVERY = 25

# Added to the step: no training by a recipe has these seeds.
SEED = 4_000_000

# Weight of the squared difference in the loss, beside the cross-entropy.
SQUARED_DIFFERENCE_WEIGHT = 2

# Fields of a recipe that are halved.
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


@dataclass
class Distillation:
    """All that a training goes on from."""

    student: UNet
    # Moving average of the student's weights, which is what is saved.
    average: UNet
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the averaged weights."""
        checkpoint = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(checkpoint, folder / "distil.pt")
        save_model(self.average, folder / "distilled.safetensors")

    def load(self, folder: Path) -> None:
        """Go on from the checkpoint, where there is one."""
        path = folder / "distil.pt"
        if not path.exists():
            return
        checkpoint = torch.load(path, weights_only=True)
        self.student.load_state_dict(checkpoint["student"])
        self.average.load_state_dict(checkpoint["average"])
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.step = checkpoint["step"]


@dataclass(frozen=True)
class Differences:
    """Squared differences from the mean over turned copies, in one step."""

    of_student: float
    of_single_pass: float


def calmer(recipe: Recipe) -> Recipe:
    """Return a recipe with augmentation half as strong, and nothing hidden or carved."""
    zoom = tuple(math.sqrt(limit) for limit in recipe.zoom)
    halved = {name: getattr(recipe, name) / 2 for name in HALVED}
    return replace(recipe, batch=BATCH, zoom=zoom, erase=0.0, carve_mix=0.0, **halved)


def augmentations_of(recipe: Recipe) -> tuple[Augmentation, ...]:
    """Return the ways in which images of the card may lie."""
    if recipe.symmetry == "all":
        return AUGMENTATIONS
    return AUGMENTATIONS[:2]


def start(card: str, folder: Path) -> Distillation:
    """Begin with the card's weights, or go on from the checkpoint in the folder."""
    student = load_model(card, trainable=True)
    optimiser = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    state = Distillation(student, copy.deepcopy(student), optimiser)
    folder.mkdir(parents=True, exist_ok=True)
    state.load(folder)
    return state


def learning_rate_at(step: int, steps: int) -> float:
    """Return the learning rate: a short rise, then half a cosine down to a fiftieth."""
    rise = min(1, (step + 1) / WARM_UP_STEPS)
    fall = 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2
    return LEARNING_RATE * rise * fall


def mean_over_copies(
    teacher: UNet, images: torch.Tensor, augmentations: Sequence[Augmentation]
) -> torch.Tensor:
    """Return the teacher's mean answer (N, K, H, W) to turned copies of the images."""
    answers = []
    for augmentation in augmentations:
        answer = run(teacher, augmentation.apply(images))
        answers.append(augmentation.undo(answer))
    # What inference mode has made takes no part in a training: hence the clone.
    return torch.stack(answers).mean(0).clone()


def probabilities_and_entropy(
    student: UNet, images: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the student's probabilities (N, K, H, W), and their cross-entropy with the target."""
    logits = student.logits(images)
    if student.out_channels == 1:
        entropy = functional.binary_cross_entropy_with_logits(logits, target)
        return torch.sigmoid(logits), entropy

    entropy = -(target * torch.log_softmax(logits, dim=1)).sum(1).mean()
    return torch.softmax(logits, dim=1), entropy


def train_one_step(
    state: Distillation, teacher: UNet, pool: ExamplePool, recipe: Recipe, steps: int
) -> Differences:
    """Learn from one batch."""
    rng = StepRng(SEED + state.step)
    images, _ = batch_of(pool, rng, recipe)
    images = in_fastest_order(images)

    augmentations = augmentations_of(recipe)
    drawn = torch.randperm(len(augmentations), generator=rng.host)[:COPIES]
    target = mean_over_copies(teacher, images, [augmentations[i] for i in drawn])
    single_pass = run(teacher, images).clone()

    answer, entropy = probabilities_and_entropy(state.student, images, target)
    difference = functional.mse_loss(answer, target)
    loss = entropy + SQUARED_DIFFERENCE_WEIGHT * difference

    state.optimiser.param_groups[0]["lr"] = learning_rate_at(state.step, steps)
    state.optimiser.zero_grad()
    loss.backward()
    state.optimiser.step()
    with torch.no_grad():
        update_average(state.average, state.student, state.step, EMA_DECAY)

    return Differences(
        of_student=difference.item(),
        of_single_pass=functional.mse_loss(single_pass, target).item(),
    )


def print_means(step: int, differences: Sequence[Differences]) -> None:
    """Print the means of the differences since the last checkpoint."""
    rows = [(each.of_student, each.of_single_pass) for each in differences]
    print(f"step {step}: {np.mean(rows, axis=0).round(6)}", flush=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the arguments of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("card", choices=sorted(TASKS))
    add("--data", type=Path, required=True, help="the folder of the card's data set")
    out_help = "OUT/CARD gets distilled.safetensors"
    add("--out", type=Path, default=Path("runs"), help=out_help)
    add("--steps", type=int, default=700)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Distil a card's network."""
    chosen = parse(arguments)
    task = TASKS[chosen.card]
    recipe = calmer(task.recipe)
    folder = chosen.out / chosen.card

    examples = read_examples(task, chosen.data, MODELS[task.card]).train
    pool = ExamplePool(examples, shares=recipe.shares)
    teacher = load_model(chosen.card)
    state = start(chosen.card, folder)

    differences = []
    while state.step < chosen.steps:
        differences.append(train_one_step(state, teacher, pool, recipe, chosen.steps))
        state.step += 1
        if state.step % CHECKPOINT_EVERY == 0 or state.step == chosen.steps:
            print_means(state.step, differences)
            state.save(folder)
            differences = []


if __name__ == "__main__":
    main()
