"""Vessels as a tree of centre lines: length, width, tortuosity and density instead of a number of pieces."""

import numpy as np
from scipy.ndimage import convolve, distance_transform_edt
from skimage.measure import label, regionprops
from skimage.morphology import skeletonize

from ..images.orientation import as_displayed, to_stack
from ..preprocessing.field_of_view import field_of_view
from .units import step_size

SHORTEST = 10  # px: shorter branches say nothing about tortuosity


def measure_tree(result) -> dict[str, tuple[float, str]]:
    """Of a ``Segmentation``: share of the field (%), length, mean width, tortuosity and density of the centre lines.

    The centre line is the skeleton of the mask (Zhang and Suen 1984), its length the sum of the steps from px to px,
    the width twice the distance to the background along it. Tortuosity is length over chord, the mean over branches
    between crossings, weighted by length; density is length per area of the field of view.
    """
    image = result.image
    length, widths, paths, area, found = 0.0, [], [], 0, 0
    for mask, pixels in zip(as_displayed(image, result.labels) > 0, to_stack(image).pixels, strict=True):
        line = skeletonize(mask)
        length += line_length(line)
        widths.append(2 * distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][line])
        branches = label(line & (neighbours(line) <= 2), connectivity=2)
        for branch in regionprops(branches):
            ends = branch.coords[neighbours(np.pad(branch.image, 1))[1:-1, 1:-1][branch.image] == 1]
            if branch.area >= SHORTEST and len(ends) == 2:
                paths.append((line_length(branch.image), float(np.linalg.norm(ends[0] - ends[1]))))
        area, found = area + int(field_of_view(pixels).sum()), found + int(mask.sum())
    square, unit, scale = step_size(image, 2) or (1.0, "px", 1)
    step = square**0.5 * scale
    width = np.concatenate(widths)
    values = {"of the field": (100 * found / area, "%"), "length": (length * step, unit)}
    if len(width):
        values["mean width"] = (float(width.mean()) * step, unit)
    if paths:
        arcs, chords = np.array(paths).T
        values["tortuosity"] = (float((arcs / np.maximum(chords, 1) * arcs).sum() / arcs.sum()), "")
    return values | {"density": (length / area / step, f"{unit} per {unit}²")}


def neighbours(line: np.ndarray) -> np.ndarray:
    """How many of its eight neighbours belong to each px of a line; 0 elsewhere."""
    return np.where(line, convolve(line.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - 1, 0)


def line_length(line: np.ndarray) -> float:
    """px along a line one px wide: 1 a straight step, √2 a diagonal one that no two straight ones stand for."""
    straight = np.count_nonzero(line[1:] & line[:-1]) + np.count_nonzero(line[:, 1:] & line[:, :-1])
    corner = line[1:, :-1] | line[:-1, 1:], line[1:, 1:] | line[:-1, :-1]
    down, up = line[:-1, :-1] & line[1:, 1:] & ~corner[0], line[:-1, 1:] & line[1:, :-1] & ~corner[1]
    return straight + 2**0.5 * (np.count_nonzero(down) + np.count_nonzero(up))
