"""What surrounds an image on disk, or was drawn on it, is left out as ``segment`` leaves it out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..networks.cards import Preprocessing
from ..preprocessing.bars import find_bars, without_bars
from ..preprocessing.surroundings import (
    FRAME_TOLERANCE,
    Box,
    box_for,
    find_padding,
    is_constant,
    notes_on_surroundings,
    range_of,
    whole_box,
    without_padding,
)

# px: the side of the windows in which bars are looked for, and the longest side in which frames
# are: of larger images, each such row and column counts that is left when they are thinned out.
WINDOW = 4096


@dataclass(frozen=True, eq=False)
class CleanedPixels:
    """Pixels on disk without padding, bars and frames."""

    # A dask array (H, W) or (H, W, C), of the whole image.
    pixels: Any

    # The rows and columns inside a frame.
    box: Box

    # What was left out, in words.
    notes: tuple[str, ...] = ()

    @property
    def inside(self) -> Any:
        """The pixels inside the frame."""
        rows, columns = self.box
        return self.pixels[rows, columns]


@dataclass(frozen=True, eq=False)
class InsideFrame:
    """The part of an answer (K, H, W) that is inside a frame, for ``tiles.predict``."""

    answer: Any
    box: Box

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the part."""
        rows, columns = self.box
        return (self.answer.shape[0], rows.stop - rows.start, columns.stop - columns.start)

    def __getitem__(self, place: tuple[slice, slice, slice]) -> np.ndarray:
        return self.answer[self.moved(place)]

    def __setitem__(self, place: tuple[slice, slice, slice], values: np.ndarray) -> None:
        self.answer[self.moved(place)] = values

    def moved(self, place: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
        """Return a place in the part as one in the whole."""
        channels, *axes = place
        rows, columns = (
            slice(own.start + inside.start, own.stop + inside.start)
            for own, inside in zip(axes, self.box, strict=True)
        )
        return channels, rows, columns


def without_surroundings(
    pixels: Any, window: np.ndarray, preprocessing: Preprocessing
) -> CleanedPixels:
    """Leave out the padding, the scale bars and the frame of (H, W) or (H, W, C) pixels on disk.

    ``window`` is the part of highest contrast, in memory, by which padding is recognised.
    """
    padding = find_padding(window[None])
    if padding is not None:
        pixels = pixels.map_blocks(
            lambda block: without_padding(block[None], padding)[0], dtype=pixels.dtype
        )
    cleaned = without_bars_in_corners(pixels)
    box = box_of_frame(cleaned, range_of(window), preprocessing)
    notes = notes_on_surroundings(
        padding, has_bars=cleaned is not pixels, has_frame=box != whole_box(cleaned[None])
    )
    return CleanedPixels(cleaned, box, notes)


def without_bars_in_corners(pixels: Any) -> Any:
    """Paint over scale bars in the windows at the four corners, where programs draw them."""
    height, width = pixels.shape[:2]
    tops = sorted({0, max(0, height - WINDOW)})
    lefts = sorted({0, max(0, width - WINDOW)})
    for top in tops:
        for left in lefts:
            place = (slice(top, top + WINDOW), slice(left, left + WINDOW))
            window = np.asarray(pixels[place])
            mask = find_bars(window)
            if mask is None:
                continue
            painted = without_bars(window, mask)
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            whole = (
                slice(top + part[0].start, top + part[0].stop),
                slice(left + part[1].start, left + part[1].stop),
            )
            pixels = pixels.copy()
            pixels[whole] = painted[part]
    return pixels


def box_of_frame(pixels: Any, value_range: float, preprocessing: Preprocessing) -> Box:
    """Return the rows and columns inside a frame of one colour; few images have one."""
    height, width = pixels.shape[:2]
    whole = (slice(0, height), slice(0, width))
    edges = [pixels[:1], pixels[-1:], pixels[:, :1].swapaxes(0, 1), pixels[:, -1:].swapaxes(0, 1)]
    in_memory = [np.asarray(edge) for edge in edges]
    if not any(is_constant(edge, FRAME_TOLERANCE * value_range) for edge in in_memory):
        return whole

    step = -(-max(height, width) // WINDOW)
    thinned = np.asarray(pixels[::step, ::step])
    rows, columns = box_for(thinned[None], preprocessing)
    if (rows, columns) == whole_box(thinned[None]):
        return whole
    return (
        slice(rows.start * step, min(height, rows.stop * step)),
        slice(columns.start * step, min(width, columns.stop * step)),
    )


def background_around(answer: Any, box: Box, background: np.ndarray) -> None:
    """Set the answer (K, H, W) outside a frame's inside to ``background`` (K, 1, 1), in place."""
    height, width = answer.shape[1:]
    rows, columns = box
    for place in (
        (slice(0, rows.start), slice(0, width)),
        (slice(rows.stop, height), slice(0, width)),
        (rows, slice(0, columns.start)),
        (rows, slice(columns.stop, width)),
    ):
        shape = (place[0].stop - place[0].start, place[1].stop - place[1].start)
        if min(shape) > 0:
            answer[(slice(None), *place)] = np.broadcast_to(background, (len(background), *shape))
