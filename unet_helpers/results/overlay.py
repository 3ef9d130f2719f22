"""Pixels as a person sees them, and labels painted over them. Works on arrays and colours."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import ImageColor
from torchvision.utils import draw_segmentation_masks

from ..images.image import MedicalImage
from ..images.stack import as_displayed, to_stack
from ..preprocessing.intensities import intensity_range

LONGEST = 1600  # px: larger images are shrunk for display


def slice_of(image: MedicalImage, values: np.ndarray, index: int | None = None) -> np.ndarray:
    """(H, W[, C]): slice ``index`` (default: the middle one) of an array of the image's shape, as it is displayed."""
    stack = as_displayed(image, values)
    return stack[len(stack) // 2 if index is None else index]


def picture(image: MedicalImage, index: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8 of an image or one slice of it."""
    pixels = to_8_bits(slice_of(image, image.pixels, index))
    return np.ascontiguousarray(
        pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    )


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 as it is; of other types the 0.5th to 99.5th percentile from black to white."""
    if pixels.dtype == np.uint8:
        return pixels
    offset, gain = intensity_range(pixels, 0.5, 99.5)
    return (np.clip((np.nan_to_num(pixels.astype(np.float32)) - offset) * gain, 0, 1) * 255).astype(
        np.uint8
    )


def paint(
    shown: np.ndarray, labels: np.ndarray, colors: Sequence[str], objects=None, alpha=0.35
) -> np.ndarray:
    """(h, w, 3) uint8: each class of ``labels`` (H, W) in its colour over ``shown`` (H, W, 3), at most ``LONGEST`` px.
    With ``objects``, the ids of (H, W), each of them is outlined in its full colour.
    """
    shown, labels = shrink(shown, cv2.INTER_AREA), shrink(labels, cv2.INTER_NEAREST_EXACT)
    masks = torch.from_numpy(np.stack([labels == i for i in range(1, len(colors) + 1)]))
    painted = draw_segmentation_masks(
        torch.from_numpy(shown).permute(2, 0, 1), masks, alpha, list(colors)
    )
    painted = np.ascontiguousarray(painted.permute(1, 2, 0).numpy())
    if objects is not None:
        ids = shrink(objects, cv2.INTER_NEAREST_EXACT).astype(np.float32)
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        edges = (ids > 0) & (
            cv2.morphologyEx(ids, cv2.MORPH_GRADIENT, cross) > 0
        )  # of an object, or between two
        painted[edges] = np.array([(255, 255, 255), *map(ImageColor.getrgb, colors)], np.uint8)[
            labels[edges]
        ]
    return painted


def shrink(values: np.ndarray, interpolation: int) -> np.ndarray:
    """At most ``LONGEST`` px on the longer side."""
    zoom = LONGEST / max(values.shape[:2])
    if zoom >= 1:
        return values
    values = (
        values.astype(np.float32) if values.dtype == np.int32 else values
    )  # exact for ids below 2**24
    return cv2.resize(values, None, fx=zoom, fy=zoom, interpolation=interpolation)


def proportion(image: MedicalImage) -> float:
    """How many times taller than wide a displayed pixel is in the body, 8 at most; 1 where the spacing is not known."""
    rows, columns = (to_stack(image).spacing or (1.0, 1.0))[-2:]
    return float(np.clip(rows / columns, 1 / 8, 8))


def png(pixels: np.ndarray, image: MedicalImage) -> bytes:
    """PNG file of a displayed slice (h, w, 3) uint8, enlarged along one side to be as tall and wide as in the body."""
    if abs((ratio := proportion(image)) - 1) > 0.01:
        size = (round(pixels.shape[1] * max(1, 1 / ratio)), round(pixels.shape[0] * max(1, ratio)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
