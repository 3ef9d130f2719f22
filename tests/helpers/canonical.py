"""Volumes in RAS+ order, by way of the stack that the networks see."""

from dataclasses import replace

import numpy as np

from unet_helpers.images.image import MedicalImage
from unet_helpers.images.stack import from_stack, to_stack


def to_canonical(image: MedicalImage) -> MedicalImage:
    """A volume with its axes to the right, front and head."""
    stack = to_stack(image)
    pixels = np.moveaxis(stack.pixels, (0, 1, 2), (2, 1, 0))[::-1, ::-1]
    spacing = None
    if stack.spacing is not None:
        spacing = stack.spacing[::-1]
    return replace(image, pixels=pixels, spacing=spacing)


def from_canonical(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Values (X, Y, Z) of ``to_canonical(image)`` in the image's own order."""
    return from_stack(image, np.moveaxis(values[::-1, ::-1], (0, 1, 2), (2, 1, 0))[None])[0]
