"""The trainer, for the shipped weights: ``python -m unet_helpers train CARD --data DIR``.

Each step has its own seed, so that a run resumed from its checkpoint gives the same weights as one
without interruption.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..networks.cards import MODELS, ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet, network_of
from .examples import Example
from .fit import fit
from .recipes import Recipe, Task
from .tasks import TASKS, read_cases

# The kernels of the first layer, in a network's state dict.
FIRST_KERNEL = "encoder1.enc1conv1.weight"


@dataclass(frozen=True)
class ExamplesByPart:
    """The examples of a data set, without those of its test part."""

    train: list[Example]
    validation: list[Example]


def read_examples(
    task: Task, folder: Path, *, refit: bool = False, without: str | None = None
) -> ExamplesByPart:
    """Read the examples of a data set, never those of the test part.

    With ``refit`` the validation part is also used for training; the kind ``without`` is left out.
    """
    card = MODELS[task.card]
    by_part = ExamplesByPart(train=[], validation=[])

    for case in tqdm(read_cases(task.card, folder), desc="reading", mininterval=10):
        if case.part == "test" or case.kind == without:
            continue

        examples = [
            replace(example, kind=case.kind, group=case.group_or_name)
            for example in task.examples(card, case)
        ]
        if case.part == "validation":
            by_part.validation.extend(examples)
        else:
            by_part.train.extend(examples)

    if refit:
        return ExamplesByPart(train=by_part.train + by_part.validation, validation=[])
    return by_part


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the arguments of the command."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="unet-helpers train", description=summary)
    add = parser.add_argument
    add("card", choices=sorted(TASKS))
    add("--data", type=Path, required=True, help="the folder of the card's data set")
    out_help = "checkpoints go to OUT/CARD (default: runs)"
    add("--out", type=Path, default=Path("runs"), help=out_help)
    start_help = "begin with these weights (a file, or a card's name), not with random ones"
    add("--start", help=start_help)
    add("--steps", type=int, help="how many steps, where not as many as the recipe says")
    add("--rate", type=float, help="the highest learning rate, where not the recipe's")
    seed_help = "another order of images and augmentations than the recipe's"
    add("--seed", type=int, help=seed_help)
    refit_help = "learn from the validation part too, once all is chosen"
    add("--refit", action="store_true", help=refit_help)
    without_help = "leave out one kind of images (a camera, say), to test on it"
    add("--without", help=without_help)
    features_help = "channels at full resolution, where not the card's 16"
    add("--features", type=int, help=features_help)
    add("--half", action="store_true", help="bfloat16: faster on processors that have it")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(arguments)


def chosen_recipe(recipe: Recipe, chosen: argparse.Namespace) -> Recipe:
    """Return the recipe with the changes that the command line gives."""
    asked_for = {"steps": chosen.steps, "learning_rate": chosen.rate, "seed": chosen.seed}
    changes = {name: value for name, value in asked_for.items() if value is not None}
    return replace(recipe, **changes)


def starting_network(card: ModelCard, start: str | None, seed: int) -> UNet:
    """Return the network to start from: with random weights, or those of a file or a card.

    If these are for other classes, the last layer is new.
    """
    torch.manual_seed(seed)
    network = network_of(card)
    if start:
        start_from(network, load_model(start, trainable=True))
    return network


def start_from(network: UNet, loaded: UNet) -> None:
    """Copy the weights of a loaded network into ``network``, in place.

    A last layer for other classes is not copied. A network of colours starts from one that reads a
    single channel by reading its green.
    """
    tensors = loaded.state_dict()
    same_output = loaded.out_channels == network.out_channels
    if not same_output or loaded.overlapping != network.overlapping:
        tensors = {name: t for name, t in tensors.items() if not name.startswith("conv.")}
    if loaded.in_channels == 1 and network.in_channels == 3:
        kernel = tensors[FIRST_KERNEL]
        tensors[FIRST_KERNEL] = torch.cat((0 * kernel, kernel, 0 * kernel), dim=1)
    network.load_state_dict(tensors, strict=False)


def main(arguments: list[str] | None = None) -> None:
    """Train a card's network by its recipe."""
    chosen = parse(arguments)
    task = TASKS[chosen.card]
    recipe = chosen_recipe(task.recipe, chosen)

    card = MODELS[chosen.card]
    if chosen.features:
        card = replace(card, features=chosen.features)

    examples = read_examples(task, chosen.data, refit=chosen.refit, without=chosen.without)
    fit(
        starting_network(card, chosen.start, recipe.seed),
        examples.train,
        examples.validation,
        recipe,
        chosen.out / chosen.card,
        half=chosen.half,
        device=chosen.device,
    )
