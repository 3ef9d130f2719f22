"""Segments images larger than memory: predicted tile by tile, objects found block by block.

What is found once for the whole image, such as its scale, is found in a window of it, see
``large_window``.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ..errors import ArgumentError
from ..images.channels import with_channel_for
from ..images.image import MedicalImage
from ..images.lazy import open_lazily
from ..images.tiff import write_ome_tiff
from ..networks.cards import ModelCard
from ..networks.engine import forget_compiled
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.export_outlines import ObjectType
from ..results.output import made_aside, output_path, result_name
from ..results.request import request_record
from ..results.save import settings
from ..results.segmentation import Segmentation
from .large_earlier import earlier_table, sha256_of_input
from .large_objects import find_objects_by_blocks
from .large_outlines import write_large_geojson
from .large_surroundings import InsideFrame, background_around
from .large_window import LargeImage, Plan, open_window, plan_by_window, prepare_on_disk
from .object_size import check_physical_size
from .settings import check_settings
from .tiles import background_answer, predict

# px: side of the chunks in which arrays are stored on disk.
CHUNK = 512

# Working px: side of the tiles that the network sees. They are smaller than for images in memory,
# because the probabilities are read from and written to disk.
TILE = 768

# Endings of files that are written if asked for, and what their objects are in QuPath.
LARGE_FORMATS: dict[str, ObjectType] = {
    ".geojson": "detection",
    ".annotations.geojson": "annotation",
}


def segment_large(
    source: str | Path,
    model: str | Path | ModelCard | UNet,
    out: str | Path = "results",
    *,
    level: int = 0,
    region: tuple[int, int, int, int] | None = None,
    channel: int | str | None = None,
    frame: int | None = None,
    page: int | None = None,
    series: str | int | None = None,
    spacing: float | tuple[float, ...] | None = None,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    diameter: float | str | None = None,
    formats: tuple[str, ...] = (),
    overwrite: bool = False,
    progress: bool = True,
    tell: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """Segment an image on disk that may be larger than memory.

    Labels (uint8) and ids of the objects (int32) are written to the folder ``out`` as tiled
    OME-TIFF, the table as CSV, and a manifest as JSON; all of them or none. During the computation
    the folder holds additional data, about 4 bytes per class and px. A result that was made with
    the same settings is not made again: its table is read.

    Parameters
    ----------
    source : str or Path
        A TIFF in tiles or uncompressed (BigTIFF, OME-TIFF, a slide) or a Zarr store.
    model : str, Path, ModelCard or UNet
        The network: a card's name, a card, a file of ``save_model`` or a network. Networks that
        need to see an image as a whole are refused.
    out : str or Path
        The folder for the results; it is made if it does not exist.
    level : int
        The resolution of a pyramid; 0 is the finest.
    region : tuple of 4 int, optional
        (top, left, height, width) in px of that level; the whole image by default.
    channel : int or str, optional
        The index, from 0, or the name of the channel to segment.
    frame : int, optional
        The index of a point in time; the first by default.
    page : int, optional
        The index of a slice of a stack; the first by default.
    series : str or int, optional
        The index or name of one of several images: a scene, a position, a well.
    spacing : float or tuple of float, optional
        mm per px, one number or (along rows, along columns), instead of the file's.
    threshold : float, optional
        Pixels of this probability, 0 to 1, or more are foreground; the card's by default.
    flips : int, optional
        The number of turned and mirrored copies to average: 1, 2, 4 or 8; the card's by default.
    zoom : float, optional
        Working px per image px; by default found in the window of highest contrast.
    diameter : float or str, optional
        Width of a typical object, which sets the zoom instead: a number is px of the level; a text
        is a length with its unit, such as ``"8 µm"``.
    formats : tuple of str
        '.geojson' also writes the outlines of the objects with their measurements as detections
        for QuPath, '.annotations.geojson' as annotations.
    overwrite : bool
        Replace an earlier result, which is one that has a manifest.
    progress : bool
        Show a bar.
    tell : callable, optional
        Called with each note and warning, a string, before the network runs.

    Returns
    -------
    pandas.DataFrame
        A row for each object; areas and centroids are in px of the region, and in physical units
        if the spacing is known. Intensities of all channels of the file are measured.

    Raises
    ------
    ImageError
        The image cannot be read, or has no such level, region or channel.
    ModelError, DownloadError
        There is no such network, or it cannot be fetched.
    ArgumentError
        A setting makes no sense, or the network needs to see an image as a whole.
    SaveError
        There is a result with other settings or of another file already, and ``overwrite`` is
        False; or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import tifffile
    >>> import unet_helpers as uh
    >>> pixels = uh.read_image(uh.sample("fluorescence")).pixels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imwrite(f"{folder}/slide.tif", pixels, tile=(256, 256))
    ...     table = uh.segment_large(
    ...         f"{folder}/slide.tif", "nuclei", f"{folder}/results", progress=False
    ...     )
    >>> list(table.columns)[:3]
    ['object', 'area_px', 'diameter_px']
    """
    network = load_model(model)
    card = network.card
    choices = check_settings(card, threshold, flips, zoom, diameter)
    refuse_if_seen_whole(card)
    refuse_other_formats(formats)

    stored = open_lazily(
        source, level, region, channel, spacing, frame=frame, page=page, series=series
    )
    options = {
        "level": level,
        "region": region,
        "channel": channel,
        "frame": frame,
        "page": page,
        "series": series,
    }
    others = {"spacing": spacing, "zoom": zoom, "diameter": diameter, "formats": formats or None}
    asked = request_record(
        network.weights_sha256, choices.threshold, choices.flips, {**options, **others}
    )
    folder = output_path(out)
    name = result_name(stored.name, card.name)
    if not overwrite:
        earlier = earlier_table(folder / name, asked, stored)
        if earlier is not None:
            if tell is not None:
                tell(f"done before: {stored.path}: {folder} already holds {name}.json")
            return earlier

    large = open_window(with_channel_for(stored, card.modality), network)
    plan = plan_by_window(large.window, network, choices)
    if tell is not None:
        window = plan.blank.image
        for words in (*window.notes, *plan.blank.warnings):
            tell(f"{window.path}: {words}")

    with made_aside(folder / f"{name}.json", folder, overwrite) as aside:
        table = predict_and_write(network, large, plan, aside / name, formats, progress)
        manifest = {
            **settings(with_checked_sizes(plan.blank, table)),
            **options,
            "objects": len(table),
            "input_sha256": sha256_of_input(stored),
            "asked": asked,
        }
        (aside / f"{name}.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return table


def predict_and_write(
    network: UNet,
    large: LargeImage,
    plan: Plan,
    stem: Path,
    formats: tuple[str, ...],
    progress: bool,
) -> pd.DataFrame:
    """Predict an image, write all files of the result but the manifest, and return the table.

    The names of the files begin with ``stem``. What is computed on the way lies in a folder beside
    them, which is deleted.
    """
    blank = plan.blank
    prepared = prepare_on_disk(large, network.card, plan.shape)
    with TemporaryDirectory(dir=stem.parent) as scratch:
        extent = large.cleaned.pixels.shape[:2]
        answer = on_disk(scratch, "float32", (network.out_channels, *extent))
        labels = on_disk(scratch, "uint8", extent)
        objects = on_disk(scratch, "int32", extent)

        inside: Any = InsideFrame(answer, large.cleaned.box)
        predict(network, prepared, inside, blank.flips, progress=progress, tile=TILE)
        background = background_answer(network)[: network.out_channels]
        background_around(answer, large.cleaned.box, background)
        forget_compiled(network)

        numbers, table = find_objects_by_blocks(blank, answer, labels, objects, large.channels)

        # Labels are written as they are: each one is replaced by itself.
        unchanged = np.arange(256, dtype=np.uint8)
        write_tiles(blank.image, labels, unchanged, with_ending(stem, "_labels.ome.tif"))
        write_tiles(blank.image, objects, numbers, with_ending(stem, "_objects.ome.tif"))
        for ending in formats:
            path = with_ending(stem, ending)
            write_large_geojson(blank, objects, numbers, table, path, LARGE_FORMATS[ending])

    table.to_csv(with_ending(stem, "_measurements.csv"), index=False)
    return table


def with_ending(stem: Path, ending: str) -> Path:
    """Return the path of a file of the result, whose name may itself have dots."""
    return stem.with_name(f"{stem.name}{ending}")


def with_checked_sizes(blank: Segmentation, table: pd.DataFrame) -> Segmentation:
    """Return a result with a doubt if the typical object in its table cannot have its size."""
    spacing = blank.image.spacing
    if spacing is None or not len(table):
        return blank
    diameter = float(table["diameter_px"].median())
    doubts = check_physical_size(blank.card, diameter, spacing)
    return replace(blank, warnings=(*blank.warnings, *doubts))


def refuse_if_seen_whole(card: ModelCard) -> None:
    """Raise ArgumentError for a card whose network cannot see an image in tiles."""
    preprocessing = card.preprocessing
    in_tiles = preprocessing.scale in ("native", "objects")
    reads_several_slices = preprocessing.context or preprocessing.reads_volumes
    seen_whole = not in_tiles or reads_several_slices or card.min_component_share
    if seen_whole or card.overlapping:
        raise ArgumentError(
            f"{card.name} has to see an image as a whole: give segment a coarser level of it."
        )


def refuse_other_formats(formats: tuple[str, ...]) -> None:
    """Raise ArgumentError for an ending that is not among ``LARGE_FORMATS``."""
    for ending in formats:
        if ending not in LARGE_FORMATS:
            listed = ", ".join(LARGE_FORMATS)
            raise ArgumentError(f"There is no format {ending!r} of large images: only {listed}.")


def on_disk(folder: str, kind: str, shape: tuple[int, ...]) -> Any:
    """Make a Zarr array of zeros, ([K,] H, W), in a folder; ``kind`` is its name and data type."""
    import zarr

    return zarr.create_array(
        os.path.join(folder, kind),
        shape=shape,
        dtype=kind,
        chunks=(*shape[:-2], CHUNK, CHUNK),
    )


def write_tiles(window: MedicalImage, array: Any, numbers: np.ndarray, path: Path) -> None:
    """Write a Zarr array (H, W) of ids as tiled OME-TIFF, with ``numbers[id]`` for each id."""
    import dask.array

    blocks = dask.array.from_zarr(array).blocks.ravel()
    tiles = (numbers[np.asarray(block)] for block in blocks)
    write_ome_tiff(
        replace(window, axes="YX"),
        tiles,
        path,
        shape=array.shape,
        dtype=numbers.dtype,
        tile=(CHUNK, CHUNK),
        bigtiff=True,
    )
