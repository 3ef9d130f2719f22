"""Which MRI sequence a head shows, by the intensities of its brain.

In T1 white matter is much brighter than grey, and fluid is dark. In T2 fluid is much brighter than
tissue. In FLAIR tissue is nearly uniform, with dark fluid.
"""

from typing import Literal

import cv2
import numpy as np
import scipy

from ..images.stack import Stack
from .likeness import middle_slices
from .view import View

Sequence = Literal["t1", "t2", "flair", ""]

# px: longer side of the slices in which intensities are measured.
SIDE = 128

# Pixels of the head are brighter than this share of the range from the 1st to the 99th percentile.
HEAD = 0.15

# Of the head's width: the brain is at least so far from the air, behind scalp and skull.
SCALP_AND_SKULL = 0.16

# Of the head's width: standard deviation of the Gaussian that removes the bias field of the coil.
BIAS_FIELD = 0.15

# A slice is left out if fewer px show brain.
LEAST_PIXELS = 50

# T1: (75th percentile) / (25th percentile), and / (50th percentile), are at least these. Over eight
# heads painted from label maps (tests/benchmarks/heads.py) they are 1.65 and 1.15 or more in T1,
# and the second is at most 1.14 painted as FLAIR; over the stacks of TCGA-LGG outside its test part
# (FLAIR) the first is at most 1.46.
T1_OVER_QUARTER = 1.55
T1_OVER_MEDIAN = 1.145

# T2: (98th percentile) / (50th percentile), and (75th) / (25th), are at least these: 1.88 and 1.43
# or more in the same heads painted as T2. The first is at most 1.65 in T1. Of the 54 stacks of
# TCGA-LGG one, with a bright tumour, reaches both.
T2_OVER_MEDIAN = 1.75
T2_OVER_QUARTER = 1.4

# mm: a head is longer than the first along every axis, and than the second along none.
LEAST_HEAD = 100
LARGEST_HEAD = 320

# mm: stacks with slices at least so far apart are those of FLAIR as it was usually taken.
THICK = 3.0


def head_sequence(view: View) -> Sequence:
    """Return the sequence of a volume, stack or slice of a head; '' if it is not clear.

    What is neither T1 nor T2 counts as FLAIR in single slices and thick stacks. In thin slices it
    is not clear, because in T1 white matter may be hardly brighter than grey.
    """
    stack = view.frames[0]
    shares = brain_percentiles(stack)
    if shares is None:
        return ""

    quarter, median, three_quarters, top = shares
    contrast = three_quarters / quarter
    if top / median >= T2_OVER_MEDIAN and contrast >= T2_OVER_QUARTER:
        return "t2"
    if contrast >= T1_OVER_QUARTER and three_quarters / median >= T1_OVER_MEDIAN:
        return "t1"
    return "" if is_thin_head(stack) else "flair"


def is_whole_head(stack: Stack) -> bool:
    """Return whether a stack (Z, Y, X) has the extent of a whole head."""
    if stack.spacing is None or stack.pixels.ndim != 3 or len(stack.spacing) != 3:
        return False
    lengths = np.array(stack.pixels.shape) * np.array(stack.spacing)
    return bool(lengths.min() > LEAST_HEAD and lengths.max() < LARGEST_HEAD)


def is_thin_head(stack: Stack) -> bool:
    """Return whether a stack is a whole head in thin slices."""
    return is_whole_head(stack) and max(stack.spacing or ()) < THICK


def brain_percentiles(stack: Stack) -> np.ndarray | None:
    """Return the 25th, 50th, 75th and 98th percentile of the brain, medians over the slices.

    They are in shares of the brain's local mean. None if no slice shows a brain.
    """
    rows = []
    for pixels in middle_slices(stack.pixels):
        values = brain_values(pixels, stack.spacing)
        if len(values) >= LEAST_PIXELS:
            rows.append(np.percentile(values, [25, 50, 75, 98]))
    if not rows:
        return None
    return np.median(rows, axis=0)


def brain_values(pixels: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    """Return the intensities of the brain in a slice (H, W[, 3]), in shares of the local mean."""
    grey: np.ndarray = np.nan_to_num(pixels.astype(np.float32))
    if grey.ndim == 3:
        grey = grey.mean(-1)

    height, width = grey.shape
    if spacing is not None:
        height, width = height * spacing[-2], width * spacing[-1]
    shrink = SIDE / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)

    low, high = np.percentile(grey, [1, 99])
    head = largest_component(grey > low + HEAD * (high - low))
    head_width = 2 * np.sqrt(head.sum() / np.pi)

    padded = np.pad(head, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    brain = depth > SCALP_AND_SKULL * head_width
    if not brain.any():
        return np.zeros(0)

    sigma = BIAS_FIELD * head_width
    weight = cv2.GaussianBlur(head.astype(np.float32), (0, 0), sigma)
    local_mean = cv2.GaussianBlur(grey * head, (0, 0), sigma) / np.maximum(weight, 1e-3)
    return (grey - low)[brain] / np.maximum(local_mean - low, 1e-6)[brain]


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Return the largest component of a mask (H, W), with its holes filled."""
    filled = scipy.ndimage.binary_fill_holes(mask)
    components, count = scipy.ndimage.label(filled)
    if count == 0:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(components.ravel())
    return components == sizes[1:].argmax() + 1
