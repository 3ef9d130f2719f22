"""Objects of a segmentation, separated by connected components or by watershed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import DisjointSet
from scipy.ndimage import gaussian_filter, maximum, maximum_filter
from skimage import graph
from skimage.measure import label
from skimage.morphology import local_maxima, local_minima
from skimage.segmentation import relabel_sequential, watershed

from ..images.image import MedicalImage
from ..images.stack import as_displayed, from_stack
from .occupied import occupied_box
from .tracks import Tracks, link_frames

if TYPE_CHECKING:
    from .answer import Answer

# The constants up to MIN_RELATIVE_CERTAINTY were tuned on training and validation images of the
# nuclei cards.

# Standard deviation of the Gaussian that smooths P(interior) - P(border), as a share of the
# diameter of the card's objects.
INTERIOR_SMOOTHING = 1 / 12

# Two maxima of the smoothed P(interior) - P(border) are two objects if the lower one is at least
# this much above the saddle between them, and both together cover twice the area of one of the
# card's objects. If they cover less, they need as many times more; if they cover more, less.
DYNAMICS_OF_TWO = 0.15

# But never less than this: among small objects a large one has many shallow dips.
MIN_DYNAMICS = 0.1

# Smallest evidence that an object needs, summed over its working px; see `drop_doubtful`.
MIN_EVIDENCE = 4.0

# A pixel supports an object if its certainty is above this share of the mean certainty:
# evidence = certainty - MIN_RELATIVE_CERTAINTY * mean certainty.
MIN_RELATIVE_CERTAINTY = 0.8

# A boundary between two regions is open, not a membrane, if the mean along it of the 3 x 3 maximum
# of the membrane probability is below this. Tuned on training and validation slices of the
# membranes card.
OPEN_BOUNDARY = 0.6

# The smoothed membrane probability is quantised in steps of 1 / LEVELS before its minima are found,
# so that shallower dips make no region.
LEVELS = 20

# Two objects in neighbouring slices are one object if overlap / smaller area is above this.
OVERLAP_THAT_JOINS = 0.5


def find_objects(result: Answer) -> Tracks:
    """Return the objects of a ``Segmentation``, which follow each other through time.

    Objects of different points in time are joined only in a movie of single images, if the card's
    ``frames`` are 'linked'; else each has an id of its own.
    """
    ids = separate_objects(result)
    if result.card.frames == "linked" and result.image.axes.startswith("TYX"):
        return link_frames(list(ids))
    return Tracks(ids, parents={})


def separate_objects(result: Answer) -> np.ndarray:
    """Return the int32 instance ids of a ``Segmentation``, of its labels' shape; 0 is background.

    The card's ``instance_method`` decides how they are found:

    - 'components': connected regions of each class;
    - 'interiors': nuclei, each grown from the middle of its interior, slice by slice;
    - 'membranes': cells between membranes, slice by slice.

    Where classes overlap, the objects of the class that comes last on the card are drawn over the
    others; ``find_layers`` has each of them whole. Objects that a person corrected stay as they
    are.

    Objects of neighbouring slices are joined if the card's ``objects`` are 'volumes'.
    """
    if result.by_hand is not None and result.by_hand.objects is not None:
        return result.by_hand.objects
    if result.card.overlapping:
        return drawn_in_order(result._layers)
    if result.card.instance_method == "components":
        return connected_components(result.labels, result.image)

    slices = split_slice_by_slice(result)
    is_movie = result.image.axes.startswith("T")
    if result.card.objects == "volumes" and not is_movie:
        stack = join_through_depth(slices)
    else:
        stack = make_ids_unique(slices)

    # `from_stack` takes (K, Z, Y, X): the axis K is added and removed.
    return from_stack(result.image, stack[None])[0]


def find_layers(result: Answer) -> list[np.ndarray]:
    """Return the objects in layers of int32 ids, in each of which no object covers another.

    There is one layer; or one for each class of the card, if classes overlap. Ids are unique over
    all layers, and without gaps.
    """
    if not result.card.overlapping:
        return [result.objects]

    layers = []
    highest = 0
    for mask in result._masks:
        layer = connected_components(mask.astype(np.uint8), result.image)
        layer[layer > 0] += highest
        highest = max(highest, int(layer.max(initial=0)))
        layers.append(layer)
    return layers


def drawn_in_order(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Return the ids (int32) of layers, each drawn over those before it."""
    objects = np.zeros(layers[0].shape, np.int32)
    for layer in layers:
        np.copyto(objects, layer, where=layer > 0)
    return objects


def connected_components(labels: np.ndarray, image: MedicalImage) -> np.ndarray:
    """Return the ids of connected regions of one class; touching classes are not joined."""
    is_movie = image.axes.startswith("T")
    volumes = labels if is_movie else labels[None]

    # Only in the part of each volume where something was found.
    box = occupied_box(volumes)
    objects = np.zeros(volumes.shape, np.int32)
    regions = [label(volume, connectivity=volume.ndim) for volume in volumes[box]]
    if regions:
        objects[box] = make_ids_unique(regions)
    return objects.reshape(labels.shape)


def split_slice_by_slice(result: Answer) -> list[np.ndarray]:
    """Return the object ids of each displayed slice, by watershed; ids repeat between slices."""
    split = SPLITTERS[result.card.instance_method]
    channels = [as_displayed(result.image, channel) for channel in result.probabilities]
    by_slice = np.stack(channels, axis=1)  # (Z, K, Y, X)
    size = result.card.object_diameter
    return [split(probabilities, result.threshold, result.zoom, size) for probabilities in by_slice]


def make_ids_unique(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return (N, *shape) int32 of N label images: ids 1, 2, ... without gaps, unique across images.

    A new array is returned; ``parts`` stay unchanged.
    """
    numbered = np.zeros((len(parts), *parts[0].shape), np.int32)

    highest = 0
    for i, part in enumerate(parts):
        numbered[i], _, _ = relabel_sequential(part, offset=highest + 1)
        highest = max(highest, int(numbered[i].max()))
    return numbered


def join_through_depth(slices: Sequence[np.ndarray]) -> np.ndarray:
    """Return (Z, Y, X) int32 ids of objects that extend over several slices.

    Objects of neighbouring slices become one object if overlap / smaller area is above 0.5. This is
    like the stitching of Cellpose (Stringer et al. 2021, Nat. Methods 18:100), but relative to the
    smaller area, because the IoU is low where an object tapers.
    """
    stack = make_ids_unique(slices)
    for below, above in pairwise(stack):
        # ``above`` is a view: the next pair compares with the ids that are written here.
        above[:] = ids_carried_on(below, above)[above]
    return relabel_sequential(stack)[0].astype(np.int32)


def ids_carried_on(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the new id of each id of ``above``: that of the object below it, or its own.

    ``below`` and ``above`` are (Y, X) ids of neighbouring slices without a common id. Each object
    is matched at most once; if several compete for one, the largest overlap wins.
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
    size: float,
    mean_certainty: float | None = None,
) -> np.ndarray:
    """Return (H, W) int32 ids of nuclei, one for each clear maximum of P(interior) - P(border).

    ``probabilities`` are (3, H, W): background, interior, border. ``zoom`` is working px per px,
    and ``size`` the diameter of the card's objects in working px. The steps:

    1. P(interior) - P(border) is smoothed by a Gaussian.
    2. Each of its maxima in the foreground makes a region, by watershed.
    3. Neighbouring regions are joined if there is hardly a dip between their maxima; the smaller
       they are, the deeper it must be.
    4. Objects for which there is too little evidence are dropped.

    ``mean_certainty`` is the mean probability of the foreground of the whole image. Pass it if
    ``probabilities`` are only a part of the image; otherwise it is computed from them. Ids have
    gaps.
    """
    background, interior, border = probabilities
    foreground = background < 1 - threshold

    diameter = size / zoom
    height = gaussian_filter(interior - border, INTERIOR_SMOOTHING * diameter, mode="mirror")
    maxima = local_maxima(np.where(foreground, height, -np.inf), connectivity=1)
    regions = watershed(-height, label(maxima & foreground, connectivity=1), mask=foreground)

    objects = join_over_saddles(regions, height, diameter)
    return drop_doubtful(objects, 1 - background, zoom, mean_certainty)


def join_over_saddles(regions: np.ndarray, height: np.ndarray, diameter: float) -> np.ndarray:
    """Return (H, W) ids of ``regions`` around maxima, joined if a maximum has a low dynamics.

    The dynamics of a maximum is its ``height`` above the highest saddle that leads to a higher
    maximum (Grimaud 1992, Proc. SPIE 1769, 292-305). How much is needed depends on the area of both
    regions together: small ones are more often parts of one object. ``diameter`` is that of the
    card's objects in px.
    """
    region_ids = range(regions.max() + 1)
    peaks = maximum(height, regions, region_ids)
    areas = np.bincount(regions.reshape(-1))
    area_of_two = 2 * np.pi * (diameter / 2) ** 2
    sets = DisjointSet(region_ids)

    pairs, saddles = saddles_between(regions, height)
    for pair, saddle in zip(pairs.tolist(), saddles.tolist(), strict=True):
        first, second = sets[pair[0]], sets[pair[1]]
        if first == second:
            continue

        peak = max(peaks[first], peaks[second])
        area = areas[first] + areas[second]
        dynamics = min(peaks[first], peaks[second]) - saddle
        needed = max(MIN_DYNAMICS, DYNAMICS_OF_TWO * area_of_two / area)
        if dynamics < needed:
            sets.merge(first, second)
            joined = sets[first]
            peaks[joined] = peak
            areas[joined] = area

    return np.array([sets[region] for region in region_ids])[regions]


def saddles_between(regions: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (N, 2) of regions that touch, and the saddle between each, highest first.

    The saddle is the largest ``height`` at which one can step from one region to the other.
    """
    pairs = []
    saddles = []
    for axis in (0, 1):
        ids = np.moveaxis(regions, axis, 0)
        heights = np.moveaxis(height, axis, 0)
        touches = (ids[1:] != ids[:-1]) & (ids[1:] > 0) & (ids[:-1] > 0)
        pairs.append(np.stack((ids[1:][touches], ids[:-1][touches]), axis=1))
        saddles.append(np.minimum(heights[1:], heights[:-1])[touches])

    # Of each pair the first is kept, which is the highest.
    all_saddles = np.concatenate(saddles)
    order = np.argsort(-all_saddles, kind="stable")
    sorted_pairs = np.sort(np.concatenate(pairs), axis=1)[order]
    _, first = np.unique(sorted_pairs, axis=0, return_index=True)
    first.sort()
    return sorted_pairs[first], all_saddles[order][first]


def drop_doubtful(
    objects: np.ndarray, certainty: np.ndarray, zoom: float, mean_certainty: float | None
) -> np.ndarray:
    """Return (H, W) int32 ids without the objects for which there is too little evidence.

    ``certainty`` is the probability of foreground, (H, W). The evidence for an object is the sum of
    certainty - MIN_RELATIVE_CERTAINTY * ``mean_certainty`` over its pixels: a small clear object
    stays, a large doubtful one among clear objects is dropped. The cutoff is relative, so that
    faint images keep their objects.
    """
    if not mean_certainty:
        mean_certainty = 1.0
        if objects.any():
            mean_certainty = certainty[objects > 0].mean()

    evidence_of_pixel = certainty - MIN_RELATIVE_CERTAINTY * mean_certainty
    evidence = np.bincount(objects.reshape(-1), evidence_of_pixel.reshape(-1))
    enough = evidence >= MIN_EVIDENCE / zoom**2
    return np.where(enough[objects], objects, 0).astype(np.int32)


def cells_between(
    probabilities: np.ndarray, threshold: float = 0.5, zoom: float = 1.0, size: float = 0.0
) -> np.ndarray:
    """Return (H, W) int32 ids of the cells of an electron micrograph, separated by membranes.

    ``probabilities`` (1, H, W) are those of membrane. The steps:

    1. Each minimum of the smoothed map makes a region.
    2. Neighbouring regions are joined if there is hardly any membrane on their boundary. A gap of a
       few pixels joins no cells, because the mean along the whole boundary counts.
    3. The pixels below ``threshold`` grow until one pixel separates two cells.

    ``zoom`` and ``size`` are unused: the functions in ``SPLITTERS`` have the same arguments.
    """
    membrane = probabilities[0]
    levels = (LEVELS * gaussian_filter(membrane, 1)).astype(np.uint8)
    regions = watershed(levels, label(local_minima(levels)))

    cells = join_across_open_boundaries(regions, membrane)
    cells = np.where(membrane < threshold, cells, 0)

    # For speed, the watershed runs only on pixels without an id and on their neighbours.
    growing = maximum_filter(cells == 0, 3)
    grown = watershed(membrane, cells, mask=growing, watershed_line=True)
    return np.where(growing, grown, cells).astype(np.int32)


def join_across_open_boundaries(regions: np.ndarray, membrane: np.ndarray) -> np.ndarray:
    """Return (H, W) ids from 1 on of ``regions``, joined if their boundary is no membrane."""
    cells = np.ones_like(regions)
    if regions.max() <= 1:
        return cells

    # The maximum, because a boundary often runs one pixel beside the middle of a membrane.
    crest = maximum_filter(membrane, 3)
    boundaries = graph.rag_boundary(regions, crest.astype(float))
    cells += graph.cut_threshold(regions, boundaries, OPEN_BOUNDARY)
    return cells


# Functions of (probabilities, threshold, zoom, size) of a slice, by the card's ``instance_method``.
SPLITTERS: dict[str, Callable[[np.ndarray, float, float, float], np.ndarray]] = {
    "interiors": split_interiors,
    "membranes": cells_between,
}


def drop_small_components(labels: np.ndarray, share: float) -> np.ndarray:
    """Return labels without components smaller than ``share`` of the largest one.

    With ``share`` >= 1 only the largest is kept. Components are connected pixels of any class, in
    2D or 3D; ``labels`` may also be a mask.
    """
    components = label(labels > 0)
    sizes = np.bincount(components.reshape(-1))
    sizes[0] = 0  # the background

    if share >= 1:
        keep = np.arange(sizes.size) == sizes.argmax()
    else:
        keep = sizes >= share * sizes.max()
    return labels * keep[components]
