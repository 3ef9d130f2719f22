"""Measurements of objects with scikit-image, in px and in physical units."""

import numpy as np
from skimage.measure import regionprops_table


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
