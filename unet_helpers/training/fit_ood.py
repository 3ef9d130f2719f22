"""How ``out_of_distribution.json`` is made: ``python -m unet_helpers fit-ood --data DIR``.

Clusters are fitted to the training part of each card's data and to varied copies of it, limits are set on the
validation part, and what is printed is measured on the test part. FLOOR and ROOM were chosen so that X-ray machines
and fundus cameras left out of the training part stay in distribution, while photographs of other things do not.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.cluster.vq import kmeans2
from tqdm.auto import tqdm

from ..images.image import MedicalImage
from ..networks.cards import MODELS, ModelCard
from ..preprocessing.image_statistics import features
from ..preprocessing.out_of_distribution import STATISTICS, combined, middle_slices, nearest_cluster
from ..preprocessing.resize import resize
from .tasks import TASKS, read_cases

FLOOR = 0.45  # of the deviation over all kinds of images: other cameras differ that much, all else alike
CLUSTERS = {"retinal_vessels": 2, "nuclei": 8, "lungs": 2, "brain_flair": 6}
ROOM = {"retinal_vessels": 1.7, "nuclei": 1.7}  # the others', grey, can be told from photographs at 2.4, too
COPIES = {"retinal_vessels": 20, "em_membranes": 40, "nuclei": 4, "lungs": 3, "brain_flair": 6, "hippocampus": 2}


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of one image or volume, as it is or varied."""

    card: str  # whose data it is from
    part: str
    kind: str
    varied: bool
    features: dict[str, np.ndarray]  # (slices, D) as each card looks at it


def look_at_all(folder: Path) -> Iterator[Look]:
    """Every image of every card, and varied copies."""
    for name, card in MODELS.items():
        if name in COPIES:
            for number, case in enumerate(tqdm(read_cases(name, folder / name), desc=name)):
                rng = np.random.default_rng(number)
                for copy, slices in enumerate(copies(case.image, card, rng)):
                    only = {name} if copy and case.part == "train" else TASKS
                    yield Look(name, case.part, case.kind, copy > 0, look(slices, only))


def copies(image: MedicalImage, card: ModelCard, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """The slices as they are, then varied, then one by one from near the bottom to near the top."""
    slices = middle_slices(image)
    yield slices
    for _ in range(COPIES[card.name]):
        yield [vary(s, card, rng) for s in slices]
    if len(image.spatial_shape) == 3:
        yield from ([s] for s in middle_slices(image, 0.1, 0.9))


def look(slices: list[np.ndarray], cards: Iterable[str]) -> dict[str, np.ndarray]:
    return {card: np.stack([features(s, card) for s in slices]) for card in cards}


def vary(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """A slice as another camera, stain, exposure or crop would have given it: all of them in distribution."""
    pixels = cut_and_zoom(pixels, card, rng)
    pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    pixels = np.rot90(pixels, rng.integers(4)) if card.name in ("nuclei", "em_membranes") else pixels
    low, high = np.percentile(pixels, [0, 99.9])
    pixels = np.clip((pixels - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    pixels = pixels ** np.float32(np.exp(0.25 * rng.standard_normal()))
    pixels = recolour(pixels, card, rng) if pixels.ndim == 3 else pixels
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 + 0.8 * rng.random())
    if rng.random() < 0.3:
        pixels = pixels + 0.03 * rng.random() * rng.standard_normal(pixels.shape)
    return np.ascontiguousarray(np.maximum(pixels, 0), np.float32)


def cut_and_zoom(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """Up to a fifth less on each side (or half a retina); at half to double the size where none is fixed."""
    shape, least = (
        pixels.shape[:2],
        0.65 if card.preprocessing.scale == "field of view" and rng.random() < 0.15 else 0.8,
    )
    cut = [max(1, int(n * (rng.uniform(least, 1) if rng.random() < 0.5 or least < 0.8 else 1))) for n in shape]
    row, column = (int(rng.integers(n - m + 1)) for n, m in zip(shape, cut, strict=True))
    zoom = 2 ** np.clip((0.15 if len(card.preprocessing.axes) > 1 else 0.5) * rng.standard_normal(), -1, 1)
    zoom = min(zoom, 512 / min(shape)) if card.preprocessing.scale in ("square", "field of view") else zoom
    pixels = np.ascontiguousarray(pixels[row : row + cut[0], column : column + cut[1]], np.float32)
    return resize(pixels, tuple(max(1, round(n * zoom)) for n in cut))


def recolour(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) in 0 to 1 with another white balance; for nuclei other dyes too, or none."""
    pixels = pixels * np.exp(0.1 * rng.standard_normal(3)).astype(np.float32)
    if card.name != "nuclei":
        return pixels
    mix = np.eye(3)[rng.permutation(3)] if rng.random() < 0.3 else np.eye(3) + 0.12 * rng.standard_normal((3, 3))
    pixels = np.maximum(pixels @ mix.astype(np.float32), 0)
    grey = pixels.mean(-1, keepdims=True)
    if rng.random() < 0.15:
        return grey[..., 0]
    return grey + (pixels - grey) * np.float32(np.exp(0.4 * rng.standard_normal()))


def fit(x: np.ndarray, clusters: int, scale: np.ndarray) -> list:
    """(N, D) features to clusters (centre, whitening, spread): k-means, and covariances shrunk to what they share.

    ``scale`` (D,) is each feature's deviation over all kinds of images; a part of it is added to the covariances.
    """
    x = np.where(np.isnan(x), np.nanmean(x, 0), x)
    _, labels = kmeans2(x / np.maximum(x.std(0), 0.1 * scale), clusters, minit="++", seed=2015)
    groups = [x[labels == i] for i in range(clusters) if (labels == i).sum() > 2]
    shared = sum(np.cov(g.T) * len(g) for g in groups) / len(x)
    prior, found = np.diag((FLOOR * scale + 1e-6) ** 2), []
    for g in groups:
        own = len(g) / (len(g) + 40)
        whiten = np.linalg.inv(np.linalg.cholesky(own * np.cov(g.T) + (1 - own) * shared + prior))
        found.append([g.mean(0), whiten, float(-2 * np.log(np.diag(whiten)).mean())])  # log det, per dimension
    narrowest = min(spread for _, _, spread in found)
    return [(centre, whiten, spread - narrowest) for centre, whiten, spread in found]


def fit_all(looks: list[Look]) -> dict[str, dict]:
    """What ``out_of_distribution.json`` holds, from the training and validation parts."""
    cards = {}
    for name in TASKS:
        own = np.vstack([x.features[name] for x in looks if x.card == name and x.part == "train"])
        every = np.vstack([x.features[name] for x in looks if not x.varied and x.part == "train"])
        cards[name] = {"clusters": fit(own, CLUSTERS.get(name, 1), np.nanstd(every, axis=0))}
        cards[name]["room"] = ROOM.get(name, 2.4)
        cards[name]["limit"] = limit(name, cards[name]["clusters"], [x for x in looks if x.part == "validation"])
    return cards


def limit(name: str, clusters: list, looks: list[Look]) -> float:
    """Beyond 19 of 20 of the card's own images and copies; half-way to the other cards' images where they are far."""
    far = {card: [away(x, name, clusters) for x in looks if x.card == card] for card in TASKS}
    own = np.percentile(far.pop(name), 95)
    others = min(np.percentile(distances, 2) for distances in far.values())
    return float(max(own, np.sqrt(own * others)))


def away(seen: Look, name: str, clusters: list) -> float:
    return float(np.median(nearest_cluster(seen.features[name], clusters)))


def flagged(seen: Look, cards: dict[str, dict]) -> list[bool]:
    """By card: is the image out of distribution?"""
    times = {name: away(seen, name, card["clusters"]) / card["limit"] for name, card in cards.items()}
    nearest = {name: min(t for other, t in times.items() if other != name) for name in times}
    return [combined(times[name], nearest[name], cards[name]["room"]) > 1 for name in cards]


def table(looks: list[Look], cards: dict[str, dict]) -> str:
    """Share of each card's images that each card flags, in percent; its own should be 0, the others 100."""
    lines = [f"{'images of, flagged by':24}" + "".join(f"{name[:14]:>16}" for name in cards) + f"{'images':>8}"]
    answers = {name: np.array([flagged(x, cards) for x in looks if x.card == name]) for name in cards}
    for name, rows in answers.items():
        lines.append(f"{name:24}" + "".join(f"{share:16.1%}" for share in rows.mean(0)) + f"{len(rows):8}")
    own = np.concatenate([rows[:, i] for i, rows in enumerate(answers.values())])
    others = np.concatenate([np.delete(rows, i, axis=1).ravel() for i, rows in enumerate(answers.values())])
    return "\n".join([*lines, f"own images flagged: {own.mean():.1%}; images of other cards: {others.mean():.1%}"])


def save(cards: dict[str, dict], path: Path) -> None:
    """As JSON with five digits; of the whitening matrices only the lower triangle, which is all there is."""
    digits = lambda values: [float(f"{v:.5g}") for v in np.ravel(values)]  # noqa: E731
    plain = {}
    for name, card in cards.items():
        clusters = [
            {"centre": digits(centre), "whiten": digits(whiten[np.tril_indices(len(centre))]), "spread": digits(s)[0]}
            for centre, whiten, s in card["clusters"]
        ]
        plain[name] = {"limit": digits(card["limit"])[0], "room": card["room"], "clusters": clusters}
    path.write_text(json.dumps(plain, separators=(",", ":")).replace('{"centre"', '\n{"centre"') + "\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="unet-helpers fit-ood", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a card, as the README says")
    parser.add_argument("--out", type=Path, default=STATISTICS)
    chosen = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    looks = list(look_at_all(chosen.data))
    cards = fit_all(looks)
    save(cards, chosen.out)
    test = [x for x in looks if x.part == "test"]
    print("test part, as it is\n" + table([x for x in test if not x.varied], cards))
    print("\nvaried copies of it\n" + table([x for x in test if x.varied], cards))


if __name__ == "__main__":
    main()
