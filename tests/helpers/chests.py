"""A drawn chest: lungs, heart and clavicles whose masks overlap and whose widths are known."""

from dataclasses import replace
from typing import Any

import numpy as np

from helpers.results import disc
from unet_helpers.images.image import MedicalImage
from unet_helpers.networks.cards import MODELS
from unet_helpers.results.segmentation import Segmentation

SHAPE = (80, 120)

# px: the widths from which the cardiothoracic ratio is measured.
HEART_WIDTH = 41
CHEST_WIDTH = 90


def chest_masks() -> list[np.ndarray]:
    """The masks (80, 120) of the card's classes, in its order; the heart covers a part of a lung.

    The lungs reach from column 15 to column 104, the heart from column 45 to column 85.
    """
    right_lung = np.zeros(SHAPE, bool)
    right_lung[10:70, 15:52] = True
    left_lung = np.zeros(SHAPE, bool)
    left_lung[10:70, 68:105] = True
    heart = disc(48, 65, 20, SHAPE)
    right_clavicle = np.zeros(SHAPE, bool)
    right_clavicle[14:19, 18:56] = True
    left_clavicle = np.zeros(SHAPE, bool)
    left_clavicle[14:19, 64:102] = True
    return [right_lung, left_lung, heart, right_clavicle, left_clavicle]


def chest_truth() -> np.ndarray:
    """The masks as bits: 1, 2, 4, ... for the first, second, third class."""
    return sum(mask.astype(np.int16) << index for index, mask in enumerate(chest_masks()))


def chest_result(spacing: tuple[float, float] | None = None, **changes: Any) -> Segmentation:
    """A result of the card ``chest`` with these masks; ``changes`` are fields of the result."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, SHAPE).astype(np.uint8)
    image = MedicalImage(pixels, "YX", spacing)
    probabilities = 0.9 * np.stack(chest_masks()).astype(np.float32)
    result = Segmentation(
        image, MODELS["chest"], probabilities, threshold=0.5, weights_sha256="0" * 64
    )
    return replace(result, **changes)
