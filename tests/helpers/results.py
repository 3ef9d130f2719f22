"""Results made by hand, whose objects and sizes are known."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from helpers.networks import make_network
from unet_helpers.images.image import MedicalImage
from unet_helpers.networks.cards import ModelCard
from unet_helpers.results.segmentation import Segmentation

IMAGE_FIELDS = {field.name for field in fields(MedicalImage)}
RESULT_FIELDS = {field.name for field in fields(Segmentation)}


def disc(y: float, x: float, radius: float, shape: tuple[int, int] = (80, 120)) -> np.ndarray:
    """(H, W) bool: a disc of this radius in px around a pixel."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def result_of(probabilities: np.ndarray, axes: str | None = None, **changes: Any) -> Segmentation:
    """A result of these (K, *spatial) probabilities.

    The image is 7 everywhere. ``changes`` are fields of the image, of the result or of the card.
    """
    shape = probabilities.shape[1:]
    of_image = {name: changes.pop(name) for name in IMAGE_FIELDS & set(changes)}
    of_result = {name: changes.pop(name) for name in (RESULT_FIELDS - IMAGE_FIELDS) & set(changes)}

    pixels = of_image.pop("pixels", np.full(shape, 7, np.uint8))
    image = MedicalImage(pixels, axes or "ZYX"[-len(shape) :], **of_image)
    card = replace(card_of(len(probabilities)), **changes)
    return Segmentation(
        image, card, probabilities.astype(np.float32), **{"threshold": 0.5, **of_result}
    )


def result_of_mask(mask: np.ndarray, axes: str | None = None, **changes: Any) -> Segmentation:
    """A result whose foreground is a (*spatial) mask; see ``result_of``."""
    return result_of(mask[None].astype(np.float32), axes, **changes)


def result_of_labels(
    labels: np.ndarray, count: int, axes: str | None = None, **changes: Any
) -> Segmentation:
    """A result with these (*spatial) labels of ``count`` classes; see ``result_of``."""
    return result_of(np.stack([labels == i for i in range(count + 1)]), axes, **changes)


def card_of(channels: int) -> ModelCard:
    """The card of a small network with so many output channels."""
    return make_network(channels).card
