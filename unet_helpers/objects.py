"""Objects of a segmentation: told apart by watershed, measured with scikit-image."""

import numpy as np
from skimage.measure import label, regionprops_table
from skimage.segmentation import watershed

# tuned on validation images of the nuclei card: how sure an interior is the seed of an object of its own, and the
# fewest working px of a seed and of an object
SEED, SEED_AREA, OBJECT_AREA = 0.7, 25, 60


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
    return drop_small(watershed(-interior, seeds, mask=foreground), OBJECT_AREA / zoom**2).astype(np.int32)


def cells_between(membrane: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Cells of an electron micrograph: regions without membrane, grown until one pixel lies between them."""
    return watershed(membrane, label_cells(membrane < threshold), watershed_line=True).astype(np.int32)


def label_cells(inside: np.ndarray) -> np.ndarray:
    """4-connected regions (6 in a stack), so that cells do not leak through a diagonal gap in a membrane."""
    return label(inside, connectivity=1)


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
