"""The network of Ronneberger et al. 2015 (arXiv:1505.04597), figure 1, to be timed."""

from itertools import pairwise

import torch
from torch import nn

# Channels of the image and of each level on the way down.
WIDTHS = (1, 64, 128, 256, 512, 1024)

# px: side of a tile; its answer has 388 px a side.
TILE = 572


class ValidUNet(nn.Module):
    """A U-Net of valid convolutions: 64 to 1024 features, 572 to 388 px."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            two_convolutions(narrow, wide) for narrow, wide in pairwise(WIDTHS)
        )
        widths_up = WIDTHS[-2:0:-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, 2) for n in widths_up)
        self.joined = nn.ModuleList(two_convolutions(2 * n, n) for n in widths_up)
        self.last = nn.Conv2d(64, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits (N, 2, 388, 388) of (N, 1, 572, 572)."""
        skips = []
        for level, block in enumerate(self.down):
            if level > 0:
                x = nn.functional.max_pool2d(x, 2)
            x = block(x)
            skips.append(x)

        for up, block, skip in zip(self.up, self.joined, skips[-2::-1], strict=True):
            x = up(x)
            cut = middle_of(skip, x.shape[-2], x.shape[-1])
            x = block(torch.cat((cut, x), dim=1))
        return self.last(x)


def two_convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    """Make two valid convolutions of 3 x 3 px, each with a ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3),
        nn.ReLU(inplace=True),
    )


def middle_of(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Cut the middle out of square maps (N, C, H, W)."""
    start = (x.shape[-1] - width) // 2
    return x[..., start : start + height, start : start + width]
