"""Volumes in RAS+ order, by way of the stack that the networks see."""

from dataclasses import replace

import numpy as np

from unet_helpers.images.stack import from_stack, to_stack


def to_canonical(image):
    stack = to_stack(image)
    pixels = np.moveaxis(stack.pixels, (0, 1, 2), (2, 1, 0))[::-1, ::-1]
    return replace(image, pixels=pixels, spacing=stack.spacing and stack.spacing[::-1])


def from_canonical(image, values):
    return from_stack(image, np.moveaxis(values[::-1, ::-1], (0, 1, 2), (2, 1, 0))[None])[0]
