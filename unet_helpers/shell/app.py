"""``unet-helpers COMMAND ...``: the group of all commands, and ``main``, which runs one.

To add a command, write a module of its name in this folder with a click command ``command``, and
add the name to ``COMMANDS``. The module is imported when the command is used or helped with; torch
and other heavy libraries are imported inside the function that needs them.
"""

from __future__ import annotations

import re
import sys
import traceback
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..errors import UNetHelpersError
from ..files import nearest_beside
from ..spelling import most_similar, question
from ..version import __version__
from .console import (
    EXIT_GOOD,
    EXIT_INTERRUPTED,
    EXIT_NOTHING_DONE,
    PROGRAM,
    Console,
)

# In the order in which help lists them.
COMMANDS = (
    "segment",
    "models",
    "suggest",
    "report",
    "export",
    "page",
    "large",
    "finetune",
    "train",
    "evaluate",
)

# The command that may be left out.
DEFAULT_COMMAND = "segment"

# Options of the program itself, before a command.
OWN_OPTIONS = ("-h", "--help", "--version")

# The word by which other programs show the help of a command.
HELP_WORD = "help"

EPILOG = """\
\b
Without a command, images are segmented:  unet-helpers photo.png -m lungs

\b
Exit status:
  0    all was done (or done before)
  1    some images failed (the others are saved) or, with --strict, had warnings
  2    nothing was done, or all work was broken off
  130  stopped by Ctrl-C

\b
Completion of words with the Tab key, for bash (zsh, fish: in place of both 'bash'):
  eval "$(_UNET_HELPERS_COMPLETE=bash_source unet-helpers)"
"""


class Commands(click.Group):
    """The commands, imported when they are used; the first word may also be an image."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f".{cmd_name}", __package__).command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the program's own options; other words than a command are for ``segment``."""
        if not args:
            args = ["--help"]
        if args[0] == HELP_WORD and not Path(HELP_WORD).exists():
            args = [*args[1:2], "--help"]
        if args[0] not in (*COMMANDS, *OWN_OPTIONS):
            if not ctx.resilient_parsing:
                refuse_misspelt_command(args[0])
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands and, because ``segment`` may be left out, files."""
        return [*super().shell_complete(ctx, incomplete), CompletionItem(incomplete, type="file")]


def refuse_misspelt_command(word: str) -> None:
    """Raise UNetHelpersError for a first word that is nearly a command, and not nearly a file."""
    similar = most_similar(word, COMMANDS)
    is_plain_word = re.fullmatch(r"[\w-]+", word) is not None
    if is_plain_word and similar and not Path(word).exists() and nearest_beside(Path(word)) is None:
        raise UNetHelpersError(
            f"{word}: there is no such file and no such command.{question(similar)} "
            f"The commands are {', '.join(COMMANDS)}; --help says more."
        )


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s")
def app() -> None:
    """Segment medical images with a pretrained U-Net. Research and teaching, not diagnosis."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line with ``arguments``, by default those of the shell; return its status."""
    console = Console()
    try:
        status = app.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=console)
        return status if isinstance(status, int) else EXIT_GOOD
    except UNetHelpersError as error:
        console.say(f"error: {error}")
        trace(console)
        return EXIT_NOTHING_DONE
    except click.ClickException as error:
        refuse(error)
        return EXIT_NOTHING_DONE
    except (KeyboardInterrupt, click.Abort):
        console.say("stopped: what is saved is kept, and the same command goes on from there.")
        return EXIT_INTERRUPTED
    except OSError as error:
        from ..images.read import describe

        console.say(f"error: {describe(error)}")
        trace(console)
        return EXIT_NOTHING_DONE


def trace(console: Console) -> None:
    """Print where in the code the error arose, with -v."""
    if console.is_verbose:
        traceback.print_exc()


def refuse(error: click.ClickException) -> None:
    """Say in one line what is wrong with the words of the command, and where its help is."""
    place = PROGRAM
    if isinstance(error, click.UsageError) and error.ctx is not None:
        place = error.ctx.command_path
    print(f"error: {error.format_message()} ({place} --help says more)", file=sys.stderr)
