"""The trainer, for the shipped weights: ``python -m unet_helpers train CARD --data DIR``.

Seeded step by step, so that a run that was killed goes on from its checkpoint to the same end.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..networks.cards import MODELS
from ..networks.load import load_model
from ..networks.unet import UNet
from .fit import fit
from .recipes import Example, Task
from .tasks import TASKS, read_cases


def examples_of(
    task: Task, folder: Path, refit: bool, without: str | None
) -> tuple[list[Example], list[Example]]:
    """(training, validation) examples; nothing of the test part, nor of the kind ``without``."""
    card, parts = MODELS[task.card], {"train": list[Example](), "validation": list[Example]()}
    for case in tqdm(read_cases(task.card, folder), desc="reading", mininterval=10):
        if case.part != "test" and case.kind != without:
            found = task.examples(card, case)
            parts[case.part] += (
                replace(e, kind=case.kind, group=case.group or case.name) for e in found
            )
    return (
        (parts["train"] + parts["validation"], [])
        if refit
        else (parts["train"], parts["validation"])
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="unet-helpers train", description=__doc__.split("\n")[0])
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of the card's data set"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="checkpoints go to OUT/CARD (default: runs)"
    )
    parser.add_argument(
        "--start", help="begin with these weights (a .safetensors file), not with random ones"
    )
    parser.add_argument(
        "--steps", type=int, help="how many steps, where not as many as the recipe says"
    )
    parser.add_argument(
        "--rate", type=float, help="the highest learning rate, where not the recipe's"
    )
    parser.add_argument(
        "--seed", type=int, help="another order of images and augmentations than the recipe's"
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="learn from the validation part too, once all is chosen",
    )
    parser.add_argument(
        "--without", help="leave out one kind of images (a camera, say), to test on it"
    )
    parser.add_argument(
        "--features", type=int, help="channels at full resolution, where not the card's 16"
    )
    parser.add_argument(
        "--half", action="store_true", help="bfloat16: faster on processors that have it"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args(arguments)
    task, card = TASKS[chosen.card], MODELS[chosen.card]
    card = replace(card, features=chosen.features or card.features)
    asked = {"steps": chosen.steps, "learning_rate": chosen.rate, "seed": chosen.seed}
    recipe = replace(
        task.recipe, **{name: value for name, value in asked.items() if value is not None}
    )
    train, validation = examples_of(task, chosen.data, chosen.refit, chosen.without)
    torch.manual_seed(recipe.seed)
    new = UNet(card.in_channels, card.out_channels, card.features, card.depth)
    model = load_model(chosen.start, trainable=True) if chosen.start else new
    model.card = card
    fit(
        model,
        train,
        validation,
        recipe,
        chosen.out / chosen.card,
        half=chosen.half,
        device=chosen.device,
    )
