"""Convert the axes of a TIFF, in any order and number, to those of a ``MedicalImage``."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .channels import channel_index, channel_notes, colour_alone
from .image import MedicalImage
from .options import ReadOptions, index_of

# The axes that are kept, in the order of a ``MedicalImage``; colour follows.
TIME_AND_SPACE = "TZYX"

# tifffile's letters I and Q are for axes of pages whose meaning is unknown.
UNKNOWN_PAGES = re.compile("I+|Q+")

# Samples of a pixel that count as colours: 2 are grey and alpha, 3 RGB, 4 RGBA.
COLOUR_SAMPLES = (2, 3, 4)


@dataclass(frozen=True, eq=False)
class TiffPixels:
    """Decoded pixels and the file's metadata, not yet converted to a ``MedicalImage``."""

    pixels: np.ndarray

    # tifffile's letter for each axis of the pixels: T(ime), Z, C(hannel), Y, X, S(ample), ...
    axes: str

    # Spacing in mm along 'Z', 'Y' and 'X'; unknown ones are missing.
    spacing: dict[str, float]

    # Whether samples are colours, not channels.
    in_colour: bool = False

    channel_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

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
        return self.pixels.shape[self.axes.index(axis)]

    def take(self, axis: str, index: int, *notes: str) -> "TiffPixels":
        """Take one index along an axis and drop the axis.

        Copies the pixels, so that the memory of the full array can be freed.
        """
        return replace(
            self,
            pixels=self.pixels.take(index, self.axes.index(axis)),
            axes=self.axes.replace(axis, "", 1),
            notes=self.notes + notes,
        )


def arrange(tiff: TiffPixels, options: ReadOptions, path: Path) -> MedicalImage:
    """Make an image of decoded pixels: name axes, sort them, choose one index of those not kept."""
    tiff = name_samples(tiff)
    tiff = name_unknown_pages(tiff)
    has_channels = "C" in tiff.axes

    tiff = order_axes(tiff)
    tiff = choose_along_other_axes(tiff, options, path)
    tiff = choose_frame_and_page(tiff, options, path)
    tiff = drop_single(tiff)

    image = as_image(tiff, path)
    if options.channel is not None and not has_channels:
        return colour_alone(image, options.channel)
    return image


def name_samples(tiff: TiffPixels) -> TiffPixels:
    """Rename the axis S to C if samples are not colours, unless there is a C already."""
    if tiff.in_colour and tiff.length("S") in COLOUR_SAMPLES:
        return tiff
    axes = tiff.axes
    if "C" not in axes:
        axes = axes.replace("S", "C")
    return replace(tiff, axes=axes, in_colour=False)


def name_unknown_pages(tiff: TiffPixels) -> TiffPixels:
    """Rename the first axis of unknown pages to Z, unless there is a Z already.

    tifffile repeats the letter, as in 'QQYX', if pages of unknown meaning have several axes. These
    are merged, in the order of the pages: (2, 3, Y, X) becomes (6, Y, X).
    """
    unknown = UNKNOWN_PAGES.search(tiff.axes)
    if "Z" in tiff.axes or unknown is None:
        return tiff
    start, stop = unknown.span()
    shape = tiff.pixels.shape
    count = math.prod(shape[start:stop])
    words = f"{count} pages read as slices of a stack; page= takes one"
    return replace(
        tiff,
        pixels=tiff.pixels.reshape(*shape[:start], count, *shape[stop:]),
        axes=tiff.axes[:start] + "Z" + tiff.axes[stop:],
        notes=(*tiff.notes, words),
    )


def order_axes(tiff: TiffPixels) -> TiffPixels:
    """Sort the axes: first those that are not kept, then those that are, in their order; a view."""
    # find returns -1 for an axis that is not kept.
    order = sorted(range(len(tiff.axes)), key=lambda index: tiff.kept_axes.find(tiff.axes[index]))
    axes = "".join(tiff.axes[index] for index in order)
    return replace(tiff, pixels=tiff.pixels.transpose(order), axes=axes)


def choose_along_other_axes(tiff: TiffPixels, options: ReadOptions, path: Path) -> TiffPixels:
    """Take one channel, and index 0 of every other axis that is not kept."""
    others = [axis for axis in tiff.axes if axis not in tiff.kept_axes]
    for axis in others:
        count = tiff.length(axis)
        if axis == "C":
            tiff = choose_channel(tiff, options.channel, path)
        elif count > 1:
            words = f"took the first of {count} along axis {axis}"
            tiff = tiff.take(axis, 0, words)
        else:
            tiff = tiff.take(axis, 0)
    return tiff


def choose_channel(tiff: TiffPixels, channel: int | str | None, path: Path) -> TiffPixels:
    """Take a channel; notes list all channels if there are several."""
    channels = np.moveaxis(tiff.pixels, tiff.axes.index("C"), 0)
    names = tiff.channel_names
    index = channel_index(channel, len(channels), names, path)
    if len(channels) == 1:
        return tiff.take("C", index)
    notes = channel_notes(channels, index, names, hint=channel is None)
    return tiff.take("C", index, *notes)


def choose_frame_and_page(tiff: TiffPixels, options: ReadOptions, path: Path) -> TiffPixels:
    """Take a point in time by ``frame``; by ``page`` a slice, or a point in time if no Z exists.

    A ``page`` of a file with neither is ignored: the file has only one image.
    """
    if options.frame is not None:
        # Without a time axis, only frame 0 exists: the axis is added so that the index is checked.
        if "T" not in tiff.axes:
            tiff = replace(tiff, pixels=tiff.pixels[None], axes="T" + tiff.axes)
        tiff = take_asked(tiff, "T", "frame", options.frame, path)

    page_axis = "Z" if "Z" in tiff.axes else "T"
    if options.page is not None and page_axis in tiff.axes:
        tiff = take_asked(tiff, page_axis, "page", options.page, path)
    return tiff


def take_asked(tiff: TiffPixels, axis: str, what: str, wanted: int, path: Path) -> TiffPixels:
    """Take one frame or page, with a note; raise ImageError if there is no such index."""
    count = tiff.length(axis)
    index = index_of(path, what, wanted, count)
    return tiff.take(axis, index, f"took {what} {index} of {count}")


def drop_single(tiff: TiffPixels) -> TiffPixels:
    """Drop the axes T and Z if their length is 1."""
    for axis in "TZ":
        if tiff.length(axis) == 1:
            tiff = replace(
                tiff,
                pixels=tiff.pixels.squeeze(tiff.axes.index(axis)),
                axes=tiff.axes.replace(axis, ""),
            )
    return tiff


def as_image(tiff: TiffPixels, path: Path) -> MedicalImage:
    """Make the image, with a spacing if it is known along Y and X, and along Z if that is known."""
    known = tiff.spacing
    spacing = None
    if "Y" in known and "X" in known:
        spacing = tuple(known[axis] for axis in tiff.axes if axis in known)

    notes = tiff.notes
    if spacing is not None and "Z" in tiff.axes and "Z" not in known:
        notes = (*notes, "the spacing of its slices is not in the file: give it with spacing=")
    return MedicalImage(
        pixels=np.ascontiguousarray(tiff.pixels),
        axes=tiff.axes.replace("S", "C"),
        spacing=spacing,
        path=path,
        notes=notes,
    )
