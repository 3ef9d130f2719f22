"""``StepRng``: the random numbers of one training step, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


class StepRng:
    """Random numbers of one training step, reproducible on the same type of device.

    Reproducible training depends on the ORDER in which they are drawn. A change of that order
    changes every batch from there on.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

        # On the CPU, for numbers that set a shape: reading them from a GPU would wait for it.
        self.host = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Draw a tensor of uniform numbers."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> torch.Tensor:
        """Draw a tensor of normal numbers of mean 0 and standard deviation 1."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def coin(self, chance: float, *shape: int) -> torch.Tensor:
        """Draw a tensor of booleans that are True with probability ``chance``."""
        return self.uniform(0, 1, *shape) < chance

    def smooth_field(
        self, count: int, channels: int, knots: int, size: Sequence[int]
    ) -> torch.Tensor:
        """Draw (count, channels, *size) smooth fields; half of them are zero.

        Each is interpolated from ``knots`` normal numbers along each axis.
        """
        dims = len(size)
        values = self.normal(count, channels, *[knots] * dims)
        values = values * self.coin(0.5, count, 1, *[1] * dims)
        mode = "bicubic" if dims == 2 else "trilinear"
        return functional.interpolate(values, tuple(size), mode=mode, align_corners=True)

    def number(self, low: float, high: float) -> float:
        """Draw one uniform number as a Python float."""
        return low + (high - low) * float(torch.rand((), generator=self.host))
