"""``unet-helpers train CARD --data DIR``: trains the weights of a shipped network again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .console import Command
from .options import FILE, CardType, trained_networks_below


@click.command(
    cls=Command,
    short_help="Train the weights of a shipped network again.",
    epilog=trained_networks_below(),
)
@click.argument("card", type=CardType(), metavar="CARD")
@click.option(
    "--data", type=FILE, required=True, metavar="DIR", help="The folder of the network's data set."
)
@click.option(
    "-o",
    "--out",
    type=FILE,
    default="runs",
    metavar="DIR",
    show_default=True,
    help="Weights and checkpoints go to DIR/CARD.",
)
@click.option(
    "--start",
    type=CardType(),
    metavar="CARD",
    help="Begin with the weights of a network, or a .safetensors file. Default: random weights.",
)
@click.option("--steps", type=int, metavar="N", help="Default: as many as the recipe says.")
@click.option(
    "--rate", type=float, metavar="R", help="The highest learning rate. Default: the recipe's."
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="Of the order of images and of augmentation. Default: the recipe's.",
)
@click.option("--refit", is_flag=True, help="Learn from the validation part, too.")
@click.option(
    "--without", metavar="KIND", help="Leave out one kind of images, such as a camera, to test it."
)
@click.option(
    "--features",
    type=int,
    metavar="N",
    help="Channels at full resolution. Default: the network's own, 16.",
)
@click.option("--volumes", is_flag=True, help="A 3D U-Net, which reads volumes as a whole.")
@click.option("--half", is_flag=True, help="bfloat16: faster on processors that have it.")
@click.option("--device", metavar="NAME", help="cpu or cuda. Default: cuda if there is one.")
def command(card: str, data: Path, out: Path, **choices: Any) -> None:
    """Train the weights of a shipped network again, on its data set.

    If it was stopped, the same command goes on from its last checkpoint.
    """
    from ..training.train import Choices, train

    train(card, data, out, Choices(**choices))
