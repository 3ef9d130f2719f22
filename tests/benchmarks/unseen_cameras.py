"""Vessels in photographs of a camera left out of the training.

``python tests/benchmarks/unseen_cameras.py --data DIR drive=FILE chase=FILE hrf=FILE``, with
weights of ``python -m unet_helpers train retinal_vessels --without CAMERA``.

Prints the mean Dice over all photographs of each camera at a threshold of 0.5, and how well the
measured share of vessels follows the true one: the slope of a line fitted to the eyes, 1 at best.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.inference.segment import segment
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.load import read_weights
from unet_helpers.networks.unet import UNet, fold_batch_norm
from unet_helpers.preprocessing.field_of_view import field_of_view
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import TASKS, read_cases

CARD = MODELS["retinal_vessels"]


@dataclass(frozen=True)
class Agreement:
    """How well the answers to the photographs of a camera agree with the truth."""

    dice: float  # mean
    slope: float  # of the measured share of vessels against the true one


def read_network(path: str) -> UNet:
    """Read the weights of a training."""
    network = fold_batch_norm(read_weights(Path(path), CARD))
    return network.to(memory_format=torch.channels_last).eval()


def agreement(network: UNet, cases: Sequence[Case]) -> Agreement:
    """Segment photographs, and compare the answers with the truth."""
    scores = []
    true_shares = []
    measured_shares = []
    for case in cases:
        result = segment(case.image, network, progress=False)
        scores.append(TASKS[CARD.name].score(case, result)["Dice"])
        inside = field_of_view(case.image.pixels)
        true_shares.append((case.truth > 0)[inside].mean())
        measured_shares.append((result.labels > 0)[inside].mean())

    slope, _ = np.polyfit(true_shares, measured_shares, 1)
    return Agreement(dice=float(np.mean(scores)), slope=float(slope))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the arguments of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data_help = "folder with one folder a card, as docs/training/data.md says"
    parser.add_argument("--data", type=Path, required=True, help=data_help)
    parser.add_argument("weights", nargs="+", metavar="CAMERA=FILE")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print the agreement on each camera that was left out."""
    chosen = parse(arguments)
    cases = list(read_cases(CARD.name, chosen.data / CARD.name))
    for camera_and_path in chosen.weights:
        camera, path = camera_and_path.split("=")
        unseen = [case for case in cases if case.kind == camera]
        found = agreement(read_network(path), unseen)
        print(
            f"{camera} ({len(unseen)}): Dice {found.dice:.3f}, slope of shares {found.slope:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
