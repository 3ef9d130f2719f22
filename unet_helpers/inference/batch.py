"""Many images: in memory (``segment_many``) or from folder to folder (``segment_folder``).

Both run on any executor of ``concurrent.futures``, or on a cluster.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from ..errors import ImageError, SaveError, UNetHelpersError
from ..files import written_whole
from ..images.formats import promises_image
from ..images.read import describe
from ..networks.cards import MODELS, ModelCard
from ..networks.load import FOREIGN_ENDINGS, load_model
from ..networks.unet import UNet
from ..results.output import check_writable, output_path
from ..results.save import check_formats
from ..results.segmentation import Segmentation
from ..results.summary_page import refuse_other_page, write_summary_page
from .executors import answers_of
from .folder_job import FIRST_COLUMNS, FolderJob, Row, requested_settings
from .same_scale import common_scale, held_scale, known_network
from .settings import check_settings
from .sources import Source, assign_result_paths, find_images

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "summary.csv"

# The same as a page with thumbnails.
SUMMARY_PAGE = "summary.html"

# UTF-8 with a byte order mark, without which Excel takes it for the encoding of the country.
ENCODING = "utf-8-sig"


def segment_many(
    source: Any,
    model: str | Path | ModelCard | UNet | None = None,
    executor: Executor | None = None,
    *,
    same_scale: bool = False,
    progress: bool = True,
    **options: Any,
) -> list[Segmentation]:
    """Segment many images and keep all results in memory.

    Images that fail are reported and left out; the error of a single image is raised.
    ``segment_folder`` saves the results instead.

    Parameters
    ----------
    source : str, Path, array, MedicalImage or list
        A file, a folder (with its sub-folders), a pattern such as ``"scans/*.png"``, a web address,
        an image in memory, or a list of these.
    model : str, Path, ModelCard or UNet, optional
        The network: a card's name, a card, a file of ``save_model`` or a network. Without it each
        image gets the first network of ``suggest_model``, and a note names it.
    executor : concurrent.futures.Executor, optional
        Runs images side by side: processes or a cluster make many images faster; threads hardly do,
        because PyTorch uses all cores for one image already.
    same_scale : bool
        See all images at one zoom, found from several of them, instead of each at its own.
    progress : bool
        Show a bar.
    **options
        Those of ``segment``, such as ``threshold=0.4`` or ``channel="DAPI"``.

    Returns
    -------
    list of Segmentation
        In the order of the images.

    Raises
    ------
    ImageError
        The source is empty, or no image could be read.
    ModelError, DownloadError
        There is no such network, or it cannot be fetched.
    ArgumentError
        An option makes no sense.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> images = [uh.sample("fluorescence"), uh.read_image(uh.sample("fluorescence")).pixels]
    >>> results = uh.segment_many(images, "nuclei", progress=False)
    >>> [result.image.name for result in results]
    ['fluorescence', 'array']
    """
    sources = find_images(source, whole_folders="series" in options)
    network = None if model is None else load_model(model)
    check_settings(card_of(network), **options)
    if not sources:
        raise ImageError(f"{source}: there is nothing in this folder.")
    if same_scale:
        options |= common_scale(sources, known_network(network), options)

    is_alone = len(sources) == 1
    work = partial(Source.segmented, model=network, progress=progress and is_alone, **options)
    answers = tqdm(
        answers_of(work, sources, executor),
        desc="images",
        total=len(sources),
        disable=is_alone or not progress,
    )

    # An answer is a result, or the error that was raised for this image.
    results: dict[Source, Segmentation] = {}
    for item, answer in answers:
        if isinstance(answer, Segmentation):
            results[item] = answer
        elif is_alone or not isinstance(answer, UNetHelpersError):
            raise answer
        else:
            last_error = answer
            tqdm.write(f"left out: {answer}")
    if not results:
        raise last_error
    return [results[item] for item in sources if item in results]


def segment_folder(
    source: Any,
    model: str | Path | ModelCard | UNet | None = None,
    out: str | Path = "results",
    executor: Executor | None = None,
    *,
    same_scale: bool = False,
    formats: tuple[str, ...] = (),
    overwrite: bool = False,
    progress: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Segment many images and save each result as soon as it is computed.

    The folder ``out`` mirrors the sub-folders of the source, and its summary.csv has a row for each
    image, also for failures; summary.html shows the same with thumbnails, doubtful answers first.
    Images whose result has a manifest (JSON) are skipped, so that the same call resumes one that
    was interrupted. An image whose result was made with other settings or from another file is not
    computed and its row says 'failed', unless ``overwrite``.

    Parameters
    ----------
    source : str, Path or list
        A file, a folder (with its sub-folders), a pattern such as ``"scans/*.png"``, a web address,
        or a list of these.
    model : str, Path, ModelCard or UNet, optional
        The network: a card's name, a card, a file of ``save_model`` or a network. Workers of an
        executor load it once each, from a name or a file that they can read. Without it each image
        gets the first network of ``suggest_model``, and a note names it.
    out : str or Path
        The folder for the results; it is made if it does not exist.
    executor : concurrent.futures.Executor, optional
        Runs images side by side, for example Dask's ``Client(...).get_executor()``.
    same_scale : bool
        See all images at one zoom, found from several of them, instead of each at its own. Images
        that are added later are seen at the zoom of the earlier results.
    formats : tuple of str
        Endings of additional files of each result, as in ``Segmentation.save``.
    overwrite : bool
        Replace earlier results.
    progress : bool
        Show a bar, and print notes and warnings.
    **options
        Those of ``segment``, such as ``threshold=0.4`` or ``channel="DAPI"``.

    Returns
    -------
    pandas.DataFrame
        The summary: a row for each image, with its ``status`` ('saved', 'done before', 'failed',
        'left out' or 'not done'), measurements, notes, warnings and the path of its manifest.

    Raises
    ------
    ImageError
        There is no image, or one that is not a file.
    ModelError, DownloadError
        There is no such network, or it cannot be fetched.
    ArgumentError
        An option makes no sense.
    SaveError
        Nothing can be saved in ``out``, or its summary.csv is another program's.
    UNetHelpersError
        The executor ended too early. Results that were saved are kept.

    Examples
    --------
    >>> import tempfile
    >>> import unet_helpers as uh
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = uh.segment_folder(uh.sample("fluorescence"), "nuclei", folder, progress=False)
    ...     again = uh.segment_folder(uh.sample("fluorescence"), "nuclei", folder, progress=False)
    >>> list(first["status"]), list(again["status"])
    (['saved'], ['done before'])
    """
    # To stderr, because the command line prints its tables to stdout.
    tell = partial(tqdm.write, file=sys.stderr) if progress else None
    return run_folder(
        source,
        model,
        out,
        executor,
        overwrite=overwrite,
        same_scale=same_scale,
        formats=formats,
        tell=tell,
        **options,
    )


def run_folder(
    source: Any,
    model: str | Path | ModelCard | UNet | None,
    out: str | Path,
    executor: Executor | None,
    *,
    overwrite: bool,
    same_scale: bool,
    formats: tuple[str, ...],
    tell: Callable[[str], object] | None,
    **options: Any,
) -> pd.DataFrame:
    """Do what ``segment_folder`` does; ``tell`` is called with each message; None: quietly."""
    check_formats(formats)
    network = None if model is None else load_model(model)
    check_settings(card_of(network), **options)

    folder = Path(os.path.abspath(output_path(out)))
    images = find_images(source, "series" in options, skip=folder)
    card = None if network is None else network.card.name
    sources = assign_result_paths(images, folder, card)
    if not sources:
        raise ImageError(f"{source}: there is nothing in this folder.")
    refuse_unfit_folder(folder, sources)

    asked = None if network is None else requested_settings(network, options)
    if same_scale:
        shared = known_network(network)
        held = held_scale(sources, shared, options, overwrite)
        asked = {**requested_settings(shared, options), **held.asked}
        options |= held.scale

    job = FolderJob(
        model=network,
        options=options,
        asked=asked,
        overwrite=overwrite,
        tell=tell,
        formats=formats,
    )
    if executor is not None:
        # Each worker loads the network itself. Its notes and warnings come with its rows.
        job = replace(job, model=visible_everywhere(model), tell=None)
    return run_job(job, sources, folder, executor, tell)


def run_job(
    job: FolderJob,
    sources: list[Source],
    folder: Path,
    executor: Executor | None,
    tell: Callable[[str], object] | None,
) -> pd.DataFrame:
    """Do the job for each image, and write the summary into the folder, also if interrupted."""
    # For tqdm, None means: show a bar only in terminals and notebooks, not in log files.
    is_hidden = True if tell is None else None
    answers = tqdm(
        answers_of(job.run, sources, executor),
        desc="images",
        total=len(sources),
        disable=is_hidden,
    )
    rows: dict[Source, Row] = {}
    try:
        for source, answer in answers:
            row = answer
            if isinstance(answer, Exception):
                row = row_of_error(source, answer)
            rows[source] = row
            if tell is not None:
                tell_outcome(row, tell, has_told=executor is None)
    finally:
        table = summary_of(sources, rows)
        write_summary(table, folder / SUMMARY)
        write_summary_page(table, folder / SUMMARY_PAGE)
    return table


def card_of(network: UNet | None) -> ModelCard:
    """Return the network's card; any card if it is chosen for each image, to check options."""
    if network is None:
        return next(iter(MODELS.values()))
    return network.card


def write_summary(table: pd.DataFrame, path: Path) -> None:
    """Write summary.csv, with the mark of UTF-8 by which Excel knows it; SaveError if it fails."""
    try:
        with written_whole(path) as part:
            table.to_csv(part, index=False, encoding=ENCODING)
    except OSError as error:
        raise SaveError(
            f"{path}: could not be written ({error.strerror or error}), the results beside it are "
            "saved. Is it open in another program?"
        ) from error


def refuse_unfit_folder(folder: Path, sources: list[Source]) -> None:
    """Raise SaveError for a folder that results cannot be in, before anything is computed.

    That is a file, the folder of the images, a folder that cannot be written, or one in which
    summary.csv is another program's.
    """
    # Results need a folder other than the images' folder, where they would be taken for images.
    if folder.is_file() or any(item.base == folder for item in sources):
        raise SaveError(
            f"{folder}: a file, or the folder of the images, which results are not. "
            "Choose another folder."
        )

    check_writable(folder)
    refuse_other_page(folder / SUMMARY_PAGE)
    summary = folder / SUMMARY
    header = ",".join(FIRST_COLUMNS)
    if summary.exists():
        text = summary.read_bytes().decode(ENCODING, "replace")
        if not text.startswith(f"{header},"):
            raise SaveError(
                f"{summary} is another program's file: move it away first, or choose another "
                "folder."
            )


def visible_everywhere(
    model: str | Path | ModelCard | UNet | None,
) -> str | Path | ModelCard | UNet | None:
    """Make the path of a weights file absolute: a worker may have another working directory."""
    if str(model).endswith((".safetensors", *FOREIGN_ENDINGS)):
        return os.path.abspath(Path(str(model)).expanduser())
    return model


def row_of_error(source: Source, error: Exception) -> Row:
    """Return the row of an image that could not be segmented.

    Its status is 'failed', or 'left out' for a file that was found in a folder and does not have
    the extension of an image.
    """
    words = f"{source.image}: {describe(error)}"
    if isinstance(error, UNetHelpersError):
        words = str(error)

    was_found = source.base is not None and not source.options
    if was_found and not promises_image(source.image):
        return Row(source, "left out", error=words)
    return Row(source, "failed", error=words)


def tell_outcome(row: Row, tell: Callable[[str], object], has_told: bool) -> None:
    """Print an image's messages and status; ``has_told``: its notes and warnings were printed."""
    image = row.source.image
    for name in ("notes", "warnings", "explanation"):
        texts = row.texts(name)
        if texts and (name == "explanation" or not has_told):
            tell(f"{image}: {texts}")

    if row.status == "done before":
        result = row.source.result
        tell(
            f"done before: {image}: {result.parent} already holds {result.name}; "
            "overwrite=True does it again"
        )
    elif row.status == "failed":
        tell(f"error: {row.error}")
    elif row.status != "saved":
        tell(f"{row.status}: {row.error}")


def summary_of(sources: list[Source], rows: Mapping[Source, Row]) -> pd.DataFrame:
    """Return the summary, a row for each image; images without a row yet are 'not done'."""
    import pandas as pd

    complete = [rows.get(source, Row(source, "not done")) for source in sources]
    return pd.DataFrame([row.columns() for row in complete])
