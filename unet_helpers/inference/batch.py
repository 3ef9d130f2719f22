"""Many images: in memory (``segment_many``) or from folder to folder (``segment_folder``).

Both run on any executor of ``concurrent.futures``, or on a cluster.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tqdm.auto import tqdm

from ..errors import ImageError, SaveError, UNetHelpersError
from ..files import written_whole
from ..images.formats import promises_image
from ..images.read import describe
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.output import output_path
from ..results.segmentation import Segmentation
from .executors import answers_of
from .folder_job import FIRST_COLUMNS, FolderJob, Row
from .same_scale import common_scale, scale_of_earlier
from .settings import check_settings
from .sources import Source, assign_result_paths, find_images

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "summary.csv"


def segment_many(
    source: Any,
    model: str | Path | ModelCard | UNet,
    executor: Executor | None = None,
    *,
    same_scale: bool = False,
    progress: bool = True,
    **options: Any,
) -> list[Segmentation]:
    """Segment many images with one network and keep all results in memory.

    Images that fail are reported and left out; the error of a single image is raised.
    ``segment_folder`` saves the results instead.

    Parameters
    ----------
    source : str, Path, array, MedicalImage or list
        A file, a folder (with its sub-folders), a pattern such as ``"scans/*.png"``, a web address,
        an image in memory, or a list of these.
    model : str, Path, ModelCard or UNet
        The network: a card's name, a card, a file of ``save_model`` or a network.
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
    network = load_model(model)
    check_settings(network.card, **options)
    if not sources:
        raise ImageError(f"{source}: there is nothing in this folder.")
    if same_scale:
        options |= common_scale(sources, network, options)

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
    model: str | Path | ModelCard | UNet,
    out: str | Path = "results",
    executor: Executor | None = None,
    *,
    same_scale: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Segment many images with one network and save each result as soon as it is computed.

    The folder ``out`` mirrors the sub-folders of the source, and its summary.csv has a row for each
    image, also for failures. Images whose result has a manifest (JSON) are skipped, so that the
    same call resumes one that was interrupted. An image whose result was made with other settings
    or from another file is not computed and its row says 'failed', unless ``overwrite``.

    Parameters
    ----------
    source : str, Path or list
        A file, a folder (with its sub-folders), a pattern such as ``"scans/*.png"``, a web address,
        or a list of these.
    model : str, Path, ModelCard or UNet
        The network: a card's name, a card, a file of ``save_model`` or a network. Workers of an
        executor load it once each, from a name or a file that they can read.
    out : str or Path
        The folder for the results; it is made if it does not exist.
    executor : concurrent.futures.Executor, optional
        Runs images side by side, for example Dask's ``Client(...).get_executor()``.
    same_scale : bool
        See all images at one zoom, found from several of them, instead of each at its own. Images
        that are added later are seen at the zoom of the earlier results.
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
    network = load_model(model)
    check_settings(network.card, **options)

    folder = Path(os.path.abspath(output_path(out)))
    images = find_images(source, "series" in options, skip=folder)
    sources = assign_result_paths(images, folder, network.card.name)
    if not sources:
        raise ImageError(f"{source}: there is nothing in this folder.")
    refuse_unfit_folder(folder, sources)

    # To stderr, because the command line prints its tables to stdout.
    tell: Callable[[str], object] = tell_nothing
    if progress:
        tell = partial(tqdm.write, file=sys.stderr)
    asked = requested_settings(network, options)
    if same_scale:
        asked["same_scale"] = True
        scale = None if overwrite else scale_of_earlier(sources, asked)
        if scale is None:
            scale = common_scale(sources, network, options)
        asked["scale"] = scale
        options |= scale

    job = FolderJob(
        model=network,
        options=options,
        asked=asked,
        overwrite=overwrite,
        tell=tell,
    )
    if executor is not None:
        # Each worker loads the network itself. Its notes and warnings come with its rows.
        job = replace(job, model=visible_everywhere(model), tell=None)

    # For tqdm, None means: show a bar only in terminals and notebooks, not in log files.
    is_hidden = None if progress else True
    answers = tqdm(
        answers_of(job.run, sources, executor),
        desc="images",
        total=len(sources),
        disable=is_hidden,
    )
    rows: dict[Source, Row] = {}
    try:
        for item, answer in answers:
            row = answer
            if isinstance(answer, Exception):
                row = row_of_error(item, answer)
            rows[item] = row
            tell_outcome(row, tell, has_told=executor is None)
    finally:
        # The summary is written even if the loop is interrupted.
        table = summary_of(sources, rows)
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / SUMMARY) as part:
            table.to_csv(part, index=False)
    return table


def tell_nothing(text: str) -> None:
    """Drop a message: nothing is printed without ``progress``."""


def refuse_unfit_folder(folder: Path, sources: list[Source]) -> None:
    """Raise SaveError for a file, a folder of images, or another program's summary."""
    # Results need a folder other than the images' folder, where they would be taken for images.
    if folder.is_file() or any(item.base == folder for item in sources):
        raise SaveError(
            f"{folder}: a file, or the folder of the images, which results are not. "
            "Choose another folder."
        )

    summary = folder / SUMMARY
    header = ",".join(FIRST_COLUMNS).encode()
    if summary.exists() and not summary.read_bytes().startswith(header + b","):
        raise SaveError(
            f"{summary} is another program's file: move it away first, or choose another folder."
        )


def requested_settings(network: UNet, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the SHA-256 of the weights and the options, in the types that JSON has."""
    # Unsaved weights get a random id, so that results made with them never match a later call.
    weights = network.weights_sha256 or uuid4().hex
    return json.loads(json.dumps({"weights": weights, **options}, default=float))


def visible_everywhere(model: str | Path | ModelCard | UNet) -> str | Path | ModelCard | UNet:
    """Make the path of a weights file absolute: a worker may have another working directory."""
    if str(model).endswith(".safetensors"):
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
            "--overwrite does it again"
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
