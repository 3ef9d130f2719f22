"""Convert stored pixels, with axes in any order and number, to a ``MedicalImage``.

TIFFs, Zarr stores and arrays with named axes all take this way. Their pixels are in memory (NumPy)
or still on disk (dask).
"""

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from .channels import channel_index, channel_notes, colour_alone
from .contrast_methods import contrast_of
from .image import MedicalImage, Position
from .nuclear_stains import Channel
from .options import ReadOptions, index_of

# The axes that are kept, in the order of a ``MedicalImage``; colour follows.
TIME_AND_SPACE = "TZYX"

# tifffile's letters I and Q are for axes of pages whose meaning is unknown.
UNKNOWN_PAGES = re.compile("I+|Q+")

# Samples of a pixel that count as colours: 2 are grey and alpha, 3 RGB, 4 RGBA.
COLOUR_SAMPLES = (2, 3, 4)

# What the positions along an axis are called in errors.
AXIS_NAMES = {"T": "frames", "Z": "pages", "C": "channels"}


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Pixels and what is known of them, not yet converted to a ``MedicalImage``."""

    # A NumPy array, or a dask array of pixels on disk.
    pixels: Any

    # tifffile's letter for each axis of the pixels: T(ime), Z, C(hannel), Y, X, S(ample), ...
    axes: str

    # Spacing in mm along 'Z', 'Y' and 'X'; unknown ones are missing.
    spacing: dict[str, float]

    # Whether samples are colours, not channels.
    in_colour: bool = False

    # What is known of each channel; () if nothing is.
    channels: tuple[Channel, ...] = ()

    notes: tuple[str, ...] = ()

    # Where the pixels lie in the finest level of a pyramid.
    position: Position = field(default_factory=Position)

    @property
    def kept_axes(self) -> str:
        """The axes of a ``MedicalImage``, in its order, with samples ('S') if in colour."""
        if self.in_colour:
            return TIME_AND_SPACE + "S"
        return TIME_AND_SPACE

    def length(self, axis: str) -> int:
        """Return the length of an axis; 0 if there is no such axis."""
        if axis not in self.axes:
            return 0
        return int(self.pixels.shape[self.axes.index(axis)])

    def take(self, axis: str, index: int, *notes: str) -> "StoredPixels":
        """Take one index along an axis and drop the axis.

        Copies pixels in memory, so that the memory of the full array can be freed.
        """
        return replace(
            self,
            pixels=np.take(self.pixels, index, self.axes.index(axis)),
            axes=self.axes.replace(axis, "", 1),
            notes=self.notes + notes,
        )


def arrange(
    stored: StoredPixels, options: ReadOptions, path: Path | None, *, one_plane: bool = False
) -> MedicalImage:
    """Make an image of stored pixels: name axes, sort them, choose one index of those not kept.

    With ``one_plane``, the first frame and page are taken where none is asked for.
    """
    stored = name_samples(stored)
    stored = name_unknown_pages(stored, as_channels=options.channel is not None)

    stored = order_axes(stored)
    stored = choose_along_other_axes(stored)
    stored = choose_frame_and_page(stored, options, path, one_plane=one_plane)
    stored = drop_single(stored)

    if "C" in stored.axes:
        return image_of_channel(stored, options.channel, path)
    image = as_image(stored, path)
    if options.channel is not None:
        return colour_alone(image, options.channel)
    return image


def name_samples(stored: StoredPixels) -> StoredPixels:
    """Rename the axis S to C if samples are not colours, unless there is a C already."""
    if stored.in_colour and stored.length("S") in COLOUR_SAMPLES:
        return stored
    axes = stored.axes
    if "C" not in axes:
        axes = axes.replace("S", "C")
    return replace(stored, axes=axes, in_colour=False)


def name_unknown_pages(stored: StoredPixels, *, as_channels: bool = False) -> StoredPixels:
    """Rename the first axis of unknown pages to Z, unless there is a Z already.

    Where a channel is asked for (``as_channels``), or the file names channels, they are channels.
    tifffile repeats the letter, as in 'QQYX', if pages of unknown meaning have several axes. These
    are merged, in the order of the pages: (2, 3, Y, X) becomes (6, Y, X).
    """
    unknown = UNKNOWN_PAGES.search(stored.axes)
    if unknown is None:
        return stored

    start, stop = unknown.span()
    shape = stored.pixels.shape
    count = math.prod(shape[start:stop])
    notes = stored.notes
    if (as_channels or stored.channels) and "C" not in stored.axes:
        letter = "C"
    elif "Z" not in stored.axes:
        letter = "Z"
        notes = (*notes, f"{count} pages read as slices of a stack; page= takes one")
    else:
        return stored
    return replace(
        stored,
        pixels=stored.pixels.reshape(*shape[:start], count, *shape[stop:]),
        axes=stored.axes[:start] + letter + stored.axes[stop:],
        notes=notes,
    )


def order_axes(stored: StoredPixels) -> StoredPixels:
    """Sort the axes: those that are not kept, channels, then those that are kept; a view."""
    order = "C" + stored.kept_axes

    # find returns -1 for an axis that is neither kept nor that of channels.
    indices = sorted(range(len(stored.axes)), key=lambda index: order.find(stored.axes[index]))
    axes = "".join(stored.axes[index] for index in indices)
    return replace(stored, pixels=stored.pixels.transpose(indices), axes=axes)


def choose_along_other_axes(stored: StoredPixels) -> StoredPixels:
    """Take index 0 of every axis that is neither kept nor that of channels."""
    others = [axis for axis in stored.axes if axis not in "C" + stored.kept_axes]
    for axis in others:
        count = stored.length(axis)
        notes = [f"took the first of {count} along axis {axis}"] if count > 1 else []
        stored = stored.take(axis, 0, *notes)
    return stored


def choose_frame_and_page(
    stored: StoredPixels, options: ReadOptions, path: Path | None, *, one_plane: bool
) -> StoredPixels:
    """Take a point in time by ``frame``; by ``page`` a slice, or a point in time if no Z exists."""
    page_axis = "T" if "T" in stored.axes and "Z" not in stored.axes else "Z"
    if page_axis == "T" and options.frame is not None:
        page_axis = "Z"

    if options.frame is not None:
        stored = take_asked(stored, "T", "frame", options.frame, path)
    if options.page is not None:
        stored = take_asked(stored, page_axis, "page", options.page, path)
    if not one_plane:
        return stored

    for axis, what in (("T", "frame"), ("Z", "page")):
        count = stored.length(axis)
        if count > 1:
            words = f"took {what} 0 of {count}; choose another one with {what}="
            stored = stored.take(axis, 0, words)
    return stored


def take_asked(
    stored: StoredPixels, axis: str, what: str, wanted: int, path: Path | None
) -> StoredPixels:
    """Take one frame or page, with a note; raise ImageError if there is no such index."""
    name = path or "The array"
    if axis not in stored.axes:
        # Without the axis, only index 0 exists.
        if wanted != 0:
            raise ImageError(f"{name}: {no_such(stored, what, wanted)}")
        return stored
    count = stored.length(axis)
    index = index_of(name, what, wanted, count)
    return stored.take(axis, index, f"took {what} {index} of {count}")


def no_such(stored: StoredPixels, what: str, wanted: int) -> str:
    """Write that a file without an axis has no such frame or page, and what it has instead."""
    words = f"has {what}s 0 to 0, there is no {what} {wanted}"
    others = [
        f"{stored.length(axis)} {name}"
        for axis, name in AXIS_NAMES.items()
        if stored.length(axis) > 1
    ]
    if not others:
        return f"{words}."
    return f"{words}; it has {' and '.join(others)}: choose with channel=, frame= or page=."


def drop_single(stored: StoredPixels) -> StoredPixels:
    """Drop the axes T and Z if their length is 1."""
    for axis in "TZ":
        if stored.length(axis) == 1:
            stored = replace(
                stored,
                pixels=stored.pixels.squeeze(stored.axes.index(axis)),
                axes=stored.axes.replace(axis, ""),
            )
    return stored


def image_of_channel(
    stored: StoredPixels, channel: int | str | None, path: Path | None
) -> MedicalImage:
    """Make an image of one channel, which keeps the others; notes list all if there are several.

    The first axis of the pixels is that of the channels.
    """
    count = len(stored.pixels)
    channels = stored.channels[:count]
    index = channel_index(channel, count, channels, path or "The array")
    if count == 1:
        return as_image(stored.take("C", index), path)

    notes = channel_notes(stored.pixels, index, channels, asked=channel is not None)
    pixels = in_memory_order(stored.pixels)
    one = replace(stored, pixels=pixels[index], axes=stored.axes[1:], notes=(*stored.notes, *notes))
    described = channels if len(channels) == count else [Channel()] * count
    return replace(
        as_image(one, path),
        all_channels=pixels,
        channel_names=tuple(known.name for known in described),
        channel_contrasts=tuple(map(contrast_of, described)),
        channel_index=index,
        channel_asked=channel is not None,
    )


def as_image(stored: StoredPixels, path: Path | None) -> MedicalImage:
    """Make the image, with a spacing if it is known along Y and X, and along Z if that is known."""
    known = stored.spacing
    spacing = None
    if "Y" in known and "X" in known:
        spacing = tuple(known[axis] for axis in stored.axes if axis in known)

    notes = stored.notes
    if spacing is not None and "Z" in stored.axes and "Z" not in known:
        notes = (*notes, "the spacing of its slices is not in the file: give it with spacing=")
    return MedicalImage(
        pixels=in_memory_order(stored.pixels),
        axes=stored.axes.replace("S", "C"),
        spacing=spacing,
        path=path,
        notes=notes,
        position=stored.position,
    )


def in_memory_order(pixels: Any) -> Any:
    """Return pixels in memory as a contiguous array; those on disk as they are."""
    if isinstance(pixels, np.ndarray):
        return np.ascontiguousarray(pixels)
    return pixels
