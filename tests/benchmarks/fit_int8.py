"""How the cards' ``int8_ranges`` are made.

``python tests/benchmarks/fit_int8.py CARD... --data DIR [--write]``

The ranges are the extremes of what is rounded, the inputs of ``rounded_layers``, on images of the
training part. Scores are then compared, on the same images, with those of single precision: a card
keeps its ranges (--write) where no metric of the validation part, nor of the test part, falls by
more than 0.002.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS, WEIGHTS
from unet_helpers.networks.openvino_graph import rounded_layers
from unet_helpers.networks.unet import UNet
from unet_helpers.training.datasets import Case, Part
from unet_helpers.training.evaluate import ERROR
from unet_helpers.training.tasks import TASKS, read_cases

# A metric may fall by so much.
ACCEPTED_LOSS = 0.002

# Images or volumes at most, evenly spread: to find the ranges, and to compare scores.
CASES_FOR_RANGES = 12
CASES_FOR_SCORES = 60

# The lowest and the highest input of each layer, as a card holds them.
Ranges = list[list[float]]


def evenly_spread(cases: Sequence[Case], part: Part, most: int) -> list[Case]:
    """Choose at most so many cases of a part."""
    of_part = [case for case in cases if case.part == part]
    stride = -(-len(of_part) // most)
    return of_part[::stride]


class RangeRecorder:
    """Records the lowest and the highest input of layers."""

    def __init__(self, layers: Sequence[torch.nn.Module]) -> None:
        # (layers, 2); 0 lies in each range.
        self.extremes = np.zeros((len(layers), 2))
        self.hooks = []
        for index, layer in enumerate(layers):
            self.hooks.append(layer.register_forward_pre_hook(self.hook_of(index)))

    def hook_of(self, index: int):
        """Return what is called before a layer runs."""

        def record(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            low, high = inputs[0].aminmax()
            self.extremes[index, 0] = min(self.extremes[index, 0], float(low))
            self.extremes[index, 1] = max(self.extremes[index, 1], float(high))

        return record

    def remove(self) -> None:
        """Stop recording."""
        for hook in self.hooks:
            hook.remove()


def ranges_of(model: UNet, cases: Sequence[Case]) -> Ranges:
    """Find the ranges of what is rounded, on some images, with four digits."""
    layers = [model.get_submodule(name) for name in rounded_layers(model)]
    recorder = RangeRecorder(layers)
    for case in cases:
        uh.segment(case.image, model, progress=False)
    recorder.remove()
    return [[float(f"{value:.4g}") for value in pair] for pair in recorder.extremes]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores in single precision and with integers."""

    # A row for each metric: 'float32', 'int8' and 'change'.
    means: pd.DataFrame
    # Share of the labels that differ.
    differing: float


def compare(card: str, plain: UNet, integers: UNet, cases: Sequence[Case]) -> Comparison:
    """Segment cases by both networks, and compare the scores and the labels."""
    score = TASKS[card].score
    plain_scores = []
    integer_scores = []
    differing = []
    for case in cases:
        plain_result = uh.segment(case.image, plain, progress=False)
        integer_result = uh.segment(case.image, integers, progress=False)
        plain_scores.append(score(case, plain_result))
        integer_scores.append(score(case, integer_result))
        differing.append((plain_result.labels != integer_result.labels).mean())

    means = pd.DataFrame(
        {"float32": pd.DataFrame(plain_scores).mean(), "int8": pd.DataFrame(integer_scores).mean()}
    )
    means["change"] = means["int8"] - means["float32"]
    return Comparison(means=means, differing=float(np.mean(differing)))


def worst_change(means: pd.DataFrame) -> float:
    """Return the change of the metric that loses most: of errors, that which rises most."""
    is_error = means.index.str.startswith(ERROR)
    return float(means["change"].where(~is_error, -means["change"]).min())


def write_ranges(card: str, ranges: Ranges) -> None:
    """Add the ranges at the end of the card's file."""
    file = WEIGHTS / f"{card}.json"
    text = file.read_text("utf-8").rstrip().removesuffix("}").rstrip()
    if '"int8_ranges"' in text:
        sys.exit(f"{file} has ranges: remove them first")
    file.write_text(f'{text},\n  "int8_ranges": {json.dumps(ranges)}\n}}\n', "utf-8")


def fit(card: str, folder: Path, write: bool) -> None:
    """Find the ranges of a card, print what they cost, and keep them where that is little."""
    cases = list(read_cases(card, folder))
    plain = uh.load_model(card, engine="torch")
    ranges = ranges_of(plain, evenly_spread(cases, "train", CASES_FOR_RANGES))

    integers = copy.deepcopy(plain)
    integers.card = replace(MODELS[card], int8_ranges=tuple((low, high) for low, high in ranges))
    integers.engine = "int8"

    changes = []
    parts: tuple[Part, ...] = ("validation", "test")
    for part in parts:
        cases_of_part = evenly_spread(cases, part, CASES_FOR_SCORES)
        comparison = compare(card, plain, integers, cases_of_part)
        print(
            f"\n{card}, {part} ({len(cases_of_part)}): "
            f"{comparison.differing:.3%} of the labels differ"
        )
        print(comparison.means.round(4).to_string(), flush=True)
        changes.append(worst_change(comparison.means))

    keeps = min(changes) >= -ACCEPTED_LOSS
    if keeps and write:
        write_ranges(card, ranges)
    print(f"{card}: {'keeps' if keeps else 'does not keep'} its ranges")


def main(arguments: list[str] | None = None) -> None:
    """Find the ranges of the cards named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cards", nargs="+", choices=sorted(TASKS))
    data_help = "with one folder a card, as docs/training/data.md says"
    parser.add_argument("--data", type=Path, required=True, help=data_help)
    write_help = "keep the ranges in the card, where no metric falls by more than 0.002"
    parser.add_argument("--write", action="store_true", help=write_help)
    chosen = parser.parse_args(arguments)
    for card in chosen.cards:
        fit(card, chosen.data / card, chosen.write)


if __name__ == "__main__":
    main()
