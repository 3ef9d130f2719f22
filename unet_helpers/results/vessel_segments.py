"""One class for each segment of a vessel, because a vessel is an artery or a vein all along.

After Niemeijer, van Ginneken and Abramoff 2009, Proc. SPIE 7260:72601F: the soft labels of all
pixels of a segment, between branchings and crossings, are averaged. There it is the pixels of the
centre line, here all of the vessel.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.measure import label
from skimage.morphology import skeletonize

from .vessels import neighbour_count


def classes_of_segments(classes: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """Return (H, W), the class from 1 on of the segment to which each pixel of a vessel belongs.

    ``classes`` are (K, H, W) probabilities without that of background, ``vessels`` (H, W) bool. The
    class is that of the highest mean probability; outside of vessels it is 0.
    """
    result = np.zeros(vessels.shape, np.uint8)
    if not vessels.any():
        return result

    segments = segments_of(vessels)[vessels]
    sums = [np.bincount(segments, weights=probability[vessels]) for probability in classes]
    result[vessels] = 1 + np.stack(sums).argmax(axis=0)[segments]
    return result


def segments_of(vessels: np.ndarray) -> np.ndarray:
    """Return (H, W) int: the segment, from 0 on, whose centre line is nearest to each pixel."""
    line = skeletonize(vessels)
    at_junction = line & (neighbour_count(line) > 2)
    between_junctions = line & ~binary_dilation(at_junction, np.ones((3, 3)))
    if not between_junctions.any():
        between_junctions = line

    segments = label(between_junctions, connectivity=2)
    nearest = distance_transform_edt(
        ~between_junctions, return_distances=False, return_indices=True
    )
    return segments[tuple(nearest)] - 1
