"""The U-Net of Ronneberger, Fischer and Brox (2015), https://arxiv.org/abs/1505.04597, figure 1.

Differences from the paper, all common today: convolutions keep the image size ('same' padding), so
that the answer is as large as the image; the 3 x 3 convolutions are followed by batch
normalisation; the first level has 16 channels instead of 64; and a single class has one output.
With ``dims=3`` it reads volumes, as the 3D U-Net of Cicek et al. (2016),
https://arxiv.org/abs/1606.06650: all convolutions and poolings are along three axes.
Layer names are those of
https://github.com/mateuszbuda/brain-segmentation-pytorch, so that its published weights can be
loaded into ``UNet(3, 1, features=32)``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .cards import ModelCard

Convolution: TypeAlias = nn.Conv2d | nn.Conv3d
UpConvolution: TypeAlias = nn.ConvTranspose2d | nn.ConvTranspose3d
BatchNorm: TypeAlias = nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(frozen=True)
class Layers:
    """The layers of a U-Net for images of so many axes."""

    convolution: type[Convolution]
    upconvolution: type[UpConvolution]
    norm: type[BatchNorm]
    pool: type[nn.MaxPool2d | nn.MaxPool3d]
    # The order in memory in which convolutions are fastest.
    memory_format: torch.memory_format


LAYERS = {
    2: Layers(
        convolution=nn.Conv2d,
        upconvolution=nn.ConvTranspose2d,
        norm=nn.BatchNorm2d,
        pool=nn.MaxPool2d,
        memory_format=torch.channels_last,
    ),
    3: Layers(
        convolution=nn.Conv3d,
        upconvolution=nn.ConvTranspose3d,
        norm=nn.BatchNorm3d,
        pool=nn.MaxPool3d,
        memory_format=torch.channels_last_3d,
    ),
}


class UNet(nn.Module):
    """A U-Net: pixels (N, in_channels, H, W) to probabilities (N, out_channels, H, W).

    With ``dims=3``: voxels (N, in_channels, D, H, W) to (N, out_channels, D, H, W). Any size works:
    the image is padded by reflection to a multiple of ``2**depth``, and the answer is cropped.
    Networks of ``load_model`` have a ``card``.

    Parameters
    ----------
    in_channels
        Channels of the image: 1, 3 for colours, or the slices of a volume that are read together.
    out_channels
        1 for foreground or not (sigmoid); more for one class per channel (softmax).
    features
        Channels at full resolution; they double at each level.
    depth
        Number of levels, each of which halves height and width, and with ``dims=3`` the depth of
        the volume.
    overlapping
        Whether a pixel may belong to several classes: each channel then has a sigmoid of its own.
    dims
        Axes of an image: 2, or 3 for volumes.

    Examples
    --------
    >>> import torch
    >>> import unet_helpers as uh
    >>> network = uh.UNet(in_channels=1, out_channels=3, features=4, depth=2)
    >>> probabilities = network(torch.zeros(2, 1, 30, 50))
    >>> tuple(probabilities.shape)
    (2, 3, 30, 50)
    """

    card: ModelCard  # the network's input and output; set by ``load_model``
    weights_sha256: str = ""  # of the file it was loaded from
    engine: str = "torch"  # the library that runs it: 'torch', 'openvino' or 'int8'
    dims: int = 2  # axes of an image
    curve: Any = None  # set by ``fine_tune``: step, loss and Dice, a pandas.DataFrame

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        features: int = 16,
        depth: int = 4,
        overlapping: bool = False,
        dims: int = 2,
    ) -> None:
        super().__init__()
        layers = LAYERS[dims]
        self.dims = dims
        self.overlapping = overlapping
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.features = features
        self.depth = depth

        # The contracting path (left side of the paper's figure 1).
        below = in_channels
        for level in range(1, depth + 1):
            width = features * 2 ** (level - 1)
            self.add_module(f"encoder{level}", two_convolutions(dims, below, width, f"enc{level}"))
            below = width
        self.pool = layers.pool(kernel_size=2, stride=2)
        self.bottleneck = two_convolutions(dims, below, features * 2**depth, "bottleneck")

        # The expanding path (right side): decoders read 2 * width channels, half from the skip.
        for level in range(depth, 0, -1):
            width = features * 2 ** (level - 1)
            upconv = layers.upconvolution(2 * width, width, kernel_size=2, stride=2)
            self.add_module(f"upconv{level}", upconv)
            decoder = two_convolutions(dims, 2 * width, width, f"dec{level}")
            self.add_module(f"decoder{level}", decoder)
        self.conv = layers.convolution(features, out_channels, kernel_size=1)

        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute probabilities, (N, out_channels, [D,] H, W), each between 0 and 1."""
        return self.probabilities(self.logits(x))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Compute the sigmoid of each channel, or the softmax over them; never in bfloat16."""
        if logits.dtype == torch.bfloat16:
            logits = logits.float()
        if self.out_channels == 1 or self.overlapping:
            return torch.sigmoid(logits)
        return torch.softmax(logits, dim=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Compute (N, out_channels, [D,] H, W): the scores before sigmoid or softmax."""
        size = x.shape[2:]
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
        return cropped(self.conv(x), size)

    def to_fastest(self) -> UNet:
        """Order the weights in memory as convolutions are fastest, and return the network."""
        return self.to(memory_format=LAYERS[self.dims].memory_format)

    def new_head(self, out_channels: int) -> Convolution:
        """Make a new last layer, with random weights, for other classes."""
        return LAYERS[self.dims].convolution(self.features, out_channels, kernel_size=1)


def network_of(card: ModelCard) -> UNet:
    """Make the network that a card describes, with random weights and the card."""
    network = UNet(
        card.in_channels,
        card.out_channels,
        card.features,
        card.depth,
        card.overlapping,
        card.preprocessing.dims,
    )
    network.card = card
    return network


def two_convolutions(dims: int, in_channels: int, out_channels: int, name: str) -> nn.Sequential:
    """Make two 3 x 3 (x 3) convolutions, each with batch norm and ReLU; one level of the figure."""
    layers = LAYERS[dims]
    block: OrderedDict[str, nn.Module] = OrderedDict()
    for number, channels in ((1, in_channels), (2, out_channels)):
        convolution = layers.convolution(channels, out_channels, 3, padding=1, bias=False)
        block[f"{name}conv{number}"] = convolution
        block[f"{name}norm{number}"] = layers.norm(out_channels)
        block[f"{name}relu{number}"] = nn.ReLU(inplace=True)
    return nn.Sequential(block)


def initialise(layer: nn.Module) -> None:
    """Draw Gaussian weights, std sqrt(2 / fan-in), as in section 3 of the paper, in place."""
    if not isinstance(layer, Convolution | UpConvolution):
        return
    # Tensors on the device 'meta' have no values, and torch would load a compiler to set them.
    if layer.weight.is_meta:
        return
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def pad_by_reflection(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Mirror the ends of the axes of (N, C, [D,] H, W) until all are multiples of ``multiple``."""
    for axis in range(2, x.dim()):
        size = x.shape[axis]
        missing = -size % multiple
        if missing:
            # Unlike torch's reflection, numpy's also works if the image is smaller than the
            # padding, down to one pixel.
            mirrored = np.pad(np.arange(size), (0, missing), mode="reflect")
            indices = torch.from_numpy(mirrored).to(x.device)
            x = x.index_select(axis, indices)
    return x


def cropped(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return the first ``size`` of the axes of (N, C, [D,] H, W): the inverse of the padding."""
    parts = tuple(slice(length) for length in size)
    return x[(slice(None), slice(None), *parts)]


def in_fastest_order(x: torch.Tensor) -> torch.Tensor:
    """Order (N, C, [D,] H, W) in memory as convolutions are fastest."""
    return x.contiguous(memory_format=LAYERS[x.dim() - 2].memory_format)


def fold_batch_norm(model: UNet) -> UNet:
    """Fold each batch norm into the convolution before it, in place; answers stay the same.

    For inference only: the network is put into eval mode.
    """
    model.eval()
    for block in model.children():
        if isinstance(block, nn.Sequential):
            fold_block(block)
    return model


def fold_block(block: nn.Sequential) -> None:
    """Fold the batch norms of one block, in place."""
    for conv_name, norm_name in pairwise(list(block._modules)):
        convolution = block.get_submodule(conv_name)
        norm = block.get_submodule(norm_name)
        if isinstance(convolution, Convolution) and isinstance(norm, BatchNorm):
            setattr(block, conv_name, fuse_conv_bn_eval(convolution, norm))
            setattr(block, norm_name, nn.Identity())
