"""``unet-helpers large IMAGE -m CARD``: an image on disk that is larger than memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .console import Command, Console, shown_path
from .options import (
    FILE,
    MODEL,
    OVERWRITE,
    READING_OF_PLANES,
    SETTINGS,
    VERBOSITY,
    given,
    networks_below,
)


def four_numbers(text: str) -> tuple[int, int, int, int]:
    """Parse ``--region``: top, left, height and width in px, with commas."""
    try:
        top, left, height, width = (int(number) for number in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not TOP,LEFT,HEIGHT,WIDTH in px") from error
    return top, left, height, width


@click.command(
    cls=Command, short_help="Segment a slide that is larger than memory.", epilog=networks_below()
)
@click.argument("image", type=click.Path())
@MODEL
@click.option(
    "-o",
    "--out",
    type=FILE,
    default="results",
    metavar="DIR",
    show_default=True,
    help="The folder for the results.",
)
@click.option(
    "--region",
    type=four_numbers,
    metavar="T,L,H,W",
    help="Top, left, height and width in px of the level. Default: the whole image.",
)
@click.option(
    "-f",
    "--format",
    "formats",
    multiple=True,
    metavar="ENDING",
    help="An additional file: .geojson or .annotations.geojson (QuPath).",
)
@SETTINGS
@READING_OF_PLANES
@OVERWRITE
@VERBOSITY
@click.pass_obj
def command(
    console: Console,
    image: str,
    model: str | None,
    out: Path,
    region: tuple[int, int, int, int] | None,
    formats: tuple[str, ...],
    overwrite: bool,
    **settings: Any,
) -> None:
    """Segment a slide or another image on disk that may be larger than memory, tile by tile."""
    if model is None:
        raise click.UsageError(
            "Name the network with -m: an image of this size is not read to suggest one."
        )
    from ..images.image import name_of
    from ..inference.large import segment_large
    from ..networks.load import load_model
    from ..results.output import files_of_result, result_name

    table = segment_large(
        image,
        model,
        out,
        region=region,
        formats=formats,
        overwrite=overwrite,
        progress=not console.is_quiet,
        tell=console.tell,
        **given(settings),
    )
    console.print(f"{len(table):,} objects")
    name = result_name(name_of(Path(image)), load_model(model).card.name)
    for path in files_of_result(out.expanduser() / f"{name}.json"):
        console.print(shown_path(path))
