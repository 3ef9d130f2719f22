"""``unet-helpers [segment] IMAGE... -o DIR``: segments images and saves the results."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from ..errors import UNetHelpersError
from .console import (
    EXIT_GOOD,
    EXIT_NOTHING_DONE,
    EXIT_SOME_FAILED,
    Command,
    Console,
    shown_path,
)
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

if TYPE_CHECKING:
    import pandas as pd

# Letters of an assessment in the table; summary.csv has all of it.
ASSESSMENT_WIDTH = 60

# Of more results than this, the files that were written are not listed one by one.
LISTED_RESULTS = 3

EPILOG = """\
\b
DIR then holds for each image: overlay (to look at), labels and objects (for programs), mask, table
(.csv) and a manifest (.json); summary.csv and summary.html tell of all images. The same command
goes on where it stopped.

"""


@click.command(
    cls=Command,
    short_help="Segment images (also where no command is named).",
    epilog=EPILOG + networks_below(),
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
    help="The folder for the results.",
)
@click.option(
    "-f",
    "--format",
    "formats",
    multiple=True,
    metavar="ENDING",
    help="An additional file for another program, such as .geojson, .roi.zip or .html (a page); "
    "may be given several times.",
)
@SETTINGS
@click.option(
    "--same-scale", is_flag=True, help="One zoom for all images, found from several of them."
)
@READING
@OVERWRITE
@click.option("--strict", is_flag=True, help="Exit status 1 where an image has a warning.")
@click.option(
    "--scheduler", metavar="ADDRESS", help="Of a Dask cluster that does the work: tcp://HOST:8786."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@VERBOSITY
@click.pass_obj
def command(
    console: Console,
    images: tuple[str, ...],
    model: str | None,
    out: Path,
    formats: tuple[str, ...],
    same_scale: bool,
    overwrite: bool,
    strict: bool,
    scheduler: str | None,
    as_json: bool,
    **settings: Any,
) -> int:
    """Segment images: files, folders (with all folders in them), patterns or web addresses."""
    from ..inference.batch import SUMMARY, run_folder

    executor = None
    if scheduler is not None:
        executor = executor_at(scheduler)

    table = run_folder(
        list(images),
        model,
        out,
        executor,
        overwrite=overwrite,
        same_scale=same_scale,
        formats=formats,
        tell=console.tell,
        **given(settings),
    )
    if console.is_quiet:
        say_doubts(table, console)
    if as_json:
        click.echo(table.to_json(orient="records", force_ascii=False, indent=2))
    elif not console.is_quiet:
        print_summary(table, out.expanduser() / SUMMARY)
        print_files(table, console)
    say_how(table, console)
    return exit_status(table, strict)


def executor_at(address: str) -> Executor:
    """Connect to the scheduler of a Dask cluster; raise UNetHelpersError if that fails."""
    try:
        from distributed import Client

        return Client(address, timeout="10s").get_executor()
    except (ImportError, OSError, ValueError) as error:
        advice = "It takes a scheduler at that address, and: pip install distributed"
        raise UNetHelpersError(f"--scheduler {address}: {error}. {advice}") from error


def say_doubts(table: pd.DataFrame, console: Console) -> None:
    """Say the warnings and errors of all images, which were not said before."""
    for row in table.to_dict("records"):
        if row["warnings"]:
            console.say(f"{row['input']}: {row['warnings']}")
        if row["error"]:
            console.say(f"error: {row['error']}")


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
    print(f"{words}; {shown_path(path)} says more.")


def number_of_texts(joined: str) -> int:
    """Count the texts in one cell of the summary, which joins them by ' | '."""
    if not joined:
        return 0
    return joined.count(" | ") + 1


def print_files(table: pd.DataFrame, console: Console) -> None:
    """Print the files of each result; with -v of all, else of a few results."""
    from ..results.output import files_of_result

    manifests = [Path(path) for path in table["result"] if path and Path(path).exists()]
    if len(manifests) > LISTED_RESULTS and not console.is_verbose:
        return
    for manifest in manifests:
        for path in files_of_result(manifest):
            print(shown_path(path))


def say_how(table: pd.DataFrame, console: Console) -> None:
    """Say with -v with which network and settings each image was segmented."""
    from ..results.request import read_manifest

    if not console.is_verbose:
        return
    names = ("model", "threshold", "zoom", "flips", "spacing_mm", "precision", "made")
    for manifest_path in filter(None, table["result"]):
        if Path(manifest_path).exists():
            manifest = read_manifest(Path(manifest_path))
            facts = ", ".join(f"{name} {manifest[name]}" for name in names if name in manifest)
            console.say(f"{manifest.get('input')}: {facts}")


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
