"""How the cards' ``int8_ranges`` are made: ``python tests/benchmarks/fit_int8.py CARD... --data DIR [--write]``.

The ranges are the extremes of what is rounded, the inputs of ``rounded_layers``, on images of the training part. Scores
are then compared, on the same images, with those of single precision: a card keeps its ranges (--write) where no metric
of the validation part, nor of the test part, falls by more than 0.002.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS, WEIGHTS
from unet_helpers.networks.openvino_graph import rounded_layers
from unet_helpers.networks.unet import UNet
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import TASKS, read_cases

LOSS = 0.002
FOR_RANGES, FOR_SCORES = 12, 60  # images or volumes at most, evenly spread


def some(cases: Iterator[Case], part: str, most: int) -> list[Case]:
    found = [case for case in cases if case.part == part]
    return found[:: -(-len(found) // most)]


def ranges_of(model: UNet, cases: list[Case]) -> list[list[float]]:
    inner = [model.get_submodule(name) for name in rounded_layers(model)]
    extremes = np.zeros((len(inner), 2))

    def note(index: int, inputs) -> None:
        low, high = inputs[0].aminmax()
        extremes[index] = min(extremes[index, 0], float(low)), max(extremes[index, 1], float(high))

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, index=index: note(index, inputs))
        for index, layer in enumerate(inner)
    ]
    for case in cases:
        uh.segment(case.image, model, progress=False)
    for hook in hooks:
        hook.remove()
    return [[float(f"{value:.4g}") for value in pair] for pair in extremes]


def compared(models: dict[str, UNet], card: str, cases: list[Case]) -> pd.DataFrame:
    """Mean of each metric by engine, their difference, and the share of labels that differ."""
    rows, other = {name: [] for name in models}, []
    for case in cases:
        results = {
            name: uh.segment(case.image, model, progress=False) for name, model in models.items()
        }
        for name, result in results.items():
            rows[name].append(TASKS[card].score(case, result))
        first, second = (result.labels for result in results.values())
        other.append((first != second).mean())
    means = pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in rows.items()})
    means["change"] = means["int8"] - means["float32"]
    means.attrs["labels that differ"] = float(np.mean(other))
    return means


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cards", nargs="+", choices=sorted(TASKS))
    parser.add_argument(
        "--data", type=Path, required=True, help="with one folder a card, as docs/training/data.md says"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep the ranges in the card, where it loses nothing"
    )
    chosen = parser.parse_args(arguments)
    for name in chosen.cards:
        cases = list(read_cases(name, chosen.data / name))
        plain = uh.load_model(name)
        ranges = ranges_of(plain, some(cases, "train", FOR_RANGES))
        integers = copy.deepcopy(plain)
        integers.card = replace(MODELS[name], int8_ranges=tuple(map(tuple, ranges)))
        integers.engine = "int8"
        models = {"float32": plain, "int8": integers}
        falls = []
        for part in ("validation", "test"):
            chosen_cases = some(cases, part, FOR_SCORES)
            found = compared(models, name, chosen_cases)
            share = found.attrs["labels that differ"]
            print(f"\n{name}, {part} ({len(chosen_cases)}): {share:.3%} of the labels differ")
            print(found.round(4).to_string(), flush=True)
            falls.append(found["change"].min())
        if (fits := min(falls) >= -LOSS) and chosen.write:
            file = WEIGHTS / f"{name}.json"
            text = file.read_text("utf-8").rstrip().removesuffix("}").rstrip()
            assert '"int8_ranges"' not in text, f"{file} has ranges: remove them first"
            file.write_text(f'{text},\n  "int8_ranges": {json.dumps(ranges)}\n}}\n', "utf-8")
        print(f"{name}: {'keeps' if fits else 'does not keep'} its ranges")


if __name__ == "__main__":
    main()
