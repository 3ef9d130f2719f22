"""The class of each pixel, from the probabilities of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .occupied import occupied_box

if TYPE_CHECKING:
    from .segmentation import Segmentation


def foreground_of(probabilities: np.ndarray) -> np.ndarray:
    """Return (*spatial), the probability of any class but background, from (K, *spatial)."""
    if len(probabilities) == 1:
        return probabilities[0]
    return 1 - probabilities[0]


def labels_of(result: Segmentation) -> np.ndarray:
    """Return the class of each pixel of a ``Segmentation``: uint8, (*spatial); 0 is background.

    Components smaller than ``component_share`` of the largest one are dropped.
    """
    probabilities = result.probabilities
    labels = np.zeros(probabilities.shape[1:], np.uint8)

    # Along the first axis (rows of 2D images, slices or frames of others), to save memory.
    for i in range(len(labels)):
        answer = probabilities[:, i]
        found = foreground_of(answer) >= result.threshold
        if not found.any():
            continue

        classes: int | np.ndarray = 1
        if len(answer) > 1:
            classes = 1 + answer[1:].argmax(axis=0)
        labels[i] = np.where(found, classes, 0)

    share = component_share(result)
    if share:
        from .objects import drop_small_components

        # Views: the small components are dropped from ``labels`` in place.
        volumes = labels if result.image.axes.startswith("T") else [labels]
        for volume in volumes:
            part = volume[occupied_box(volume)]
            if part.size:
                part[:] = drop_small_components(part, share)

    if result.by_hand is not None:
        return result.by_hand.over(labels)
    return labels


def component_share(result: Segmentation) -> float:
    """Return the share of the largest component below which others are dropped.

    It is the card's, but 0 where each structure was found in its own box: the largest component of
    each box was kept there, so that what is wrong on one side does not drop the other.
    """
    if result.places:
        return 0.0
    return result.card.min_component_share
