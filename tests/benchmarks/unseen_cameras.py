"""Vessels in photographs of a camera left out of the training: ``python tests/benchmarks/unseen_cameras.py --data DIR
drive=FILE chase=FILE hrf=FILE``, with weights of ``python -m unet_helpers train retinal_vessels --without CAMERA``.

Prints the Dice over all photographs of each camera at a threshold of 0.5, as the network answers and at the prevalence
(``at_prevalence``). Statistics of the other cameras, and their prevalence, stand for those that ship, which know all
three; but the limit stays theirs, and FAMILIAR and MOST were chosen with these figures in view. Needs scikit-learn, for
``fit_ood``.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from fit_ood import CLUSTERS, COPIES, copies, fit, look

from unet_helpers.inference.segment import segment
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.load import read_weights
from unet_helpers.networks.unet import fold_batch_norm
from unet_helpers.preprocessing import out_of_distribution as ood
from unet_helpers.preprocessing.field_of_view import field_of_view
from unet_helpers.preprocessing.out_of_distribution import middle_slices
from unet_helpers.training.tasks import TASKS, read_cases

CARD = MODELS["retinal_vessels"]


def seen(slices: list[np.ndarray]) -> np.ndarray:
    return look(slices, [CARD.name])[CARD.name]


def usual_of(cases: list, share: dict[str, float]) -> float:
    """The mean share of vessel in an eye; every camera counts the same."""
    kinds = {case.kind for case in cases}
    return float(
        np.mean(
            [np.mean([share[case.name] for case in cases if case.kind == kind]) for kind in kinds]
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with one folder a card, as docs/training/data.md says",
    )
    parser.add_argument("weights", nargs="+", metavar="CAMERA=FILE")
    chosen = parser.parse_args()
    cases, shipped = (
        list(read_cases(CARD.name, chosen.data / CARD.name)),
        ood.statistics()[CARD.name],
    )
    train, looks, plain = [case for case in cases if case.part == "train"], {}, []
    share = {
        case.name: float((case.truth > 0)[field_of_view(case.image.pixels)].mean())
        for case in train
    }
    print(f"prevalence, of all cameras: {usual_of(train, share):.3f}", flush=True)
    for number, case in enumerate(train):
        rows = [seen(slices) for slices in copies(case.image, CARD, np.random.default_rng(number))]
        looks[case.name] = np.vstack(rows)
        plain.append(rows[0])
    for name in COPIES.keys() - {CARD.name}:
        images = (
            case.image for case in read_cases(name, chosen.data / name) if case.part == "train"
        )
        plain += [seen(middle_slices(image)) for image in tqdm(images, desc=name)]
    scale = np.nanstd(np.vstack(plain), axis=0)
    for camera, path in (each.split("=") for each in chosen.weights):
        others = [case for case in train if case.kind != camera]
        clusters = fit(np.vstack([looks[case.name] for case in others]), CLUSTERS[CARD.name], scale)
        ood.statistics()[CARD.name] = shipped | {"clusters": clusters}
        usual = usual_of(others, share)
        network = (
            fold_batch_norm(read_weights(Path(path), CARD))
            .to(memory_format=torch.channels_last)
            .eval()
        )
        scores = []
        for case in (case for case in cases if case.kind == camera):
            row = []
            for prevalence in (0.0, usual):
                network.card = replace(CARD, prevalence=prevalence)
                row.append(
                    TASKS[CARD.name].score(case, segment(case.image, network, progress=False))[
                        "Dice"
                    ]
                )
            scores.append(row)
        before, after = np.mean(scores, axis=0)
        print(
            f"{camera} ({len(scores)}): Dice {before:.3f}, at a prevalence of {usual:.3f} {after:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
