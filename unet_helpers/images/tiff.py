"""Read TIFFs of scanners and microscopes, with the axes and spacing of ImageJ and OME."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from .image import MedicalImage
from .limits import refuse_if_huge, too_many_values
from .options import ReadOptions, index_of
from .pillow import read_raster
from .tiff_axes import TiffPixels, arrange
from .tiff_metadata import channel_names, ome_image, tiff_spacing

if TYPE_CHECKING:
    import tifffile

# Photometric interpretations whose samples are colours.
COLOUR_PHOTOMETRICS = ("RGB", "YCBCR", "PALETTE", "CIELAB", "SEPARATED")

# Kinds of extra samples that are alpha. A file with alpha is in colour, or grey with alpha.
ALPHA_SAMPLES = ("ASSOCALPHA", "UNASSALPHA")

# Values of the tag Orientation (TIFF 6.0, tag 274) by what turns the image upright: to exchange
# rows and columns, then to reverse the order of the rows, then that of the columns.
TRANSPOSED = (5, 6, 7, 8)
ROWS_FLIPPED = (3, 4, 7, 8)
COLUMNS_FLIPPED = (2, 3, 6, 7)

# Size of a TIFF's header. Invalid offsets up to this come from sloppy writers, not from a file that
# is cut off.
HEADER_BYTES = 8


@dataclass(frozen=True)
class Level:
    """One resolution of one of the images in a TIFF."""

    pages: tifffile.TiffPageSeries

    # The index of the image among those of the file.
    number: int

    # Width of the finest level / width of this level.
    downsampling: float

    notes: tuple[str, ...]


def read_tiff(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'YX', 'ZYX', 'TYX' or 'TZYX', with a last 'C' if the samples are colours."""
    import tifffile

    with logged_complaints() as complaints, tifffile.TiffFile(path) as tif:
        level = pick_level(path, tif, options.level)
        refuse_if_huge(path, level.pages.shape, level.pages.nbytes, path.stat().st_size)
        refuse_if_cut_off(path, level.pages, complaints)

        try:
            pixels = level.pages.asarray()
        except (ValueError, ModuleNotFoundError) as error:
            # tifffile raises ModuleNotFoundError for zstd, which Python only has since 3.14.
            if isinstance(error, ValueError) and "imagecodecs" not in str(error):
                raise
            return read_without_codecs(path, level.pages, error)

        tiff = with_metadata(pixels, level, tif)
        tiff = with_black_as_zero(tiff, level.pages.keyframe)
        tiff = with_expanded_palette(tiff, level.pages.keyframe)
        tiff = turned_upright(tiff, level.pages.keyframe.tags.valueof("Orientation", 1))
    return arrange(tiff, options, path)


def pick_level(path: Path, tif: tifffile.TiffFile, level: int | None) -> Level:
    """Find a resolution of the file's largest image: ``level``, else the finest that fits."""
    # The pages must be counted first: otherwise tifffile follows a circle of pages for ever.
    len(tif.pages)

    sizes = [math.prod(series.shape) for series in tif.series]
    number = sizes.index(max(sizes))
    levels = tif.series[number].levels
    if level is None:
        level = finest_that_fits(levels)
    level = index_of(path, "level", level, len(levels))

    widths = [pages.shape[pages.axes.index("X")] for pages in levels]
    notes = []
    if len(levels) > 1:
        listed = ", ".join(f"{index} ({width} px wide)" for index, width in enumerate(widths))
        notes.append(f"took level {level} of {listed}; choose another one with level=")
    if len(tif.series) > 1:
        notes.append(f"took the largest of {len(tif.series)} images of different shapes")
    return Level(
        pages=levels[level],
        number=number,
        downsampling=widths[0] / widths[level],
        notes=tuple(notes),
    )


def finest_that_fits(levels: list[tifffile.TiffPageSeries]) -> int:
    """Return the finest level with at most MAX_VALUES values; 0 if all have more."""
    for index, pages in enumerate(levels):
        if not too_many_values(pages.shape):
            return index
    return 0


@contextmanager
def logged_complaints() -> Iterator[list[str]]:
    """Collect tifffile's log messages: it only logs that pages are missing, and goes on."""
    complaints: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    logger = logging.getLogger("tifffile")
    collector = Collector()
    logger.addHandler(collector)
    try:
        yield complaints
    finally:
        logger.removeHandler(collector)


def refuse_if_cut_off(path: Path, series: tifffile.TiffPageSeries, complaints: list[str]) -> None:
    """Raise ImageError if a page, a tag or pixels are beyond the end of the file."""
    pages = [page for page in series.pages if page is not None]
    lacks_pages = len(pages) < len(series.pages)

    ends = [
        offset + count
        for page in pages
        for offset, count in zip(page.dataoffsets, page.databytecounts)
    ]
    lacks_pixels = max(ends, default=0) > path.stat().st_size

    offsets = re.findall(r"invalid (?:page|value) offset (\d+)", " ".join(complaints))
    lacks_tags = any(int(offset) > HEADER_BYTES for offset in offsets)

    if lacks_pages or lacks_pixels or lacks_tags:
        raise ImageError(
            f"{path}: some of its pages lie beyond its end: it is cut off. Copy it again."
        )


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


def with_metadata(pixels: np.ndarray, level: Level, tif: tifffile.TiffFile) -> TiffPixels:
    """Combine pixels with the axes, spacing, colours and channel names in the file."""
    ome = ome_image(tif)
    names = channel_names(tif, ome)
    spacing = tiff_spacing(tif, ome, tif.series[level.number].levels[0].keyframe)
    for axis in "YX":
        if axis in spacing:
            spacing[axis] *= level.downsampling
    return TiffPixels(
        pixels=pixels,
        axes=level.pages.axes,
        spacing=spacing,
        in_colour=samples_are_colours(level.pages.keyframe),
        channel_names=names,
        notes=level.notes,
    )


def samples_are_colours(page: tifffile.TiffPage) -> bool:
    """Return whether samples are colours: by the photometric, alpha, or three 8-bit samples."""
    if photometric_of(page) in COLOUR_PHOTOMETRICS:
        return True
    extra_samples = [getattr(extra, "name", "") for extra in page.extrasamples or ()]
    if any(name in ALPHA_SAMPLES for name in extra_samples):
        return True
    return page.dtype == np.uint8 and page.samplesperpixel == 3


def photometric_of(page: tifffile.TiffPage) -> str:
    """Return the name of the photometric interpretation; '' if it is not in the standard."""
    return getattr(page.photometric, "name", "")


def with_black_as_zero(tiff: TiffPixels, page: tifffile.TiffPage) -> TiffPixels:
    """Invert booleans and unsigned integers if the file stores white as 0."""
    pixels = tiff.pixels
    if photometric_of(page) != "MINISWHITE" or pixels.dtype.kind not in "bu":
        return tiff
    white = pixels.dtype.type(2**page.bitspersample - 1)
    notes = (*tiff.notes, "inverted: the file stores white as 0")
    return replace(tiff, pixels=pixels ^ white, notes=notes)


def with_expanded_palette(tiff: TiffPixels, page: tifffile.TiffPage) -> TiffPixels:
    """Replace stored indices by the palette's colours, 8-bit samples along a last axis."""
    if photometric_of(page) != "PALETTE" or page.colormap is None:
        return tiff
    # The palette has 16 bits per colour, of which the upper 8 are used.
    colours = page.colormap[:, tiff.pixels] >> 8
    return replace(
        tiff,
        pixels=np.moveaxis(colours, 0, -1).astype(np.uint8),
        axes=tiff.axes + "S",
        notes=(*tiff.notes, "expanded the colour palette"),
    )


def turned_upright(tiff: TiffPixels, orientation: int) -> TiffPixels:
    """Turn the image upright by the value of the tag Orientation; 1 is upright already."""
    if orientation not in range(2, 9) or "YX" not in tiff.axes:
        return tiff
    pixels = tiff.pixels
    spacing = dict(tiff.spacing)
    rows = tiff.axes.index("Y")
    columns = tiff.axes.index("X")

    if orientation in TRANSPOSED:
        pixels = pixels.swapaxes(rows, columns)
        swapped = {"Y": "X", "X": "Y", "Z": "Z"}
        spacing = {swapped[axis]: step for axis, step in spacing.items()}
    if orientation in ROWS_FLIPPED:
        pixels = np.flip(pixels, rows)
    if orientation in COLUMNS_FLIPPED:
        pixels = np.flip(pixels, columns)

    notes = (*tiff.notes, "turned as the file's orientation says")
    return replace(tiff, pixels=pixels, spacing=spacing, notes=notes)


def write_ome_tiff(image: MedicalImage, values: Any, path: Path, **options: Any) -> Path:
    """Write values with the axes and the spacing of ``image``.

    ``values`` is an array of the image's spatial shape. It may also be an iterator over tiles; then
    ``options``, which are passed to tifffile, contain the shape, dtype and tile size.
    """
    import tifffile

    axes = image.spatial_axes
    metadata: dict[str, Any] = {"axes": axes}
    # Without a distance of slices, the spacing is that of the last two axes.
    steps = image.spacing or ()
    for axis, step in zip(axes.lstrip("T")[-len(steps) :], steps):
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
