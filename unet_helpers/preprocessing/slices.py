"""From the slices of an image or volume to what a network reads: channels, working scale, intensities.

The same class prepares training images, feature maps and a user's own files, so that all look alike to the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..networks.cards import Preprocessing
from .field_of_view import FieldsOfView, box_of, flatten_illumination
from .intensities import is_bright_field, remove_brown, select_channels, slice_levels
from .resample import resize, resize_channels


@dataclass(frozen=True)
class Prepared:
    """A slice ready to be cut into tiles; the network reads ``(pixels - offset) * gain`` at working scale."""

    pixels: (
        np.ndarray
    )  # (h, w) or (h, w, C): colours, or a slice between its neighbours; may be a dask array
    offset: float = 0.0
    gain: float = 1.0
    zoom: tuple[float, float] = (1.0, 1.0)  # working px per px, still to be applied to a tile
    inside: np.ndarray | None = None  # (h, w) bool: the field of view, where the card has one
    box: tuple[slice, slice] = (
        slice(None),
        slice(None),
    )  # rows and columns of the stored slice that were prepared
    brown: bool = False  # is the brown dye to be taken out?
    limits: tuple[float, float] = (-1.0, 2.0)  # what the network reads is clipped to these
    undo: Callable[[np.ndarray], np.ndarray] | None = (
        None  # (K, h, w) answers to (K, H, W); resized where None
    )

    def tile(self, rows: slice, columns: slice, in_channels: int) -> np.ndarray:
        """(in_channels, rows * zoom, columns * zoom) float32, about 0 to 1; a lone grey channel is repeated."""
        cut = np.asarray(self.pixels[rows, columns])
        cut = resize(
            cut, tuple(max(1, round(n * z)) for n, z in zip(cut.shape, self.zoom, strict=False))
        )
        cut = remove_brown(cut) if self.brown else cut
        cut = (np.nan_to_num(cut.astype(np.float32), posinf=0, neginf=0) - self.offset) * self.gain
        read = np.clip(cut[None] if cut.ndim == 2 else np.moveaxis(cut, -1, 0), *self.limits)
        return np.array(np.broadcast_to(read, (in_channels, *read.shape[1:])), order="C")


class PreparedStack(Sequence[Prepared]):
    """Slices (N, H, W[, 3]), each prepared for the network at the working ``shape`` (h, w) when it is asked for.
    What all slices share, the range of intensities and whether there is brown dye, is found once.
    """

    def __init__(
        self,
        slices: np.ndarray,
        preprocessing: Preprocessing,
        shape: tuple[int, int],
        fields_of_view: FieldsOfView | None = None,
    ) -> None:
        if fields_of_view is None:
            fields_of_view = FieldsOfView(slices)
        self.fields_of_view = fields_of_view
        stained = slices.ndim == 4 and preprocessing.channels == "stain"
        self.brown = stained and is_bright_field(slices)
        slices = (
            slices.max(-1) if stained and not self.brown else slices
        )  # on a dark ground colours are a display's
        self.slices, self.preprocessing, self.shape, self.colour = (
            slices,
            preprocessing,
            shape,
            slices.ndim == 4,
        )
        self.levels = slice_levels(slices, preprocessing, self.colour, self.brown)

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> Prepared:
        if self.preprocessing.intensities == "local":
            return self.flattened(index)
        pixels = self.selected(index)
        zoom = (self.shape[0] / pixels.shape[0], self.shape[1] / pixels.shape[1])
        if reach := self.preprocessing.context:
            around = np.clip(
                range(index - reach, index + reach + 1), 0, len(self) - 1
            )  # the last slice again
            pixels = np.stack([self.selected(i) for i in around], axis=-1)
        return Prepared(pixels, *self.levels[index], zoom=zoom, brown=self.brown)

    def flattened(self, index: int) -> Prepared:
        """The field of view alone, in flat illumination; outside it the answer is 0."""
        inside = self.fields_of_view[index]
        box, shape = box_of(inside), inside.shape
        inside = inside[box]
        zooms = (working / stored for working, stored in zip(self.shape, shape, strict=True))
        size = tuple(max(1, round(n * zoom)) for n, zoom in zip(inside.shape, zooms, strict=True))
        seen = resize(inside.astype(np.uint8), size) > 0
        pixels = flatten_illumination(
            resize(self.selected(index)[box], size), seen, self.preprocessing.sigma
        )

        def undo(answer: np.ndarray) -> np.ndarray:
            whole = np.zeros((len(answer), *shape), np.float32)
            whole[(slice(None), *box)] = resize_channels(answer, inside.shape)
            return whole

        if not np.ptp(pixels):
            return Prepared(np.zeros(shape, np.uint8))
        return Prepared(pixels, inside=seen, box=box, undo=undo)

    def selected(self, index: int) -> np.ndarray:
        """(H, W) or (H, W, 3): the channels of a slice that the network reads."""
        return select_channels(self.slices[index], self.preprocessing.channels, self.colour)
