"""Open a TIFF, choose an image and a level of it, and refuse files that are cut off."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ImageError
from .image import Position, downsampling
from .limits import too_many_values
from .options import ReadOptions, index_of, index_of_series, listing, titles

if TYPE_CHECKING:
    import tifffile

# Size of a TIFF's header. Invalid offsets up to this come from sloppy writers, not from a file that
# is cut off.
HEADER_BYTES = 8


@dataclass(frozen=True)
class Level:
    """One resolution of one of the images in a TIFF."""

    pages: tifffile.TiffPageSeries

    # The finest resolution of the same image.
    finest: tifffile.TiffPageSeries

    # The index of the image among those of the file.
    number: int

    # px of the finest level per px of this level.
    position: Position

    notes: tuple[str, ...]


@contextmanager
def opened(path: Path) -> Iterator[tuple[tifffile.TiffFile, list[str]]]:
    """Open a TIFF; yields it and tifffile's complaints about missing pages, which it only logs.

    If its OME metadata are invalid, it is opened as a TIFF without them.
    """
    import tifffile

    with logged_complaints() as complaints, tifffile.TiffFile(path) as tif:
        # The pages must be counted first: otherwise tifffile follows a circle of pages for ever.
        len(tif.pages)
        if not tif.is_ome or has_series(tif):
            yield tif, complaints
            return
        complaints.clear()
        with tifffile.TiffFile(path, is_ome=False) as without_ome:
            len(without_ome.pages)
            yield without_ome, complaints


def has_series(tif: tifffile.TiffFile) -> bool:
    """Return whether tifffile can list the images of a file."""
    try:
        return len(tif.series) > 0
    # Invalid metadata raise errors of many kinds; the pixels may be good nevertheless.
    except Exception:
        return False


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


def pick_level(path: Path, tif: tifffile.TiffFile, options: ReadOptions) -> Level:
    """Find an image and its resolution: those asked for, else the largest and finest that fits."""
    number, notes_on_images = pick_series(path, tif.series, options.series)
    levels = tif.series[number].levels
    level = options.level
    if level is None:
        level = finest_that_fits(levels)
    level = index_of(path, "level", level, len(levels))

    notes = []
    if len(levels) > 1:
        widths = [side(pages, "X") for pages in levels]
        listed = ", ".join(f"{index} ({width} px wide)" for index, width in enumerate(widths))
        notes.append(f"took level {level} of {listed}; choose another one with level=")
    return Level(
        pages=levels[level],
        finest=levels[0],
        number=number,
        position=Position(
            step=(
                downsampling(side(levels[0], "Y"), side(levels[level], "Y")),
                downsampling(side(levels[0], "X"), side(levels[level], "X")),
            )
        ),
        notes=(*notes, *notes_on_images),
    )


def pick_series(
    path: Path, all_series: Sequence[tifffile.TiffPageSeries], wanted: str | int | None
) -> tuple[int, list[str]]:
    """Find the image that is asked for, else the largest; with notes if there are several."""
    names = [series.name or "" for series in all_series]
    sizes = [math.prod(series.shape) for series in all_series]
    if wanted is not None:
        number = index_of_series(path, wanted, names)
        words = ""
    else:
        number = sizes.index(max(sizes))
        words = "the first" if sizes.count(max(sizes)) > 1 else "the largest"
    if len(all_series) == 1:
        return number, []

    listed = titles(names)
    which = f"{words} of {len(names)} images" if words else f"one of {len(names)} images"
    return number, [
        f"took image {listed[number]}, {which}: {listing(listed)}; choose another one with series="
    ]


def side(pages: tifffile.TiffPageSeries, axis: str) -> int:
    """Return the length of the axis 'Y' or 'X'; 1 if there is none."""
    if axis not in pages.axes:
        return 1
    return int(pages.shape[pages.axes.index(axis)])


def finest_that_fits(levels: Sequence[tifffile.TiffPageSeries]) -> int:
    """Return the finest level with at most MAX_VALUES values; 0 if all have more."""
    for index, pages in enumerate(levels):
        if not too_many_values(pages.shape):
            return index
    return 0


def stored_bytes(path: Path, series: tifffile.TiffPageSeries) -> int:
    """Add up the sizes of all files that hold an image, in bytes."""
    files = {Path(page.parent.filehandle.path) for page in series.pages if page is not None}
    return sum(file.stat().st_size for file in files | {path})


def refuse_if_cut_off(path: Path, series: tifffile.TiffPageSeries, complaints: list[str]) -> None:
    """Raise ImageError if a page, a tag or pixels are beyond the end of their file."""
    words = " ".join(complaints)
    missing = re.findall(r"failed to read '([^']+)'", words)
    if missing:
        raise ImageError(
            f"{path}: its image is spread over several files, of which {missing[0]} is missing or "
            "damaged. Copy all of them to one folder."
        )

    pages = [page for page in series.pages if page is not None]
    lacks_pages = len(pages) < len(series.pages)
    lacks_pixels = any(last_byte(page) > page.parent.filehandle.size for page in pages)

    offsets = re.findall(r"invalid (?:page|value) offset (\d+)", words)
    lacks_tags = any(int(offset) > HEADER_BYTES for offset in offsets)

    if lacks_pages or lacks_pixels or lacks_tags:
        raise ImageError(
            f"{path}: some of its pages lie beyond its end: it is cut off. Copy it again."
        )


def last_byte(page: tifffile.TiffPage | tifffile.TiffFrame) -> int:
    """Return the offset in its file at which the pixels of a page end."""
    ends = [
        offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    return max(ends, default=0)
