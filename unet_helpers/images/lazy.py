"""Open TIFFs and Zarr stores that may be larger than memory, to read them piece by piece."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from .axes import StoredPixels, arrange
from .geometry import with_spacing
from .image import MedicalImage, Position
from .options import ReadOptions
from .read import expanded, format_of_path, reading_errors
from .tiff import read_tiff, stored_pixels
from .tiff_series import Level, opened, pick_level, refuse_if_cut_off
from .zarr_stores import level_of, pick_image

if TYPE_CHECKING:
    import dask.array
    import tifffile
    import zarr

# The most values in a chunk of a store: a chunk is decoded as a whole, in memory.
LARGEST_CHUNK = 2**27

# px: side of the pieces in which a file that is mapped to memory is read.
MAPPED_CHUNK = 1024


def open_lazily(
    source: str | os.PathLike[str],
    level: int = 0,
    region: tuple[int, int, int, int] | None = None,
    channel: int | str | None = None,
    spacing: float | Sequence[float] | None = None,
    *,
    frame: int | None = None,
    page: int | None = None,
    series: str | int | None = None,
) -> MedicalImage:
    """Open 'YX' or 'YXC' of a TIFF or Zarr store as a dask array, which reads only what is used.

    ``level`` 0 is the finest; ``region`` is (top, left, height, width) in px of that level. The
    other options are those of ``read_image``; the first frame and page are taken by default.
    Raises ImageError, also later, when pixels are read.
    """
    path = expanded(source)
    options = ReadOptions(channel=channel, frame=frame, page=page, level=level, series=series)
    with reading_errors(path):
        if path.is_dir():
            stored = pixels_of_store(path, options)
        else:
            stored = pixels_of_tiff(path, options)
        image = arrange(stored, options, path, one_plane=True)
        image = cut(image, region)
    return with_spacing(image, spacing)


def pixels_of_tiff(path: Path, options: ReadOptions) -> StoredPixels:
    """Open one resolution of an image in a TIFF."""
    if format_of_path(path).read is not read_tiff:
        raise ImageError(f"{path}: neither a TIFF nor a Zarr store. Give it to segment.")

    with opened(path) as (tif, complaints):
        level = pick_level(path, tif, options)
        refuse_if_cut_off(path, level.pages, complaints)
        pixels = mapped_or_in_pieces(path, level, tif, options.level or 0)
        return stored_pixels(pixels, level, tif)


def mapped_or_in_pieces(
    path: Path, level: Level, tif: tifffile.TiffFile, number: int
) -> dask.array.Array:
    """Open the pixels in the pieces in which they are stored, or map those of huge strips."""
    import tifffile
    import zarr

    without_ome: Any = {} if tif.is_ome else {"is_ome": False}
    store = tifffile.imread(path, aszarr=True, series=level.number, level=number, **without_ome)
    array: Any = zarr.open(store, mode="r")
    if np.prod(array.chunks) > LARGEST_CHUNK:
        mapped = mapped_pages(level.pages)
        if mapped is not None:
            return mapped
    return in_pieces(array, path)


def in_pieces(array: zarr.Array, path: Path) -> dask.array.Array:
    """Open a Zarr array, whose chunks are read one by one."""
    import dask.array

    if np.prod(array.chunks) > LARGEST_CHUNK:
        raise ImageError(f"{path}: is stored in pieces of {array.chunks} values. Save it in tiles.")
    # Pixels are read after this function has returned; the errors are converted then, too.
    return dask.array.from_array(
        array, array.chunks, name=False, getitem=reading_errors(path)(getitem)
    )


def mapped_pages(pages: tifffile.TiffPageSeries) -> dask.array.Array | None:
    """Map uncompressed pages to memory, of which only what is used is read; None if impossible."""
    import dask.array

    first = pages.keyframe
    if not first.is_memmappable:
        return None
    values = np.dtype(first.dtype).newbyteorder(first.parent.byteorder)
    if pages.dataoffset is not None:
        file = first.parent.filehandle.path
        whole = np.memmap(file, values, "r", pages.dataoffset, tuple(pages.shape))
        return dask.array.from_array(whole, chunks_of(whole.shape), name=False)

    mapped = []
    for page in pages.pages:
        if page is None or not page.is_contiguous:
            return None
        file = page.parent.filehandle.path
        one = np.memmap(file, values, "r", page.dataoffsets[0], tuple(first.shape))
        mapped.append(dask.array.from_array(one, chunks_of(one.shape), name=False))
    return dask.array.stack(mapped).reshape(pages.shape)


def chunks_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the pieces in which mapped pixels of a shape are read."""
    return tuple(min(length, MAPPED_CHUNK) for length in shape)


def pixels_of_store(path: Path, options: ReadOptions) -> StoredPixels:
    """Open one resolution of an image in a Zarr store, which is a folder."""
    stored = level_of(pick_image(path, options), path, options.level)
    return replace(stored, pixels=in_pieces(stored.pixels, path))


def cut(image: MedicalImage, region: tuple[int, int, int, int] | None) -> MedicalImage:
    """Cut (top, left, height, width), in px, out of an image; the result has native byte order."""
    rows, columns = image.pixels.shape[:2]
    top, left, height, width = region or (0, 0, rows, columns)
    is_inside = min(top, left, height, width) >= 0 and (height and width)
    if not is_inside or top + height > rows or left + width > columns:
        raise ImageError(
            f"{image.path}: is {rows} × {columns} px, "
            f"there is no (top, left, height, width) {region}."
        )

    native = image.pixels.dtype.newbyteorder("=")
    box = (slice(top, top + height), slice(left, left + width))
    pixels: Any = image.pixels[box].astype(native)
    all_channels: Any = image.all_channels
    if all_channels is not None:
        all_channels = all_channels[(slice(None), *box)].astype(native)
    step = image.position.step
    return replace(
        image,
        pixels=pixels,
        all_channels=all_channels,
        position=Position(step=step, start=(top * step[0], left * step[1])),
    )
