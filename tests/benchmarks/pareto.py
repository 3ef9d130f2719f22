"""Accuracy against CPU time: ``python tests/benchmarks/pareto.py CARD --data DIR WEIGHTS...``.

One line for each file of the trainer: features, parameters, milliseconds for 512 x 512 px (one pass, no flips; the
median of interleaved repeats, so that a busy machine slows all alike), and the card's scores on the test part.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from unet_helpers.networks.load import load_model
from unet_helpers.training.evaluate import evaluate
from unet_helpers.training.tasks import TASKS

REPEATS = 15


@torch.inference_mode()
def milliseconds(models: list) -> list[float]:
    """Median time of each network for 512 x 512 px, taken in turns."""
    images = [
        torch.rand(1, m.in_channels, 512, 512).contiguous(memory_format=torch.channels_last)
        for m in models
    ]
    times = torch.zeros(REPEATS + 2, len(models))
    for i in range(REPEATS + 2):
        for j, (model, image) in enumerate(zip(models, images)):
            started = time.perf_counter()
            model(image)
            times[i, j] = 1000 * (time.perf_counter() - started)
    return times[2:].median(0).values.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="test")
    chosen = parser.parse_args()
    models = [load_model(path) for path in chosen.weights]
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for model, spent in zip(models, milliseconds(models)):
        scores = (
            evaluate(chosen.card, chosen.data, chosen.part, model)
            .drop(columns=["name", "kind", "group"])
            .mean()
        )
        words = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        count = sum(p.numel() for p in model.parameters())
        print(f"features {model.features:3d}  parameters {count:>10,}  {spent:6.1f} ms  {words}")


if __name__ == "__main__":
    main()
