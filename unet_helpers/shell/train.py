"""``unet-helpers train CARD --data DIR``: trains the weights of a shipped network again."""

from __future__ import annotations

import click

from .console import Command
from .passed_on import PASSED_ON, run_module


@click.command(
    cls=Command,
    short_help="Train the weights of a shipped network again.",
    context_settings=PASSED_ON,
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Train the weights of a shipped network again, on its data set."""
    return run_module("train", arguments)
