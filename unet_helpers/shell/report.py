"""``unet-helpers report IMAGE...``: a page for each image that works without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import Command, Console, shown_path
from .options import (
    FILE,
    IMAGES,
    MODEL,
    OVERWRITE,
    READING,
    SETTINGS,
    VERBOSITY,
    given,
    networks_below,
)
from .writing import write_for_each

if TYPE_CHECKING:
    from ..results.segmentation import Segmentation


@click.command(
    cls=Command,
    short_help="Write a page with a live threshold for each image.",
    epilog=networks_below(),
)
@IMAGES
@MODEL
@click.option(
    "-o",
    "--out",
    type=FILE,
    default="results",
    metavar="DIR",
    show_default=True,
    help="The folder for the pages; of several pages, index.html links to all.",
)
@SETTINGS
@READING
@OVERWRITE
@VERBOSITY
@click.pass_obj
def command(
    console: Console,
    images: tuple[str, ...],
    model: str | None,
    out: Path,
    overwrite: bool,
    **settings: Any,
) -> int:
    """Segment images and write one HTML page for each, with a live threshold and the table."""
    pages: list[Path] = []

    def write(result: Segmentation, stem: Path) -> Sequence[Path]:
        page = result.report(stem.with_name(f"{stem.name}.html"), overwrite=overwrite)
        pages.append(page)
        return [page]

    status = write_for_each(console, images, model, out, given(settings), write)

    folder = out.expanduser().absolute()
    if len(pages) > 1 and all(page.parent == folder for page in pages):
        from ..results.report import report_index

        click.echo(shown_path(report_index(folder)))
    return status
