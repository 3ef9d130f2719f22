"""Predicts images of any size: overlapping tiles, blended with Gaussian weights; volumes in cubes.

The prediction of a tile is the mean over turned and mirrored copies of it (test-time augmentation).
The weights decrease towards the border of a tile, where the network sees least of the surroundings,
as in nnU-Net (Isensee et al. 2021, Nat. Methods 18:203, online methods).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from tqdm.auto import tqdm

from ..networks.engine import run
from ..networks.unet import UNet, in_fastest_order
from ..preprocessing.resample import resize_channels
from ..preprocessing.slices import Prepared

# Working px: the longest side of a tile, a compromise between memory and speed.
TILE = 1280

# Working px: overlap of neighbouring tiles. Measured: 1 of 50,000 probabilities then differs by 0.1
# from the prediction without tiles.
OVERLAP = 128

# Voxels: the longest side of the cubes of a volume, a compromise between memory and speed; and
# their overlap, because an answer depends on about as many voxels on each side.
CUBE = 128
CUBE_OVERLAP = 32

# No progress bar is shown for fewer tiles.
FEW_TILES = 4

# Length of a tile / standard deviation of its Gaussian weights, as in nnU-Net.
TILE_OVER_SIGMA = 8

# Added to the weights, so that none is 0.
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Augmentation:
    """One of the eight symmetries of a square: turns and mirror images."""

    quarter_turns: int
    mirrored: bool

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Turn the rows and columns of (N, C, [D,] H, W), then mirror the columns."""
        x = torch.rot90(x, self.quarter_turns, (-2, -1))
        if self.mirrored:
            x = x.flip(-1)
        return in_fastest_order(x)

    def undo(self, x: torch.Tensor) -> torch.Tensor:
        """Turn and mirror (N, C, [D,] h, w) back: the inverse of ``apply``."""
        if self.mirrored:
            x = x.flip(-1)
        return torch.rot90(x, -self.quarter_turns, (-2, -1))


# The first leaves the image unchanged; the first two, four and eight are groups of symmetries.
AUGMENTATIONS = tuple(
    Augmentation(quarter_turns, mirrored)
    for quarter_turns in (0, 2, 1, 3)
    for mirrored in (False, True)
)


@dataclass(frozen=True, eq=False)
class Span:
    """The position of a tile along one axis, and its weights in the blend."""

    place: slice

    # (n,) float32; those of all tiles sum to 1 at every pixel.
    weights: np.ndarray


def predict(
    model: UNet,
    prepared: Prepared,
    out: np.ndarray,
    flips: int = 1,
    weight: float = 1.0,
    progress: bool = False,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> None:
    """Add ``weight`` times the probabilities of a slice to ``out`` (K, H, W), in place.

    (H, W) is the size of the slice as stored. With ``flips`` > 1, ``out`` may have one more
    channel, for the spread over the augmentations (see ``averaged``). ``tile`` and ``overlap`` are
    working px. If the slice is prepared at its stored size, only one tile at a time is in memory
    beside ``out``, and both may be arrays on disk.
    """
    height, width = prepared.pixels.shape[:2]
    is_direct = (
        prepared.undo is None and prepared.inside is None and out.shape[1:] == (height, width)
    )
    total = out
    if not is_direct:
        total = np.zeros((out.shape[0], height, width), np.float32)

    tiles = tiles_of(prepared, tile, overlap, step=2**model.depth)
    hide_bar = not progress or len(tiles) < FEW_TILES
    for rows, columns in tqdm(tiles, desc="tiles", disable=hide_bar):
        # Not kept under a name, so that its memory is free before the next tile is computed.
        total[:, rows.place, columns.place] += weighted_answer(
            model, prepared, rows, columns, flips, weight, channels=out.shape[0]
        )

    if prepared.inside is not None:
        total *= prepared.inside
    if is_direct:
        return
    if prepared.undo is None:
        answer = resize_channels(total, out.shape[1:])
    else:
        answer = prepared.undo(total)

    if prepared.inside is not None and model.out_channels > 1:
        # Outside the field of view there is nothing but background.
        answer[0] = weight - answer[1 : model.out_channels].sum(axis=0)
    out += answer


def predict_cubes(
    model: UNet, volume: np.ndarray, channels: int, flips: int, progress: bool = False
) -> np.ndarray:
    """Predict a volume (1, D, H, W) in overlapping cubes: the first ``channels``, (K, D, H, W)."""
    step = 2**model.depth
    axes = [spans(length, CUBE, CUBE_OVERLAP, step) for length in volume.shape[1:]]
    cubes = list(product(*axes))

    total = np.zeros((channels, *volume.shape[1:]), np.float32)
    for cube in tqdm(cubes, desc="cubes", disable=not progress or len(cubes) < FEW_TILES):
        place = tuple(span.place for span in cube)
        pixels = np.ascontiguousarray(volume[(slice(None), *place)])
        if np.ptp(pixels) == 0:
            answer = background_answer(model)[..., None]
        else:
            answer = averaged(model, pixels, flips)

        in_depth, in_rows, in_columns = (span.weights for span in cube)
        weights = in_depth[:, None, None] * in_rows[:, None] * in_columns
        total[(slice(None), *place)] += answer[:channels] * weights
    return total


def tiles_of(prepared: Prepared, tile: int, overlap: int, step: int) -> list[tuple[Span, Span]]:
    """List the rows and columns of all tiles; ``tile``, ``overlap`` and ``step`` are working px."""
    spans_by_axis = []
    for length, zoom in zip(prepared.pixels.shape[:2], prepared.zoom, strict=True):
        spans_by_axis.append(spans(length, tile / zoom, overlap / zoom, step / zoom))
    rows, columns = spans_by_axis
    return list(product(rows, columns))


def weighted_answer(
    model: UNet,
    prepared: Prepared,
    rows: Span,
    columns: Span,
    flips: int,
    weight: float,
    channels: int,
) -> np.ndarray:
    """Return what a tile adds to the slice: its first ``channels``, times the weights of pixels."""
    answer = answer_for_tile(model, prepared, rows.place, columns.place, flips)[:channels]
    answer = resize_channels(answer, (len(rows.weights), len(columns.weights)))
    weighted = answer * (weight * rows.weights[:, None])
    weighted *= columns.weights
    return weighted


def answer_for_tile(
    model: UNet, prepared: Prepared, rows: slice, columns: slice, flips: int
) -> np.ndarray:
    """Predict one tile: (K, h, w), with the spread as the last channel if ``flips`` > 1.

    For a constant tile the network is not run: it is background, (K + 1, 1, 1).
    """
    pixels = prepared.tile(rows, columns, model.in_channels)

    # A preprocessing method with its own ``undo`` may make a constant tile from one that is not.
    is_empty = prepared.undo is None and np.ptp(pixels) == 0
    if is_empty:
        return background_answer(model)
    answer = averaged(model, pixels, flips)
    if prepared.logit_shift:
        probabilities = answer[: model.out_channels]
        probabilities[:] = shifted(probabilities, prepared.logit_shift, has_background(model))
    return answer


def shifted(probabilities: np.ndarray, logit_shift: float, with_background: bool) -> np.ndarray:
    """Return probabilities (K, h, w) for which the logits of the foreground are higher.

    ``with_background``: channel 0 is the background, and those of a pixel sum to 1.
    """
    odds = np.exp(logit_shift)
    if not with_background:
        return probabilities * odds / (1 - probabilities + probabilities * odds)
    weighted = probabilities * odds
    weighted[0] = probabilities[0]
    return weighted / weighted.sum(axis=0)


def background_answer(model: UNet) -> np.ndarray:
    """Return the prediction for background, (K + 1, 1, 1), with a spread of 0."""
    answer = np.zeros((model.out_channels + 1, 1, 1), np.float32)
    if has_background(model):
        answer[0] = 1.0
    return answer


def has_background(model: UNet) -> bool:
    """Return whether the first channel of the answer is the background."""
    return model.out_channels > 1 and not model.overlapping


def spans(length: int, tile: float, overlap: float, step: float = 1) -> list[Span]:
    """Cut an axis into tiles that start at multiples of ``step``, with Gaussian weights.

    All lengths are px of the axis. With ``step`` = 2**depth, tiles start at the border of a pooling
    window, so that pooling in a tile is the same as in the whole image.
    """
    count = 1
    if length > tile:
        count = int(np.ceil((length - overlap) / max(1, tile - step - overlap)))

    # All tiles but the last have the same size, a multiple of ``step``.
    size = np.ceil((length + (count - 1) * overlap) / count)
    steps = size / step
    if step > 1:
        steps += 1
    whole_size = np.ceil(steps) * step

    places = []
    for start in np.linspace(0, max(0, length - size), count):
        first = start // step * step
        places.append(slice(round(first), min(length, round(first + whole_size))))

    windows = [gaussian(place.stop - place.start) for place in places]
    total = np.zeros(length)
    for place, window in zip(places, windows, strict=True):
        total[place] += window
    return [
        Span(place, (window / total[place]).astype(np.float32))
        for place, window in zip(places, windows, strict=True)
    ]


def gaussian(length: int) -> np.ndarray:
    """Return the weights of a tile along one axis: (length,), largest in the middle."""
    from_middle = np.arange(length) - (length - 1) / 2
    return np.exp(-0.5 * (from_middle / (length / TILE_OVER_SIGMA)) ** 2) + LEAST_WEIGHT


@torch.inference_mode()
def averaged(model: UNet, tile: np.ndarray, flips: int) -> np.ndarray:
    """Average the answers for the first ``flips`` augmentations of a (C, [d,] h, w) tile.

    The result is (K, [d,] h, w). If ``flips`` > 1, one more channel comes last: the spread, which
    is the standard deviation of the foreground over the augmentations.
    """
    x = torch.from_numpy(tile)[None]
    mean = torch.zeros(1)
    mean_of_one = torch.zeros(1)
    squares = torch.zeros(1)
    for count, augmentation in enumerate(AUGMENTATIONS[:flips], 1):
        answer = augmentation.undo(run(model, augmentation.apply(x)))[0]
        mean = mean + (answer - mean) / count

        # Channel 0 varies as the foreground does: it is the foreground, or all but it. Classes that
        # overlap have no such channel.
        one = answer.amax(0) if model.overlapping else answer[0]

        # Welford 1962, Technometrics 4:419: the variance without keeping all answers.
        previous_mean = mean_of_one
        mean_of_one = mean_of_one + (one - mean_of_one) / count
        squares = squares + (one - previous_mean) * (one - mean_of_one)

    if flips == 1:
        return mean.numpy()
    deviation = (squares / flips).clamp(0).sqrt()
    return torch.cat((mean, deviation[None])).numpy()
