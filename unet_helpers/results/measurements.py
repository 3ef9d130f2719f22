"""Measurements of objects and of vessels, in px and in physical units; and a result in a few numbers."""

import numpy as np
import pandas as pd
from scipy.ndimage import center_of_mass, convolve, distance_transform_edt
from skimage.measure import label, regionprops, regionprops_table
from skimage.morphology import skeletonize

from ..images.orientation import as_displayed, to_stack
from ..preprocessing.field_of_view import field_of_view

SMALL = 0.01  # mm: sizes are given in µm where all steps are smaller, and in mm elsewhere
SHORTEST = 10  # px: shorter branches say nothing about tortuosity
SHAPES = ["eccentricity", "solidity", "perimeter", "axis_major_length", "axis_minor_length"]


def measure(result):
    """One row per object of a ``Segmentation``: a pandas.DataFrame in px, and in µm or mm where the spacing is known.

    Objects of single images, of movies and of cards whose objects are slices are measured in 2D, with the ``frame``
    and the ``slice`` (as displayed, from 0) they lie in; others in 3D, with centroids along the image's own axes.
    Diameters are of the disc (ball) of the same area (volume); intensities are those of the file.
    """
    rows = []
    for where, objects, intensities in parts(result):
        flat = objects.ndim == 2
        wanted = ["label", "area", "centroid", "bbox", "equivalent_diameter_area", "intensity_mean"]
        table = pd.DataFrame(
            regionprops_table(objects, intensities, properties=wanted + SHAPES if flat else wanted)
        )
        for column, value in reversed(where.items()):
            table.insert(1, column, value)
        low, high = np.split(
            np.array([table.pop(f"bbox-{i}") for i in range(2 * objects.ndim)]).T, 2, axis=1
        )
        table["touches_edge"] = np.where(((low == 0) | (high == objects.shape)).any(1), "yes", "no")
        rows.append(table)
    axes = "yx" if flat else result.image.axes.lstrip("T")[:3].lower()
    size = "area" if flat else "volume"
    names = {"label": "object", "area": f"{size}_px", "equivalent_diameter_area": "diameter_px"}
    names |= {f"centroid-{i}": f"centroid_{axis}_px" for i, axis in enumerate(axes)}
    names |= {
        f"intensity_mean-{i}": f"intensity_mean_{i + 1}" for i in range(result.image.channels)
    }
    names |= {name: f"{name}_px" for name in SHAPES[2:]}  # lengths
    table = pd.concat(
        [rows[0], *(part for part in rows[1:] if len(part))], ignore_index=True
    ).rename(columns=names)
    table = table.sort_values("object", ignore_index=True)
    if (classes := classes_of(result)) is not None:
        table.insert(
            1, "class", np.array(["background", *result.card.classes])[classes[table["object"]]]
        )
    if result.places:
        table.insert(1, "side", sides_of(result)[table["object"] - 1])
    return in_physical_units(table, result.image, size)


def parts(result):
    """What is measured on its own: where it is, object ids, and intensities (*shape[, C])."""
    image, card = result.image, result.card
    moving = image.axes.startswith("T")
    if image.is_single or image.axes.startswith("TYX") or card.objects == "slices":
        objects = as_displayed(image, result.objects)
        depth = len(objects) // (len(image.pixels) if moving else 1)
        for i, (pixels, ids) in enumerate(zip(to_stack(image).pixels, objects, strict=True)):
            yield (
                ({"frame": i // depth} if moving else {})
                | ({"slice": i % depth} if depth > 1 else {}),
                ids,
                pixels,
            )
    elif moving:
        for i, (pixels, ids) in enumerate(zip(image.pixels, result.objects, strict=True)):
            yield {"frame": i}, ids, pixels
    else:
        yield {}, result.objects, image.pixels


def classes_of(result) -> np.ndarray | None:
    """(objects + 1,) class of each object by its id; None where an object is no component of one class: cells
    between membranes, nuclei of interior and border.
    """
    if result.card.instance_method != "components":
        return None
    classes = np.zeros(int(result.objects.max()) + 1, np.uint8)
    classes[result.objects.reshape(-1)] = result.labels.reshape(-1)
    return classes


def sides_of(result) -> np.ndarray:
    """(objects,) the name of the localised structure that each object is nearest to: 'left' or 'right'."""
    objects, spacing = (
        as_displayed(result.image, result.objects),
        np.array(to_stack(result.image).spacing or 1.0),
    )
    places = np.array(list(result.places.values())) * spacing
    middles = (
        np.array(center_of_mass(objects > 0, objects, range(1, int(objects.max()) + 1))).reshape(
            -1, 3
        )
        * spacing
    )
    return np.array([*result.places])[np.linalg.norm(middles[:, None] - places, axis=2).argmin(1)]


def step_size(image, dimensions: int) -> tuple[float, str, int] | None:
    """mm² of a pixel as displayed, or mm³ of a voxel; the unit of lengths, and how many of it 1 mm has; or None."""
    plane = (to_stack(image).spacing or ())[-2:]
    step = float(np.prod(plane)) if dimensions == 2 else image.voxel_volume
    if not plane or step is None:
        return None
    return (step, "µm", 1000) if max(plane) < SMALL else (step, "mm", 1)


def in_physical_units(table, image, size: str):
    """The table with area (volume) and diameter in µm or mm, and volumes in mL, behind those in px."""
    dimensions = 2 if size == "area" else 3
    if (known := step_size(image, dimensions)) is None:
        return table
    step, unit, scale = known[0], known[1].replace("µ", "u"), known[2]
    column = table.columns.get_loc(f"{size}_px") + 1
    table.insert(
        column, f"diameter_{unit}", table["diameter_px"] * step ** (1 / dimensions) * scale
    )
    if dimensions == 2:
        table.insert(column, f"area_{unit}2", table["area_px"] * step * scale**2)
    else:  # volumes are compared between scanners and microscopes: always in mm³ and mL
        table.insert(column, "volume_mm3", table["volume_px"] * step)
        table.insert(column + 2, "volume_mL", table["volume_px"] * step / 1000)
    return table


def summary(result) -> dict[str, tuple[float, str]]:
    """The answer in a few named numbers, each with its unit ('' of a count), last the Dice to be expected of it."""
    found = (
        summary_of_tree(result) if result.card.measures == "tree" else summary_of_objects(result)
    )
    return found | (
        {"expected Dice": (result.expected_dice[0], "")} if result.expected_dice else {}
    )


def summary_of_objects(result) -> dict[str, tuple[float, str]]:
    table = result.measure()
    found: dict[str, tuple[float, str]] = {"objects": (len(table), "")}
    best = next(
        name
        for name in ("area_um2", "area_mm2", "volume_mL", "area_px", "volume_px")
        if name in table
    )
    size, unit = best.split("_")
    unit = {"um2": "µm²", "mm2": "mm²"}.get(unit, unit)
    if len(table):
        found[f"median {size}"] = (float(table[best].median()), unit)
        found[f"total {size}"] = (float(table[best].sum()), unit)
    for name in result.places:
        found[f"{name} volume"] = (float(table[best][table["side"] == name].sum()), unit)
    return found


def summary_of_tree(result) -> dict[str, tuple[float, str]]:
    """Vessels as a tree: share of the field (%), length, mean width, tortuosity and density of its centre lines.
    The centre line is the skeleton of the mask (Zhang and Suen 1984), its length the sum of the steps from px to px,
    the width twice the distance to the background along it. Tortuosity is length over chord, the mean over branches
    between crossings, weighted by length; density is length per area of the field of view.
    """
    image = result.image
    length, widths, paths, area, found = 0.0, [], [], 0, 0
    for mask, pixels in zip(
        as_displayed(image, result.labels) > 0, to_stack(image).pixels, strict=True
    ):
        line = skeletonize(mask)
        length += line_length(line)
        widths.append(2 * distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][line])
        branches = label(line & (neighbours(line) <= 2), connectivity=2)
        for branch in regionprops(branches):
            ends = branch.coords[neighbours(branch.image)[branch.image] == 1]
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
    return np.where(
        line, convolve(line.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - 1, 0
    )


def line_length(line: np.ndarray) -> float:
    """Px along a line one px wide: 1 a straight step, √2 a diagonal one that no two straight ones stand for."""
    straight = np.count_nonzero(line[1:] & line[:-1]) + np.count_nonzero(line[:, 1:] & line[:, :-1])
    corner = line[1:, :-1] | line[:-1, 1:], line[1:, 1:] | line[:-1, :-1]
    down, up = (
        line[:-1, :-1] & line[1:, 1:] & ~corner[0],
        line[:-1, 1:] & line[1:, :-1] & ~corner[1],
    )
    return straight + 2**0.5 * (np.count_nonzero(down) + np.count_nonzero(up))


def in_words(values: dict[str, tuple[float, str]]) -> str:
    """One line: '213 objects, median area 45 px, ...'."""
    said = []
    for name, (value, unit) in values.items():
        number = f"{value:,.0f}" if value >= 1000 or float(value).is_integer() else f"{value:.3g}"
        said.append(
            {"": f"{name} {number}", "%": f"{number} % {name}"}.get(unit, f"{name} {number} {unit}")
        )
        if name == "objects":
            said[-1] = f"{number} object" + "s" * (value != 1)
    return ", ".join(said)
