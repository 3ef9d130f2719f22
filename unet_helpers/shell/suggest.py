"""``unet-helpers suggest IMAGE...``: which networks fit an image."""

from __future__ import annotations

from typing import Any

import click

from ..errors import UNetHelpersError
from .console import Command, Console
from .failures import Failures
from .options import IMAGES, READING, VERBOSITY, given


@click.command(cls=Command, short_help="Print which networks fit an image.")
@IMAGES
@READING
@VERBOSITY
@click.pass_obj
def command(console: Console, images: tuple[str, ...], **settings: Any) -> int:
    """Print the networks that fit each image, the nearest first, and by what they were found.

    Nothing is segmented. 'none' means that no network knows images like this one.
    """
    from ..checks.suggest import fitting_networks
    from ..checks.view import View
    from ..inference.sources import find_images

    reading = given(settings)
    sources = find_images(list(images), "series" in reading)
    failures = Failures(console, len(sources))
    for source in sources:
        try:
            view = View(source.read(reading))
        except UNetHelpersError as error:
            failures.add(source, error)
            continue

        fitting = fitting_networks(view)
        words = "none"
        if fitting.cards:
            words = f"{', '.join(fitting.cards)}  ({fitting.reason})"
        click.echo(f"{source.image}: {words}")
    return failures.exit_status
