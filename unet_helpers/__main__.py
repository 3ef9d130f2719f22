"""The command line: ``unet-helpers [segment] IMAGE... --out DIR``, and other commands."""

from __future__ import annotations

import argparse
import logging
import sys
from concurrent.futures import Executor
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from . import MODELS, UNetHelpersError, __version__
from .images.read import describe
from .inference.batch import run_folder
from .shell_words import ShellWords, in_shell_words, option_names

if TYPE_CHECKING:
    import pandas as pd

# Commands whose module of ``training`` has its own ``main``.
TRAINING_COMMANDS = ("train", "evaluate")

# The command whose module is in ``web``.
PAGE_COMMAND = "page"

# The command that may be left out.
DEFAULT_COMMAND = "segment"

COMMANDS = (DEFAULT_COMMAND, "models", *TRAINING_COMMANDS, PAGE_COMMAND)

# The meaning of each exit status is in EPILOG.
EXIT_GOOD = 0
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2

# 128 + 2, the number of the signal of Ctrl-C, as shells report it.
EXIT_INTERRUPTED = 130

PROGRAM = "unet-helpers"

# Letters of an assessment in the table; summary.csv has all of it.
ASSESSMENT_WIDTH = 60

DESCRIPTION = (
    "Segment medical images with a pretrained U-Net. Research and teaching, not diagnosis."
)
EPILOG = """\
exit status: 0 all images segmented (or done before), 1 some failed (the others are saved) or, with
--strict, had warnings, 2 nothing was done, or all work was broken off, 130 stopped by Ctrl-C.
DIR/summary.csv tells of each image; the same command goes on where it stopped.

commands, each with its own --help: segment (if none is named), models, train, evaluate,
page

models:
"""

logger = logging.getLogger("unet_helpers")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line with ``arguments``, by default those of the shell; return its status."""
    if arguments is None:
        arguments = sys.argv[1:]
    parser = segment_parser()
    names = option_names(parser)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShellWords(names))
    logger.addHandler(handler)
    try:
        return run_command(arguments, parser)
    except UNetHelpersError as error:
        logger.error("error: %s", error)
        return EXIT_NOTHING_DONE
    except KeyboardInterrupt:
        logger.error("stopped: what is saved is kept, and the same command goes on from there.")
        return EXIT_INTERRUPTED
    except OSError as error:
        logger.error("error: %s", describe(error))
        return EXIT_NOTHING_DONE
    finally:
        logger.removeHandler(handler)


def run_command(arguments: list[str], parser: argparse.ArgumentParser) -> int:
    """Run the command that the first argument names; return its status."""
    command = arguments[0] if arguments else DEFAULT_COMMAND
    if command in TRAINING_COMMANDS:
        module = import_module(f".training.{command}", __package__)
        module.main(arguments[1:])
        return EXIT_GOOD
    if command == PAGE_COMMAND:
        import_module(".web.command", __package__).main(arguments[1:])
        return EXIT_GOOD
    if command == "models":
        return print_models(arguments[1:])
    if command == DEFAULT_COMMAND:
        arguments = arguments[1:]
    else:
        refuse_misspelt_command(command)
    return segment_images(parser.parse_args(arguments), option_names(parser))


def refuse_misspelt_command(word: str) -> None:
    """Raise UNetHelpersError for a first word that is no file, but nearly a command."""
    near = get_close_matches(word, COMMANDS, n=1)
    is_plain_word = word.isalpha()
    if is_plain_word and near and not Path(word).exists():
        raise UNetHelpersError(
            f"{word}: there is no such file and no such command. Did you mean {near[0]}? "
            f"The commands are {', '.join(COMMANDS)}; --help says more."
        )


def print_models(arguments: list[str]) -> int:
    """Print a line for each network; return the status."""
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} models", description="List the pretrained networks."
    )
    parser.parse_args(arguments)
    print("\n".join(model_lines()))
    return EXIT_GOOD


def segment_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments of the segmentation command.

    Options that are not given are missing from the namespace (``argparse.SUPPRESS``), so that the
    defaults of the card and of ``read_image`` apply.
    """
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} [segment]",
        description=DESCRIPTION,
        epilog=EPILOG + "\n".join(model_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument

    words = "file, folder (with all folders in it), pattern or web address"
    add("images", nargs="+", metavar="IMAGE", help=words)
    words = "of those below, or a .safetensors file; default: for each image what fits it"
    add("--model", metavar="CARD", help=words)
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="default: results")

    add("--threshold", type=float, metavar="P", help="0 to 1; default: the card's own")
    words = "answers averaged: 1, 2, 4 or 8; default: the card's own"
    add("--flips", type=int, metavar="N", help=words)
    words = "working px per image px; default: found from the image"
    add("--zoom", type=float, metavar="Z", help=words)
    words = "width of a typical object, instead of the zoom: px of the image, or '8 µm'"
    add("--diameter", type=diameter, metavar="D", help=words)
    words = "one zoom for all images, found from several of them"
    add("--same-scale", action="store_true", default=False, help=words)

    add("--channel", type=channel, metavar="C", help="from 0, or its name or colour")
    add("--frame", type=int, metavar="N", help="of a film or a DICOM file, from 0")
    add("--page", type=int, metavar="N", help="of a TIFF or GIF, from 0")
    add("--level", type=int, metavar="N", help="of an image pyramid, from 0, the finest")
    add("--volume", type=int, metavar="N", help="of a 4D NIfTI file, from 0")
    words = "of a DICOM folder: UID, number or description; default: all, one by one"
    add("--series", metavar="S", help=words)
    words = "images of a DICOM series by an attribute, such as AcquisitionNumber=2"
    add("--select", metavar="NAME=VALUE", help=words)
    words = "mm per px, one number or one an axis: 0.5 or 3,0.9,0.9"
    add("--spacing", type=millimetres, metavar="MM", help=words)

    words = "replace earlier results of other settings"
    add("--overwrite", action="store_true", default=False, help=words)
    words = "exit status 1 where an image has a warning"
    add("--strict", action="store_true", default=False, help=words)
    words = "of a Dask cluster that does the work: tcp://HOST:8786"
    add("--scheduler", default=None, metavar="ADDRESS", help=words)
    words = "print the summary as JSON"
    add("--json", action="store_true", default=False, help=words)
    add("--version", action="version", version=__version__)
    return parser


def model_lines() -> list[str]:
    """Return a line of help for each model."""
    return [f"  {card.name:22} {card.title.lower()} ({card.modality})" for card in MODELS.values()]


def channel(text: str) -> int | str:
    """Parse ``--channel``: an index, or the name or colour of a channel."""
    if text.isdecimal():
        return int(text)
    return text


def diameter(text: str) -> float | str:
    """Parse ``--diameter``: a number of px, or a length with its unit."""
    try:
        return float(text)
    except ValueError:
        return text


def millimetres(text: str) -> float | tuple[float, ...]:
    """Parse ``--spacing`` in mm: one number for all axes, or one for each axis, with commas."""
    if "," in text:
        return tuple(float(number) for number in text.split(","))
    return float(text)


def segment_images(options: argparse.Namespace, names: list[str]) -> int:
    """Segment all images, print the summary, and return the exit status.

    ``names`` are those of all options, for messages in the words of the shell.
    """
    settings = vars(options)
    images = settings.pop("images")
    is_strict = settings.pop("strict")
    as_json = settings.pop("json")
    scheduler = settings.pop("scheduler")
    model = settings.pop("model", None)
    executor = None
    if scheduler is not None:
        executor = executor_at(scheduler)

    def tell(text: str) -> None:
        # To stderr, because tables go to stdout.
        tqdm.write(in_shell_words(text, names), file=sys.stderr)

    table = run_folder(images, model, executor=executor, tell=tell, **settings)
    if as_json:
        rows = table.to_json(orient="records", force_ascii=False, indent=2)
        print(rows)
    else:
        print_summary(table, settings["out"] / "summary.csv")
    return exit_status(table, is_strict)


def executor_at(address: str) -> Executor:
    """Connect to the scheduler of a Dask cluster; raise UNetHelpersError if that fails."""
    try:
        from distributed import Client

        return Client(address, timeout="10s").get_executor()
    except (ImportError, OSError, ValueError) as error:
        advice = "It takes a scheduler at that address, and: pip install distributed"
        raise UNetHelpersError(f"--scheduler {address}: {error}. {advice}") from error


def print_summary(table: pd.DataFrame, path: Path) -> None:
    """Print a line for each image with its number of warnings, and the count of each status."""
    shown = table.drop(columns=["notes", "explanation", "error", "result"])
    shown["assessment"] = [shorten(text, ASSESSMENT_WIDTH) for text in table["assessment"]]
    shown = shown.drop(columns="expected Dice", errors="ignore")
    shown["warnings"] = [number_of_texts(texts) for texts in table["warnings"]]
    is_used = (shown != "").any()
    print(shown.loc[:, is_used].to_string(index=False, na_rep=""))

    counts = table["status"].value_counts()
    words = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{words}; {path} says more.")


def number_of_texts(joined: str) -> int:
    """Count the texts in one cell of the summary, which joins them by ' | '."""
    if not joined:
        return 0
    return joined.count(" | ") + 1


def exit_status(table: pd.DataFrame, is_strict: bool) -> int:
    """Compute the exit status from the summary: all, some or no images were segmented."""
    good_statuses = ["saved", "done before"]
    is_good = table["status"].isin(good_statuses)
    has_failed = ~is_good & (table["status"] != "left out")
    if not is_good.any():
        return EXIT_NOTHING_DONE
    if has_failed.any():
        return EXIT_SOME_FAILED
    if is_strict and (table["warnings"] != "").any():
        return EXIT_SOME_FAILED
    return EXIT_GOOD


if __name__ == "__main__":
    sys.exit(main())
