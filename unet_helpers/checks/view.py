"""``View``: an image and its measurements, so that nothing is measured twice."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..images.image import MedicalImage
from ..images.pixel_checks import shows_something
from ..images.stack import Stack, to_stack
from ..preprocessing.field_of_view import FieldsOfView
from .image_statistics import Overviews
from .likeness import Likeness, measure_likeness, middle_slices
from .quality import Quality, measure_quality


@dataclass(frozen=True, eq=False)
class View:
    """An image and its measurements: each is made on first use and then kept."""

    image: MedicalImage

    @cached_property
    def stack(self) -> Stack:
        """The image as displayed."""
        return to_stack(self.image)

    @cached_property
    def frames(self) -> list[Stack]:
        """The stack of each time point; one stack if the image has no time axis."""
        return self.stack.frames

    @cached_property
    def fields_of_view(self) -> list[FieldsOfView]:
        """The fields of view of the slices of each frame."""
        return [FieldsOfView(frame.pixels) for frame in self.frames]

    @cached_property
    def shows_something(self) -> bool:
        """Whether the image is neither tiny, nor empty, nor a mask."""
        return shows_something(self.image.pixels, self.image.spatial_shape)

    @cached_property
    def overviews(self) -> Overviews:
        """The middle slices, at the scale and with the channels that each card uses."""
        return Overviews(middle_slices(self.stack.pixels))

    @cached_property
    def likeness(self) -> Likeness:
        """Distances of the image from the training images of each network."""
        return measure_likeness(self.overviews)

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
        small = ("image", "shows_something", "likeness")
        return {name: value for name, value in self.__dict__.items() if name in small}
