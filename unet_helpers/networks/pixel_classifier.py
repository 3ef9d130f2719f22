"""A classifier of pixels: a linear layer on a U-Net's maps and on simple filters, at all scales.

The maps of all levels together describe a pixel (hypercolumns, Hariharan et al. 2015, CVPR, p.
447). A linear layer can be applied at each level, and its answers enlarged and added, which is the
same as enlarging all maps first, and far cheaper (section 3 there).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .cards import ModelCard
from .pixel_filters import SCALES, channels_of_scale, filter_pyramid
from .unet import UNet, fold_batch_norm, pad_by_reflection


class PixelClassifier(UNet):
    """Logistic regression on the maps of a U-Net and on filters, as a network for ``segment``.

    Parameters
    ----------
    in_channels
        Channels of the image: 1, or 3 for colours.
    out_channels
        1 for one class; else background and classes.
    network
        The U-Net whose maps are read; None: the filters alone.

    Examples
    --------
    >>> import torch
    >>> from unet_helpers.networks.pixel_classifier import PixelClassifier
    >>> classifier = PixelClassifier(in_channels=1, out_channels=3)
    >>> tuple(classifier(torch.zeros(1, 1, 30, 50)).shape)
    (1, 3, 30, 50)
    """

    def __init__(self, in_channels: int, out_channels: int, network: UNet | None = None) -> None:
        nn.Module.__init__(self)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.depth = SCALES - 1
        self.overlapping = False
        self.network = network

        layers = []
        for scale in range(SCALES):
            channels = channels_of_scale(in_channels)
            if network is not None and scale < network.depth:
                channels += network.features * 2**scale
            # One bias is enough, because the answers of all scales are added.
            layers.append(nn.Conv2d(channels, out_channels, kernel_size=1, bias=scale == 0))
        self.layers = nn.ModuleList(layers)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute the maps of each scale of (1, C, H, W): (1, C_i, H' / 2**i, W' / 2**i) float32.

        H' and W' are H and W, enlarged by reflection to multiples of 2 ** (SCALES - 1).
        """
        x = pad_by_reflection(x, 2**self.depth)
        filters = filter_pyramid(x[0].float().numpy())
        by_scale = [[torch.from_numpy(maps)[None]] for maps in filters]
        if self.network is not None:
            pixels = as_read_by(self.network, x)
            for maps, of_network in zip(by_scale, decoder_maps(self.network, pixels)):
                maps.append(of_network.float())
        return [torch.cat(maps, dim=1) for maps in by_scale]

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the scores before sigmoid or softmax, (N, out_channels, H, W)."""
        images = [self.logits_of_maps(self.maps(image[None]), image.shape[-2:]) for image in x]
        return torch.cat(images)

    def logits_of_maps(
        self, maps: Sequence[torch.Tensor], shape: Sequence[int] | torch.Size
    ) -> torch.Tensor:
        """Compute the scores of ``maps``, cropped to ``shape`` (H, W): (1, out_channels, H, W)."""
        height, width = shape
        size = maps[0].shape[-2:]
        total = torch.zeros(1, self.out_channels, *size)

        # In bfloat16 the sum of many terms would be too coarse.
        with torch.autocast("cpu", enabled=False):
            for layer, maps_of_scale in zip(self.layers, maps, strict=True):
                answer = layer(maps_of_scale.float())
                total += functional.interpolate(answer, size=size, mode="bilinear")
        return total[..., :height, :width]


def as_read_by(network: UNet, x: torch.Tensor) -> torch.Tensor:
    """Return (1, C, H, W) with the channels that a network reads: grey is repeated, or averaged."""
    if x.shape[1] == network.in_channels:
        return x
    grey = x.mean(dim=1, keepdim=True)
    return grey.expand(-1, network.in_channels, -1, -1)


def decoder_maps(network: UNet, x: torch.Tensor) -> list[torch.Tensor]:
    """Compute the output of each decoder, finest first; H and W are multiples of 2**depth."""
    skips = []
    for level in range(1, network.depth + 1):
        x = network.get_submodule(f"encoder{level}")(x)
        skips.append(x)
        x = network.pool(x)
    x = network.bottleneck(x)

    maps = []
    for level in range(network.depth, 0, -1):
        x = network.get_submodule(f"upconv{level}")(x)
        x = torch.cat((x, skips.pop()), dim=1)
        x = network.get_submodule(f"decoder{level}")(x)
        maps.append(x)
    return maps[::-1]


def empty_classifier(card: ModelCard, tensors: dict[str, torch.Tensor]) -> PixelClassifier:
    """Make the classifier of a card, to which the tensors of its file are then given."""
    network = None
    if card.pixel_features == "network and filters":
        # The network may read other channels than the classifier, and has an answer of its own.
        in_channels = tensors["network.encoder1.enc1conv1.weight"].shape[1]
        out_channels = tensors["network.conv.weight"].shape[0]
        network = fold_batch_norm(UNet(in_channels, out_channels, card.features, card.depth))
    return PixelClassifier(card.in_channels, card.out_channels, network)


def sample_maps(maps: Sequence[torch.Tensor], points: np.ndarray) -> torch.Tensor:
    """Read the maps at pixels (N, 2), row and column: (N, C) float32, all scales side by side.

    Coarse maps are interpolated as ``PixelClassifier`` enlarges its answers.
    """
    height, width = maps[0].shape[-2:]
    centres = (torch.from_numpy(points).float() + 0.5) / torch.tensor([height, width])
    # ``grid_sample`` reads (x, y), from -1 at the left edge to 1 at the right one.
    grid = (2 * centres - 1).flip(-1)[None, None]
    columns = [
        functional.grid_sample(m.float(), grid, padding_mode="border", align_corners=False)[0, :, 0]
        for m in maps
    ]
    return torch.cat(columns).T.contiguous()
