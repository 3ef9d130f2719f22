"""``unet-helpers evaluate CARD --data DIR``: prints the scores of a network on a data set."""

from __future__ import annotations

import click

from .console import Command
from .passed_on import PASSED_ON, run_module


@click.command(
    cls=Command,
    short_help="Print the scores of a network on a data set.",
    context_settings=PASSED_ON,
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Print the scores of a network on the test part of its data set."""
    return run_module("evaluate", arguments)
