"""Assemble slices of a DICOM series, or frames of a file, into a volume by their positions."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mode

import numpy as np

from ..errors import ImageError
from .geometry import ras_affine
from .image import MedicalImage, noted

# A distance between slices may differ from a whole number of steps by this share of a step.
MAX_UNEVENNESS = 0.05

# mm: two slices have the same position if no coordinate differs by more than this.
SAME_POSITION_MM = 1e-3

# Slices are parallel if their direction cosines are equal after rounding to so many decimals.
PARALLEL_DECIMALS = 2

# Degrees: a series is sheared if the angle between the slices' normal and the step from slice to
# slice is larger than this.
MAX_TILT_DEGREES = 1

# How many different distances an error lists at most.
LISTED_DISTANCES = 6


@dataclass(frozen=True)
class Slice:
    """An image with its position in the body, in DICOM's axes: to the left, back and head (LPS)."""

    # (3,) position of the centre of the first pixel, in mm.
    position: tuple[float, ...]

    # (6,) unit vector along a row, then unit vector along a column.
    orientation: tuple[float, ...]

    # Echo time as the file writes it; '' without one.
    echo: str

    image: MedicalImage

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


def assemble(slices: list[Slice], path: Path, series: str | int | None = None) -> MedicalImage:
    """Sort slices along their normal into a volume 'ZYX' or 'ZYXC' with an affine in mm (RAS).

    Slices of another orientation and repeated slices are left out, missing slices are filled with
    0; notes say so. Raises ImageError for several echoes without a choice (``series='echo TIME'``),
    for different images at one position, and for uneven distances.
    """
    notes = []
    slices = of_one_echo(slices, path, series)

    parallel = of_usual_orientation(slices)
    others = len(slices) - len(parallel)
    if others:
        notes.append(f"left out {others} of another orientation (scouts)")
    if len({(member.image.pixels.shape, member.image.spacing) for member in parallel}) > 1:
        raise ImageError(f"{path}: slices of different size or spacing. Move the odd ones out.")

    # Nearly parallel slices are treated as exactly parallel to the first one.
    reference = parallel[0]
    in_order = sorted(parallel, key=lambda member: float(reference.normal @ member.position))
    unique = without_repeats(in_order, path)
    repeats = len(in_order) - len(unique)
    if repeats:
        notes.append(f"left out {repeats} repeated slice{plural(repeats)}")
    if len(unique) == 1:
        return noted(unique[0].image, *notes)

    depths = np.array([reference.normal @ member.position for member in unique])
    indices = indices_in_volume(depths, path)
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


def of_one_echo(slices: list[Slice], path: Path, series: str | int | None) -> list[Slice]:
    """Take the slices of the echo that ``series`` asks for, or of the only echo."""
    echoes = sorted({member.echo for member in slices})
    wanted = echoes
    if "echo " in str(series):
        wanted = [str(series).rpartition("echo ")[2]]

    chosen = [member for member in slices if member.echo in wanted]
    if not chosen or len(wanted) > 1:
        listed = "; ".join(f"'echo {echo}'" for echo in echoes)
        raise ImageError(
            f"{path}: holds {len(echoes)} echo times, choose one with series=...: {listed}"
        )
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
            raise ImageError(
                f"{path}: several different images in one place (times, weightings?). "
                "Move others out."
            )
    return kept


def indices_in_volume(depths: np.ndarray, path: Path) -> np.ndarray:
    """Return the index of each slice in the volume: 0, 1, 2, ... with gaps for missing slices.

    ``depths`` are sorted, in mm along the normal; a step is the smallest distance between two of
    them. Raises ImageError if a distance is not a whole number of steps, or if more slices would be
    missing than there are.
    """
    distances = np.diff(depths)
    steps = distances / distances.min()
    whole_steps = np.rint(steps)
    indices = np.concatenate([[0], np.cumsum(whole_steps.astype(int))])

    is_uneven = np.abs(steps - whole_steps).max() > MAX_UNEVENNESS
    is_mostly_missing = indices[-1] >= 2 * len(depths)
    if is_uneven or is_mostly_missing:
        different = np.unique(distances.round(3))[:LISTED_DISTANCES]
        listed = ", ".join(f"{distance:.4g}" for distance in different)
        raise ImageError(
            f"{path}: its slices are not evenly spaced (distances of {listed} mm). "
            "Resample it first."
        )
    return indices


def volume_of(
    slices: list[Slice], indices: np.ndarray, reference: Slice, notes: list[str]
) -> MedicalImage:
    """Put each slice at its index, with the reference's orientation; missing slices are 0."""
    first = slices[0].image
    shape = (indices[-1] + 1, *first.pixels.shape)
    pixels = np.zeros(shape, np.result_type(*(member.image.pixels for member in slices)))
    for index, member in zip(indices, slices):
        pixels[index] = member.image.pixels

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
    files = {int(index): member.image.path for index, member in zip(indices, slices)}
    return noted(
        first,
        *notes,
        pixels=pixels,
        axes="Z" + first.axes,
        spacing=spacing,
        affine=ras_affine(steps, slices[0].position),
        header=files,
    )


def degrees_between(normal: np.ndarray, step: np.ndarray) -> float:
    """Compute the angle between a normal of length 1 and a step."""
    cosine = normal @ step / np.linalg.norm(step)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
