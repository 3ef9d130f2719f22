"""Does an image look like those a network learnt from? Distances to statistics of its training images.

``out_of_distribution.json`` holds mean and covariance of about 36 image statistics for some clusters of each card's
training images, and of inverted or turned ones. The distance is that of Mahalanobis to the nearest cluster, as Lee et
al. (2018, arXiv:1807.03888) use it on features of a network. What is nearer to images of another kind, or by a logistic
regression a photograph of something else, is out of distribution; what is far from all gets the benefit of the doubt.
``python tests/benchmarks/fit_ood.py --data DIR`` fits it anew and prints how often it is right.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from ..images.image import MedicalImage, shows_something
from ..images.read import read_image
from ..images.stack import to_stack
from ..networks.cards import MODELS, ModelCard
from .image_statistics import features, look

SLICES = 5  # of a volume
NEARER = 0.7  # of two cards of one structure: H&E is 0.33 to 0.72 times as far from its card, other stains 0.72 or more
DOUBT = 0.9  # a warning needs more than a refused suggestion: some stains not learnt from are almost like photographs
STATISTICS = Path(__file__).with_suffix(".json")


def ood_score(image: MedicalImage, card: ModelCard | str) -> float:
    """1 is the calibrated limit, larger is less alike; of a volume, the median of the slices around the middle; NaN for
    a card without statistics, as that of a network fine-tuned by a user.
    """
    name = getattr(card, "name", card)
    return score(distances(image), name) if name in statistics() else float("nan")


def ood_warning(image: MedicalImage, card: ModelCard | str) -> str | None:
    """One sentence where an image is unlike the card's training images, and what it looks like, else None."""
    card = MODELS[card] if isinstance(card, str) else card
    if card.name not in statistics():
        return None
    if not (away := score(found := distances(image), card.name)) > 1:
        same = [name for name in found if name in MODELS and MODELS[name].classes == card.classes]
        if found[nearest := min(same, key=found.get)] < NEARER * found[card.name]:
            return f"more like the images of {nearest!r}, which finds the same in {MODELS[nearest].modality}: try it."
        return None
    others = [
        name
        for name, group in statistics().items()
        if "clusters" in group or group["view"] == card.name
    ]
    fitting = [name for name in others if name in MODELS and score(found, name, strict=True) <= 1]
    nearest, advice = min(fitting or others, key=found.get), ""
    if nearest != card.name and found[nearest] < 1:
        what = statistics()[nearest]["what"]
        advice = (
            f" It looks like {what}."
            if what
            else f" It looks more like those of the model {nearest!r}."
        )
    advice += " Of several dyes, take one: channel='blue'." * (
        card.in_channels == image.channels == 3
    )
    return (
        f"looks unlike the images that the network learnt from ({card.modality}), so the answer may be meaningless "
        f"(out-of-distribution score {max(away, 1.1):.1f}; up to 1 is usual).{advice}"
    )


def suggest_model(image) -> list[str]:
    """Names of the cards whose training images an image (path, array or MedicalImage) is like, the nearest first; an
    empty list says: none of these. Cards without statistics are never suggested.
    """
    image = read_image(image)
    found = distances(image) if shows_something(image.pixels, image.spatial_shape) else {}
    return sorted(
        [name for name in MODELS if name in found and score(found, name, strict=True) <= 1],
        key=found.get,
    )


def distances(image: MedicalImage) -> dict[str, float]:
    """By group (card, or kind of mistake): the distance of the image from it, 1 is its limit."""
    slices, looks = (
        middle_slices(image),
        {name: look(MODELS[g["view"]]) for name, g in statistics().items()},
    )
    views = {looks[name]: group["view"] for name, group in statistics().items()}
    seen = {
        one: np.array([features(pixels, view) for pixels in slices]) for one, view in views.items()
    }
    return {
        name: float(np.median(distance(seen[looks[name]], g)) / g["limit"])
        for name, g in statistics().items()
    }


def score(
    found: dict[str, float], card: str, groups: dict | None = None, strict: bool = False
) -> float:
    """The card's distance over that of the nearest other kind of images, or the limit of photographs over their
    distance, if larger; ``strict``: without the room for stains and cameras that the network did not learn from.
    """
    groups, classes = groups or statistics(), MODELS[card].classes
    others = [
        n
        for n, g in groups.items()
        if "clusters" in g and (n not in MODELS or MODELS[n].classes != classes)
    ]
    nearest = min(found[name] for name in others)  # what is far from all is let be up to ``room``
    away = found[card] / min(max(nearest, nearest**3, 1e-6), groups[card]["room"])
    return max(away, (1 if strict else DOUBT) / found[f"photographs, {card}"])


def middle_slices(image: MedicalImage, first: float = 0.3, last: float = 0.7) -> list[np.ndarray]:
    """(H, W) or (H, W, C) slices from the middle 40 % of a volume, or the image itself."""
    stack = to_stack(image).pixels
    chosen = np.linspace(
        first * len(stack), max(first * len(stack), last * len(stack) - 0.5), SLICES
    )
    return [stack[i] for i in np.unique(chosen.astype(int))]


@cache
def statistics() -> dict[str, dict]:
    """By group: view (of which card), what it is, limit, room, and each cluster's centre, whitening and spread."""
    groups = json.loads(STATISTICS.read_text())
    for group in groups.values():
        group["weights"] = np.array(group.get("weights", ()))
        for i, cluster in enumerate(group.get("clusters", [])):
            whiten = np.tri(len(cluster["centre"]))  # the file holds its lower triangle, row by row
            whiten[whiten > 0] = cluster["whiten"]
            group["clusters"][i] = np.array(cluster["centre"]), whiten, cluster["spread"]
    return groups


def distance(x: np.ndarray, group: dict) -> np.ndarray:
    """(..., D) to (...): root of the mean square over D, but for NaN, of the whitened difference from the nearest
    cluster, wide ones pay; from photographs, one over their probability by a logistic regression.
    """
    if "clusters" not in group:
        centre, scale, linear, squared = group["weights"]
        z = np.clip(np.nan_to_num((x - centre) / scale), -4, 4)
        return 1 + np.exp(-(z @ linear + z**2 @ squared + group["bias"]))
    squares = [
        ((np.nan_to_num(x - c) @ whiten.T) ** 2).mean(-1) + spread
        for c, whiten, spread in group["clusters"]
    ]
    return np.sqrt(np.min(squares, axis=0))
