"""Test-time augmentation: the mean answer over turned and mirrored copies of a tile, and how far they disagree."""

from itertools import product

import numpy as np
import torch

from ..networks.engines import run
from ..networks.unet import UNet

FLIPS = tuple(product((0, 2, 1, 3), (False, True)))  # (quarter turns, mirrored): the eight ways an image can lie


@torch.inference_mode()
def averaged(model: UNet, tile: np.ndarray, flips: int) -> np.ndarray:
    """The mean answer for a (C, h, w) tile as is (1), mirrored (2), half-turned (4), turned (8): (K, h, w) float32.

    Of several copies one more channel comes last: the standard deviation of the foreground's probability.
    """
    x, mean, squares = torch.from_numpy(tile)[None], torch.zeros(1), torch.zeros(1)
    for count, way in enumerate(FLIPS[:flips], 1):
        answer = turn_back(run(model, turn(x, *way)), *way)[0]
        before, mean = mean, mean + (answer - mean) / count  # Welford 1962: no need to keep all answers
        squares = squares + (answer[0] - before[0]) * (answer[0] - mean[0])
    return (torch.cat((mean, (squares / flips).clamp(0).sqrt()[None])) if flips > 1 else mean).numpy()


def turn(x: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    """(N, C, H, W) by quarter turns and then, if so, mirrored."""
    x = torch.rot90(x, quarters, (2, 3))
    return (x.flip(3) if mirror else x).contiguous(memory_format=torch.channels_last)


def turn_back(x: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    return torch.rot90(x.flip(3) if mirror else x, -quarters, (2, 3))
