"""Images of any size: cut into overlapping tiles, predict each, blend with Gaussian weights.

The weights fall off towards a tile's rim, where the network sees least of the surroundings, as in nnU-Net
(Isensee et al. 2021, Nat. Methods 18:203, online methods).
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from tqdm.auto import tqdm

from .prepare import Prepared, resize
from .unet import UNet

TILE = 1024  # working px, the longest side predicted at once: a compromise between memory and speed
OVERLAP = 256  # working px shared by neighbouring tiles
FLIPS = tuple(product((0, 2, 1, 3), (False, True)))  # (quarter turns, mirrored): the eight ways an image can lie


def predict(
    model: UNet,
    prepared: Prepared,
    shape: tuple[int, int],
    flips: int = 1,
    progress: bool = False,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> np.ndarray:
    """(K, *shape) float32 probabilities; memory beyond them is bounded by one tile."""
    height, width = prepared.pixels.shape[:2]
    total = np.zeros((model.out_channels, height, width), np.float32)
    if np.ptp(prepared.pixels) == 0:  # nothing to see: background, without asking the network
        total[0] = model.out_channels > 1
        return resize_planes(total, shape)
    zoom_y, zoom_x = prepared.zoom
    pieces = list(
        product(spans(height, tile / zoom_y, overlap / zoom_y), spans(width, tile / zoom_x, overlap / zoom_x))
    )
    quiet = not progress or len(pieces) < 4
    for (row, row_weights), (column, column_weights) in tqdm(pieces, desc="tiles", disable=quiet):
        answer = flip_average(model, prepared.tile(row, column, model.in_channels), flips)
        answer = resize_planes(answer, (len(row_weights), len(column_weights)))
        total[:, row, column] += answer * row_weights[:, None] * column_weights
    if prepared.inside is not None:
        total *= prepared.inside
    return resize_planes(total, shape)


def spans(length: int, tile: float, overlap: float) -> Iterator[tuple[slice, np.ndarray]]:
    """Evenly spread tiles along one axis, each with its share of the blend; shares sum to 1 at every pixel."""
    count = max(1, int(np.ceil((length - overlap) / max(1, tile - overlap))))
    size = min(length, int(np.ceil((length + (count - 1) * overlap) / count)))
    starts = np.linspace(0, length - size, count).round().astype(int)
    window = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (size / 8)) ** 2) + 1e-6
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += window
    for start in starts:
        yield slice(start, start + size), (window / total[start : start + size]).astype(np.float32)


@torch.inference_mode()
def flip_average(model: UNet, planes: np.ndarray, flips: int) -> np.ndarray:
    """(K, h, w): the mean answer for (C, h, w) planes as is (1), mirrored (2), half-turned (4), turned (8)."""
    x = torch.from_numpy(planes)[None]
    total = torch.zeros(model.out_channels, *planes.shape[1:])
    for way in FLIPS[:flips]:
        total += turn_back(model(turn(x, *way)), *way)[0]
    return (total / flips).numpy()


def turn(x: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    """(N, C, H, W) planes by quarter turns and then, if so, mirrored."""
    x = torch.rot90(x, quarters, (2, 3))
    return (x.flip(3) if mirror else x).contiguous(memory_format=torch.channels_last)


def turn_back(x: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    return torch.rot90(x.flip(3) if mirror else x, -quarters, (2, 3))


def resize_planes(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(K, h, w) to (K, *shape), each plane on its own."""
    return planes if planes.shape[1:] == tuple(shape) else np.stack([resize(plane, shape) for plane in planes])
