"""Open TIFFs and Zarr stores that may be larger than memory, to read them piece by piece."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from . import tiff
from .channels import channel_index
from .geometry import with_spacing
from .image import MedicalImage
from .lengths import millimetres
from .options import index_of
from .read import expanded, reading_errors
from .tiff_metadata import channel_names, ome_image, tiff_spacing

if TYPE_CHECKING:
    import dask.array
    import zarr

# The most values in a chunk of a store: a chunk is decoded as a whole, in memory.
LARGEST_CHUNK = 2**27

# Photometric interpretations that are refused, because their pixels would have to be converted.
UNREAD_PHOTOMETRICS = ("MINISWHITE", "PALETTE")

# The last axis holds samples of a pixel if it has one of these lengths: grey with alpha, RGB, RGBA.
COLOUR_SAMPLES = (2, 3, 4)

# The oldest version of OME-NGFF whose scales are read. A store without a version counts as this.
OLDEST_NGFF = "0.4"


@dataclass(frozen=True)
class StoredLevel:
    """One resolution of a TIFF or Zarr store, whose pixels are not yet read."""

    values: zarr.Array

    # Distance between rows and between columns, in mm; None if unknown.
    spacing: tuple[float, float] | None

    channel_names: tuple[str, ...]
    notes: tuple[str, ...]


def open_lazily(
    source: str | os.PathLike[str],
    level: int = 0,
    region: tuple[int, int, int, int] | None = None,
    channel: int | str | None = None,
    spacing: float | Sequence[float] | None = None,
) -> MedicalImage:
    """Open 'YX' or 'YXC' of a TIFF or Zarr store as a dask array, which reads only what is used.

    ``level`` 0 is the finest; ``region`` is (top, left, height, width) in px of that level;
    ``channel`` is an OME channel's name, or an index over all axes other than Y, X and colour.
    Raises ImageError, also later, when pixels are read.
    """
    path = expanded(source)
    with reading_errors(path):
        import dask.array

        stored = level_of_store(path, level) if path.is_dir() else level_of_tiff(path, level)
        values = stored.values
        if np.prod(values.chunks) > LARGEST_CHUNK:
            raise ImageError(
                f"{path}: is stored in pieces of {values.chunks} values. Save it in tiles."
            )
        # Pixels are read after this function has returned; the errors are converted then, too.
        pixels = dask.array.from_array(
            values, values.chunks, name=False, getitem=reading_errors(path)(getitem)
        )
        is_colour = pixels.shape[-1] in COLOUR_SAMPLES
        axes = "YXC" if is_colour else "YX"
        pixels, notes = one_channel(pixels, len(axes), channel, stored.channel_names, path)
        pixels = cut(pixels, region, path)
    # A dask array behaves like a NumPy array, although its type is another.
    lazy_pixels: Any = pixels
    image = MedicalImage(
        pixels=lazy_pixels,
        axes=axes,
        spacing=stored.spacing,
        path=path,
        notes=(*stored.notes, *notes),
    )
    return with_spacing(image, spacing)


def level_of_tiff(path: Path, number: int) -> StoredLevel:
    """Open one resolution of the largest image in a TIFF."""
    import tifffile
    import zarr

    with tiff.logged_complaints() as complaints, tifffile.TiffFile(path) as tif:
        level = tiff.pick_level(path, tif, number)
        tiff.refuse_if_cut_off(path, level.pages, complaints)
        if tiff.photometric_of(level.pages.keyframe) in UNREAD_PHOTOMETRICS:
            raise ImageError(f"{path}: stores white as 0, or a palette. Save it as grey or RGB.")
        ome = ome_image(tif)
        names = channel_names(tif, ome)
        steps = tiff_spacing(tif, ome, tif.series[level.number].levels[0].keyframe)

    spacing = None
    if "Y" in steps and "X" in steps:
        spacing = (steps["Y"] * level.downsampling, steps["X"] * level.downsampling)
    store = tifffile.imread(path, aszarr=True, series=level.number)
    arrays = arrays_of(zarr.open(store, mode="r"))
    name = name_of_level(arrays, number, path)
    return StoredLevel(arrays[name], spacing, names, level.notes)


def level_of_store(path: Path, number: int) -> StoredLevel:
    """Open one resolution of a Zarr store, which is a folder."""
    import zarr

    node = zarr.open(path, mode="r")
    arrays = arrays_of(node)
    name = name_of_level(arrays, number, path)
    notes: tuple[str, ...] = ()
    if len(arrays) > 1:
        listed = ", ".join(arrays)
        notes = (f"took the array {name!r} of {listed}; choose another one with level=",)
    names, spacing = ome_zarr(dict(node.attrs), name)
    return StoredLevel(arrays[name], spacing, names, notes)


def arrays_of(node: zarr.Group | zarr.Array) -> dict[str, zarr.Array]:
    """Return the arrays of a group, sorted by name; a single array gets the name ''."""
    import zarr

    if isinstance(node, zarr.Group):
        return dict(sorted(node.arrays()))
    return {"": node}


def name_of_level(arrays: dict[str, zarr.Array], number: int, path: Path) -> str:
    """Return the name of the array of a level: the arrays' order is that of the levels."""
    index = index_of(path, "level", number, len(arrays))
    return list(arrays)[index]


def one_channel(
    pixels: dask.array.Array,
    kept_dimensions: int,
    channel: int | str | None,
    names: tuple[str, ...],
    path: Path,
) -> tuple[dask.array.Array, list[str]]:
    """Take one channel: an index over all axes before the last ``kept_dimensions`` together.

    Also returns notes.
    """
    outer_shape = pixels.shape[: pixels.ndim - kept_dimensions]
    count = int(np.prod(outer_shape))
    if len(names) != count or not all(names):
        names = ()
    index = channel_index(channel, count, names, path)

    notes = []
    if count > 1:
        title = f"{index} ({names[index]})" if names else str(index)
        notes.append(f"took channel {title} of {count}; choose another one with channel=")
    return pixels[np.unravel_index(index, outer_shape)], notes


def cut(
    pixels: dask.array.Array, region: tuple[int, int, int, int] | None, path: Path
) -> dask.array.Array:
    """Cut (top, left, height, width), in px, out of an image; the result has native byte order."""
    rows, columns = pixels.shape[:2]
    top, left, height, width = region or (0, 0, rows, columns)
    native = pixels.dtype.newbyteorder("=")
    pixels = pixels[top : top + height, left : left + width].astype(native)
    if pixels.shape[:2] != (height, width):
        raise ImageError(
            f"{path}: is {rows} × {columns} px, there is no (top, left, height, width) {region}."
        )
    return pixels


def ome_zarr(attributes: dict, name: str) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Read the channels' names and the spacing (rows, columns) in mm of OME-NGFF 0.4 and 0.5.

    ``attributes`` are those of the store, ``name`` is that of the array with the spacing.
    """
    # Version 0.5 puts the metadata under the key 'ome'.
    metadata = attributes.get("ome", attributes)
    channels = metadata.get("omero", {}).get("channels", ())
    names = tuple(str(channel.get("label", "")) for channel in channels)

    for image in metadata.get("multiscales", ()):
        spacing = spacing_of_scale(image, name)
        if spacing is not None:
            return names, spacing
    return names, None


def spacing_of_scale(image: dict, name: str) -> tuple[float, float] | None:
    """Return the spacing (rows, columns) in mm of an array of a multiscale image, or None."""
    is_old = image.get("version", OLDEST_NGFF) < OLDEST_NGFF
    if is_old:
        return None
    units = [millimetres(axis.get("unit", "")) for axis in image["axes"]]
    row_unit, column_unit = units[-2:]
    scales = {
        dataset["path"]: dataset["coordinateTransformations"][0]["scale"]
        for dataset in image["datasets"]
    }

    # Transformations of all levels together are rare and not supported.
    has_further_transformation = "coordinateTransformations" in image
    if has_further_transformation or name not in scales or not row_unit or not column_unit:
        return None
    row_step, column_step = scales[name][-2:]
    return row_step * row_unit, column_step * column_unit
