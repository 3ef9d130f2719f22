"""``unet-helpers page CARD``: a network in one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Command, shown_path
from .options import FILE, VERBOSITY, CardType


@click.command(cls=Command, short_help="Write a network as one HTML file, to use without Python.")
@click.argument("card", type=CardType(), metavar="CARD")
@click.option("-o", "--out", type=FILE, metavar="FILE", help="Default: CARD.html.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier file.")
@VERBOSITY
def command(card: str, out: Path | None, overwrite: bool) -> None:
    """Write a network that reads single images as one HTML file that works by double click."""
    from ..networks.load import load_model
    from ..web.page import page

    network = load_model(card, engine="torch")
    path = page(network, out or f"{network.card.name}.html", overwrite=overwrite)
    click.echo(shown_path(path))
