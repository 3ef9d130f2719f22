"""Accuracy against time on a CPU.

``python tests/benchmarks/pareto.py CARD --data DIR WEIGHTS...``

One line for each file of the trainer: features, parameters, milliseconds for 512 x 512 px (one
pass, no flips; the median of interleaved repeats, so that a busy machine slows all alike), and the
card's scores on the test part.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.networks.load import load_model
from unet_helpers.networks.unet import UNet, in_fastest_order
from unet_helpers.training.evaluate import evaluate
from unet_helpers.training.tasks import TASKS

# Passes of each network that count, and those before them that do not.
REPEATS = 15
WARM_UP = 2


@torch.inference_mode()
def milliseconds(models: Sequence[UNet]) -> list[float]:
    """Return the median time of each network for 512 x 512 px or 64^3 voxels, taken in turns."""
    images = []
    for model in models:
        sides = (512, 512) if model.dims == 2 else (64, 64, 64)
        images.append(in_fastest_order(torch.rand(1, model.in_channels, *sides)))

    times = torch.zeros(REPEATS + WARM_UP, len(models))
    for repeat in range(REPEATS + WARM_UP):
        for column, (model, image) in enumerate(zip(models, images)):
            started = time.perf_counter()
            model(image)
            times[repeat, column] = 1000 * (time.perf_counter() - started)
    return times[WARM_UP:].median(0).values.tolist()


def print_line(model: UNet, spent: float, card: str, data: Path, part: str) -> None:
    """Print size, time (ms) and mean scores of a network."""
    table = evaluate(card, data, part, model)
    scores = table.drop(columns=["name", "kind", "group"]).mean()
    words = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"features {model.features:3d}  parameters {parameters:>10,}  {spent:6.1f} ms  {words}")


def main(arguments: list[str] | None = None) -> None:
    """Time and score all files of weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="test")
    chosen = parser.parse_args(arguments)

    models = [load_model(path) for path in chosen.weights]
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for model, spent in zip(models, milliseconds(models)):
        print_line(model, spent, chosen.card, chosen.data, chosen.part)


if __name__ == "__main__":
    main()
