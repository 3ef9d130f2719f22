"""Objects of a segmentation, told apart by connected components or by watershed."""

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from skimage import graph
from skimage.measure import label
from skimage.morphology import local_minima
from skimage.segmentation import relabel_sequential, watershed

from ..images.orientation import as_displayed, from_stack

# tuned on training and validation images of the nuclei card: how sure an interior is the seed of an object of its own,
# the fewest working px of a seed, and how much evidence makes an object, beyond which share of the image's certainty
SEED, SEED_AREA, EVIDENCE, USUAL = 0.7, 25, 4.0, 0.8
# tuned on training and validation slices of the membranes card: below this mean probability a boundary is no membrane
OPEN = 0.6


def find_objects(result) -> np.ndarray:
    """int32 instance ids of a ``Segmentation``, of its labels' shape, 0 is background.

    By the card's ``instance_method``: connected 'components' of each class; nuclei seeded by their 'interiors', or
    cells between 'membranes', slice by slice and, if it says so, joined through the depth. Never joined through time.
    """
    image, card = result.image, result.card
    moving = image.axes.startswith("T")
    if card.instance_method == "components":  # touching classes stay apart
        volumes = list(result.labels) if moving else [result.labels]
        return in_sequence([label(volume, connectivity=volume.ndim) for volume in volumes]).reshape(
            result.labels.shape
        )
    split = {"interiors": split_interiors, "membranes": cells_between}[card.instance_method]
    channels = np.stack([as_displayed(image, channel) for channel in result.probabilities])
    slices = [
        split(channels[:, z], result.threshold, result.zoom) for z in range(channels.shape[1])
    ]
    stack = joined(slices) if card.objects == "volumes" and not moving else in_sequence(slices)
    return from_stack(image, stack[None])[0]


def in_sequence(parts: list[np.ndarray]) -> np.ndarray:
    """(N, *shape) int32 of N label images, ids from 1 on without gaps, none of them twice."""
    stack, highest = np.zeros((len(parts), *parts[0].shape), np.int32), 0
    for i, part in enumerate(parts):
        stack[i] = relabel_sequential(part, offset=highest + 1)[0]
        highest = max(highest, int(stack[i].max()))
    return stack


def joined(slices: list[np.ndarray]) -> np.ndarray:
    """(Z, Y, X) int32: objects of neighbouring slices become one where they share more than half of the smaller one.
    As Cellpose stitches (Stringer et al. 2021, Nat. Methods 18:100), but not by IoU: objects shrink at their poles.
    """
    stack = in_sequence(slices)
    for below, above in pairwise(stack):
        both = (below > 0) & (above > 0)
        pairs, overlaps = np.unique(
            np.stack([above[both], below[both]]), axis=1, return_counts=True
        )
        sizes, beneath = np.bincount(above.reshape(-1)), np.bincount(below.reshape(-1))
        new, taken = np.arange(len(sizes)), set()
        for i in overlaps.argsort()[::-1]:  # where several compete, the largest overlap wins
            upper, lower = pairs[:, i]
            if (
                overlaps[i] > 0.5 * min(sizes[upper], beneath[lower])
                and new[upper] == upper
                and lower not in taken
            ):
                new[upper] = lower
                taken.add(lower)
        above[:] = new[above]
    return relabel_sequential(stack)[0].astype(np.int32)


def split_interiors(
    probabilities: np.ndarray, threshold: float, zoom: float, usual: float | None = None
) -> np.ndarray:
    """Nuclei from (background, interior, border): a watershed from the interiors; ``zoom`` is working px per px,
    ``usual`` the mean probability of the foreground, where these are a part of an image.
    """
    background, interior, border = probabilities
    foreground = background < 1 - threshold
    seeds = label(interior - border > SEED)
    seeds = np.where(np.bincount(seeds.reshape(-1))[seeds] >= SEED_AREA / zoom**2, seeds, 0)
    regions = label(foreground)
    seeded = np.isin(regions, np.unique(regions[seeds > 0]))
    seeds = np.where(
        foreground & ~seeded, regions + seeds.max(), seeds
    )  # too small for a seed, a nucleus all the same
    objects, certainty = watershed(-interior, seeds, mask=foreground), 1 - background
    # a clear speck counts, a doubtful blob among clear objects does not; in a pale image all are doubtful, and stay
    usual = usual or (certainty[objects > 0].mean() if objects.any() else 1)
    evidence = np.bincount(objects.reshape(-1), (certainty - USUAL * usual).reshape(-1))
    return np.where(evidence[objects] >= EVIDENCE / zoom**2, objects, 0).astype(np.int32)


def cells_between(
    probabilities: np.ndarray, threshold: float = 0.5, zoom: float = 1.0
) -> np.ndarray:
    """Cells of an electron micrograph: one region a minimum of the (1, H, W) map of membranes, neighbours joined where
    hardly any membrane lies between them, then grown from what is below ``threshold`` until one pixel separates two.
    A gap of a few pixels in a membrane joins no cells: what counts is its mean along the whole boundary.
    """
    membrane = probabilities[0]
    levels = (20 * gaussian_filter(membrane, 1)).astype(np.uint8)  # a dip of 0.05 is no minimum
    regions = watershed(levels, label(local_minima(levels)))
    crest = maximum_filter(membrane, 3)  # a boundary runs beside the crest as often as on it
    cells = np.ones_like(regions)
    if regions.max() > 1:
        cells += graph.cut_threshold(
            regions, graph.rag_boundary(regions, crest.astype(float)), OPEN
        )
    cells = np.where(membrane < threshold, cells, 0)
    growing = maximum_filter(cells == 0, 3)  # the watershed need not see what lies inside a cell
    return np.where(
        growing, watershed(membrane, cells, mask=growing, watershed_line=True), cells
    ).astype(np.int32)


def drop_small_components(labels: np.ndarray, share: float) -> np.ndarray:
    """Without the connected components (of all classes together) smaller than ``share`` of the largest; 1 keeps one."""
    regions = label(labels > 0)
    sizes = np.bincount(regions.reshape(-1))
    sizes[0] = 0  # background
    return (
        labels
        * (sizes >= share * sizes.max() if share < 1 else np.arange(sizes.size) == sizes.argmax())[
            regions
        ]
    )
