"""What folding of batch normalisation, channels_last and inference_mode gain.

``python tests/benchmarks/lean.py [FEATURES]``

Prints the median time of one pass over 512 x 512 px in each way, taken in turns.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.networks.unet import UNet, fold_batch_norm

# Passes of each network; the first two are not counted.
PASSES = 17
UNCOUNTED = 2


@dataclass(frozen=True)
class Variant:
    """One way to compute the network."""

    network: UNet
    # (1, 3, 512, 512), laid out in memory as the network is.
    image: torch.Tensor
    # Without gradients by this.
    mode: Callable[[], AbstractContextManager]

    def milliseconds(self) -> float:
        """Time one pass."""
        started = time.perf_counter()
        with self.mode():
            self.network(self.image)
        return 1000 * (time.perf_counter() - started)


def variants(features: int) -> dict[str, Variant]:
    """Make the network in each way, by name."""
    plain = UNet(3, 1, features).eval()
    channels_last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    folded = fold_batch_norm(copy.deepcopy(plain)).to(memory_format=torch.channels_last).eval()

    image = torch.rand(1, 3, 512, 512)
    image_channels_last = image.contiguous(memory_format=torch.channels_last)
    return {
        "as trained": Variant(plain, image, torch.no_grad),
        "channels_last": Variant(channels_last, image_channels_last, torch.no_grad),
        "and folded, inference_mode": Variant(folded, image_channels_last, torch.inference_mode),
    }


def main(arguments: list[str] | None = None) -> None:
    """Time all variants in turns, and print their medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    features_help = "channels at full resolution (default: 16)"
    parser.add_argument("features", type=int, nargs="?", default=16, help=features_help)
    chosen = parser.parse_args(arguments)

    all_variants = variants(chosen.features)
    times: dict[str, list[float]] = {name: [] for name in all_variants}
    for _ in range(PASSES):
        for name, variant in all_variants.items():
            times[name].append(variant.milliseconds())

    medians = {name: statistics.median(spent[UNCOUNTED:]) for name, spent in times.items()}
    for name, median in medians.items():
        gain = medians["as trained"] / median
        print(f"{name:28} {median:7.1f} ms  {gain:.2f} times as fast")


if __name__ == "__main__":
    main()
