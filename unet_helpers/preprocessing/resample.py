"""Resize images and label images; resample volumes, or boxes in them, and put answers back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy

if TYPE_CHECKING:
    from ..images.stack import Stack

# Types of pixels that OpenCV supports.
READABLE = ("uint8", "uint16", "int16", "float32", "float64")

# A spacing or zoom counts as equal to the card's if the relative difference is not above this.
SPACING_TOLERANCE = 0.02

# Smallest and largest step of a resampled volume along an axis, in voxels of the stored volume.
# Smaller steps would enlarge it further without showing more detail.
STEP_LIMITS = (0.25, 4)

# OpenCV resizes at most this many channels at once.
MOST_CHANNELS = 4


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H, W[, C]) to (h, w[, C]); the same array if it has this shape.

    When shrinking, pixels are averaged, so that thin structures become faint, not broken.
    """
    height, width = shape
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] > MOST_CHANNELS:
        channels = resize_channels(np.moveaxis(pixels, -1, 0), shape)
        return np.moveaxis(channels, 0, -1)

    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=interpolation)


def resize_channels(channels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (K, h, w) to (K, *shape), each channel separately."""
    if channels.shape[1:] == tuple(shape):
        return channels
    return np.stack([resize(channel, shape) for channel in channels])


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize labels (H, W) to (h, w): each pixel gets the label at its centre."""
    height, width = shape
    # INTER_NEAREST would shift the labels by up to half a pixel.
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def highest_contrast_window(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the window of at most ``side`` x ``side`` px with the largest standard deviation.

    Used to avoid empty parts of a slide. The window is a view.
    """
    height, width = pixels.shape[:2]
    # The last row or column of windows is left out if it is less than half as wide as the others.
    tops = range(0, max(1, height - side // 2), side)
    lefts = range(0, max(1, width - side // 2), side)
    windows = [pixels[top : top + side, left : left + side] for top, left in product(tops, lefts)]
    return max(windows, key=contrast)


def contrast(pixels: np.ndarray) -> float:
    """Compute the largest standard deviation of the channels of (H, W[, C])."""
    if pixels.dtype.name not in READABLE:
        pixels = pixels.astype(np.float32)
    _, deviations = cv2.meanStdDev(np.asarray(pixels))
    return float(np.nan_to_num(deviations.max()))


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions of a box's voxels in a volume: matrix @ index + start, in the order (z, y, x)."""

    shape: tuple[int, int, int]
    matrix: np.ndarray  # (3, 3) columns are the grid's steps, in voxels of the volume
    start: np.ndarray  # (3,) position of the grid's first voxel, in voxels of the volume

    @classmethod
    def around(cls, centre: np.ndarray, shape: tuple[int, int, int], matrix: np.ndarray) -> "Grid":
        """Make the grid whose middle is at ``centre``, in voxels of the volume."""
        half_diagonal = matrix @ ((np.asarray(shape) - 1) / 2)
        return cls(shape, matrix, np.asarray(centre) - half_diagonal)

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Sample a volume (Z, Y, X) at the grid's voxels, by cubic splines: (*shape) float32.

        If the grid is coarser than the volume, the volume is smoothed before.
        """
        block, first = self.covered_block(pixels.shape)
        # Splines would spread NaN and infinity over the block.
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

    def cut_labels(self, labels: np.ndarray) -> np.ndarray:
        """Return the label (Z, Y, X) nearest to each of the grid's voxels, (*shape)."""
        block, first = self.covered_block(labels.shape)
        return scipy.ndimage.affine_transform(
            labels[block],
            self.matrix,
            offset=self.start - first,
            output_shape=self.shape,
            order=0,
            mode="nearest",
        )

    def share_inside(self, shape: tuple[int, ...]) -> float:
        """Return the share of the grid's voxels, 0 to 1, that lie in a volume of this shape."""
        indices = np.indices(self.shape).reshape(3, -1)
        voxels = self.matrix @ indices + self.start[:, None]
        last = np.array(shape)[:, None] - 0.5
        return float(((voxels >= -0.5) & (voxels <= last)).all(axis=0).mean())

    def put_back(self, answer: np.ndarray, total: Sequence[np.ndarray]) -> None:
        """Add an answer (K, *shape) to K volumes (Z, Y, X), in place, by linear interpolation.

        Voxels more than a step outside the grid are not changed.
        """
        block, first = self.covered_block(total[0].shape)
        inverse = np.linalg.inv(self.matrix)
        # The answer is padded by 1 (hence + 1), so that voxels half a step outside have a value.
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
        """Return the block of a volume around the grid, with a margin, and its first voxel."""
        size = np.array(shape)
        corner_steps = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(self.shape) - 1)[:, None]
        corners = self.matrix @ corner_steps + self.start[:, None]

        # The splines use two more voxels on each side.
        low = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, size - 1)
        high = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 3, 1, size)
        block = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
        return block, low


def at_spacing(stack: "Stack", spacing: float | None) -> Grid | None:
    """Make the grid that resamples a whole stack (Z, Y, X) to voxels of ``spacing`` mm.

    Returns None if the stack has this spacing already, or its spacing is not known along all axes.
    """
    if not spacing or not stack.spacing or len(stack.spacing) != stack.pixels.ndim:
        return None
    if np.allclose(stack.spacing, spacing, rtol=SPACING_TOLERANCE):
        return None

    return at_step(stack, spacing / np.array(stack.spacing))


def at_step(stack: "Stack", voxels_per_step: float | np.ndarray) -> Grid:
    """Make the grid that resamples a whole stack (Z, Y, X) to steps of so many of its voxels."""
    step = np.clip(voxels_per_step * np.ones(3), *STEP_LIMITS)
    size = np.array(stack.pixels.shape)
    depth, height, width = np.maximum(1, np.rint(size / step)).astype(int).tolist()
    return Grid.around((size - 1) / 2, (depth, height, width), np.diag(step))
