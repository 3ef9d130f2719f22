"""Images in 8 bits for display, and labels painted over them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import ImageColor
from torchvision.utils import draw_segmentation_masks

from ..images.image import MedicalImage
from ..images.stack import as_displayed, to_stack
from ..networks.cards import ModelCard
from ..preprocessing.intensities import intensity_range

# px: larger images are shrunk for display.
LONGEST_SIDE = 1600

# Largest ratio of height to width, or of width to height, at which a pixel is displayed.
MAX_PROPORTION = 8.0

# A pixel is displayed as a square if its height / width differs from 1 by less than this.
SQUARE_TOLERANCE = 0.01

# Opacity of the colours, 0 to 1. On a colour photograph, thin vessels are only visible if they are
# nearly opaque.
OPACITY = 0.35
OPACITY_OF_VESSELS = 0.9

# Percentiles of the values that are displayed black and white.
PERCENTILES = (0.5, 99.5)


def slice_of(image: MedicalImage, values: np.ndarray, index: int | None = None) -> np.ndarray:
    """Return one displayed slice (H, W[, C]) of an array of the image's shape.

    ``index`` counts the displayed slices from 0; by default it is the middle one.
    """
    stack = as_displayed(image, values)
    if index is None:
        index = len(stack) // 2
    return stack[index]


def picture(image: MedicalImage, index: int | None = None) -> np.ndarray:
    """Return one displayed slice of an image as (H, W, 3) uint8."""
    pixels = to_8_bits(slice_of(image, image.pixels, index))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Return uint8: uint8 unchanged, other types scaled so that ``PERCENTILES`` are 0 and 255."""
    if pixels.dtype == np.uint8:
        return pixels

    offset, gain = intensity_range(pixels, *PERCENTILES)
    values = np.nan_to_num(pixels.astype(np.float32))
    brightness = np.clip((values - offset) * gain, 0, 1)
    return (brightness * 255).astype(np.uint8)


def opacity_for(card: ModelCard) -> float:
    """Return the opacity, 0 to 1, at which a network's classes are seen best."""
    if card.measures == "tree":
        return OPACITY_OF_VESSELS
    return OPACITY


def paint(
    shown: np.ndarray,
    labels: np.ndarray,
    colors: Sequence[str],
    objects: np.ndarray | None = None,
    alpha: float = OPACITY,
) -> np.ndarray:
    """Return (h, w, 3) uint8: each class in its colour over a picture.

    ``shown`` is (H, W, 3) uint8, ``labels`` (H, W) uint8; both are shrunk to ``LONGEST_SIDE``.
    ``alpha`` is the opacity. With ``objects``, (H, W) ids, each object is outlined in its class's
    full colour.
    """
    shown = shrink(shown, cv2.INTER_AREA)
    labels = shrink(labels, cv2.INTER_NEAREST_EXACT)

    masks = np.stack([labels == label for label in range(1, len(colors) + 1)])
    painted = fill(shown, masks, colors, alpha)
    if objects is not None:
        outline(painted, objects, labels, colors)
    return painted


def fill(shown: np.ndarray, masks: np.ndarray, colors: Sequence[str], alpha: float) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 with masks (K, h, w), bool, in their colours over it."""
    painted_tensor = draw_segmentation_masks(
        torch.from_numpy(shown).permute(2, 0, 1), torch.from_numpy(masks), alpha, list(colors)
    )
    return np.ascontiguousarray(painted_tensor.permute(1, 2, 0).numpy())


def outline(
    painted: np.ndarray, objects: np.ndarray, labels: np.ndarray, colors: Sequence[str]
) -> None:
    """Outline objects, (H, W) ids, in a picture (h, w, 3), in place.

    Each outline has the colour of its label in ``labels`` (h, w).
    """
    edges = edges_of(shrink(objects, cv2.INTER_NEAREST_EXACT))
    # Edge pixels that have an id but no label are white.
    palette = [(255, 255, 255), *(ImageColor.getrgb(color) for color in colors)]
    painted[edges] = np.array(palette, np.uint8)[labels[edges]]


def edges_of(objects: np.ndarray) -> np.ndarray:
    """Return (H, W) bool: pixels of objects that touch the background or another object."""
    ids = objects.astype(np.float32)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    gradient = cv2.morphologyEx(ids, cv2.MORPH_GRADIENT, cross)
    return (ids > 0) & (gradient > 0)


def shrink(values: np.ndarray, interpolation: int) -> np.ndarray:
    """Return (H, W[, C]) values with at most ``LONGEST_SIDE`` px on the longer side."""
    zoom = LONGEST_SIDE / max(values.shape[:2])
    if zoom >= 1:
        return values

    if values.dtype == np.int32:
        # OpenCV resizes no int32; float32 is exact for ids below 2**24.
        values = values.astype(np.float32)
    return cv2.resize(values, None, fx=zoom, fy=zoom, interpolation=interpolation)


def proportion(image: MedicalImage) -> float:
    """Return the physical height / width of a displayed pixel, from 1/8 to 8.

    It is 1 if the spacing is not known.
    """
    spacing = to_stack(image).spacing
    if not spacing:
        return 1.0
    row_step, column_step = spacing[-2:]
    return float(np.clip(row_step / column_step, 1 / MAX_PROPORTION, MAX_PROPORTION))


def in_proportion(pixels: np.ndarray, image: MedicalImage) -> np.ndarray:
    """Enlarge a displayed slice (h, w, 3) of an image along one side to its true proportions."""
    ratio = proportion(image)
    if abs(ratio - 1) <= SQUARE_TOLERANCE:
        return pixels
    height, width = pixels.shape[:2]
    size = (round(width * max(1, 1 / ratio)), round(height * max(1, ratio)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)


def png(pixels: np.ndarray) -> bytes:
    """Return (h, w, 3) uint8 as the bytes of a PNG file."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
