"""How ``familiarity.json`` is made: ``python -m unet_helpers.familiarity_fit --data DIR``.

Clusters are fitted to the training part of each card's data and to varied copies of it, limits are set on the
validation part, and what is printed is measured on the test part, which nothing was chosen by.
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

from .cards import MODELS, ModelCard
from .datasets import READERS, read_cases
from .familiarity import STATISTICS, combined, features, middle_slices, nearest_cluster
from .prepare import resize

CLUSTERS = {"retinal_vessels": 3, "nuclei": 8, "lungs": 2, "brain_flair": 6}
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
        if name in READERS:
            for number, case in enumerate(tqdm(read_cases(name, folder / name), desc=name)):
                rng = np.random.default_rng(number)
                slices = middle_slices(case.image)
                for copy in range(1 + COPIES[name]):
                    seen = [vary(s, card, rng) for s in slices] if copy else slices
                    only = {name} if copy and case.part == "train" else READERS
                    yield Look(name, case.part, case.kind, copy > 0, look(seen, only))


def look(slices: list[np.ndarray], cards: Iterable[str]) -> dict[str, np.ndarray]:
    return {card: np.stack([features(s, card) for s in slices]) for card in cards}


def vary(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """A slice as another camera, stain, exposure or crop would have given it: what should count as familiar, too."""
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
    shape, least = pixels.shape[:2], 0.45 if card.reading.scale == "field of view" and rng.random() < 0.3 else 0.8
    cut = [max(1, int(n * (rng.uniform(least, 1) if rng.random() < 0.5 or least < 0.8 else 1))) for n in shape]
    row, column = (int(rng.integers(n - m + 1)) for n, m in zip(shape, cut, strict=True))
    zoom = 2 ** np.clip((0.15 if card.reading.planes == "three" else 0.5) * rng.standard_normal(), -1, 1)
    zoom = min(zoom, 512 / min(shape)) if card.reading.scale in ("square", "field of view") else zoom
    pixels = np.ascontiguousarray(pixels[row : row + cut[0], column : column + cut[1]], np.float32)
    return resize(pixels, tuple(max(1, round(n * zoom)) for n in cut))


def recolour(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) in 0 to 1 with another white balance; for nuclei other dyes too, or none."""
    pixels = pixels * np.exp(0.15 * rng.standard_normal(3)).astype(np.float32)
    if card.name != "nuclei":
        return pixels
    mix = np.eye(3)[rng.permutation(3)] if rng.random() < 0.3 else np.eye(3) + 0.12 * rng.standard_normal((3, 3))
    pixels = np.maximum(pixels @ mix.astype(np.float32), 0)
    grey = pixels.mean(-1, keepdims=True)
    if rng.random() < 0.15:
        return grey[..., 0]
    return grey + (pixels - grey) * np.float32(np.exp(0.4 * rng.standard_normal()))


def fit(x: np.ndarray, clusters: int, scale: np.ndarray, floor: float) -> list:
    """(N, D) features to clusters (centre, whitening, spread): k-means, and covariances shrunk to what they share.

    ``scale`` (D,) is each feature's deviation over all kinds of images; ``floor`` times it is added to the
    covariances: the images of a camera not seen would lie as far apart.
    """
    x = np.where(np.isnan(x), np.nanmean(x, 0), x)
    _, labels = kmeans2(x / np.maximum(x.std(0), 0.1 * scale), clusters, minit="++", seed=2015)
    groups = [x[labels == i] for i in range(clusters) if (labels == i).sum() > 2]
    shared = sum(np.cov(g.T) * len(g) for g in groups) / len(x)
    prior, found = np.diag((floor * scale + 1e-6) ** 2), []
    for g in groups:
        own = len(g) / (len(g) + 40)
        whiten = np.linalg.inv(np.linalg.cholesky(own * np.cov(g.T) + (1 - own) * shared + prior))
        found.append([g.mean(0), whiten, float(-2 * np.log(np.diag(whiten)).mean())])  # log det, per dimension
    narrowest = min(spread for _, _, spread in found)
    return [(centre, whiten, spread - narrowest) for centre, whiten, spread in found]
