"""Images and label images at another size; boxes of volumes in another position, and back."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy

if TYPE_CHECKING:
    from ..images.stack import Stack

# Types of pixels that OpenCV takes.
READABLE = ("uint8", "uint16", "int16", "float32", "float64")

# A spacing or zoom that differs by less than this share from the card's still counts as that.
SPACING_TOLERANCE = 0.02

# Steps along an axis of a volume at the card's spacing are between so many voxels long: further
# enlarged, it shows no more detail.
STEP_LIMITS = (0.25, 4)


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H, W[, C]) to (h, w[, C]).

    Averages when shrinking, so that thin structures fade and do not flicker.
    """
    height, width = shape
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=interpolation)


def resize_channels(channels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (K, h, w) to (K, *shape), each channel by itself."""
    if channels.shape[1:] == tuple(shape):
        return channels
    return np.stack([resize(channel, shape) for channel in channels])


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H, W) to (h, w), each pixel with the label that lies at its centre."""
    height, width = shape
    # INTER_NEAREST would shift all by half a pixel.
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def highest_contrast_window(pixels: np.ndarray, side: int) -> np.ndarray:
    """Find the window of at most ``side`` x ``side`` px with the largest standard deviation.

    Much of a slide is empty.
    """
    height, width = pixels.shape[:2]
    # A last row or column of windows that is less than half as wide is left out.
    tops = range(0, max(1, height - side // 2), side)
    lefts = range(0, max(1, width - side // 2), side)
    windows = [pixels[top : top + side, left : left + side] for top, left in product(tops, lefts)]
    return max(windows, key=contrast)


def contrast(pixels: np.ndarray) -> float:
    """Compute the standard deviation of (H, W[, C]); of the channel in which it is largest."""
    if pixels.dtype.name not in READABLE:
        pixels = pixels.astype(np.float32)
    _, deviations = cv2.meanStdDev(np.asarray(pixels))
    return float(np.nan_to_num(deviations.max()))


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a box lie in a volume; all in the order (z, y, x)."""

    shape: tuple[int, int, int]
    matrix: np.ndarray  # (3, 3) voxels of the volume per step of the grid
    start: np.ndarray  # (3,) voxel of the volume at the grid's first one

    @classmethod
    def around(cls, centre: np.ndarray, shape: tuple[int, int, int], matrix: np.ndarray) -> "Grid":
        """Make the box whose middle lies at the voxel ``centre`` of the volume."""
        half_diagonal = matrix @ ((np.asarray(shape) - 1) / 2)
        return cls(shape, matrix, np.asarray(centre) - half_diagonal)

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Cut (*shape) float32 out of a volume (Z, Y, X), by cubic splines.

        The volume is smoothed before where the grid is coarser.
        """
        block, first = self.covered_block(pixels.shape)
        # A spline would spread what is not finite.
        values = np.nan_to_num(pixels[block].astype(np.float32), posinf=0, neginf=0)

        voxels_per_step = np.linalg.norm(self.matrix, axis=1)
        sigma = np.maximum(0, (voxels_per_step - 1) / 2)
        values = scipy.ndimage.gaussian_filter(values, sigma, mode="nearest")
        return scipy.ndimage.affine_transform(
            values,
            self.matrix,
            offset=self.start - first,
            output_shape=self.shape,
            order=3,
            mode="nearest",
        )

    def put_back(self, answer: np.ndarray, total: np.ndarray) -> None:
        """Add (K, *shape) to (K, Z, Y, X), in place; what lies more than a step outside stays."""
        block, first = self.covered_block(total.shape[1:])
        inverse = np.linalg.inv(self.matrix)
        # The edge's values are repeated once, so that voxels half a step beyond them have a value.
        offset = inverse @ (first - self.start) + 1
        for channel, values in zip(total, answer, strict=True):
            channel[block] += scipy.ndimage.affine_transform(
                np.pad(values, 1, "edge"),
                inverse,
                offset=offset,
                output_shape=channel[block].shape,
                order=1,
            )

    def covered_block(self, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], np.ndarray]:
        """Find the part of a volume that the grid covers, with a margin, and its first voxel."""
        size = np.array(shape)
        corner_steps = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(self.shape) - 1)[:, None]
        corners = self.matrix @ corner_steps + self.start[:, None]

        # The splines reach two voxels further.
        low = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, size - 1)
        high = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 3, 1, size)
        block = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
        return block, low


def at_spacing(stack: "Stack", spacing: float | None) -> Grid | None:
    """Make the grid of a whole stack (Z, Y, X) at voxels of ``spacing`` mm.

    None where they have that spacing already, or theirs is not known.
    """
    if not spacing or not stack.spacing:
        return None
    if np.allclose(stack.spacing, spacing, rtol=SPACING_TOLERANCE):
        return None

    step = np.clip(spacing / np.array(stack.spacing), *STEP_LIMITS)
    size = np.array(stack.pixels.shape)
    depth, height, width = np.maximum(1, np.rint(size / step)).astype(int).tolist()
    return Grid.around((size - 1) / 2, (depth, height, width), np.diag(step))
