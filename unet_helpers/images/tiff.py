"""Read TIFFs of scanners and microscopes, with the axes and spacing of ImageJ and OME."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import ImageError
from .axes import StoredPixels, arrange
from .image import MedicalImage
from .limits import refuse_if_huge
from .nuclear_stains import Channel
from .options import ReadOptions
from .pillow import read_raster
from .tiff_channels import channels_of
from .tiff_colours import as_measured, samples_are_colours
from .tiff_metadata import ome_image, ome_root, tiff_spacing
from .tiff_series import Level, opened, pick_level, refuse_if_cut_off, stored_bytes

if TYPE_CHECKING:
    import tifffile

Metadata = TypeVar("Metadata")


def read_tiff(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'YX', 'ZYX', 'TYX' or 'TZYX', with a last 'C' if the samples are colours."""
    with opened(path) as (tif, complaints):
        level = pick_level(path, tif, options)
        stored_size = stored_bytes(path, level.pages)
        refuse_if_huge(path, level.pages.shape, level.pages.nbytes, stored_size)
        refuse_if_cut_off(path, level.pages, complaints)

        try:
            pixels = level.pages.asarray()
        except (ValueError, ModuleNotFoundError) as error:
            # tifffile raises ModuleNotFoundError for zstd, which Python only has since 3.14.
            if isinstance(error, ValueError) and "imagecodecs" not in str(error):
                raise
            return read_without_codecs(path, level.pages, error)
        stored = stored_pixels(pixels, level, tif)
    return arrange(stored, options, path)


def read_without_codecs(
    path: Path, series: tifffile.TiffPageSeries, error: Exception
) -> MedicalImage:
    """Read a single 8-bit page with Pillow, which decodes LZW and JPEG; else raise ImageError."""
    first = series.keyframe
    if len(series.pages) == 1 and first.dtype == np.uint8:
        return read_raster(path, ReadOptions())
    compression = getattr(first.compression, "name", "this")
    raise ImageError(
        f"{path}: {compression} compression needs one more package: pip install imagecodecs"
    ) from error


def stored_pixels(pixels: Any, level: Level, tif: tifffile.TiffFile) -> StoredPixels:
    """Combine pixels, in memory or a dask array, with what the file says of this very image.

    Metadata that cannot be read become a note, because the pixels may be good nevertheless.
    """
    doubts: list[str] = []

    def attempt(read: Callable[[], Metadata], otherwise: Metadata, words: str) -> Metadata:
        try:
            return read()
        # Invalid metadata raise errors of many kinds.
        except Exception as error:
            doubts.append(f"{words} cannot be read ({type(error).__name__}): ignored")
            return otherwise

    root = attempt(lambda: ome_root(tif), None, "its OME metadata")
    if root is not None and not tif.is_ome:
        doubts.append("its OME metadata do not fit its pages, which are read without them")
    ome = attempt(lambda: ome_image(root, tif, level.number), None, "its OME metadata")
    no_channels: tuple[Channel, ...] = ()
    channels = attempt(
        lambda: channels_of(tif, ome, level.finest), no_channels, "the names of its channels"
    )
    no_spacing: dict[str, float] = {}
    spacing = attempt(
        lambda: tiff_spacing(tif, ome, level.finest.keyframe), no_spacing, "its spacing"
    )

    for axis, step in zip("YX", level.position.step, strict=True):
        if axis in spacing:
            spacing[axis] *= step
    stored = StoredPixels(
        pixels=pixels,
        axes=level.pages.axes,
        spacing=spacing,
        in_colour=samples_are_colours(level.pages.keyframe),
        channels=channels,
        notes=(*level.notes, *doubts),
        position=level.position,
    )
    return as_measured(stored, level.pages.keyframe, by_imagej=tif.is_imagej)


def write_ome_tiff(image: MedicalImage, values: Any, path: Path, **options: Any) -> Path:
    """Write values with the axes and the spacing of ``image``.

    ``values`` is an array of the image's spatial shape. It may also be an iterator over tiles; then
    ``options``, which are passed to tifffile, contain the shape, dtype and tile size.
    """
    import tifffile

    axes = image.spatial_axes
    metadata: dict[str, Any] = {"axes": axes}
    for axis, step in zip(axes.lstrip("T"), image.spacing or ()):
        metadata[f"PhysicalSize{axis}"] = step
        metadata[f"PhysicalSize{axis}Unit"] = "mm"
    tifffile.imwrite(
        path,
        values,
        ome=True,
        photometric="minisblack",
        metadata=metadata,
        compression="zlib",
        **options,
    )
    return path
