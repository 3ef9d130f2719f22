"""The work of ``report`` and ``export``: one file, or a few, for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UNetHelpersError
from .console import Console, shown_path
from .failures import Failures

if TYPE_CHECKING:
    from ..results.segmentation import Segmentation

# Writes a result to files whose names begin with a path, and returns those.
Writer = Callable[["Segmentation", Path], Sequence[Path]]


def write_for_each(
    console: Console,
    images: Sequence[str],
    model: str | None,
    out: Path,
    settings: dict[str, Any],
    write: Writer,
) -> int:
    """Segment each image, call ``write`` with where its files are to be, and print their paths.

    Equal names get folders of their own, as in ``segment_folder``. Returns the exit status.
    """
    from ..inference.batch import card_of
    from ..inference.settings import check_settings
    from ..inference.sources import assign_result_paths, find_images
    from ..networks.load import load_model
    from ..results.output import check_writable

    network = None if model is None else load_model(model)
    check_settings(card_of(network), **settings)
    found = find_images(list(images), "series" in settings)
    card = None if network is None else network.card.name
    sources = assign_result_paths(found, out.expanduser().absolute(), card)
    check_writable(out.expanduser())

    failures = Failures(console, len(sources))
    for source in sources:
        try:
            result = source.segmented(
                network, progress=not console.is_quiet, tell=console.tell, **settings
            )
            placed = source if network is not None else source.for_card(result.card.name)
            if console.is_quiet:
                for text in result.warnings:
                    console.say(f"{source.image}: {text}")
            for path in write(result, placed.result.with_suffix("")):
                click.echo(shown_path(path))
        except UNetHelpersError as error:
            failures.add(source, error)
    return failures.exit_status
