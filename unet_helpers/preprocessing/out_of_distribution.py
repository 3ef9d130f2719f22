"""Does an image look like those a network learned from? A distance to statistics of its training images.

Each card keeps, in ``out_of_distribution.json``, the mean and covariance of about 32 simple image statistics, for each
of a few clusters of its training images. The distance is that of Mahalanobis to the nearest cluster, as Lee et al.
(2018, arXiv:1807.03888) use it on features of a network; here it needs no network, so it costs milliseconds. An image
that another card's images are nearer to is out of distribution; one far from all of them gets the benefit of the doubt.
``python -m unet_helpers fit-ood --data DIR`` fits it anew and prints how often it is right.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from ..images.image import MedicalImage
from ..images.orientation import to_stack
from ..networks.cards import MODELS, ModelCard
from .image_statistics import features

SLICES = 5  # of a volume
STATISTICS = Path(__file__).with_suffix(".json")


def ood_score(image: MedicalImage, card: ModelCard | str) -> float:
    """1 is the calibrated limit, larger is less alike; of a volume, the median of the slices around the middle.

    NaN for a card without statistics, as that of a network fine-tuned by a user.
    """
    return score_and_nearest(image, card)[0]


def ood_warning(image: MedicalImage, card: ModelCard | str) -> str | None:
    """One sentence where an image is unlike the card's training images, else None."""
    card = MODELS[card] if isinstance(card, str) else card
    times, nearest = score_and_nearest(image, card)
    if not times > 1:
        return None
    advice = f" It looks more like those of the model {nearest!r}." if nearest else ""
    return (
        f"looks unlike the images that the network learnt from ({card.modality}), so the answer may be meaningless "
        f"(out-of-distribution score {times:.1f}; up to 1 is usual).{advice}"
    )


def score_and_nearest(image: MedicalImage, card: ModelCard | str) -> tuple[float, str | None]:
    """The out-of-distribution score, and the name of another card to whose images this one is alike."""
    name = card if isinstance(card, str) else card.name
    if name not in statistics():
        return float("nan"), None
    slices = middle_slices(image)
    times = {other: float(np.median([distance(features(s, other), other) for s in slices])) for other in statistics()}
    nearest = min(times.keys() - {name}, key=times.get)
    knows_it = times[nearest] < min(1, times[name])
    return combined(times[name], times[nearest], statistics()[name]["room"]), nearest if knows_it else None


def combined(own: float, nearest: float, room: float) -> float:
    """The distance from the card's own images over that from another card's, where that is short; 1 is the limit.

    What no card knows may be of another camera or stain: it is allowed up to ``room`` times the distance.
    """
    return own / min(max(nearest, nearest**3, 1e-6), room)


def middle_slices(image: MedicalImage, first: float = 0.3, last: float = 0.7) -> list[np.ndarray]:
    """(H, W) or (H, W, C) slices from the middle 40 % of a volume, or the image itself."""
    stack = to_stack(image).pixels
    chosen = np.linspace(first * len(stack), max(first * len(stack), last * len(stack) - 0.5), SLICES)
    return [stack[i] for i in np.unique(chosen.astype(int))]


@cache
def statistics() -> dict[str, dict]:
    """By card: limit, room, and the clusters' centre (D,), whitening (D, D) and spread."""
    cards = json.loads(STATISTICS.read_text()) if STATISTICS.exists() else {}
    return {name: card | {"clusters": [as_arrays(c) for c in card["clusters"]]} for name, card in cards.items()}


def as_arrays(cluster: dict) -> tuple[np.ndarray, np.ndarray, float]:
    centre = np.array(cluster["centre"])
    whiten = np.zeros((len(centre),) * 2)
    whiten[np.tril_indices(len(centre))] = cluster["whiten"]
    return centre, whiten, cluster["spread"]


def distance(x: np.ndarray, card: str) -> np.ndarray:
    """(..., D) features to (...) distances from the card's training images, 1 is the limit."""
    return nearest_cluster(x, statistics()[card]["clusters"]) / statistics()[card]["limit"]


def nearest_cluster(x: np.ndarray, clusters: list) -> np.ndarray:
    """(..., D) to (...): root of the mean square over D of the whitened difference; wide clusters pay for being so.

    A feature that is NaN does not count.
    """
    squares = [((np.nan_to_num(x - centre) @ whiten.T) ** 2).mean(-1) + spread for centre, whiten, spread in clusters]
    return np.sqrt(np.min(squares, axis=0))
