"""Assemble slices of a DICOM series, or frames of a file, into a volume by their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mode
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ..errors import ImageError
from .dicom_choice import (
    REPETITION,
    Condition,
    first_separating,
    of_conditions,
    of_one_component,
    of_one_contrast,
    refuse,
    repetitions_of,
)
from .dicom_tags import first_text
from .dicom_values import AS_STORED, finished
from .geometry import ras_affine
from .image import MedicalImage, noted

if TYPE_CHECKING:
    from pydicom import Dataset

# A distance between slices may differ from a whole number of steps by this share of a step.
MAX_UNEVENNESS = 0.05

# mm: two slices have the same position if no coordinate differs by more than this.
SAME_POSITION_MM = 1e-3

# Decimals of a position in mm, by which images in the same place are grouped.
PLACE_DECIMALS = 2

# Decimals of a pixel's size in mm, by which slices are compared; files round it differently.
SPACING_DECIMALS = 3

# Slices are parallel if their direction cosines are equal after rounding to so many decimals.
PARALLEL_DECIMALS = 2

# Degrees: a series is sheared if the angle between the slices' normal and the step from slice to
# slice is larger than this.
MAX_TILT_DEGREES = 1

# How many different distances an error lists at most.
LISTED_DISTANCES = 6


@dataclass(frozen=True)
class SourceFrame:
    """Where a slice was read from."""

    path: Path

    # Index of the frame, from 0; None if the file has no frames.
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class Slice:
    """An image with its position in the body, in DICOM's axes: to the left, back and head (LPS)."""

    # (3,) position of the centre of the first pixel, in mm.
    position: tuple[float, ...]

    # (6,) unit vector along a row, then unit vector along a column.
    orientation: tuple[float, ...]

    # Its attributes: those of the frame before those of the file.
    datasets: Sequence[Dataset]

    image: MedicalImage
    source: SourceFrame

    # (rows, columns), True where a pixel is padding; None if there is none.
    padding: np.ndarray | None = None

    # (slope, intercept) by which the values were scaled.
    scaling: tuple[float, float] = AS_STORED

    @property
    def place(self) -> tuple[float, ...]:
        """The position, rounded, equal for images in the same place."""
        return tuple(round(number, PLACE_DECIMALS) + 0.0 for number in self.position)

    @property
    def rounded_spacing(self) -> tuple[float, ...]:
        """The size of a pixel, rounded, equal for slices of one volume; () if unknown."""
        return tuple(round(step, SPACING_DECIMALS) for step in self.image.spacing or ())

    @property
    def along_row(self) -> np.ndarray:
        """(3,) direction from one column to the next."""
        return np.array(self.orientation[:3])

    @property
    def along_column(self) -> np.ndarray:
        """(3,) direction from one row to the next."""
        return np.array(self.orientation[3:])

    @property
    def normal(self) -> np.ndarray:
        """(3,) direction at right angles to the slice."""
        return np.cross(self.along_row, self.along_column)


def assemble(slices: list[Slice], path: Path, conditions: Sequence[Condition] = ()) -> MedicalImage:
    """Sort slices along their normal into a volume 'ZYX' or 'ZYXC' with an affine in mm (RAS).

    Slices that do not fit the conditions, of another orientation, of the phase, and repeated slices
    are left out, missing slices are filled with 0; notes say so. Raises ImageError for several
    images in one place without a choice between them, and for uneven distances.
    """
    chosen = of_conditions(slices, conditions, path)

    notes = []
    parallel = of_usual_orientation(chosen)
    others = len(chosen) - len(parallel)
    if others:
        notes.append(f"left out {others} of another orientation (scouts)")
    parallel, notes_on_components = of_one_component(parallel, path)
    notes += notes_on_components
    of_one_contrast(parallel, path)
    refuse_several_sizes(parallel, path)
    parallel = of_repetition(parallel, conditions, path)

    # Nearly parallel slices are treated as exactly parallel to the first one.
    reference = parallel[0]
    in_order = sorted(parallel, key=lambda member: float(reference.normal @ member.position))
    unique = without_repeats(in_order, path)
    repeats = len(in_order) - len(unique)
    if repeats:
        notes.append(f"left out {repeats} repeated slice{plural(repeats)}")
    if len(unique) == 1:
        only = unique[0]
        return finished(noted(only.image, *notes), only.padding, {only.scaling})

    depths = np.array([reference.normal @ member.position for member in unique])
    indices = indices_in_volume(depths, path, unique)
    missing = np.setdiff1d(np.arange(indices[-1] + 1), indices)
    if missing.size:
        listed = ", ".join(map(str, missing))
        notes.append(
            f"{missing.size} slice{plural(missing.size)} missing in the series: "
            f"{listed} (from 0) left empty"
        )
    return volume_of(unique, indices, reference, notes)


def plural(count: int) -> str:
    """Return the plural ending 's' if the count is more than 1, else ''."""
    return "s" if count > 1 else ""


def refuse_several_sizes(slices: list[Slice], path: Path) -> None:
    """Raise an ImageError if slices have several sizes or spacings."""
    sizes = {(member.image.pixels.shape, member.rounded_spacing) for member in slices}
    if len(sizes) == 1:
        return
    problem = "slices of different size or spacing"
    for name in ("Rows", "Columns", "AcquisitionNumber", "ImageType"):
        if len({first_text(member.datasets, name) for member in slices}) > 1:
            refuse(path, name, slices, problem)
    raise ImageError(f"{path}: {problem}. Move the odd ones out.")


def of_repetition(slices: list[Slice], conditions: Sequence[Condition], path: Path) -> list[Slice]:
    """Take the n-th image in each place if a condition asks for it."""
    wanted = [condition.value for condition in conditions if condition.name == REPETITION]
    if not wanted:
        return slices
    repetitions = repetitions_of(slices) or [1] * len(slices)
    chosen = [
        member
        for member, repetition in zip(slices, repetitions, strict=True)
        if str(repetition) == wanted[-1]
    ]
    if not chosen:
        raise ImageError(f"{path}: has repetitions 1 to {max(repetitions)}, not {wanted[-1]}.")
    return chosen


def of_usual_orientation(slices: list[Slice]) -> list[Slice]:
    """Take the slices that have the most frequent orientation."""
    # Adding 0 turns a rounded -0 into 0, so that equal orientations have equal tuples.
    orientations = [
        tuple(np.round(member.orientation, PARALLEL_DECIMALS) + 0.0) for member in slices
    ]
    most_frequent = mode(orientations)
    return [
        member for member, orientation in zip(slices, orientations) if orientation == most_frequent
    ]


def without_repeats(in_order: list[Slice], path: Path) -> list[Slice]:
    """Drop a slice if it has the position and the pixels of the slice before it.

    Raises ImageError if two slices at one position differ, because it is unknown which one to use.
    """
    kept = in_order[:1]
    for member in in_order[1:]:
        distance = np.abs(np.subtract(member.position, kept[-1].position)).max()
        if distance > SAME_POSITION_MM:
            kept.append(member)
        elif not np.array_equal(member.image.pixels, kept[-1].image.pixels):
            refuse_same_places(in_order, path)
    return kept


def refuse_same_places(slices: list[Slice], path: Path) -> NoReturn:
    """Raise an ImageError about different images in one place, with what to choose them by."""
    name = first_separating(slices)
    if name is not None:
        refuse(path, name, slices)

    problem = "several different images in one place (times, weightings?)"
    repetitions = repetitions_of(slices)
    if repetitions is None:
        raise ImageError(f"{path}: {problem}. Move others out.")
    raise ImageError(
        f"{path}: {problem}, choose one with select=...: "
        f"'{REPETITION}=1' to '{REPETITION}={max(repetitions)}'"
    )


def indices_in_volume(depths: np.ndarray, path: Path, slices: list[Slice]) -> np.ndarray:
    """Return the index of each slice in the volume: 0, 1, 2, ... with gaps for missing slices.

    ``depths`` are sorted, in mm along the normal; a step is the smallest distance between two of
    them. Raises ImageError if a distance is not a whole number of steps, or if more slices would be
    missing than there are.
    """
    indices = even_indices(depths)
    if indices is not None:
        return indices

    distances = np.diff(depths)
    different = np.unique(distances.round(3))[:LISTED_DISTANCES]
    listed = ", ".join(f"{distance:.4g}" for distance in different)
    problem = f"its slices are not evenly spaced (distances of {listed} mm)"
    name = first_separating(slices)
    if name is not None:
        refuse(path, name, slices, problem)
    raise ImageError(f"{path}: {problem}. Resample it first.")


def even_indices(depths: np.ndarray) -> np.ndarray | None:
    """Return the indices of sorted depths in a volume; None if they are not evenly spaced."""
    distances = np.diff(depths)
    if not distances.size or distances.min() <= 0:
        return None
    steps = distances / distances.min()
    whole_steps = np.rint(steps)
    indices = np.concatenate([[0], np.cumsum(whole_steps.astype(int))])

    is_uneven = np.abs(steps - whole_steps).max() > MAX_UNEVENNESS
    is_mostly_missing = indices[-1] >= 2 * len(depths)
    if is_uneven or is_mostly_missing:
        return None
    return indices


def volume_of(
    slices: list[Slice], indices: np.ndarray, reference: Slice, notes: list[str]
) -> MedicalImage:
    """Put each slice at its index, with the reference's orientation; missing slices are 0."""
    first = slices[0].image
    shape = (indices[-1] + 1, *first.pixels.shape)
    pixels = np.zeros(shape, np.result_type(*(member.image.pixels for member in slices)))
    padding = None
    if any(member.padding is not None for member in slices):
        padding = np.zeros(shape, bool)
    for index, member in zip(indices, slices):
        pixels[index] = member.image.pixels
        if padding is not None and member.padding is not None:
            padding[index] = member.padding

    step = np.subtract(slices[-1].position, slices[0].position) / indices[-1]
    tilt = degrees_between(reference.normal, step)
    if tilt > MAX_TILT_DEGREES:
        notes = [
            *notes,
            "sheared: its slices are shifted against one another by "
            f"{tilt:.0f} degrees (a tilted gantry)",
        ]

    row_step, column_step = first.spacing or (1.0, 1.0)
    steps = np.column_stack(
        [reference.along_row * column_step, reference.along_column * row_step, step]
    )
    spacing = None
    if first.spacing:
        spacing = (float(np.linalg.norm(step)), row_step, column_step)
    notes_of_slices = dict.fromkeys(note for member in slices for note in member.image.notes)
    volume = replace(
        first,
        pixels=pixels,
        axes="Z" + first.axes,
        spacing=spacing,
        affine=ras_affine(steps, slices[0].position),
        header={int(index): member.source for index, member in zip(indices, slices)},
        notes=(*notes_of_slices, *notes),
    )
    return finished(volume, padding, {member.scaling for member in slices})


def degrees_between(normal: np.ndarray, step: np.ndarray) -> float:
    """Compute the angle between a normal of length 1 and a step."""
    cosine = normal @ step / np.linalg.norm(step)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
