"""The command line: ``python -m unet_helpers IMAGE... --out DIR``, or ``train`` or ``evaluate``."""

from __future__ import annotations

import argparse
import logging
import sys
from concurrent.futures import Executor
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import MODELS, ImageError, UNetHelpersError, __version__, read_image, segment_folder
from .checks.suggest import suggest
from .checks.view import View
from .inference.sources import find_images

if TYPE_CHECKING:
    import pandas as pd

# Subcommands: each is a module of ``training`` with its own ``main``.
COMMANDS = ("train", "evaluate")

# The meaning of each exit status is in EPILOG.
EXIT_GOOD = 0
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2

DESCRIPTION = (
    "Segment medical images with a pretrained U-Net. Research and teaching, not diagnosis."
)
EPILOG = """\
exit status: 0 all images segmented, 1 some failed (the others are saved) or, with --strict, had
warnings, 2 nothing was done, or all work was broken off. DIR/summary.csv tells of each image; the
same command on a folder or pattern goes on where it stopped.

other commands, each with its own --help: train, evaluate

models:
"""

logger = logging.getLogger("unet_helpers")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line with ``arguments``, by default those of the shell; return its status."""
    if arguments is None:
        arguments = sys.argv[1:]
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    try:
        if arguments and arguments[0] in COMMANDS:
            command = import_module(f".training.{arguments[0]}", __package__)
            command.main(arguments[1:])
            return EXIT_GOOD
        return segment_images(parse(arguments))
    except UNetHelpersError as error:
        logger.error("error: %s", error)
        return EXIT_NOTHING_DONE
    finally:
        logger.removeHandler(handler)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of the segmentation command.

    Options that are not given are missing from the namespace (``argparse.SUPPRESS``), so that the
    defaults of the card and of ``read_image`` apply.
    """
    parser = argparse.ArgumentParser(
        prog="python -m unet_helpers",
        description=DESCRIPTION,
        epilog=EPILOG + "\n".join(model_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument

    words = "file, folder (with all folders in it), pattern or web address"
    add("images", nargs="+", metavar="IMAGE", help=words)
    words = "of those below, or a .safetensors file; default: what fits the first image"
    add("--model", metavar="CARD", help=words)
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="default: results")

    add("--threshold", type=float, metavar="P", help="0 to 1; default: the card's own")
    words = "answers averaged: 1, 2, 4 or 8; default: the card's own"
    add("--flips", type=int, metavar="N", help=words)
    words = "working px per image px; default: found from the image"
    add("--zoom", type=float, metavar="Z", help=words)

    add("--channel", type=channel, metavar="C", help="from 0, or its name or colour")
    add("--frame", type=int, metavar="N", help="of a film or a DICOM file, from 0")
    add("--page", type=int, metavar="N", help="of a TIFF or GIF, from 0")
    add("--volume", type=int, metavar="N", help="of a 4D NIfTI file, from 0")
    words = "of a DICOM folder: UID, number or description; default: all, one by one"
    add("--series", metavar="S", help=words)
    words = "images of a DICOM series by an attribute, such as AcquisitionNumber=2"
    add("--select", metavar="NAME=VALUE", help=words)
    words = "mm per px, one number or one an axis: 0.5 or 3,0.9,0.9"
    add("--spacing", type=millimetres, metavar="MM", help=words)

    words = "replace earlier results"
    add("--overwrite", action="store_true", default=False, help=words)
    words = "exit status 1 where an image has a warning"
    add("--strict", action="store_true", default=False, help=words)
    words = "of a Dask cluster that does the work: tcp://HOST:8786"
    add("--scheduler", default=None, metavar="ADDRESS", help=words)
    words = "print the summary as JSON"
    add("--json", action="store_true", default=False, help=words)
    add("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


def model_lines() -> list[str]:
    """Return a line of help for each model."""
    return [f"  {card.name:22} {card.title.lower()} ({card.modality})" for card in MODELS.values()]


def channel(text: str) -> int | str:
    """Parse ``--channel``: an index, or the name or colour of a channel."""
    if text.isdecimal():
        return int(text)
    return text


def millimetres(text: str) -> float | tuple[float, ...]:
    """Parse ``--spacing`` in mm: one number for all axes, or one for each axis, with commas."""
    if "," in text:
        return tuple(float(number) for number in text.split(","))
    return float(text)


def segment_images(options: argparse.Namespace) -> int:
    """Segment all images, print the summary, and return the exit status."""
    settings = vars(options)
    images = settings.pop("images")
    is_strict = settings.pop("strict")
    as_json = settings.pop("json")
    scheduler = settings.pop("scheduler")

    if "model" not in settings:
        settings["model"] = suggested_model(images, settings)
    executor = None
    if scheduler is not None:
        executor = executor_at(scheduler)
    table = segment_folder(images, executor=executor, **settings)

    if as_json:
        print(table.to_json(orient="records", force_ascii=False, indent=2))
    else:
        print_summary(table, settings["out"] / "summary.csv")
    return exit_status(table, images, is_strict)


def suggested_model(images: list[str], settings: dict[str, Any]) -> str:
    """Return the network that fits the first readable image, and log that it was chosen.

    Raises ImageError if no image can be read, and ModelError if no network fits that image.
    """
    reader_options = signature(read_image).parameters
    reading = {name: value for name, value in settings.items() if name in reader_options}
    problem = ImageError(f"{', '.join(images)}: there is nothing in this folder.")
    for source in find_images(images, "series" in reading):
        try:
            image = read_image(source.image, **{**reading, **source.options})
            suggestion = suggest(View(image))
        except ImageError as error:
            # Try the next image. If none can be read, the last error is raised.
            problem = error
            continue
        logger.warning("%s: %s", source.image, suggestion.note)
        return suggestion.model
    raise problem


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


def exit_status(table: pd.DataFrame, images: list[str], is_strict: bool) -> int:
    """Compute the exit status from the summary: all, some or no images were segmented."""
    # A folder or pattern continues where it stopped, so earlier results count as good. Files that
    # were named one by one must be segmented by this call.
    named_one_by_one = all(Path(image).expanduser().is_file() for image in images)
    good_statuses = ["saved"]
    if not named_one_by_one:
        good_statuses.append("done before")

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
