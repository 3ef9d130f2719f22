"""Measurements of each object in px and physical units, and the summary of a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.ndimage import center_of_mass
from skimage.measure import regionprops_table

from ..doubt import Doubt
from ..images.image import MedicalImage
from ..images.stack import as_displayed
from .anatomy import findings_on_parts, nearest_places
from .central_vessels import summary_of_central_vessels
from .chest import summary_of_chest
from .intensities import channels_of, intensity_columns
from .occupied import occupied_box
from .proportions import SQUARE, proportions_of, true_shapes
from .shapes import degrees_from_rows, flat_shapes
from .units import pixel_size
from .vessels import summary_of_tree

if TYPE_CHECKING:
    from .segmentation import Segmentation

# Name of the expected Dice in a summary.
EXPECTED_DICE = "expected Dice"

# Names of scikit-image's regionprops. Measured for every object:
PROPERTIES = ["label", "area", "centroid", "bbox", "equivalent_diameter_area"]

# The property behind which the intensities are.
LAST_SIZE = "equivalent_diameter_area"

# Measured for 2D objects only, in px.
LENGTHS = ["perimeter", "axis_major_length", "axis_minor_length"]

# Columns with the size of an object, and their units. The summary uses the first column that a
# table has.
SIZES = {
    "area_um2": "µm²",
    "area_mm2": "mm²",
    "volume_um3": "µm³",
    "volume_mL": "mL",
    "area_px": "px",
    "volume_px": "px",
}


def measure(result: Segmentation) -> pd.DataFrame:
    """Return one row per object of a ``Segmentation``, in px, and in µm or mm if known.

    Objects are measured in 2D in single images, in movies of single images, and if the card's
    objects are 'slices'. Other objects are measured in 3D, with centroids along the image's own
    axes. The columns ``frame`` and ``slice`` (as displayed, from 0) are there if there are several;
    ``parent``, in movies whose objects are followed, is the object that divided, or 0.
    ``implausible`` is 'yes' if what was found cannot be, for cards that say what is expected.
    A diameter is that of the disc (ball) of the same area (volume). Flat objects also have their
    perimeter, the axes of the ellipse of the same second moments, the angle of its long axis from
    the rows (``orientation_deg``, 0 to 180, counter-clockwise as displayed), its eccentricity, and
    the share of the convex hull that is filled (``solidity``). Intensities are those of the
    file, without values that are not finite: ``intensity_mean`` of the image, ``intensity_mean_1``
    of its red, and ``intensity_mean_DAPI`` of a channel of the file of which the image is one.
    """
    measured = list(parts_to_measure(result))
    tables = [measure_part(part) for part in measured]

    # Leave out empty tables, which would change the types of columns, except the first, which gives
    # the columns if there are no objects.
    filled = [tables[0], *(table for table in tables[1:] if len(table))]
    table = pd.concat(filled, ignore_index=True)

    is_flat = measured[0].objects.ndim == 2
    if is_flat:
        table["orientation"] = degrees_from_rows(table["orientation"].to_numpy(float))
    size = "area" if is_flat else "volume"
    axes = "yx" if is_flat else result.image.axes.lstrip("T")[:3].lower()
    table = table.rename(columns=column_names(size, axes))
    table = table.sort_values("object", ignore_index=True, kind="stable")

    classes = classes_of(result)
    if classes is not None:
        names = np.array(["background", *result.card.classes])
        table.insert(1, "class", names[classes[table["object"]]])
    if result.card.frames == "linked" and "frame" in table:
        table.insert(1, "parent", table["object"].map(result._tracks.parents).fillna(0).astype(int))
    if result.places:
        table.insert(1, "side", sides_of(result)[table["object"] - 1])
    if result.card.expected_parts:
        table["implausible"] = np.where(are_implausible(result, table), "yes", "no")
    return in_physical_units(table, result.image, size)


@dataclass(frozen=True, eq=False)
class Part:
    """A slice or a volume whose objects are measured together."""

    position: dict[str, int]  # 'frame' and 'slice', from 0, each if there are several
    objects: np.ndarray  # (Y, X) or (*spatial) ids
    channels: dict[str, np.ndarray]  # of the same shape, by the end of the names of columns

    # Height and width of a pixel, whose product is 1.
    proportions: tuple[float, float] = SQUARE


def parts_to_measure(result: Segmentation) -> Iterator[Part]:
    """Yield the slices or volumes of an image that are measured one by one."""
    image = result.image
    is_movie = image.axes.startswith("T")
    is_flat = image.is_single or image.axes.startswith("TYX")

    for layer in result._layers:
        if is_flat or result.card.objects == "slices":
            yield from slices_to_measure(layer, image)
        elif is_movie:
            channels = channels_of(image)
            for frame, objects in enumerate(layer):
                of_frame = {name: pixels[frame] for name, pixels in channels.items()}
                yield Part({"frame": frame}, objects=objects, channels=of_frame)
        else:
            yield Part({}, objects=layer, channels=channels_of(image))


def slices_to_measure(layer: np.ndarray, image: MedicalImage) -> Iterator[Part]:
    """Yield each displayed slice of a layer of objects, frame by frame."""
    is_movie = image.axes.startswith("T")
    stack = as_displayed(image, layer)
    depth = slices_per_frame(image, len(stack))
    proportions = proportions_of(image)
    stacks = {name: as_displayed(image, pixels) for name, pixels in channels_of(image).items()}

    for i, objects in enumerate(stack):
        position = {}
        if is_movie:
            position["frame"] = i // depth
        if depth > 1:
            position["slice"] = i % depth
        of_slice = {name: pixels[i] for name, pixels in stacks.items()}
        yield Part(position, objects, channels=of_slice, proportions=proportions)


def slices_per_frame(image: MedicalImage, slices: int) -> int:
    """Return how many of the ``slices`` displayed slices belong to one point in time."""
    if image.axes.startswith("T"):
        return slices // len(image.pixels)
    return slices


def measure_part(part: Part) -> pd.DataFrame:
    """Return one row per object, with the names that scikit-image gives to its properties."""
    if part.objects.ndim == 2:
        table = pd.DataFrame(flat_shapes(part.objects))
    else:
        table = volume_shapes(part.objects)

    if part.objects.ndim == 2 and part.proportions != SQUARE:
        table = table.assign(**true_shapes(part.objects, part.proportions, flat_shapes))

    # Only where there are objects, which in a head are a small part of it.
    box = occupied_box(part.objects)
    objects = part.objects[box]
    channels = {name: pixels[box] for name, pixels in part.channels.items()}
    places = np.nonzero(objects)
    object_of_pixel = np.searchsorted(table["label"], objects[places])
    intensities = intensity_columns(object_of_pixel, places, channels, len(table))
    behind = list(table.columns).index(LAST_SIZE) + 1
    for name, column in intensities.items():
        table.insert(behind, name, column)
        behind += 1

    for name, index in reversed(part.position.items()):
        table.insert(1, name, index)

    dimensions = part.objects.ndim
    corners = np.array([table.pop(f"bbox-{i}") for i in range(2 * dimensions)])
    starts = corners[:dimensions].T
    stops = corners[dimensions:].T
    at_edge = (starts == 0) | (stops == part.objects.shape)
    table["touches_edge"] = np.where(at_edge.any(axis=1), "yes", "no")
    return table


def volume_shapes(ids: np.ndarray) -> pd.DataFrame:
    """Return a row for each object of (*spatial) ids, by the names of ``regionprops_table``."""
    box = occupied_box(ids)
    if not ids[box].size:
        # Of no objects, scikit-image needs a voxel to name the columns.
        box = (slice(0, 1),) * ids.ndim
    table = pd.DataFrame(regionprops_table(ids[box], properties=PROPERTIES))

    # Positions were counted from the corner of the box.
    for axis, along_axis in enumerate(box):
        for name in (f"centroid-{axis}", f"bbox-{axis}", f"bbox-{axis + ids.ndim}"):
            table[name] += along_axis.start
    return table


def column_names(size: str, axes: str) -> dict[str, str]:
    """Return the names of the table's columns, by the names in scikit-image.

    ``size`` is 'area' or 'volume'; ``axes`` are the letters of the centroid's axes, in order.
    """
    names = {"label": "object", "area": f"{size}_px", "equivalent_diameter_area": "diameter_px"}
    for i, axis in enumerate(axes):
        names[f"centroid-{i}"] = f"centroid_{axis}_px"
    for name in LENGTHS:
        names[name] = f"{name}_px"
    names["orientation"] = "orientation_deg"
    return names


def classes_of(result: Segmentation) -> np.ndarray | None:
    """Return (objects + 1,) uint8: the class of each object, by its id; 0 for id 0.

    None if objects are not components of one class: cells between membranes, or nuclei with an
    interior and a border.
    """
    if result.card.instance_method != "components":
        return None

    layers = result._layers
    highest = max(int(layer.max(initial=0)) for layer in layers)
    classes = np.zeros(highest + 1, np.uint8)
    for number, layer in enumerate(layers, 1):
        box = occupied_box(layer)
        ids = layer[box].reshape(-1)
        # A layer of classes that overlap holds the objects of one class.
        label = number if result.card.overlapping else result.labels[box].reshape(-1)
        classes[ids] = label
    classes[0] = 0
    return classes


def sides_of(result: Segmentation) -> np.ndarray:
    """Return (objects,): the name of the localised structure that is nearest to each object."""
    objects = as_displayed(result.image, result.objects)
    box = occupied_box(objects)
    objects = objects[box]
    if not objects.size:
        return np.zeros(0, str)

    ids = range(1, int(objects.max()) + 1)
    start = [along_axis.start for along_axis in box]
    middles = np.array(center_of_mass(objects > 0, objects, ids)).reshape(-1, 3) + start
    return nearest_places(result, middles)


def are_implausible(result: Segmentation, table: pd.DataFrame) -> np.ndarray:
    """Return (rows,) bool: whether what was found on the row's side, or at all, cannot be."""
    flags = np.zeros(len(table), bool)
    for finding in findings_on_parts(result):
        if not isinstance(finding.text, Doubt):
            continue
        flags |= (table["side"] == finding.side) if finding.side else True
    return flags


def in_physical_units(table: pd.DataFrame, image: MedicalImage, size: str) -> pd.DataFrame:
    """Add columns of sizes and lengths in µm or mm, and of volumes in mL, after those in px.

    ``size`` is 'area' or 'volume'. The table is changed in place and returned; without a spacing it
    stays as it is.
    """
    for name, (of, factor) in reversed(physical_factors(image, size).items()):
        if of in table:
            # Sizes come before the diameter, both behind the size in px.
            behind = f"{size}_px" if of == "diameter_px" else of
            place = list(table.columns).index(behind) + 1
            table.insert(place, name, table[of] * factor)
    return table


def physical_factors(image: MedicalImage, size: str) -> dict[str, tuple[str, float]]:
    """Return the columns in physical units: of each the column in px, and what it is multiplied by.

    ``size`` is 'area' or 'volume'. Without a spacing there are none.
    """
    dimensions = 2 if size == "area" else 3
    pixel = pixel_size(image, dimensions)
    if pixel is None:
        return {}

    # 'um', not 'µm', because people type the names of columns.
    unit = pixel.unit.replace("µ", "u")
    side = pixel.size ** (1 / dimensions) * pixel.per_mm
    whole = pixel.size * pixel.per_mm**dimensions
    factors = {f"{size}_{unit}{dimensions}": (f"{size}_px", whole)}
    if dimensions == 3 and unit == "mm":
        factors["volume_mL"] = ("volume_px", whole / 1000)
    factors[f"diameter_{unit}"] = ("diameter_px", side)
    for name in LENGTHS:
        factors[f"{name}_{unit}"] = (f"{name}_px", side)
    return factors


def summary(result: Segmentation) -> dict[str, tuple[float, str]]:
    """Return a result in a few named numbers, each with its unit ('' for counts and ratios).

    The last one is the expected Dice, if that is known.
    """
    summary_of = SUMMARIES[result.card.measures]
    numbers = summary_of(result)

    if result.expected_dice is not None:
        numbers[EXPECTED_DICE] = (result.expected_dice.value, "")
    return numbers


def summary_of_objects(result: Segmentation) -> dict[str, tuple[float, str]]:
    """Return the number of objects, their median and total size, in the first unit in ``SIZES``."""
    table = result.measure()
    column = next(name for name in SIZES if name in table)
    sizes = table[column]
    unit = SIZES[column]
    kind = column.split("_")[0]  # 'area' or 'volume'

    # In a movie, an object that is followed has a row for each frame.
    numbers: dict[str, tuple[float, str]] = {"objects": (table["object"].nunique(), "")}
    if len(table):
        numbers[f"median {kind}"] = (float(sizes.median()), unit)
        numbers[f"total {kind}"] = (float(sizes.sum()), unit)
    for place in result.places:
        numbers[f"{place} volume"] = (float(sizes[table["side"] == place].sum()), unit)
    return numbers


def summary_of_vessels(result: Segmentation) -> dict[str, tuple[float, str]]:
    """Return length and width of the tree, and the calibres of arteries and veins if known."""
    return {**summary_of_tree(result), **summary_of_central_vessels(result)}


# The function that summarises a result, by what its card measures.
SUMMARIES: dict[str, Callable[[Segmentation], dict[str, tuple[float, str]]]] = {
    "objects": summary_of_objects,
    "tree": summary_of_vessels,
    "chest": summary_of_chest,
}


def measured_in_words(result: Segmentation, at_most: int | None = None) -> str:
    """Return the first numbers of a summary in one line, without the expected Dice."""
    measured = {name: x for name, x in result.summary().items() if name != EXPECTED_DICE}
    return in_words(dict(islice(measured.items(), at_most)))


def in_words(values: dict[str, tuple[float, str]]) -> str:
    """Return one line: '213 objects, median area 45 px, ...'."""
    return ", ".join(phrase(name, value, unit) for name, (value, unit) in values.items())


def phrase(name: str, value: float, unit: str) -> str:
    """Return one number of a summary in words."""
    is_whole = float(value).is_integer()
    number = f"{value:,.0f}" if is_whole or value >= 1000 else f"{value:.3g}"

    if name == "objects":
        return f"{number} object" if value == 1 else f"{number} objects"
    if unit == "":
        return f"{name} {number}"
    if unit == "%":
        return f"{number} % {name}"
    return f"{name} {number} {unit}"
