"""Small random networks with a card, and examples to train them on."""

import numpy as np
import torch

from unet_helpers.networks.cards import ModelCard, Preprocessing
from unet_helpers.networks.unet import UNet
from unet_helpers.training.examples import Example


def make_network(
    out_channels: int = 1, in_channels: int = 1, features: int = 4, depth: int = 2, **preprocessing
) -> UNet:
    """A small random network with plausible running statistics, in eval mode, with a card."""
    torch.manual_seed(1)
    network = UNet(in_channels, out_channels, features, depth)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.2)
            torch.nn.init.normal_(layer.running_mean, std=0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    classes = tuple(f"class {i}" for i in range(1, max(2, out_channels)))
    colors = ("#E69F00", "#56B4E9", "#009E73")[: len(classes)]
    preprocessing = {"channels": "rgb" if in_channels == 3 else "grey"} | preprocessing
    network.card = ModelCard(
        "small",
        "Small",
        "test",
        classes,
        colors,
        Preprocessing(**preprocessing),
        out_channels=out_channels,
        features=features,
        depth=depth,
    )
    network.weights_sha256 = ""
    return network.eval()


def discs(count: int, seed: int = 0) -> list[Example]:
    """Bright discs on a dark, noisy ground; the target is the disc."""
    random, (y, x) = np.random.default_rng(seed), np.mgrid[:48, :48]
    examples = []
    for _ in range(count):
        cy, cx, r = *random.integers(14, 34, 2), random.integers(6, 12)
        target = ((y - cy) ** 2 + (x - cx) ** 2 < r**2).astype(np.uint8)
        pixels = 0.2 + 0.5 * target + random.normal(0, 0.1, target.shape)
        examples.append(Example(pixels[None].astype(np.float16), target))
    return examples
