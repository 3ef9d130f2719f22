"""How ``out_of_distribution.json`` is made.

``python tests/benchmarks/fit_ood.py [CARD...] --data DIR``

The statistics of the cards named are fitted, or of all cards; those of all others stay as they are
in the file, byte for byte. DIR holds a folder for each card, as docs/training/data.md says, and may
hold photographs of other things (DIR/photographs/train, validation and test; any images, none of
one scene in two of these). A card can be fitted with its own data alone: what is missing is said,
and what that means.

Clusters are fitted to the training part of a card's data and varied copies of it, and to copies as
they are given by mistake; photographs are told from its images by a logistic regression. Limits are
set on the validation part; what is printed is measured on the test part. FLOOR and the room of the
cards (varied_images.py) were chosen so that X-ray machines and fundus cameras left out of the
training part stay in distribution; with the likelihood of photographs chosen, a seventh of one
machine's left-out X-rays look like photographs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.cluster.vq import kmeans2

sys.path.insert(0, str(Path(__file__).parents[2]))

from observed_images import OBSERVED, PHOTOGRAPHS, Observation, is_there, observe
from varied_images import MISTAKES, variation_of

from unet_helpers.checks.image_statistics import viewpoint_of
from unet_helpers.checks.likeness import (
    LARGEST_Z,
    STATISTICS_FILE,
    Cluster,
    Group,
    Likeness,
    Photographs,
    are_of_one_kind,
    group_of,
    known_groups,
    name_of_photographs,
)
from unet_helpers.networks.cards import MODELS

# Share of the deviation over all kinds of images that is added to the covariances: other cameras
# differ that much when all else is the same.
FLOOR = 0.45

# Images from which on a cluster's own covariance weighs more than the one shared by all clusters.
TRUSTED_CLUSTER = 40

# Percent of a card's own validation images that each kind of mistake may take for itself.
FALSE_ALARMS = 2

# C of the logistic regression.
PENALTY = 0.3

# Clusters of images that were given by mistake.
CLUSTERS_OF_MISTAKE = 2


def say_what_is_missing(folder: Path, fitted: Sequence[str]) -> None:
    """Print what is not in the folder, and what that means; stop where a card has no data."""
    missing = [name for name in OBSERVED if not is_there(name, folder)]
    without_data = [name for name in fitted if name in missing]
    if without_data:
        sys.exit(
            f"{folder}: there is no folder {' or '.join(without_data)}. Name the cards whose data "
            "are there, for example: fit_ood.py mycard --data DIR"
        )
    if missing:
        print(
            f"Without the data of {', '.join(missing)}: how much statistics vary over all kinds of "
            "images, and how far other kinds are, is known from the rest alone."
        )
    if not (folder / PHOTOGRAPHS).is_dir():
        print(
            f"Without {folder / PHOTOGRAPHS}: photographs of other things are told from the images "
            "as they were before; from those of a new card not at all."
        )


def deviation_over_all(card: str, train: Sequence[Observation]) -> np.ndarray:
    """Return each statistic's deviation (D,) over all kinds of images, as a card looks at them."""
    own_kinds = [x for x in train if x.group in OBSERVED and not x.is_varied]
    deviation = np.nanstd(np.vstack([x.features[card] for x in own_kinds]), axis=0)
    if len({x.group for x in own_kinds}) > 1:
        return deviation

    # Its own data are the only ones: what cards that look at images in the same way know of
    # photographs and their own images stands for all kinds.
    for group in known_groups().values():
        same_view = viewpoint_of(MODELS[group.view]) == viewpoint_of(MODELS[card])
        if isinstance(group, Photographs) and same_view:
            return np.maximum(deviation, group.scale)
    return deviation


def fit_clusters(x: np.ndarray, count: int, scale: np.ndarray) -> tuple[Cluster, ...]:
    """Fit clusters to (N, D) statistics by k-means; their covariances are shrunk to a shared one.

    ``scale`` (D,) is each statistic's deviation over all kinds of images; a part of it is added to
    the covariances.
    """
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    deviations = np.maximum(x.std(axis=0), 0.1 * scale)
    _, labels = kmeans2(x / deviations, count, minit="++", seed=2015)
    members = [x[labels == i] for i in range(count) if (labels == i).sum() > 2]

    shared = sum(np.cov(rows.T) * len(rows) for rows in members) / len(x)
    floor = np.diag((FLOOR * scale + 1e-6) ** 2)
    clusters = []
    for rows in members:
        own_share = len(rows) / (len(rows) + TRUSTED_CLUSTER)
        covariance = own_share * np.cov(rows.T) + (1 - own_share) * shared + floor
        whitening = np.linalg.inv(np.linalg.cholesky(covariance))
        log_determinant = float(-2 * np.log(np.diag(whitening)).mean())
        clusters.append(Cluster(rows.mean(axis=0), whitening, log_determinant))

    narrowest = min(cluster.spread for cluster in clusters)
    return tuple(replace(cluster, spread=cluster.spread - narrowest) for cluster in clusters)


def distance(observation: Observation, group: Group | Photographs) -> float:
    """Return the median distance of the slices from a group."""
    return float(np.median(group.distance(observation.features[group.view])))


def fit_card(card: str, observations: Sequence[Observation]) -> Group:
    """Fit the clusters of a card's own images, and set their limit."""
    train = [x for x in observations if x.part == "train"]
    own = np.vstack([x.features[card] for x in train if x.group == card])
    variation = variation_of(card)
    clusters = fit_clusters(own, variation.clusters, deviation_over_all(card, train))
    group = Group(view=card, description="", limit=1.0, room=variation.room, clusters=clusters)

    validation = [x for x in observations if x.part == "validation"]
    return replace(group, limit=limit_of_card(card, group, validation))


def limit_of_card(card: str, group: Group, validation: Sequence[Observation]) -> float:
    """Set the limit beyond 19 of 20 of the card's own images and copies.

    It is half-way to other kinds of images where they are far.
    """
    distances: dict[str, list[float]] = {}
    for observation in validation:
        if observation.group in OBSERVED:
            distances.setdefault(observation.group, []).append(distance(observation, group))

    own = np.percentile(distances[card], 95)
    nearest_of_others = [
        np.percentile(values, 2)
        for other, values in distances.items()
        if not are_of_one_kind(other, card)
    ]
    if not nearest_of_others:
        return float(own)
    return float(max(own, np.sqrt(own * min(nearest_of_others))))


def fit_mistake(name: str, right: Group, observations: Sequence[Observation]) -> Group:
    """Fit the clusters of images given by mistake; ``right`` is the group of the card's own."""
    mistake = MISTAKES[name]
    train = [x for x in observations if x.part == "train"]
    own = np.vstack([x.features[mistake.card] for x in train if x.group == name])
    clusters = fit_clusters(own, CLUSTERS_OF_MISTAKE, deviation_over_all(mistake.card, train))
    group = Group(
        view=mistake.card,
        description=mistake.description,
        limit=1.0,
        room=variation_of(name).room,
        clusters=clusters,
    )

    # Few of the right images may be nearer to the mistake, each in units of its limit.
    times_nearer = [
        distance(x, right) / right.limit / distance(x, group)
        for x in observations
        if x.part == "validation" and x.group == mistake.card and not x.is_varied
    ]
    highest_limit = 1 / np.percentile(times_nearer, 100 - FALSE_ALARMS)
    own_distances = [
        distance(x, group) for x in observations if x.group == name and x.part != "test"
    ]
    return replace(group, limit=float(min(np.percentile(own_distances, 95), highest_limit)))


def fit_photographs(card: str, observations: Sequence[Observation]) -> Photographs | None:
    """Tell photographs from the card's images by logistic regression; None without photographs.

    Images of cards for the same kind of images count as its own. It takes the statistics and their
    squares; the photographs of the validation part are fitted to as well.
    """
    from sklearn.linear_model import LogisticRegression

    others = [x.features[card] for x in observations if is_to_fit_photograph(x)]
    if not others:
        return None

    same_kind = [name for name in OBSERVED if are_of_one_kind(name, card)]
    # Varied copies are described as their own card looks at them: cards of the same classes look at
    # images in the same way.
    own = [
        x.features.get(card, x.features.get(x.group))
        for x in observations
        if x.part == "train" and x.group in same_kind
    ]

    x = np.vstack([*own, *others])
    y = np.repeat([0, 1], [len(np.vstack(own)), len(np.vstack(others))])
    centre = np.nanmean(x, axis=0)
    scale = np.maximum(np.nanstd(x, axis=0), 1e-6)
    z = np.clip(np.nan_to_num((x - centre) / scale), -LARGEST_Z, LARGEST_Z)
    regression = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=3000)
    regression.fit(np.hstack([z, z * z]), y)

    linear, squared = np.split(regression.coef_[0], 2)
    return Photographs(
        view=card,
        description="a photograph of something else",
        limit=1 / variation_of(card).likely_photograph,
        centre=centre,
        scale=scale,
        linear=linear,
        squared=squared,
        bias=float(regression.intercept_[0]),
    )


def is_to_fit_photograph(observation: Observation) -> bool:
    """Tell whether it is a photograph that may be fitted to."""
    return observation.group == PHOTOGRAPHS and observation.part != "test"


def fit(
    cards: Sequence[str], observations: Sequence[Observation]
) -> dict[str, Group | Photographs]:
    """Fit the groups of the cards: their own, their mistakes, and photographs."""
    groups: dict[str, Group | Photographs] = {}
    for card in cards:
        groups[card] = fit_card(card, observations)
    for name, mistake in MISTAKES.items():
        right = groups.get(mistake.card)
        if isinstance(right, Group):
            groups[name] = fit_mistake(name, right, observations)
    for card in cards:
        photographs = fit_photographs(card, observations)
        if photographs is not None:
            groups[name_of_photographs(card)] = photographs
    return groups


def table(observations: Sequence[Observation], groups: dict[str, Group | Photographs]) -> str:
    """Share of each kind's images that each card flags and that no card fits; which fits first."""
    cards = [card for card in OBSERVED if card in groups]
    names = "".join(f"{card[:13]:>15}" for card in cards)
    lines = [f"{'images of, flagged by':26}{names}   none   images, first"]

    for kind in dict.fromkeys(x.group for x in observations):
        likenesses = [
            Likeness(
                {name: distance(x, group) / group.limit for name, group in groups.items()}, groups
            )
            for x in observations
            if x.group == kind
        ]
        flagged = [[likeness.score(card) > 1 for card in cards] for likeness in likenesses]
        shares = "".join(f"{share:15.1%}" for share in np.mean(flagged, axis=0))
        fitting = [likeness.fitting_cards() for likeness in likenesses]
        first = Counter(names[0] for names in fitting if names)
        none_fits = np.mean([not names for names in fitting])
        common = dict(first.most_common(3))
        lines.append(f"{kind:26}{shares}{none_fits:7.1%} {len(likenesses):8}, {common}")
    return "\n".join(lines)


def digits(values: Any) -> list[float]:
    """Round to five digits."""
    return [float(f"{value:.5g}") for value in np.ravel(values)]


def as_json(group: Group | Photographs) -> dict[str, Any]:
    """Return what the file holds of a group; of whitening matrices the lower triangle."""
    (limit,) = digits(group.limit)
    if isinstance(group, Photographs):
        weights = [group.centre, group.scale, group.linear, group.squared]
        (bias,) = digits(group.bias)
        rows = {"weights": [digits(row) for row in weights], "bias": bias, "limit": limit}
        return {"view": group.view, "what": group.description, **rows}

    clusters = []
    for cluster in group.clusters:
        triangle = cluster.whitening[np.tril_indices(len(cluster.centre))]
        (spread,) = digits(cluster.spread)
        clusters.append(
            {"centre": digits(cluster.centre), "whiten": digits(triangle), "spread": spread}
        )
    (room,) = digits(group.room)
    rows = {"clusters": clusters, "room": room, "limit": limit}
    return {"view": group.view, "what": group.description, **rows}


def in_file_form(stored: dict[str, Any]) -> str:
    """Return the text of the file: a line for each cluster."""
    text = json.dumps(stored, separators=(",", ":"))
    return text.replace('{"centre"', '\n{"centre"') + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Fit the cards named, write the file, and print what is measured on the test part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cards", nargs="*", metavar="CARD", help="default: all cards")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a folder for each card"
    )
    parser.add_argument("--out", type=Path, default=STATISTICS_FILE)
    chosen = parser.parse_args(arguments)
    unknown = [card for card in chosen.cards if card not in OBSERVED]
    if unknown:
        parser.error(f"there is no task for {', '.join(unknown)}; there are {', '.join(OBSERVED)}")

    cards = chosen.cards or [*OBSERVED]
    say_what_is_missing(chosen.data, cards)
    cv2.setNumThreads(1)
    observations = observe(chosen.data, cards)

    stored = json.loads(STATISTICS_FILE.read_text("utf-8"))
    stored |= {name: as_json(group) for name, group in fit(cards, observations).items()}
    chosen.out.write_text(in_file_form(stored), "utf-8")

    groups = {name: group_of(fields) for name, fields in stored.items()}
    test = [x for x in observations if x.part == "test"]
    print("test part, as it is\n" + table([x for x in test if not x.is_varied], groups))
    print("\nvaried copies of it\n" + table([x for x in test if x.is_varied], groups))


if __name__ == "__main__":
    main()
