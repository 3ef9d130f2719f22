"""The even, light surround of an eye: a page shaped to its disc, or a larger lit ellipse.

A surround that is dark is found by ``field_of_view``. Light ones are painted over before.
"""

import cv2
import numpy as np

from .field_of_view import (
    LIT_SHARE_OF_CONTRAST,
    OPENING,
    RIM,
    SMOOTHING,
    THUMBNAIL_SIDE,
    convex_hulls_of_largest_regions,
    discs_in_the_dark,
    is_round,
    regions_of,
)
from .huge_values import within_floats
from .resample import resize, resize_labels

# A surround is even if at least this share of its pixels differ, in each colour, from its median by
# at most this share of its brightness. At the rims of 12 eyes at most 0.08 of the pixels do so.
EVEN_SHARE = 0.75
ALIKE = 0.05

# The ring at the rim of a lit region in which its evenness is measured: between these shares of its
# largest distance from the rim.
RIM_RING = (0.02, 0.08)

# Side of the squares in the corners, as a share of the thumbnail's longer side.
CORNER_SHARE = 0.03

# An eye's colours differ from those of its surround by at least this share of the brightest colour.
LEAST_CONTRAST = 0.08


def light_surround(pixels: np.ndarray) -> np.ndarray | None:
    """Return the mask (H, W) of an even, light surround of an eye (H, W, 3), or None."""
    values, _ = within_floats(pixels)
    values = np.nan_to_num(values, posinf=0, neginf=0)
    shrink = min(1, THUMBNAIL_SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(n * shrink)) for n in pixels.shape[:2])
    floats = resize(values, (height, width))
    thumbnail = cv2.GaussianBlur(floats, (0, 0), SMOOTHING)

    # Of any grey: a disc that is lighter than its surround may be darker than it in parts.
    lit = np.ones((height, width), np.uint8)
    eye = disc_in_even_light(thumbnail, lit, corners_of(thumbnail))
    if eye is None:
        discs = discs_in_the_dark(thumbnail[..., 0])
        if discs is None:
            return None
        lit = discs
        eye = disc_in_even_light(thumbnail, lit, ring_at_rim(thumbnail, lit))
    if eye is None:
        return None
    is_surround = (lit > 0) & (eye == 0)
    return resize_labels(is_surround.astype(np.uint8), pixels.shape[:2]) > 0


def disc_in_even_light(
    thumbnail: np.ndarray, lit: np.ndarray, sample: np.ndarray
) -> np.ndarray | None:
    """Return the disc (h, w) inside a region whose rim is even and light, 0 or 1, or None.

    ``sample`` are pixels (N, 3) at the rim of the region ``lit`` (h, w).
    """
    if not len(sample):
        return None
    colour = np.median(sample, axis=0)
    if colour.max() < LEAST_CONTRAST * float(thumbnail.max()):
        return None
    is_alike = np.abs(sample - colour).max(axis=1) <= ALIKE * sample.mean()
    if is_alike.mean() < EVEN_SHARE:
        return None
    return disc_unlike(thumbnail, lit, colour)


def corners_of(thumbnail: np.ndarray) -> np.ndarray:
    """Return the pixels (N, 3) of squares in the corners."""
    side = max(2, round(CORNER_SHARE * max(thumbnail.shape[:2])))
    ends = (slice(None, side), slice(-side, None))
    squares = [thumbnail[rows, columns].reshape(-1, 3) for rows in ends for columns in ends]
    return np.concatenate(squares)


def ring_at_rim(thumbnail: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Return the pixels (N, 3) of a ring inside the rim of a lit region."""
    depth = cv2.distanceTransform(np.pad(lit, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    low, high = np.array(RIM_RING) * depth.max()
    return thumbnail[(depth > low) & (depth < high)]


def disc_unlike(thumbnail: np.ndarray, lit: np.ndarray, colour: np.ndarray) -> np.ndarray | None:
    """Return the disc (h, w) of another colour than its surround's, 0 or 1; None if it is none."""
    difference = np.abs(thumbnail - colour).max(axis=-1)
    difference[lit == 0] = 0
    contrast = float(np.percentile(difference[lit > 0], 90))
    if contrast < LEAST_CONTRAST * float(thumbnail.max()):
        return None

    differs = (difference > LIT_SHARE_OF_CONTRAST * contrast).astype(np.uint8)
    opened = cv2.morphologyEx(differs, cv2.MORPH_OPEN, OPENING)
    if not opened.any():
        return None
    disc = convex_hulls_of_largest_regions(opened)
    if not all(is_round(region, disc.size) for region in regions_of(disc)):
        return None
    return cv2.erode(disc, RIM, borderValue=1)
