"""Objects of a segmentation: told apart by watershed, measured with scikit-image."""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from skimage import graph
from skimage.measure import label, regionprops_table
from skimage.morphology import local_minima
from skimage.segmentation import watershed

# tuned on training and validation images of the nuclei card: how sure an interior is the seed of an object of its own,
# the fewest working px of a seed, and how much evidence makes an object, beyond which share of the image's certainty
SEED, SEED_AREA, EVIDENCE, USUAL = 0.7, 25, 4.0, 0.8
# tuned on training and validation slices of the membranes card: below this mean probability a boundary is no membrane
OPEN = 0.6


def find_objects(
    probabilities: np.ndarray, labels: np.ndarray, separate: str, threshold: float = 0.5, zoom: float = 1.0
) -> np.ndarray:
    """int32 instance ids of the labels' shape, 0 is background.

    ``separate`` says how: connected 'components' of each class; nuclei with seeds from their 'interiors';
    cells as what lies between 'membranes'.
    """
    if separate == "interiors":
        return split_interiors(probabilities, threshold, zoom)
    if separate == "membranes":
        return cells_between(probabilities[0], threshold)
    return label(labels, connectivity=labels.ndim).astype(np.int32)  # touching classes stay apart


def split_interiors(probabilities: np.ndarray, threshold: float, zoom: float) -> np.ndarray:
    """Nuclei from (background, interior, border): a watershed from the interiors; ``zoom`` is working px per px."""
    background, interior, border = probabilities
    foreground = background < 1 - threshold
    seeds = label(interior - border > SEED)
    seeds = drop_small(seeds, SEED_AREA / zoom**2)
    regions = label(foreground)
    seeded = np.isin(regions, np.unique(regions[seeds > 0]))
    seeds = np.where(foreground & ~seeded, regions + seeds.max(), seeds)  # too small for a seed, a nucleus all the same
    objects = watershed(-interior, seeds, mask=foreground)
    return drop_doubtful(objects, 1 - background, EVIDENCE / zoom**2).astype(np.int32)


def drop_doubtful(objects: np.ndarray, certainty: np.ndarray, evidence: float) -> np.ndarray:
    """Without the objects whose pixels' ``certainty`` beyond most of the usual sums to less than ``evidence``.

    A clear speck counts, a doubtful blob among clear objects does not; in a pale image all are doubtful, and stay.
    """
    usual = certainty[objects > 0].mean() if objects.any() else 1
    found = np.bincount(objects.reshape(-1), (certainty - USUAL * usual).reshape(-1))
    return np.where(found[objects] >= evidence, objects, 0)


def cells_between(membrane: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Cells of an electron micrograph: one region a hollow in the map of membranes, neighbours joined where hardly
    any membrane lies between them, then grown from what is below ``threshold`` until one pixel is left between two.

    A gap of a few pixels in a membrane joins no cells: what counts is its mean along the whole boundary.
    """
    flat = membrane.ndim - 2  # the slices of a stack are smoothed one by one
    levels = (20 * gaussian_filter(membrane, (0,) * flat + (1, 1))).astype(np.uint8)  # a dent of 0.05 is no hollow
    regions = watershed(levels, label(local_minima(levels)))
    crest = maximum_filter(membrane, (1,) * flat + (3, 3))  # a boundary runs beside the crest as often as on it
    cells = np.ones_like(regions)
    if regions.max() > 1:
        cells += graph.cut_threshold(regions, graph.rag_boundary(regions, crest.astype(float)), OPEN)
    return watershed(membrane, np.where(membrane < threshold, cells, 0), watershed_line=True).astype(np.int32)


def drop_small(objects: np.ndarray, area: float) -> np.ndarray:
    """Without the objects of fewer than ``area`` pixels; ids stay."""
    sizes = np.bincount(objects.reshape(-1))
    return np.where(sizes[objects] >= area, objects, 0)


def drop_minor(labels: np.ndarray, share: float) -> np.ndarray:
    """Without the connected regions (of all classes together) smaller than ``share`` of the largest; 1 keeps one."""
    regions = label(labels > 0)
    sizes = np.bincount(regions.reshape(-1))[1:]
    if sizes.size < 2:
        return labels
    kept = sizes >= share * sizes.max() if share < 1 else np.arange(sizes.size) == sizes.argmax()
    return np.where(np.append(False, kept)[regions], labels, 0).astype(labels.dtype)


def measure(result):
    """One row per object of a ``Segmentation``: a pandas.DataFrame in px, and in mm where the spacing is known.

    Diameters are of the disc (ball) with the same area (volume); intensities are those of the file.
    """
    import pandas as pd

    image, dimensions = result.image, result.objects.ndim
    intensity = image.pixels if image.channels == 1 else image.pixels.mean(-1)
    wanted = ["label", "area", "centroid", "bbox", "equivalent_diameter_area", "intensity_mean"]
    if dimensions == 2:
        wanted += ["axis_major_length", "axis_minor_length", "eccentricity", "solidity", "perimeter"]
    table = pd.DataFrame(regionprops_table(result.objects, intensity.reshape(result.objects.shape), properties=wanted))
    size = "area" if dimensions == 2 else "volume"
    table = table.rename(columns={"label": "object", "area": f"{size}_px", "equivalent_diameter_area": "diameter_px"})
    flat = result.objects.reshape(-1)
    _, first = np.unique(flat, return_index=True)
    names = np.array(["background", *result.card.classes])
    classes = result.labels.reshape(-1)[first[flat[first] > 0]]
    table.insert(1, "class", names[classes])
    if image.spacing is not None:
        step = float(np.prod(image.spacing[:dimensions]))
        table.insert(3, f"{size}_mm{dimensions}", table[f"{size}_px"] * step)
        table.insert(4, "diameter_mm", table["diameter_px"] * step ** (1 / dimensions))
        if dimensions == 3:
            table.insert(5, "volume_mL", table["volume_mm3"] / 1000)
    return table
