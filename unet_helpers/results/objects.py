"""Objects of a segmentation, told apart by connected components or by watershed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from skimage import graph
from skimage.measure import label
from skimage.morphology import local_minima
from skimage.segmentation import relabel_sequential, watershed

from ..images.stack import as_displayed, from_stack

if TYPE_CHECKING:
    from .segmentation import Segmentation

# The four constants of `split_interiors` were tuned on training and validation images of the
# nuclei card.

# Probability of interior minus that of border, above which a pixel may seed an object of its own.
SEED_CERTAINTY = 0.7

# Working px: the smallest seed.
MIN_SEED_AREA = 25

# Working px of full certainty: the least evidence that makes an object.
MIN_EVIDENCE = 4.0

# Share of the mean certainty of the image's foreground, which a pixel must exceed to be evidence.
EVIDENCE_BEYOND = 0.8

# Mean probability along a boundary, below which it is no membrane. Tuned on training and
# validation slices of the membranes card.
OPEN_BOUNDARY = 0.6

# Levels of probability at which minima are looked for: a dip of less than 1/20 is no minimum.
LEVELS = 20

# Share of the smaller one of two objects in neighbouring slices: beyond it they are one object.
OVERLAP_THAT_JOINS = 0.5


def find_objects(result: Segmentation) -> np.ndarray:
    """Return the int32 instance ids of a ``Segmentation``, of its labels' shape; 0 is background.

    By the card's ``instance_method``: connected 'components' of each class; nuclei seeded by their
    'interiors', or cells between 'membranes', slice by slice and, if the card says so, joined
    through the depth. Objects are never joined through time.
    """
    if result.card.instance_method == "components":
        return connected_components(result)

    slices = split_slice_by_slice(result)
    is_movie = result.image.axes.startswith("T")
    if result.card.objects == "volumes" and not is_movie:
        stack = join_through_depth(slices)
    else:
        stack = number_through(slices)
    return from_stack(result.image, stack[None])[0]


def connected_components(result: Segmentation) -> np.ndarray:
    """Return the ids of connected regions of one class; classes that touch stay apart."""
    volumes = [result.labels]
    if result.image.axes.startswith("T"):
        volumes = list(result.labels)

    regions = [label(volume, connectivity=volume.ndim) for volume in volumes]
    return number_through(regions).reshape(result.labels.shape)


def split_slice_by_slice(result: Segmentation) -> list[np.ndarray]:
    """Return the object ids of each slice as displayed, from 1 on in each, by watershed."""
    split = SPLITTERS[result.card.instance_method]
    channels = [as_displayed(result.image, channel) for channel in result.probabilities]
    by_slice = np.stack(channels, axis=1)  # (Z, K, Y, X)
    return [split(probabilities, result.threshold, result.zoom) for probabilities in by_slice]


def number_through(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return (N, *shape) int32 of N label images: ids from 1 on, no gaps, none of them twice."""
    numbered = np.zeros((len(parts), *parts[0].shape), np.int32)

    highest = 0
    for i, part in enumerate(parts):
        numbered[i], _, _ = relabel_sequential(part, offset=highest + 1)
        highest = max(highest, int(numbered[i].max()))
    return numbered


def join_through_depth(slices: Sequence[np.ndarray]) -> np.ndarray:
    """Return (Z, Y, X) int32 ids of objects that go on from slice to slice.

    Objects of neighbouring slices become one where they share more than half of the smaller one.
    As Cellpose stitches (Stringer et al. 2021, Nat. Methods 18:100), but not by IoU: objects
    shrink at their poles.
    """
    stack = number_through(slices)
    for below, above in pairwise(stack):
        above[:] = ids_carried_on(below, above)[above]
    return relabel_sequential(stack)[0].astype(np.int32)


def ids_carried_on(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the new id of each id of ``above``: that of the object below it, or its own.

    ``below`` and ``above`` are (Y, X) ids of neighbouring slices, each id in only one of them.
    Where several objects compete for one, the largest overlap wins.
    """
    in_both = (below > 0) & (above > 0)
    id_pairs = np.stack([above[in_both], below[in_both]])
    pairs, overlaps = np.unique(id_pairs, axis=1, return_counts=True)

    areas_above = np.bincount(above.reshape(-1))
    areas_below = np.bincount(below.reshape(-1))
    new_ids = np.arange(len(areas_above))
    taken = set()
    for i in overlaps.argsort()[::-1]:
        upper, lower = pairs[:, i]
        smaller_area = min(areas_above[upper], areas_below[lower])
        both_free = new_ids[upper] == upper and lower not in taken
        if both_free and overlaps[i] > OVERLAP_THAT_JOINS * smaller_area:
            new_ids[upper] = lower
            taken.add(lower)
    return new_ids


def split_interiors(
    probabilities: np.ndarray,
    threshold: float,
    zoom: float,
    mean_certainty: float | None = None,
) -> np.ndarray:
    """Return (H, W) int32 ids of nuclei: a watershed that starts from their interiors.

    ``probabilities`` are (3, H, W): background, interior, border. ``zoom`` is working px per px.
    ``mean_certainty`` is the mean probability of the foreground; given where these are a part of an
    image, else measured. Ids have gaps.
    """
    background, interior, border = probabilities
    foreground = background < 1 - threshold

    seeds = label(interior - border > SEED_CERTAINTY)
    seed_areas = np.bincount(seeds.reshape(-1))
    seeds = np.where(seed_areas[seeds] >= MIN_SEED_AREA / zoom**2, seeds, 0)

    # A region too small for a seed is a nucleus all the same, and its own seed.
    regions = label(foreground)
    has_seed = np.isin(regions, np.unique(regions[seeds > 0]))
    seeds = np.where(foreground & ~has_seed, regions + seeds.max(), seeds)

    objects = watershed(-interior, seeds, mask=foreground)
    return drop_doubtful(objects, 1 - background, zoom, mean_certainty)


def drop_doubtful(
    objects: np.ndarray, certainty: np.ndarray, zoom: float, mean_certainty: float | None
) -> np.ndarray:
    """Return (H, W) int32 ids without the objects for which there is too little evidence.

    A clear speck counts, a doubtful blob among clear objects does not. In a pale image all objects
    are doubtful, and stay.
    """
    if not mean_certainty:
        mean_certainty = 1.0
        if objects.any():
            mean_certainty = certainty[objects > 0].mean()

    evidence_of_pixel = certainty - EVIDENCE_BEYOND * mean_certainty
    evidence = np.bincount(objects.reshape(-1), evidence_of_pixel.reshape(-1))
    enough = evidence >= MIN_EVIDENCE / zoom**2
    return np.where(enough[objects], objects, 0).astype(np.int32)


def cells_between(
    probabilities: np.ndarray, threshold: float = 0.5, zoom: float = 1.0
) -> np.ndarray:
    """Return (H, W) int32 ids of the cells of an electron micrograph, told apart by membranes.

    ``probabilities`` are (1, H, W) of membrane. Each minimum of the smoothed map makes a region,
    neighbours are joined where hardly any membrane lies between them, and what is below
    ``threshold`` grows until one pixel separates two cells. A gap of a few pixels in a membrane
    joins no cells: what counts is its mean along the whole boundary. ``zoom`` is not needed.
    """
    membrane = probabilities[0]
    levels = (LEVELS * gaussian_filter(membrane, 1)).astype(np.uint8)
    regions = watershed(levels, label(local_minima(levels)))

    cells = join_across_open_boundaries(regions, membrane)
    cells = np.where(membrane < threshold, cells, 0)

    # The watershed need not see what lies inside a cell: that takes most of the time.
    growing = maximum_filter(cells == 0, 3)
    grown = watershed(membrane, cells, mask=growing, watershed_line=True)
    return np.where(growing, grown, cells).astype(np.int32)


def join_across_open_boundaries(regions: np.ndarray, membrane: np.ndarray) -> np.ndarray:
    """Return (H, W) ids from 1 on of ``regions``, joined where their boundary is no membrane."""
    cells = np.ones_like(regions)
    if regions.max() <= 1:
        return cells

    # A boundary runs beside the crest of a membrane as often as on it.
    crest = maximum_filter(membrane, 3)
    boundaries = graph.rag_boundary(regions, crest.astype(float))
    cells += graph.cut_threshold(regions, boundaries, OPEN_BOUNDARY)
    return cells


# Functions of (probabilities, threshold, zoom) of one slice, by the card's ``instance_method``.
SPLITTERS: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "interiors": split_interiors,
    "membranes": cells_between,
}


def drop_small_components(labels: np.ndarray, share: float) -> np.ndarray:
    """Return labels without components smaller than ``share`` of the largest; 1 keeps just one.

    Components are connected pixels of any class, in 2D or 3D; ``labels`` may also be a mask.
    """
    components = label(labels > 0)
    sizes = np.bincount(components.reshape(-1))
    sizes[0] = 0  # the background

    if share >= 1:
        keep = np.arange(sizes.size) == sizes.argmax()
    else:
        keep = sizes >= share * sizes.max()
    return labels * keep[components]
