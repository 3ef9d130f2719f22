"""``unet-helpers finetune IMAGES MASKS``: trains a network on a person's own images."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click

from ..errors import SaveError
from .console import PROGRAM, Command, Console, shown_path
from .options import FILE, OVERWRITE, VERBOSITY, CardType, given, networks_below


@click.command(
    cls=Command, short_help="Train a network on your own structure.", epilog=networks_below()
)
@click.argument("images", type=FILE)
@click.argument("masks", type=FILE)
@click.option(
    "-m",
    "--model",
    type=CardType(),
    default="nuclei",
    metavar="CARD",
    show_default=True,
    help="The network to start from: one that knows images like these.",
)
@click.option(
    "-o",
    "--out",
    type=FILE,
    default="fine_tuned.safetensors",
    metavar="FILE",
    show_default=True,
    help="The file for the new network.",
)
@click.option(
    "--classes",
    metavar="NAMES",
    help="Names of what the masks mark, with commas: 'cell' or 'core,rim'. "
    "Default: the task of the network goes on.",
)
@click.option("--size", type=int, metavar="PX", help="Side to which images are resized.")
@click.option("--minutes", type=float, metavar="M", help="Train for about this long.")
@click.option(
    "--steps",
    type=int,
    metavar="N",
    help="Train for exactly so many steps. Default: until the Dice has settled.",
)
@click.option("--name", metavar="NAME", help="Of the new network. Default: that of the file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all random choices.")
@OVERWRITE
@VERBOSITY
@click.pass_obj
def command(
    console: Console,
    images: Path,
    masks: Path,
    model: str,
    out: Path,
    classes: str | None,
    name: str | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Train a network on your own structure: a folder IMAGES, and a folder MASKS of their names.

    Masks are 0 for background and 1, 2, ... for the classes. A few images and some minutes are
    often enough. Keep some images aside to test the network with.
    """
    out = out.expanduser()
    if out.suffix != ".safetensors":
        raise click.UsageError(f"{out}: the name of a network's file ends in .safetensors.")
    if out.exists() and not overwrite:
        raise SaveError(f"{shown_path(out)} is there already: pass overwrite=True or another name.")

    from ..results.output import check_writable
    from ..training.finetune import fine_tune

    check_writable(out.absolute().parent)
    names = None
    if classes is not None:
        names = [word.strip() for word in classes.split(",")]
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", UserWarning)
        network = fine_tune(
            model,
            images,
            masks,
            classes=names,
            name=name or out.stem,
            save_to=out,
            **given(settings),
        )
    for doubt in doubts:
        console.say(f"warning: {doubt.message}")

    last = network.curve.iloc[-1]
    console.print(
        f"{shown_path(out)}: trained for {int(last['step'])} steps, Dice on its own images "
        f"{last['Dice']:.2f}."
    )
    console.print(f"Use it:  {PROGRAM} IMAGE -m {shown_path(out)}")
