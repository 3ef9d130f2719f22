"""``View``: an image and its measurements, so that nothing is measured twice."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..images.channels import with_channel_for
from ..images.image import MedicalImage
from ..images.pixel_checks import shows_something
from ..images.stack import Stack, from_stack, to_stack
from ..networks.cards import ModelCard
from ..preprocessing.background import is_only_background
from ..preprocessing.bars import find_bars, without_bars
from ..preprocessing.even_surround import light_surround
from ..preprocessing.field_of_view import FieldsOfView, box_of
from ..preprocessing.resample import resize
from ..preprocessing.surroundings import (
    Box,
    Padding,
    box_for,
    content_box,
    find_padding,
    notes_on_surroundings,
    whole_box,
    without_padding,
)
from .image_statistics import Overviews, as_floats
from .likeness import Likeness, measure_likeness, middle_slices
from .quality import Quality, measure_quality

# px: the shorter side of the smallest image whose statistics tell something.
LEAST_SIDE_SEEN = 100


@dataclass(frozen=True, eq=False)
class View:
    """An image and its measurements: each is made on first use and then kept."""

    image: MedicalImage

    # Whether it is read as a photograph of an eye, whose light surround is painted over.
    shows_eye: bool = False

    def for_card(self, card: ModelCard) -> "View":
        """Return the view as a card's network reads it; often this view."""
        image = with_channel_for(self.image, card.modality)
        reads_eyes = card.preprocessing.scale == "field of view"
        shows_eye = reads_eyes and View(image).surround_of_eye is not None
        if image is self.image and shows_eye == self.shows_eye:
            return self
        return View(image, shows_eye)

    @cached_property
    def surround_of_eye(self) -> np.ndarray | None:
        """The mask (H, W) of an even, light surround of an eye in a photograph."""
        if not self.image.is_single or self.image.channels != 3:
            return None
        rows, columns = content_box(self.image.pixels[None], dark_around=True)
        inside = light_surround(self.image.pixels[rows, columns])
        if inside is None:
            return None
        mask = np.zeros(self.image.spatial_shape, bool)
        mask[rows, columns] = inside
        return mask

    @cached_property
    def padding(self) -> Padding | None:
        """The constant value around the image that is far from all others."""
        if self.image.channels > 1:
            return None
        return find_padding(to_stack(self.image).pixels)

    @cached_property
    def bars(self) -> np.ndarray | None:
        """The mask (H, W) of scale bars in a single image."""
        if len(self.image.spatial_shape) > 2 or self.image.channels not in (1, 3):
            return None
        return find_bars(self.image.pixels)

    @cached_property
    def cleaned(self) -> MedicalImage:
        """The image without padding and scale bars, as networks read it, in the same shape."""
        pixels = self.image.pixels
        if self.padding is not None:
            slices = without_padding(to_stack(self.image).pixels, self.padding)
            pixels = from_stack(self.image, slices[None])[0]
        if self.bars is not None:
            pixels = without_bars(pixels, self.bars)
        if self.shows_eye and self.surround_of_eye is not None:
            # Eyes are dark around.
            pixels = np.where(self.surround_of_eye[..., None], pixels.dtype.type(0), pixels)
        if pixels is self.image.pixels:
            return self.image
        return replace(self.image, pixels=pixels)

    @cached_property
    def stack(self) -> Stack:
        """The cleaned image as displayed."""
        return to_stack(self.cleaned)

    def notes(self, card: ModelCard) -> tuple[str, ...]:
        """Say what of the image the network of a card does not read."""
        notes = notes_on_surroundings(
            self.padding, has_bars=self.bars is not None, has_frame=self.has_frame(card)
        )
        if self.shows_eye:
            return (*notes, "what surrounds the eye is even and light: it is left out")
        return notes

    def box(self, card: ModelCard) -> Box:
        """Return the rows and columns of the stack inside a frame, which a card's network reads."""
        return box_for(self.stack.pixels, card.preprocessing)

    def picture_box(self, card: ModelCard) -> Box:
        """Return the rows and columns of the stack that show something: no frame, no surround."""
        if not self.shows_eye:
            return self.box(card)
        rows, columns = box_of(self.field_of_view(0))
        return rows, columns

    def has_frame(self, card: ModelCard) -> bool:
        """Return whether a frame around the image is cut off for a card."""
        return self.box(card) != whole_box(self.stack.pixels)

    @cached_property
    def frames(self) -> list[Stack]:
        """The stack of each time point; one stack if the image has no time axis."""
        return self.stack.frames

    @cached_property
    def fields_of_view(self) -> list[FieldsOfView]:
        """The fields of view of the slices of each frame."""
        return [FieldsOfView(frame.pixels) for frame in self.frames]

    @cached_property
    def empty_frames(self) -> list[int]:
        """The indices of the frames that show nothing but background."""
        return [i for i, frame in enumerate(self.frames) if is_only_background(frame.pixels)]

    @cached_property
    def shows_something(self) -> bool:
        """Whether the image is neither tiny, nor nothing but background, nor a mask."""
        if not shows_something(self.image.pixels, self.image.spatial_shape):
            return False
        return len(self.empty_frames) < len(self.frames)

    @cached_property
    def overviews(self) -> Overviews:
        """The middle slices, at the scale and with the channels that each card uses."""
        return Overviews(middle_slices(self.stack.pixels[(slice(None), *self.inside_padding)]))

    @cached_property
    def inside_padding(self) -> Box:
        """The rows and columns of the stack that hold other values than the padding."""
        if self.padding is None:
            return whole_box(self.stack.pixels)
        pixels = to_stack(self.image).pixels
        is_other = (pixels >= self.padding.lowest) & (pixels <= self.padding.highest)
        rows, columns = (np.flatnonzero(is_other.any(axis=axes)) for axes in ((0, 2), (0, 1)))
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    @cached_property
    def likeness(self) -> Likeness:
        """Distances of the image from the training images of each network."""
        return measure_likeness(self.overviews)

    def likeness_at(self, zoom: float) -> Likeness | None:
        """Measure the likeness of the image shrunk by ``zoom``; None if it is too small then."""
        height, width = self.stack.pixels.shape[1:3]
        shape = (round(zoom * height), round(zoom * width))
        if min(shape) < LEAST_SIDE_SEEN:
            return None
        slices = [resize(as_floats(pixels), shape) for pixels in self.overviews.slices]
        return measure_likeness(Overviews(slices))

    @cached_property
    def quality(self) -> Quality:
        """Quality of a photograph of the eye: of the first, if there are several."""
        return measure_quality(self.frames[0].pixels[0], self.field_of_view(0))

    def field_of_view(self, index: int) -> np.ndarray:
        """Find the field of view, (H, W) bool, of slice ``index`` of the stack."""
        frame, index_in_frame = divmod(index, len(self.frames[0].pixels))
        return self.fields_of_view[frame][index_in_frame]

    def __getstate__(self) -> dict[str, Any]:
        """Pickle no cached values that hold copies of the pixels: results go between processes."""
        small = ("image", "shows_something", "empty_frames", "likeness")
        return {name: value for name, value in self.__dict__.items() if name in small}
