"""The axes of a TIFF, in any order and number, as those of a ``MedicalImage``."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .channels import channel_index, channel_notes, colour_alone
from .image import MedicalImage
from .options import ReadOptions, index_of

# The axes of an image without colour, in the order in which they are kept.
TIME_AND_SPACE = "TZYX"

# What tifffile calls axes of pages that say nothing about themselves.
PLAIN_PAGES = "IQ"

# How many samples a pixel in colour may have: of a grey or RGB with alpha, or RGB.
COLOUR_SAMPLES = (2, 3, 4)


@dataclass(frozen=True, eq=False)
class TiffPixels:
    """Decoded pixels with what the file says about them, on the way to a ``MedicalImage``."""

    pixels: np.ndarray

    # A letter of tifffile's for each axis of the pixels: T(ime), Z, C(hannel), Y, X, S(ample), ...
    axes: str

    # Millimetres of a step along 'Z', 'Y' and 'X', of those that are known.
    spacing: dict[str, float]

    # Whether samples are colours, and not channels.
    in_colour: bool = False

    channel_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kept_axes(self) -> str:
        """The axes that an image may have, in its order."""
        if self.in_colour:
            return TIME_AND_SPACE + "S"
        return TIME_AND_SPACE

    def length(self, axis: str) -> int:
        """Find the length along an axis; 0 where there is no such axis."""
        if axis not in self.axes:
            return 0
        return self.pixels.shape[self.axes.index(axis)]

    def take(self, axis: str, index: int, *notes: str) -> "TiffPixels":
        """Take one index along an axis, which is gone then; a copy, so that the rest can go."""
        return replace(
            self,
            pixels=self.pixels.take(index, self.axes.index(axis)),
            axes=self.axes.replace(axis, ""),
            notes=self.notes + notes,
        )


def arrange(tiff: TiffPixels, options: ReadOptions, path: Path) -> MedicalImage:
    """Make an image of decoded pixels: name their axes, order them, choose from them."""
    tiff = name_samples(tiff)
    tiff = name_plain_pages(tiff)
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
    """Call samples channels where they are no colours and there are no other channels."""
    if tiff.in_colour and tiff.length("S") in COLOUR_SAMPLES:
        return tiff
    axes = tiff.axes
    if "C" not in axes:
        axes = axes.replace("S", "C")
    return replace(tiff, axes=axes, in_colour=False)


def name_plain_pages(tiff: TiffPixels) -> TiffPixels:
    """Call pages that say nothing about themselves slices, where there are no others."""
    pages = [axis for axis in tiff.axes if axis in PLAIN_PAGES]
    if "Z" in tiff.axes or not pages:
        return tiff
    first = pages[0]
    words = f"{tiff.length(first)} pages read as slices of a stack; page= takes one"
    return replace(tiff, axes=tiff.axes.replace(first, "Z"), notes=(*tiff.notes, words))


def order_axes(tiff: TiffPixels) -> TiffPixels:
    """Put the axes that are kept into their order, behind all others."""
    order = sorted(range(len(tiff.axes)), key=lambda index: tiff.kept_axes.find(tiff.axes[index]))
    axes = "".join(tiff.axes[index] for index in order)
    return replace(tiff, pixels=tiff.pixels.transpose(order), axes=axes)


def choose_along_other_axes(tiff: TiffPixels, options: ReadOptions, path: Path) -> TiffPixels:
    """Take one channel, and the first of whatever else there is several of."""
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
    """Take the channel that was asked for, and say which ones there were."""
    channels = np.moveaxis(tiff.pixels, tiff.axes.index("C"), 0)
    names = tiff.channel_names
    index = channel_index(channel, len(channels), names, path)
    if len(channels) == 1:
        return tiff.take("C", index)
    notes = channel_notes(channels, index, names, hint=channel is None)
    return tiff.take("C", index, *notes)


def choose_frame_and_page(tiff: TiffPixels, options: ReadOptions, path: Path) -> TiffPixels:
    """Take a point in time, and a slice (or, where there are none, a point in time) by ``page``."""
    if options.frame is not None:
        if "T" not in tiff.axes:
            tiff = replace(tiff, pixels=tiff.pixels[None], axes="T" + tiff.axes)
        tiff = take_asked(tiff, "T", "frame", options.frame, path)

    page_axis = "Z" if "Z" in tiff.axes else "T"
    if options.page is not None and page_axis in tiff.axes:
        tiff = take_asked(tiff, page_axis, "page", options.page, path)
    return tiff


def take_asked(tiff: TiffPixels, axis: str, what: str, wanted: int, path: Path) -> TiffPixels:
    """Take the frame or page that was asked for."""
    count = tiff.length(axis)
    index = index_of(path, what, wanted, count)
    return tiff.take(axis, index, f"took {what} {index} of {count}")


def drop_single(tiff: TiffPixels) -> TiffPixels:
    """Drop time and depth of length 1."""
    for axis in "TZ":
        if tiff.length(axis) == 1:
            tiff = replace(
                tiff,
                pixels=tiff.pixels.squeeze(tiff.axes.index(axis)),
                axes=tiff.axes.replace(axis, ""),
            )
    return tiff


def as_image(tiff: TiffPixels, path: Path) -> MedicalImage:
    """Give the image the spacing of the axes that are left, if all of theirs are known."""
    steps = [tiff.spacing.get(axis) for axis in tiff.axes if axis in "ZYX"]
    known_steps = [step for step in steps if step is not None]
    spacing = tuple(known_steps) if len(known_steps) == len(steps) else None

    notes = tiff.notes
    if spacing is None and steps[-1] is not None:
        notes = (*notes, "the spacing of its slices is not in the file: give it with spacing=")
    return MedicalImage(
        pixels=np.ascontiguousarray(tiff.pixels),
        axes=tiff.axes.replace("S", "C"),
        spacing=spacing,
        path=path,
        notes=notes,
    )
