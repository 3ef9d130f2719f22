"""How similar an image is to the training images of each network.

Each image is described by about 36 statistics. ``out_of_distribution.json`` holds their mean and
covariance for clusters of each card's training images, and for clusters of inverted or turned
images. The distance from a cluster is that of Mahalanobis, as Lee et al. (2018, arXiv:1807.03888,
section 2.1) use it on features of a network.

An image is out of distribution for a card in three cases. It is nearer to another kind of images
than to the card's. A logistic regression says that it is a photograph of something else. Or it is
far from all kinds, beyond a cap. ``Likeness.score`` puts the three into one number.

``python tests/benchmarks/fit_ood.py --data DIR`` refits the file and prints the error rates.
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

# Number of slices of a volume that are measured.
SLICES = 5

# They are evenly spaced between these shares of the depth.
MIDDLE_OF_VOLUME = (0.3, 0.7)

# Another card for the same structure is recommended if its distance is below this share of the
# distance from the user's card. For images sent to `nuclei`, the ratio with `nuclei_he` was 0.33 to
# 0.72 for H&E and at least 0.72 for other stains: some H&E, from 0.70 to 0.72, is missed.
CLEARLY_NEARER = 0.7

# A card is not suggested if the distance from photographs is below 1 limit, but a warning is given
# only below this many limits: some stains that are missing from the training data resemble
# photographs.
PHOTOGRAPH_WARNING_LIMIT = 0.9

# Standardised statistics are clipped to -4 ... 4 in the regression that recognises photographs.
LARGEST_Z = 4


@dataclass(frozen=True, eq=False)
class Cluster:
    """Training images that look similar, as a normal distribution of their D statistics."""

    # (D,) mean.
    centre: np.ndarray

    # (D, D) lower triangular: whitening @ (x - centre) has unit covariance.
    whitening: np.ndarray

    # log(det(covariance)) / D, minus that of the narrowest cluster of the group: 0 or more.
    spread: float

    def penalised_square(self, features: np.ndarray) -> np.ndarray:
        """Return (...) squared distances of (..., D) statistics, divided by D, plus the spread.

        Up to a constant this is -2 / D times the logarithm of the density. Without the spread, wide
        clusters would be nearest to every image. A statistic that is NaN counts as no difference.
        """
        whitened = np.nan_to_num(features - self.centre) @ self.whitening.T
        return (whitened**2).mean(-1) + self.spread


@dataclass(frozen=True, eq=False)
class Group:
    """A kind of images: those of a card, or a card's images inverted or turned by mistake."""

    # Name of the card whose viewpoint determines the statistics.
    view: str

    # What the images are and the remedy, in words; empty for a card's own images.
    description: str

    # Distance up to which images belong to the group. Other distances are divided by it.
    limit: float

    # Cap on the allowed distance, in limits, of an image that is far from all other kinds.
    room: float

    clusters: tuple[Cluster, ...]

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return the (...) distances of (..., D) statistics from the nearest cluster."""
        squares = [cluster.penalised_square(features) for cluster in self.clusters]
        return np.sqrt(np.min(squares, axis=0))


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs of other things, which a logistic regression separates from a card's images."""

    # See ``Group``.
    view: str
    description: str
    limit: float

    # (D,) mean and standard deviation of the statistics.
    centre: np.ndarray
    scale: np.ndarray

    # (D,) weights of the standardised statistics and of their squares.
    linear: np.ndarray
    squared: np.ndarray

    # The constant of the regression.
    bias: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return (...) values 1 / (probability of a photograph) for (..., D) statistics."""
        z = np.nan_to_num((features - self.centre) / self.scale)
        z = np.clip(z, -LARGEST_Z, LARGEST_Z)

        # 1 / sigmoid(logit)
        return 1 + np.exp(-(z @ self.linear + z**2 @ self.squared + self.bias))


@cache
def known_groups() -> dict[str, Group | Photographs]:
    """Read all groups by name: the cards, then the mistakes, then each card's photographs."""
    stored = json.loads(STATISTICS_FILE.read_text("utf-8"))
    return {name: group_of(fields) for name, fields in stored.items()}


def group_of(fields: Mapping[str, Any]) -> Group | Photographs:
    """Make a group from its JSON."""
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
    """Make a cluster from its JSON: the lower triangle of ``whitening`` is stored row by row."""
    centre = np.array(fields["centre"])
    whitening = np.zeros((len(centre), len(centre)))
    whitening[np.tril_indices(len(centre))] = fields["whiten"]
    return Cluster(centre, whitening, fields["spread"])


def are_of_one_kind(first: str, second: str) -> bool:
    """Return whether two cards are for images of one kind: the same structure, or modality."""
    a, b = MODELS[first], MODELS[second]
    return a.classes == b.classes or a.modality == b.modality


def with_statistics(name: str) -> str:
    """Return the name of the card whose statistics say what is usual: this one or another."""
    card = MODELS.get(name)
    return (card.images_of or name) if card else name


def name_of_photographs(card: str) -> str:
    """Return the name of the group of photographs that is compared with a card's images."""
    return f"photographs, {card}"


@dataclass(frozen=True, eq=False)
class Likeness:
    """Distances of one image from every group, in limits: 1 or less belongs to the group."""

    # By name of the group: a card, a mistake, or the photographs compared with a card's images.
    distances: Mapping[str, float]

    groups: Mapping[str, Group | Photographs] = field(default_factory=known_groups, repr=False)

    def score(self, card: str, *, strict: bool = False) -> float:
        """Score how different the image is from the card's training images: up to 1 is usual.

        With all distances d in limits, and d_other that of the nearest other kind of images::

            allowed = min(max(d_other, d_other**3), room)
            score = max(d_card / allowed, photograph_limit / d_photograph)

        d_card is the smallest of the distances to the cards of its modality; with ``strict`` it is
        that to the card itself, so that the nearest of them is suggested.
        ``photograph_limit`` is 0.9, so that unusual stains and cameras get no warning. It is 1 with
        ``strict``, for suggestions. The score is NaN for a card without statistics.
        """
        card = with_statistics(card)
        group = self.groups.get(card)
        if card not in MODELS or not isinstance(group, Group):
            return float("nan")

        # An image that another kind claims (nearest < 1) must be nearer to the card. An image that
        # no other kind claims may be further away, the more the further it is from the others:
        # their cube grows fast up to the cap of the group. 1e-6 prevents a division by zero.
        nearest = min(self.distances[name] for name in self.other_kinds(card))
        allowed = min(max(nearest, nearest**3, 1e-6), group.room)
        own = self.distances[card]
        if not strict:
            own = min(self.distances[name] for name in self.of_same_modality(card))
        unlike = own / allowed

        # A new card may have been fitted without photographs.
        photographs = self.photographs_of(card)
        if photographs is None:
            return unlike

        limit_of_photographs = 1.0 if strict else PHOTOGRAPH_WARNING_LIMIT
        like_photographs = limit_of_photographs / self.distances[photographs]
        return max(unlike, like_photographs)

    def other_kinds(self, card: str) -> list[str]:
        """List the groups of other kinds: cards for other images, and all mistakes."""
        kinds = [name for name, group in self.groups.items() if isinstance(group, Group)]
        return [name for name in kinds if name not in MODELS or not are_of_one_kind(name, card)]

    def of_same_modality(self, card: str) -> list[str]:
        """List the cards with statistics whose images are of the modality of this card's."""
        modality = MODELS[card].modality
        return [
            name for name in self.distances if name in MODELS and MODELS[name].modality == modality
        ]

    def photographs_of(self, card: str) -> str | None:
        """Return the group of photographs that a card's images are compared with, or None.

        A card that was fitted without photographs has that of another card for the same images.
        """
        for name in (card, *self.of_same_modality(card)):
            photographs = name_of_photographs(name)
            if photographs in self.distances:
                return photographs
        return None

    def fits(self, card: str) -> bool:
        """Return whether a card would be suggested for the image."""
        return self.score(card, strict=True) <= 1

    def fitting_cards(self) -> list[str]:
        """List the cards whose training images are similar to the image, the nearest first."""
        fitting = [name for name in MODELS if name in self.distances and self.fits(name)]
        return sorted(fitting, key=self.distances.__getitem__)

    def better_card(self, card: ModelCard) -> str | None:
        """Return the card with the same classes that is clearly nearer than this one, or None.

        ``card`` must have statistics: its name must be in ``distances``. No card is better than one
        that reads the same images as another.
        """
        if card.images_of:
            return None
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
        """Return the group that the image is most similar to.

        A card that fits is preferred to all other groups. Of the photographs, only those that are
        compared with this card's images are considered.
        """
        candidates = [
            name
            for name, group in self.groups.items()
            if isinstance(group, Group) or group.view == with_statistics(card.name)
        ]
        fitting = [name for name in candidates if name in MODELS and self.fits(name)]
        return min(fitting or candidates, key=self.distances.__getitem__)


def measure_likeness(overviews: Overviews) -> Likeness:
    """Measure the distance of an image from every group, in limits: the median of its slices."""
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
    """Choose up to SLICES slices, (H, W) or (H, W, C), of a stack (Z, H, W) or (Z, H, W, C).

    They are views, evenly spaced between the shares ``first`` and ``last`` of the depth.
    """
    start = first * len(stack)

    # Half a slice less, so that last=1 gives the final slice.
    stop = max(start, last * len(stack) - 0.5)
    indices = np.linspace(start, stop, SLICES).astype(int)
    return [stack[index] for index in np.unique(indices)]
