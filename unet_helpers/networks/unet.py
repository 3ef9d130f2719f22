"""The U-Net of Ronneberger, Fischer and Brox (2015), https://arxiv.org/abs/1505.04597, figure 1.

Two differences to the paper, both common today: convolutions keep the image size ('same' padding), so
that the answer is as large as the question, and each convolution is followed by batch normalisation.
Layer names are those of https://github.com/mateuszbuda/brain-segmentation-pytorch, so that its
published weights fit into ``UNet(3, 1, features=32)``.
"""

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .cards import ModelCard


class UNet(nn.Module):
    """A U-Net: (N, in_channels, H, W) pixels to (N, out_channels, H, W) probabilities.

    One output channel means yes or no at each pixel (sigmoid); several mean one class each (softmax).
    ``features`` is the number of channels at full resolution; it doubles at each of ``depth`` levels.
    Any H and W work: the image is padded by reflection to a multiple of 2**depth, the answer cropped.
    """

    card: ModelCard  # how it reads an image; ``load_model`` sets it and the next
    weights_sha256: str = ""
    engine: str = "torch"  # what computes it; see ``load_model``
    curve: Any = None  # of ``fine_tune``: step, loss and Dice, a pandas.DataFrame

    def __init__(
        self, in_channels: int = 3, out_channels: int = 1, features: int = 16, depth: int = 4
    ):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.features, self.depth = features, depth
        # the contracting path (left side of the paper's figure 1)
        for level in range(1, depth + 1):
            width = features * 2 ** (level - 1)
            below = in_channels if level == 1 else width // 2
            self.add_module(f"encoder{level}", two_convolutions(below, width, f"enc{level}"))
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        deepest = features * 2**depth
        self.bottleneck = two_convolutions(deepest // 2, deepest, "bottleneck")
        # the expanding path (right side): twice the channels come in, half of them over the skip
        for level in range(depth, 0, -1):
            width = features * 2 ** (level - 1)
            self.add_module(
                f"upconv{level}", nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2)
            )
            self.add_module(f"decoder{level}", two_convolutions(2 * width, width, f"dec{level}"))
        self.conv = nn.Conv2d(features, out_channels, kernel_size=1)
        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities, (N, out_channels, H, W), each between 0 and 1."""
        return self.probabilities(self.logits(x))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float() if logits.dtype == torch.bfloat16 else logits
        return torch.sigmoid(logits) if self.out_channels == 1 else torch.softmax(logits, dim=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The scores before sigmoid or softmax, (N, out_channels, H, W); what training works on."""
        height, width = x.shape[-2:]
        x = pad_by_reflection(x, 2**self.depth)
        skips = []
        for level in range(1, self.depth + 1):
            x = self.get_submodule(f"encoder{level}")(x)
            skips.append(x)  # (N, features * 2**(level-1), H / 2**(level-1), W / 2**(level-1))
            x = self.pool(x)
        x = self.bottleneck(x)
        for level in range(self.depth, 0, -1):
            x = self.get_submodule(f"upconv{level}")(x)
            x = torch.cat((x, skips.pop()), dim=1)  # the skip connection
            x = self.get_submodule(f"decoder{level}")(x)
        return self.conv(x)[..., :height, :width]


def two_convolutions(in_channels: int, out_channels: int, name: str) -> nn.Sequential:
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU: one blue box pair of figure 1."""
    layers = OrderedDict()
    for i, channels in ((1, in_channels), (2, out_channels)):
        layers[f"{name}conv{i}"] = nn.Conv2d(
            channels, out_channels, kernel_size=3, padding=1, bias=False
        )
        layers[f"{name}norm{i}"] = nn.BatchNorm2d(out_channels)
        layers[f"{name}relu{i}"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def initialise(layer: nn.Module) -> None:
    """Gaussian weights with standard deviation sqrt(2 / fan-in), section 3 of the paper (He et al. 2015)."""
    if (
        isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and not layer.weight.is_meta
    ):  # meta's would load a compiler
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def pad_by_reflection(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Mirror the last rows and columns until both sizes are multiples of ``multiple``."""
    for axis in (-2, -1):
        size = x.shape[axis]
        if missing := -size % multiple:
            # numpy's reflect also works where the image is smaller than the padding, down to one pixel
            mirrored = np.pad(np.arange(size), (0, missing), mode="reflect")
            x = x.index_select(x.dim() + axis, torch.from_numpy(mirrored).to(x.device))
    return x


def fold_batch_norm(model: UNet) -> UNet:
    """Fold each batch norm into the convolution before it: the same answers, fewer steps. In place; for inference."""
    model.eval()
    for layers in (
        block._modules for block in model.children() if isinstance(block, nn.Sequential)
    ):
        for conv, norm in pairwise(list(layers)):
            if isinstance(layers[norm], nn.BatchNorm2d):
                layers[conv], layers[norm] = (
                    fuse_conv_bn_eval(layers[conv], layers[norm]),
                    nn.Identity(),
                )
    return model
