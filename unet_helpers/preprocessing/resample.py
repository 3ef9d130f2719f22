"""Images and label images at another size; boxes of volumes at any position, direction and spacing, and back."""

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import scipy

READABLE = ("uint8", "uint16", "int16", "float32", "float64")  # what OpenCV takes
TOLERANCE = 0.02  # by so little a spacing may differ from the card's and still count as that


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (h, w): averages when shrinking, so that thin structures fade and do not flicker."""
    if pixels.shape[:2] == tuple(shape):
        return pixels
    shrinks = shape[0] * shape[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(
        pixels, tuple(shape[::-1]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def resize_channels(channels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(K, h, w) to (K, *shape), each channel on its own."""
    return (
        channels
        if channels.shape[1:] == tuple(shape)
        else np.stack([resize(part, shape) for part in channels])
    )


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (h, w), each pixel the label that lies at its centre; cv2's INTER_NEAREST would shift all by half a pixel."""
    return cv2.resize(labels, tuple(shape[::-1]), interpolation=cv2.INTER_NEAREST_EXACT)


def highest_contrast_window(pixels: np.ndarray, side: int) -> np.ndarray:
    """The window of at most ``side`` x ``side`` px with the largest standard deviation; much of a slide is empty."""
    starts = [range(0, max(1, length - side // 2), side) for length in pixels.shape[:2]]
    return max([pixels[y : y + side, x : x + side] for y, x in product(*starts)], key=contrast)


def contrast(pixels: np.ndarray) -> float:
    """The largest standard deviation of a channel."""
    pixels = pixels if pixels.dtype.name in READABLE else pixels.astype(np.float32)
    return float(np.nan_to_num(cv2.meanStdDev(np.asarray(pixels))[1].max()))


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a box lie in a volume; all in the order (z, y, x)."""

    shape: tuple[int, int, int]
    matrix: np.ndarray  # (3, 3) voxels of the volume per step of the grid
    start: np.ndarray  # (3,) voxel of the volume at the grid's first one

    @classmethod
    def around(cls, centre, shape, matrix) -> "Grid":
        """The box whose middle lies at the voxel ``centre`` of the volume."""
        return cls(
            tuple(shape), matrix, np.asarray(centre) - matrix @ ((np.asarray(shape) - 1) / 2)
        )

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """(*shape) float32 of (Z, Y, X), by cubic splines; smoothed before where the grid is coarser."""
        block, first = self.block(pixels.shape)
        sigma = np.maximum(0, (np.linalg.norm(self.matrix, axis=1) - 1) / 2)
        values = np.nan_to_num(
            pixels[block].astype(np.float32), posinf=0, neginf=0
        )  # which a spline would spread
        values = scipy.ndimage.gaussian_filter(values, sigma, mode="nearest")
        return scipy.ndimage.affine_transform(
            values, self.matrix, self.start - first, self.shape, None, 3, "nearest"
        )

    def put_back(self, answer: np.ndarray, total: np.ndarray) -> None:
        """Add (K, *shape) to (K, Z, Y, X), in place; what lies outside the grid stays."""
        (block, first), inverse = self.block(total.shape[1:]), np.linalg.inv(self.matrix)
        for channel, values in zip(total, answer, strict=True):
            size, offset = channel[block].shape, inverse @ (first - self.start) + 1
            channel[block] += scipy.ndimage.affine_transform(
                np.pad(values, 1, "edge"), inverse, offset, size, order=1
            )

    def block(self, shape) -> tuple[tuple[slice, ...], np.ndarray]:
        """The part of the volume that the grid covers, with a margin, and its first voxel."""
        corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(self.shape) - 1)[:, None]
        corners = self.matrix @ corners + self.start[:, None]
        low = np.clip(np.floor(corners.min(1)).astype(int) - 2, 0, np.array(shape) - 1)
        return tuple(
            map(slice, low, np.clip(np.ceil(corners.max(1)).astype(int) + 3, 1, shape))
        ), low


def at_spacing(stack, spacing: float | None) -> Grid | None:
    """The whole of a stack (Z, Y, X) at voxels of ``spacing`` mm; None where they are so, or their size is unknown."""
    if not spacing or not stack.spacing or np.allclose(stack.spacing, spacing, rtol=TOLERANCE):
        return None
    step = np.clip(
        spacing / np.array(stack.spacing), 0.25, 4
    )  # further enlarged, it shows no more detail
    shape = np.maximum(1, np.rint(np.array(stack.pixels.shape) / step)).astype(int)
    return Grid.around(
        (np.array(stack.pixels.shape) - 1) / 2, tuple(map(int, shape)), np.diag(step)
    )
