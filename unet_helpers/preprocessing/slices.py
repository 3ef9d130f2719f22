"""Prepare the slices of an image or volume for a network: channels, size and intensities.

The same class prepares training images, feature maps and users' files, so that the network reads
them all in the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from ..networks.cards import Preprocessing
from .background import is_only_background
from .field_of_view import FieldsOfView, box_of, flatten_illumination, shift_at
from .intensities import is_bright_field, remove_brown, select_channels, slice_levels, white_of
from .missing import fill_missing
from .resample import resize, resize_channels

# The offset and the gain of slices that show nothing: the network is not run on them.
EMPTY_LEVELS = (0.0, 0.0)


@dataclass(frozen=True)
class Prepared:
    """A slice ready to be cut into tiles; the network reads ``(pixels - offset) * gain``."""

    # (h, w) or (h, w, C): colours, or a slice with its neighbours. May be a dask array.
    pixels: np.ndarray

    # In the unit of the pixels, and 1 / that unit.
    offset: float = 0.0
    gain: float = 1.0

    # Working px per px along (rows, columns); ``tile`` resizes by it.
    zoom: tuple[float, float] = (1.0, 1.0)

    # (h, w) bool: the field of view; None if the card does not use one.
    inside: np.ndarray | None = None

    # Rows and columns of the stored slice that were prepared.
    box: tuple[slice, slice] = (slice(None), slice(None))

    # The value of white, of colours from which ``tile`` removes the brown dye; None: it does not.
    white_beside_brown: float | None = None

    # Lowest and highest value that the network reads; others are clipped.
    limits: tuple[float, float] = (-1.0, 2.0)

    # Added to the logits of the answer's foreground.
    logit_shift: float = 0.0

    # Turns answers (K, h, w) into (K, H, W) of the stored slice; None: they are resized.
    undo: Callable[[np.ndarray], np.ndarray] | None = None

    def tile(self, rows: slice, columns: slice, in_channels: int) -> np.ndarray:
        """Return a part of the slice as the network reads it, a copy.

        It is (in_channels, rows * zoom, columns * zoom), float32, about 0 to 1. A single grey
        channel is repeated.
        """
        cut = fill_missing(np.asarray(self.pixels[rows, columns]))
        height, width = cut.shape[:2]
        zoomed_height = max(1, round(height * self.zoom[0]))
        zoomed_width = max(1, round(width * self.zoom[1]))
        cut = resize(cut, (zoomed_height, zoomed_width))
        if self.white_beside_brown is not None:
            cut = remove_brown(cut, self.white_beside_brown)

        finite = np.nan_to_num(cut.astype(np.float32), posinf=0, neginf=0)
        scaled = (finite - self.offset) * self.gain
        channels_first = scaled[None] if scaled.ndim == 2 else np.moveaxis(scaled, -1, 0)
        clipped = np.clip(channels_first, *self.limits)
        repeated = np.broadcast_to(clipped, (in_channels, zoomed_height, zoomed_width))
        return np.array(repeated, order="C")


class PreparedStack(Sequence[Prepared]):
    """Slices (N, H, W[, 3]), each prepared at the working ``shape`` (h, w) when it is indexed.

    The scaling of intensities, whether there is brown dye, and whether there is anything but
    background are computed once, for all slices.
    """

    def __init__(
        self,
        slices: np.ndarray,
        preprocessing: Preprocessing,
        shape: tuple[int, int],
        fields_of_view: FieldsOfView | None = None,
    ) -> None:
        is_colour_for_stains = slices.ndim == 4 and preprocessing.channels == "stain"
        self.brown = is_colour_for_stains and is_bright_field(slices)
        if is_colour_for_stains and not self.brown:
            # On a dark background, colours do not come from stains, but were chosen for display.
            slices = slices.max(-1)
        if fields_of_view is None:
            fields_of_view = FieldsOfView(slices)

        self.slices = slices
        self.colour = slices.ndim == 4
        self.preprocessing = preprocessing
        self.shape = shape
        self.fields_of_view = fields_of_view

        # Noise alone would look like objects if it were stretched to the whole range.
        self.is_empty = is_only_background(slices)
        self.levels = [EMPTY_LEVELS] * len(slices)
        if not self.is_empty:
            self.levels = slice_levels(slices, preprocessing, self.colour, self.brown)

    def __len__(self) -> int:
        return len(self.slices)

    @overload
    def __getitem__(self, index: int) -> Prepared: ...

    @overload
    def __getitem__(self, index: slice) -> list[Prepared]: ...

    def __getitem__(self, index: int | slice) -> Prepared | list[Prepared]:
        if isinstance(index, slice):
            return [self.prepare(i) for i in range(len(self))[index]]
        # As in a list: negative indices count from the end, and too large ones raise IndexError.
        return self.prepare(range(len(self))[index])

    def prepare(self, index: int) -> Prepared:
        """Prepare the slice with this index, 0 to N - 1."""
        if self.preprocessing.intensities == "local":
            return self.flattened(index)

        pixels = self.selected(index)
        height, width = pixels.shape[:2]
        zoom = (self.shape[0] / height, self.shape[1] / width)
        if self.preprocessing.context:
            pixels = self.between_neighbours(index)
        offset, gain = self.levels[index]
        white = white_of(self.slices) if self.brown else None
        return Prepared(
            pixels,
            offset,
            gain,
            zoom=zoom,
            white_beside_brown=white,
            logit_shift=self.logit_shift_of(pixels.shape),
        )

    def selected(self, index: int) -> np.ndarray:
        """Choose the channels of a slice that the network reads: (H, W) or (H, W, 3)."""
        return select_channels(self.slices[index], self.preprocessing.channels, self.colour)

    def between_neighbours(self, index: int) -> np.ndarray:
        """Stack a slice with ``context`` slices on each side: (H, W, 1 + 2 * context).

        Beyond the ends of the volume, its first or last slice is repeated.
        """
        context = self.preprocessing.context
        indices = np.clip(range(index - context, index + context + 1), 0, len(self) - 1)
        return np.stack([self.selected(i) for i in indices], axis=-1)

    def flattened(self, index: int) -> Prepared:
        """Prepare the field of view's box, with flat illumination; outside it answers are 0."""
        if self.is_empty:
            return Prepared(np.zeros(self.slices[index].shape[:2], np.uint8))

        whole_inside = self.fields_of_view[index]
        stored_shape = whole_inside.shape
        rows, columns = box_of(whole_inside)
        inside = whole_inside[rows, columns]

        height = max(1, round(inside.shape[0] * (self.shape[0] / stored_shape[0])))
        width = max(1, round(inside.shape[1] * (self.shape[1] / stored_shape[1])))
        working_inside = resize(inside.astype(np.uint8), (height, width)) > 0
        # As floats: the local z-score enlarges the steps of whole grey levels.
        stored_pixels = self.selected(index)[rows, columns].astype(np.float32)
        working_pixels = resize(stored_pixels, (height, width))
        sigma = self.preprocessing.sigma
        pixels = flatten_illumination(working_pixels, working_inside, sigma)
        if np.ptp(pixels) == 0:
            return Prepared(np.zeros(stored_shape, np.uint8))

        def undo(answer: np.ndarray) -> np.ndarray:
            whole = np.zeros((len(answer), *stored_shape), np.float32)
            whole[:, rows, columns] = resize_channels(answer, inside.shape)
            return whole

        return Prepared(
            pixels,
            inside=working_inside,
            box=(rows, columns),
            logit_shift=self.logit_shift_of(stored_shape),
            undo=undo,
        )

    def logit_shift_of(self, stored_shape: tuple[int, ...]) -> float:
        """Return what is added to the logits of a slice that was stored as (H, W).

        The width in px of its field of view or of its objects follows from the zoom, so that a part
        of a photograph, seen at the zoom of the whole, has the shift of the whole.
        """
        preprocessing = self.preprocessing
        if not preprocessing.logit_shifts:
            return 0.0
        zoom = self.shape[0] / stored_shape[0]
        return shift_at(preprocessing.size / zoom, preprocessing.logit_shifts)
