"""``unet-helpers export IMAGE... -f ENDING``: results for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import Command, Console
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
    cls=Command, short_help="Write results for QuPath, ImageJ and others.", epilog=networks_below()
)
@IMAGES
@click.option(
    "-f",
    "--format",
    "formats",
    multiple=True,
    required=True,
    metavar="ENDING",
    help="Ending of the file: .geojson (QuPath), .roi.zip (ImageJ), .seg.nrrd (3D Slicer) and "
    "others; may be given several times. A wrong one is answered with the list of all.",
)
@MODEL
@click.option(
    "-o",
    "--out",
    type=FILE,
    default="results",
    metavar="DIR",
    show_default=True,
    help="The folder for the files.",
)
@SETTINGS
@READING
@OVERWRITE
@VERBOSITY
@click.pass_obj
def command(
    console: Console,
    images: tuple[str, ...],
    formats: tuple[str, ...],
    model: str | None,
    out: Path,
    overwrite: bool,
    **settings: Any,
) -> int:
    """Segment images and write each result for another program."""
    from ..results.exports import ending_of

    formats = tuple(f".{ending.removeprefix('.')}" for ending in formats)
    # Before anything is computed.
    for ending in formats:
        ending_of(Path(f"name{ending}"))

    def write(result: Segmentation, stem: Path) -> Sequence[Path]:
        paths = [stem.with_name(f"{stem.name}{ending}") for ending in formats]
        return [result.export(path, overwrite=overwrite) for path in paths]

    return write_for_each(console, images, model, out, given(settings), write)
