"""Small random networks with a card, and examples to train them on."""

import numpy as np
import torch

from unet_helpers.networks.cards import ModelCard, Preprocessing
from unet_helpers.networks.unet import BatchNorm, UNet
from unet_helpers.training.examples import Example

# px: side of the examples of discs.
EXAMPLE_SIDE = 48

# Of the palette of the package.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2")


def make_network(
    out_channels: int = 1, in_channels: int = 1, features: int = 4, depth: int = 2, **preprocessing
) -> UNet:
    """A small random network with plausible running statistics, in eval mode, with a card."""
    torch.manual_seed(1)
    dims = preprocessing.get("dims", 2)
    network = UNet(in_channels, out_channels, features, depth, dims=dims)
    for layer in network.modules():
        if isinstance(layer, BatchNorm):
            give_statistics(layer)

    count = max(1, out_channels - 1)
    channels = "rgb" if in_channels == 3 else "grey"
    network.card = ModelCard(
        name="small",
        title="Small",
        modality="test",
        classes=tuple(f"class {i}" for i in range(1, count + 1)),
        colors=COLORS[:count],
        preprocessing=Preprocessing(**({"channels": channels} | preprocessing)),
        out_channels=out_channels,
        features=features,
        depth=depth,
    )
    network.weights_sha256 = ""
    return network.eval()


def give_statistics(layer: BatchNorm) -> None:
    """Give batch normalisation weights and statistics as after some training."""
    torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
    torch.nn.init.normal_(layer.bias, std=0.2)
    torch.nn.init.normal_(layer.running_mean, std=0.2)
    torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)


def discs(count: int, seed: int = 0) -> list[Example]:
    """Bright discs on a dark, noisy ground; the target is the disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:EXAMPLE_SIDE, :EXAMPLE_SIDE]

    examples = []
    for _ in range(count):
        row, column = rng.integers(14, 34, 2)
        radius = rng.integers(6, 12)
        target = ((y - row) ** 2 + (x - column) ** 2 < radius**2).astype(np.uint8)
        pixels = 0.2 + 0.5 * target + rng.normal(0, 0.1, target.shape)
        examples.append(Example(pixels[None].astype(np.float16), target))
    return examples
