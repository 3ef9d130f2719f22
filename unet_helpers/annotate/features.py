"""The maps of an image that a classifier of pixels reads, computed once, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..checks.view import View
from ..inference.tiles import OVERLAP, TILE, Span, tiles_of
from ..networks.cards import Preprocessing
from ..networks.engine import precision
from ..networks.pixel_classifier import PixelClassifier, sample_maps
from ..preprocessing.prepare import prepare
from .classifier import Spread

# The largest value that is kept in half precision, which saves memory.
LARGEST = 6e4

# Number of pixels, evenly spread, by which it is measured how the maps vary over an image.
PIXELS_OF_SPREAD = 10_000


@dataclass(frozen=True, eq=False)
class TileMaps:
    """The maps of one tile."""

    rows: Span
    columns: Span
    maps: Sequence[torch.Tensor]  # float16, of each scale

    def weights_at(self, points: np.ndarray) -> np.ndarray:
        """Return the weight of the tile in the blend at pixels (N, 2); 0 outside it."""
        weights = np.ones(len(points), np.float32)
        for axis, span in enumerate((self.rows, self.columns)):
            places = points[:, axis] - span.place.start
            inside = (places >= 0) & (places < len(span.weights))
            weights *= np.where(inside, span.weights[np.where(inside, places, 0)], 0)
        return weights


class ImageFeatures:
    """The maps of a single image at its own size, prepared as ``segment`` does.

    Parameters
    ----------
    view : View
        A single image.
    preprocessing : Preprocessing
        That of the classifier's card.
    classifier : PixelClassifier
        Its maps are computed; its weights do not matter.
    """

    def __init__(
        self, view: View, preprocessing: Preprocessing, classifier: PixelClassifier
    ) -> None:
        slices = view.stack.pixels
        height, width = slices.shape[1:3]
        self.shape = (height, width)
        prepared = prepare(slices, preprocessing, self.shape, view.fields_of_view[0])[0]

        step = 2**classifier.depth
        self.tiles: list[TileMaps] = []
        for rows, columns in tiles_of(prepared, TILE, OVERLAP, step):
            pixels = prepared.tile(rows.place, columns.place, classifier.in_channels)
            maps = compute_maps(classifier, torch.from_numpy(pixels)[None])
            self.tiles.append(TileMaps(rows, columns, maps))
        self.spread = self.measure_spread()

    def measure_spread(self) -> Spread:
        """Return how the maps vary over the image."""
        height, width = self.shape
        step = max(1, round(np.sqrt(height * width / PIXELS_OF_SPREAD)))
        pixels = np.mgrid[step // 2 : height : step, step // 2 : width : step]
        values = self.sample(pixels.reshape(2, -1).T)
        return Spread(values.mean(0), values.var(0, correction=0))

    @property
    def nbytes(self) -> int:
        """Memory of the maps in bytes."""
        return sum(maps.nbytes for tile in self.tiles for maps in tile.maps)

    def sample(self, points: np.ndarray) -> torch.Tensor:
        """Read the maps at pixels (N, 2), row and column: (N, C) float32."""
        nearest = np.argmax([tile.weights_at(points) for tile in self.tiles], axis=0)
        samples: torch.Tensor | None = None
        for number, tile in enumerate(self.tiles):
            chosen = np.flatnonzero(nearest == number)
            if not len(chosen):
                continue
            origin = (tile.rows.place.start, tile.columns.place.start)
            of_tile = sample_maps(tile.maps, points[chosen] - origin)
            if samples is None:
                samples = torch.zeros(len(points), of_tile.shape[1])
            samples[chosen] = of_tile
        assert samples is not None
        return samples

    @torch.inference_mode()
    def predict(self, classifier: PixelClassifier) -> np.ndarray:
        """Compute the probabilities, (K, H, W) float32; overlapping tiles are blended."""
        total = np.zeros((classifier.out_channels, *self.shape), np.float32)
        for tile in self.tiles:
            rows, columns = tile.rows, tile.columns
            size = (len(rows.weights), len(columns.weights))
            logits = classifier.logits_of_maps(tile.maps, size)
            answer = classifier.probabilities(logits)[0].numpy()
            weights = rows.weights[:, None] * columns.weights
            total[:, rows.place, columns.place] += answer * weights
        return total


@torch.inference_mode()
def compute_maps(classifier: PixelClassifier, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Compute the maps of one tile, in the precision of inference; they are kept as float16."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bfloat16"):
        maps = classifier.maps(pixels.contiguous(memory_format=torch.channels_last))
    return [values.clamp(-LARGEST, LARGEST).half() for values in maps]
