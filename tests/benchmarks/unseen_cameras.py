"""Vessels in photographs of a camera left out of the training.

``python tests/benchmarks/unseen_cameras.py --data DIR drive=FILE chase=FILE hrf=FILE``, with
weights of ``python -m unet_helpers train retinal_vessels --without CAMERA``.

Prints the Dice over all photographs of each camera at a threshold of 0.5, as the network answers
and at the prevalence (``match_prevalence``). Statistics of the other cameras, and their prevalence,
stand for those that ship, which know all three; but the limit stays theirs, and FAMILIAR_DISTANCE,
STRANGE_DISTANCE and LARGEST_SHIFT (inference/prevalence.py) were chosen with these figures in view.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[2]))

from fit_ood import fit_clusters
from observed_images import features_of
from varied_images import VARIATIONS, copies_of, variation_of

from unet_helpers.checks.likeness import Group, known_groups, middle_slices
from unet_helpers.images.stack import to_stack
from unet_helpers.inference.segment import segment
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.load import read_weights
from unet_helpers.networks.unet import UNet, fold_batch_norm
from unet_helpers.preprocessing.field_of_view import field_of_view
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import TASKS, read_cases

CARD = MODELS["retinal_vessels"]


def statistics_of(slices: Sequence[np.ndarray]) -> np.ndarray:
    """Describe slices as the card looks at them: (slices, D)."""
    return features_of(slices, [CARD.name])[CARD.name]


def vessel_share(case: Case) -> float:
    """Return the share of vessel in the field of view of a photograph."""
    inside = field_of_view(case.image.pixels)
    return float((case.truth > 0)[inside].mean())


def prevalence_of(cases: Sequence[Case], shares: dict[str, float]) -> float:
    """Return the mean share of vessel, ``shares`` by case; every camera counts the same."""
    by_camera: dict[str, list[float]] = {}
    for case in cases:
        by_camera.setdefault(case.kind, []).append(shares[case.name])
    return float(np.mean([np.mean(values) for values in by_camera.values()]))


def varied_statistics(cases: Sequence[Case]) -> dict[str, np.ndarray]:
    """Describe each photograph and copies of it, by name: (copies, D), the first unvaried."""
    statistics = {}
    for number, case in enumerate(cases):
        copies = copies_of(case.image, CARD, np.random.default_rng(number))
        statistics[case.name] = np.vstack([statistics_of(slices) for slices in copies])
    return statistics


def statistics_of_other_cards(data: Path) -> Iterator[np.ndarray]:
    """Describe the images that all other cards learnt from, as this card looks at them."""
    for name in VARIATIONS:
        if name == CARD.name:
            continue
        cases = (case for case in read_cases(name, data / name) if case.part == "train")
        for case in tqdm(cases, desc=name):
            yield statistics_of(middle_slices(to_stack(case.image).pixels))


def deviation_over_all(varied: dict[str, np.ndarray], data: Path) -> np.ndarray:
    """Return each statistic's deviation (D,) over all kinds of images."""
    own = [statistics[:1] for statistics in varied.values()]
    return np.nanstd(np.vstack([*own, *statistics_of_other_cards(data)]), axis=0)


def read_network(path: str) -> UNet:
    """Read the weights of a training."""
    network = fold_batch_norm(read_weights(Path(path), CARD))
    return network.to(memory_format=torch.channels_last).eval()


def mean_dice(network: UNet, cases: Sequence[Case], prevalence: float) -> float:
    """Return the mean Dice with answers shifted to a prevalence; 0 leaves them as they are."""
    network.card = replace(CARD, prevalence=prevalence)
    scores = []
    for case in cases:
        result = segment(case.image, network, progress=False)
        scores.append(TASKS[CARD.name].score(case, result)["Dice"])
    return float(np.mean(scores))


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
    """Print the Dice on each camera that was left out."""
    chosen = parse(arguments)
    cases = list(read_cases(CARD.name, chosen.data / CARD.name))
    train = [case for case in cases if case.part == "train"]
    shares = {case.name: vessel_share(case) for case in train}
    print(f"prevalence, of all cameras: {prevalence_of(train, shares):.3f}", flush=True)

    varied = varied_statistics(train)
    scale = deviation_over_all(varied, chosen.data)
    shipped = known_groups()[CARD.name]
    assert isinstance(shipped, Group)

    for camera_and_path in chosen.weights:
        camera, path = camera_and_path.split("=")
        others = [case for case in train if case.kind != camera]
        prevalence = prevalence_of(others, shares)

        # The groups are read once and kept, so that ``segment`` finds what is put here.
        statistics = np.vstack([varied[case.name] for case in others])
        clusters = fit_clusters(statistics, variation_of(CARD.name).clusters, scale)
        known_groups()[CARD.name] = replace(shipped, clusters=clusters)

        network = read_network(path)
        unseen = [case for case in cases if case.kind == camera]
        before = mean_dice(network, unseen, 0.0)
        after = mean_dice(network, unseen, prevalence)
        print(
            f"{camera} ({len(unseen)}): Dice {before:.3f}, "
            f"at a prevalence of {prevalence:.3f} {after:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
