"""What the commands say to a person: on stderr, in the words of the shell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .words import in_shell_words

PROGRAM = "unet-helpers"

# The meaning of each exit status is in the help of ``app.py`` and in docs/start/shell.md.
EXIT_GOOD = 0
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2

# 128 + 2, the number of the signal of Ctrl-C, as shells report it.
EXIT_INTERRUPTED = 130


@dataclass
class Console:
    """Says things on stderr, because tables and paths go to stdout."""

    # The options of the command, as Python names them.
    names: Sequence[str] = ()

    # -q: only warnings and errors; -v: also how each answer was made, and where an error came from.
    is_quiet: bool = False
    is_verbose: bool = False

    def say(self, text: str) -> None:
        """Print a text on stderr, between the lines of a progress bar."""
        from tqdm import tqdm

        tqdm.write(in_shell_words(text, self.names), file=sys.stderr)

    def print(self, text: str) -> None:
        """Print a table or what was written on stdout, unless with -q."""
        if not self.is_quiet:
            click.echo(text)

    @property
    def tell(self) -> Callable[[str], object] | None:
        """Called with each note and warning of an image; None with -q."""
        return None if self.is_quiet else self.say


class Command(click.Command):
    """A command that tells the console its options, for messages in the words of the shell."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        options = [option for option in self.params if isinstance(option, click.Option)]
        console_of(ctx).names = [str(option.name) for option in options]
        return super().invoke(ctx)


def console_of(ctx: click.Context) -> Console:
    """Return the console of the running command."""
    return ctx.ensure_object(Console)


def shown_path(path: Path) -> str:
    """Return a path as a person types it: relative to the current folder where it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
