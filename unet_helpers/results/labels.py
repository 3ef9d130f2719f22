"""The class of each pixel and the mask of each class, from the probabilities of a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..images.stack import as_displayed, from_stack
from .occupied import occupied_box

if TYPE_CHECKING:
    from .answer import Answer


def foreground_of(probabilities: np.ndarray, overlapping: bool = False) -> np.ndarray:
    """Return (*spatial), the probability of any class but background, from (K, *spatial).

    Of classes that overlap, which have no background, it is that of the most probable class.
    """
    if overlapping:
        return probabilities.max(axis=0)
    if len(probabilities) == 1:
        return probabilities[0]
    return 1 - probabilities[0]


def labels_of(result: Answer) -> np.ndarray:
    """Return the class of each pixel of a ``Segmentation``: uint8, (*spatial); 0 is background.

    Components smaller than ``component_share`` of the largest one are dropped. Where classes
    overlap, the one that comes last on the card is drawn over the others.
    """
    if result.card.overlapping:
        return drawn_in_order(masks_of(result))

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

    if result.card.class_of == "segment":
        labels = with_classes_of_segments(result, labels)

    drop_small_parts(labels, result)
    if result.by_hand is not None:
        return result.by_hand.over(labels)
    return labels


def with_classes_of_segments(result: Answer, labels: np.ndarray) -> np.ndarray:
    """Return labels whose vessels have one class from a branching or crossing to the next."""
    # Loads scikit-image.
    from .vessel_segments import classes_of_segments

    image = result.image
    probabilities = [as_displayed(image, channel) for channel in result.probabilities[1:]]
    slices = zip(np.stack(probabilities, axis=1), as_displayed(image, labels), strict=True)
    classes = [classes_of_segments(of_slice, shown > 0) for of_slice, shown in slices]
    return from_stack(image, np.stack(classes)[None])[0]


def masks_of(result: Answer) -> list[np.ndarray]:
    """Return the mask (*spatial), bool, of each class of a ``Segmentation``, in the card's order.

    Masks of classes that overlap are complete: each has its own threshold and its own components,
    of which the small ones are dropped.
    """
    if not result.card.overlapping:
        count = len(result.card.classes)
        return [result.labels == label for label in range(1, count + 1)]

    masks = []
    for probability in result.probabilities:
        mask = probability >= result.threshold
        drop_small_parts(mask, result)
        masks.append(mask)
    return masks


def drawn_in_order(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return labels 1, 2, ... (uint8) of masks, each drawn over those before it."""
    labels = np.zeros(masks[0].shape, np.uint8)
    for label, mask in enumerate(masks, 1):
        labels[mask] = label
    return labels


def drop_small_parts(labels: np.ndarray, result: Answer) -> None:
    """Drop components of labels or a mask that are smaller than ``component_share``, in place."""
    share = component_share(result)
    if not share:
        return

    from .objects import drop_small_components

    # Views: the small components are dropped from ``labels`` in place.
    volumes = labels if result.image.axes.startswith("T") else [labels]
    for volume in volumes:
        part = volume[occupied_box(volume)]
        if part.size:
            part[:] = drop_small_components(part, share)


def component_share(result: Answer) -> float:
    """Return the share of the largest component below which others are dropped.

    It is the card's, but 0 where each structure was found in its own box: the largest component of
    each box was kept there, so that what is wrong on one side does not drop the other.
    """
    if result.places:
        return 0.0
    return result.card.min_component_share
