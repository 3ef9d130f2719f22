"""Images and label images at another size."""

from itertools import product

import cv2
import numpy as np

READABLE = ("uint8", "uint16", "int16", "float32", "float64")  # what OpenCV takes


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (h, w): averages when shrinking, so that thin structures fade and do not flicker."""
    if pixels.shape[:2] == tuple(shape):
        return pixels
    shrinks = shape[0] * shape[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, tuple(shape[::-1]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_channels(channels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(K, h, w) to (K, *shape), each channel on its own."""
    return channels if channels.shape[1:] == tuple(shape) else np.stack([resize(part, shape) for part in channels])


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (h, w), each pixel the label that lies at its centre; cv2's INTER_NEAREST would shift all by half a pixel."""
    return cv2.resize(labels, tuple(shape[::-1]), interpolation=cv2.INTER_NEAREST_EXACT)


def highest_contrast_window(pixels: np.ndarray, side: int) -> np.ndarray:
    """The window of at most ``side`` x ``side`` px with the largest standard deviation; much of a slide is empty."""
    starts = [range(0, max(1, length - side // 2), side) for length in pixels.shape[:2]]
    windows = [pixels[y : y + side, x : x + side] for y, x in product(*starts)]
    return max(windows, key=contrast)


def contrast(pixels: np.ndarray) -> float:
    """The largest standard deviation of a channel."""
    pixels = pixels if pixels.dtype.name in READABLE else pixels.astype(np.float32)
    return float(np.nan_to_num(cv2.meanStdDev(np.asarray(pixels))[1].max()))
