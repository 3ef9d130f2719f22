"""Images of any size: cut into overlapping tiles, predict each, blend with Gaussian weights.

Each answer is the mean over turned and mirrored copies of the tile. The weights fall off towards its rim, where the
network sees least of the surroundings, as in nnU-Net (Isensee et al. 2021, Nat. Methods 18:203, online methods).
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from tqdm.auto import tqdm

from ..networks.engine import run
from ..networks.unet import UNet
from ..preprocessing.resample import resize_channels
from ..preprocessing.slices import Prepared

TILE = 1024  # working px, the longest side predicted at once: a compromise between memory and speed
OVERLAP = 128  # working px shared by neighbours: 1 probability in 50,000 then differs by 0.1 from that without tiles
FLIPS = tuple(
    product((0, 2, 1, 3), (False, True))
)  # (quarter turns, mirrored): the eight ways an image can lie


def predict(
    model: UNet,
    prepared: Prepared,
    out: np.ndarray,
    flips: int = 1,
    share: float = 1.0,
    progress: bool = False,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> None:
    """Add ``share`` times the probabilities of a slice to ``out``, (K, H, W) float32 of the slice as stored.
    With ``flips`` > 1, ``out`` may have one more channel, for the disagreement of the copies (see ``averaged``). Memory
    beyond ``out`` is bounded by one tile where the slice is prepared at its stored size; both may be arrays on disk.
    """
    height, width = prepared.pixels.shape[:2]
    direct = prepared.undo is None and prepared.inside is None and out.shape[1:] == (height, width)
    total = out if direct else np.zeros((out.shape[0], height, width), np.float32)
    sides, pool = zip((height, width), prepared.zoom, strict=True), 2**model.depth
    pieces = list(
        product(
            *(spans(length, tile / zoom, overlap / zoom, pool / zoom) for length, zoom in sides)
        )
    )
    quiet = not progress or len(pieces) < 4
    for (row, row_weights), (column, column_weights) in tqdm(pieces, desc="tiles", disable=quiet):
        seen = prepared.tile(row, column, model.in_channels)
        answer = np.eye(out.shape[0], 1, dtype=np.float32)[..., None] * (
            model.out_channels > 1
        )  # background
        if (
            prepared.undo is not None or np.ptp(seen) > 0
        ):  # else there is nothing for the network to see
            answer = averaged(model, seen, flips)[: out.shape[0]]
        answer = resize_channels(answer, (len(row_weights), len(column_weights)))
        total[:, row, column] += answer * (share * row_weights[:, None]) * column_weights
    if prepared.inside is not None:
        total *= prepared.inside
    if not direct:
        out += (
            resize_channels(total, out.shape[1:]) if prepared.undo is None else prepared.undo(total)
        )


def spans(
    length: int, tile: float, overlap: float, step: float = 1
) -> Iterator[tuple[slice, np.ndarray]]:
    """Tiles along one axis that start at multiples of ``step``, each with its share of the blend.
    Shares sum to 1 at every pixel. Where tiles start with a pooling window, they see what the whole image shows.
    """
    count = int(np.ceil((length - overlap) / max(1, tile - step - overlap))) if length > tile else 1
    size, places, total = np.ceil((length + (count - 1) * overlap) / count), [], np.zeros(length)
    for start in np.linspace(0, max(0, length - size), count) // step * step:  # tiles of one size
        place = slice(
            round(start), min(length, round(start + np.ceil(size / step + (step > 1)) * step))
        )
        middle = np.arange(place.stop - place.start) - (place.stop - place.start - 1) / 2
        places.append((place, np.exp(-0.5 * (middle / (len(middle) / 8)) ** 2) + 1e-6))
        total[place] += places[-1][1]
    yield from ((place, (window / total[place]).astype(np.float32)) for place, window in places)


@torch.inference_mode()
def averaged(model: UNet, tile: np.ndarray, flips: int) -> np.ndarray:
    """The mean answer for a (C, h, w) tile as is (1), mirrored (2), half-turned (4), turned (8): (K, h, w) float32.
    Of several copies one more channel comes last: the standard deviation of the foreground's probability.
    """
    x, mean, squares = torch.from_numpy(tile)[None], torch.zeros(1), torch.zeros(1)
    for count, way in enumerate(FLIPS[:flips], 1):
        answer = turn_back(run(model, turn(x, *way)), *way)[0]
        before, mean = (
            mean,
            mean + (answer - mean) / count,
        )  # Welford 1962: no need to keep all answers
        squares = squares + (answer[0] - before[0]) * (answer[0] - mean[0])
    return (
        torch.cat((mean, (squares / flips).clamp(0).sqrt()[None])) if flips > 1 else mean
    ).numpy()


def turn(x: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    """(N, C, H, W) by quarter turns and then, if so, mirrored."""
    x = torch.rot90(x, quarters, (2, 3))
    return (x.flip(3) if mirror else x).contiguous(memory_format=torch.channels_last)


def turn_back(x: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    return torch.rot90(x.flip(3) if mirror else x, -quarters, (2, 3))
