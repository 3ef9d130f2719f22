"""How like an image is to those that networks learnt from: distances to statistics of these.

``out_of_distribution.json`` holds mean and covariance of about 36 image statistics for some
clusters of each card's training images, and of inverted or turned ones. The distance is that of
Mahalanobis to the nearest cluster, as Lee et al. (2018, arXiv:1807.03888, section 2.1) use it on
features of a network. What is nearer to images of another kind, or by a logistic regression a
photograph of something else, is out of distribution; what is far from all kinds is accepted up to
a limit.
``python tests/benchmarks/fit_ood.py --data DIR`` fits it anew and prints how often it is right.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..networks.cards import MODELS, ModelCard
from .image_statistics import Overviews, viewpoint_of

STATISTICS_FILE = Path(__file__).with_name("out_of_distribution.json")

# Slices of a volume that are looked at, and where they lie: from 30 % to 70 % of its depth.
SLICES = 5
MIDDLE_OF_VOLUME = (0.3, 0.7)

# Share of an image's distance from its card below which another card of the same structure is
# recommended: H&E is 0.33 to 0.72 times as far from its own card, other stains 0.72 or more.
CLEARLY_NEARER = 0.7

# A warning needs more than a refused suggestion, since some stains that were not learnt from are
# almost like photographs: so much of the limit of photographs must be reached.
DOUBT = 0.9

# Standardised statistics beyond this count as this in the regression that tells photographs.
LARGEST_Z = 4


@dataclass(frozen=True, eq=False)
class Cluster:
    """Training images that look much the same, as a normal distribution of their D statistics."""

    # (D,) the mean.
    centre: np.ndarray

    # (D, D) lower triangular: differences from the mean times this have unit covariance.
    whitening: np.ndarray

    # Logarithm of the covariance's determinant by D, over that of the group's narrowest cluster.
    spread: float

    def squared_distance(self, features: np.ndarray) -> np.ndarray:
        """Measure (..., D) statistics, without those that are NaN: (...) mean squares by D."""
        whitened = np.nan_to_num(features - self.centre) @ self.whitening.T
        return (whitened**2).mean(-1) + self.spread


@dataclass(frozen=True, eq=False)
class Group:
    """A kind of images: those of a card, or those of a card as they are given by mistake."""

    # The card by whose viewpoint the statistics are taken.
    view: str

    # What the images are, in words, and the remedy; '' of a card's own.
    description: str

    # The distance up to which images belong to the group.
    limit: float

    # How many limits away an image may be that is far from all groups.
    room: float

    clusters: tuple[Cluster, ...]

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Measure (..., D) statistics: (...) distances from the nearest cluster."""
        squares = [cluster.squared_distance(features) for cluster in self.clusters]
        return np.sqrt(np.min(squares, axis=0))


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs of other things, told from a card's images by a logistic regression."""

    # As of a ``Group``.
    view: str
    description: str
    limit: float

    # (D,) mean and standard deviation of the statistics.
    centre: np.ndarray
    scale: np.ndarray

    # (D,) weights of the standardised statistics and of their squares, and the constant.
    linear: np.ndarray
    squared: np.ndarray
    bias: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Measure (..., D) statistics: (...) one over the probability of a photograph."""
        z = np.nan_to_num((features - self.centre) / self.scale)
        z = np.clip(z, -LARGEST_Z, LARGEST_Z)
        return 1 + np.exp(-(z @ self.linear + z**2 @ self.squared + self.bias))


@cache
def known_groups() -> dict[str, Group | Photographs]:
    """Read all groups, by name: the cards, then mistakes, then photographs for each card."""
    stored = json.loads(STATISTICS_FILE.read_text("utf-8"))
    return {name: group_of(fields) for name, fields in stored.items()}


def group_of(fields: Mapping[str, Any]) -> Group | Photographs:
    """Make a group of its JSON."""
    view = fields["view"]
    description = fields["what"]
    limit = fields["limit"]
    if "clusters" in fields:
        clusters = tuple(cluster_of(cluster) for cluster in fields["clusters"])
        return Group(view, description, limit, room=fields["room"], clusters=clusters)

    centre, scale, linear, squared = np.array(fields["weights"])
    return Photographs(
        view=view,
        description=description,
        limit=limit,
        centre=centre,
        scale=scale,
        linear=linear,
        squared=squared,
        bias=fields["bias"],
    )


def cluster_of(fields: Mapping[str, Any]) -> Cluster:
    """Make a cluster of its JSON, which holds the lower triangle of the whitening row by row."""
    centre = np.array(fields["centre"])
    whitening = np.zeros((len(centre), len(centre)))
    whitening[np.tril_indices(len(centre))] = fields["whiten"]
    return Cluster(centre, whitening, fields["spread"])


def name_of_photographs(card: str) -> str:
    """Tell the name of the group of photographs that are told from a card's images."""
    return f"photographs, {card}"


@dataclass(frozen=True, eq=False)
class Likeness:
    """Distances of one image from every group; 1 is the calibrated limit, larger is less alike."""

    # By name of the group: a card, a mistake, or photographs as told from a card's images.
    distances: Mapping[str, float]

    groups: Mapping[str, Group | Photographs] = field(default_factory=known_groups, repr=False)

    def score(self, card: str, *, strict: bool = False) -> float:
        """Score how unlike the card's images this one is: up to 1 is usual.

        The score is the card's distance over that of the nearest other kind of images, or the limit
        of photographs over their distance if that is larger; NaN for a card without statistics.
        ``strict`` leaves no room for stains and cameras that the network did not learn from.
        """
        group = self.groups.get(card)
        if card not in MODELS or not isinstance(group, Group):
            return float("nan")

        # What is far from all kinds is accepted up to the room of its group.
        nearest = min(self.distances[name] for name in self.other_kinds(card))
        allowed = min(max(nearest, nearest**3, 1e-6), group.room)
        unlike = self.distances[card] / allowed

        # A new card may have been fitted without photographs.
        photographs = name_of_photographs(card)
        if photographs not in self.distances:
            return unlike

        limit_of_photographs = 1.0 if strict else DOUBT
        like_photographs = limit_of_photographs / self.distances[photographs]
        return max(unlike, like_photographs)

    def other_kinds(self, card: str) -> list[str]:
        """Name the groups that show something else than a card does: other classes, or mistakes."""
        classes = MODELS[card].classes
        kinds = [name for name, group in self.groups.items() if isinstance(group, Group)]
        return [name for name in kinds if name not in MODELS or MODELS[name].classes != classes]

    def fits(self, card: str) -> bool:
        """Tell whether a card would be suggested for the image."""
        return self.score(card, strict=True) <= 1

    def fitting_cards(self) -> list[str]:
        """Name the cards whose training images the image is like, the nearest first."""
        fitting = [name for name in MODELS if name in self.distances and self.fits(name)]
        return sorted(fitting, key=self.distances.__getitem__)

    def better_card(self, card: ModelCard) -> str | None:
        """Name the card of the same classes that is clearly nearer than this one, if any is."""
        of_same_classes = [
            name
            for name in self.distances
            if name in MODELS and MODELS[name].classes == card.classes
        ]
        nearest = min(of_same_classes, key=self.distances.__getitem__)
        if self.distances[nearest] < CLEARLY_NEARER * self.distances[card.name]:
            return nearest
        return None

    def nearest_kind(self, card: ModelCard) -> str:
        """Name the group that the image looks like most, with a card that fits before any other."""
        candidates = [
            name
            for name, group in self.groups.items()
            if isinstance(group, Group) or group.view == card.name
        ]
        fitting = [name for name in candidates if name in MODELS and self.fits(name)]
        return min(fitting or candidates, key=self.distances.__getitem__)


def measure_likeness(overviews: Overviews) -> Likeness:
    """Measure the distances of an image from every group: the median over the slices looked at."""
    groups = known_groups()
    distances = {}
    features_by_viewpoint: dict[Any, np.ndarray] = {}
    for name, group in groups.items():
        viewpoint = viewpoint_of(MODELS[group.view])
        if viewpoint not in features_by_viewpoint:
            features_by_viewpoint[viewpoint] = overviews.features(viewpoint)
        by_slice = group.distance(features_by_viewpoint[viewpoint])
        distances[name] = float(np.median(by_slice) / group.limit)
    return Likeness(distances)


def middle_slices(
    stack: np.ndarray, first: float = MIDDLE_OF_VOLUME[0], last: float = MIDDLE_OF_VOLUME[1]
) -> list[np.ndarray]:
    """Choose some (H, W) or (H, W, C) slices of (Z, H, W[, C]) from the middle of its depth.

    ``first`` and ``last``: shares of the depth between which they lie.
    """
    start = first * len(stack)
    stop = max(start, last * len(stack) - 0.5)
    indices = np.linspace(start, stop, SLICES).astype(int)
    return [stack[index] for index in np.unique(indices)]
