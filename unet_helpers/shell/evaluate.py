"""``unet-helpers evaluate CARD --data DIR``: prints the scores of a network on a data set."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from .console import Command
from .options import FILE, CardType, trained_networks_below

# In place of a card: all of them, for the page about accuracy.
ALL = "all"


@click.command(
    cls=Command,
    short_help="Print the scores of a network on a data set.",
    epilog=trained_networks_below(),
)
@click.argument("card", type=CardType(), metavar="CARD")
@click.option(
    "--data",
    type=FILE,
    required=True,
    metavar="DIR",
    help="The folder of the data set; of 'all': that of all data sets, each in a folder of its "
    "network's name.",
)
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    metavar="PART",
    show_default=True,
    help="train, validation, test or all.",
)
@click.option(
    "--task", type=CardType(), metavar="CARD", help="Whose data set it is. Default: the network's."
)
@click.option(
    "--weights",
    type=FILE,
    metavar="FILE",
    help="A .safetensors file of the trainer, in place of the shipped weights.",
)
@click.option(
    "--write",
    type=FILE,
    default="docs/ACCURACY.md",
    metavar="FILE",
    show_default=True,
    help="Of 'all': the page.",
)
@click.pass_context
def command(
    ctx: click.Context,
    card: str,
    data: Path,
    part: str,
    task: str | None,
    weights: Path | None,
    write: Path,
) -> None:
    """Print the scores of a network on its data set.

    With 'all' in place of CARD, all networks are evaluated, and a page is written about them.
    """
    refuse_options_without_use(ctx, card)

    from ..networks.load import load_model
    from ..training.evaluate import evaluate, summary, write_accuracy_page

    if card == ALL:
        write_accuracy_page(data, write)
        return

    network = None if weights is None else load_model(weights)
    scores = evaluate(card, data, part, network, task)
    click.echo(summary(scores).round(4).to_string())


def refuse_options_without_use(ctx: click.Context, card: str) -> None:
    """Raise UsageError for an option that this use of the command does not read."""
    unused = ("part", "task", "weights") if card == ALL else ("write",)
    for name in unused:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} has no effect on 'evaluate {card}'.")
