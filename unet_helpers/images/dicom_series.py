"""Slices of a DICOM series, or frames of an enhanced file, as a volume that lies where their positions say."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mode

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, noted, ras_affine

EVEN = 0.05  # share of a step by which a distance may differ from a whole number of steps
SAME = 1e-3  # mm: positions nearer than this are one


@dataclass(frozen=True)
class Slice:
    position: tuple[float, ...]  # mm, DICOM's left, back and head
    orientation: tuple[float, ...]  # direction of a row, then of a column
    echo: str
    image: MedicalImage


def assemble(slices: list[Slice], path: Path, series: str | None = None) -> MedicalImage:
    """'ZYX[C]' sorted along the normal, with an affine to mm (right, front, top).
    Other orientations and repeated slices are left out, missing ones are empty; all is said in notes. ImageError for
    two echoes without a choice (``series='echo TIME'``), different images in one place, and uneven distances.
    """
    slices = one_echo(slices, path, series)
    turns = [tuple(np.round(s.orientation, 2) + 0.0) for s in slices]
    usual = mode(turns)
    slices = [s for s, turn in zip(slices, turns) if turn == usual]
    odd = len(turns) - len(slices)
    notes = [f"left out {odd} of another orientation (scouts)"] if odd else []
    if len({(s.image.pixels.shape, s.image.spacing) for s in slices}) > 1:
        raise ImageError(f"{path}: slices of different size or spacing. Move the odd ones out.")
    along, down = np.reshape(slices[0].orientation, (2, 3))
    normal = np.cross(along, down)
    count, slices = (
        len(slices),
        without_repeats(sorted(slices, key=lambda s: float(normal @ s.position)), path),
    )
    if gone := count - len(slices):
        notes.append(f"left out {gone} repeated slice{'s' * (gone > 1)}")
    first = slices[0].image
    if len(slices) == 1:
        return noted(first, *notes)
    distances = np.diff([normal @ s.position for s in slices])
    counts = distances / distances.min()
    places = np.concatenate([[0], np.cumsum(np.rint(counts).astype(int))])
    if np.abs(counts - np.rint(counts)).max() > EVEN or places[-1] >= 2 * len(slices):
        listed = ", ".join(f"{d:.4g}" for d in np.unique(distances.round(3))[:6])
        raise ImageError(
            f"{path}: its slices are not evenly spaced (distances of {listed} mm). Resample it first."
        )
    pixels = np.zeros(
        (places[-1] + 1, *first.pixels.shape), np.result_type(*(s.image.pixels for s in slices))
    )
    pixels[places] = [s.image.pixels for s in slices]
    if missing := len(pixels) - len(slices):
        empty = ", ".join(map(str, np.setdiff1d(range(len(pixels)), places)))
        notes.append(
            f"{missing} slice{'s' * (missing > 1)} missing in the series: {empty} (from 0) left empty"
        )
    across = np.subtract(slices[-1].position, slices[0].position) / places[-1]
    tilt = np.degrees(np.arccos(np.clip(normal @ across / np.linalg.norm(across), -1, 1)))
    if tilt > 1:
        notes.append(
            f"sheared: its slices are shifted against one another by {tilt:.0f} degrees (a tilted gantry)"
        )
    rows, columns = first.spacing or (1.0, 1.0)
    affine = ras_affine(np.column_stack([along * columns, down * rows, across]), slices[0].position)
    spacing = (float(np.linalg.norm(across)), rows, columns) if first.spacing else None
    files = dict(zip(places.tolist(), (s.image.path for s in slices)))
    return noted(
        first,
        *notes,
        pixels=pixels,
        axes="Z" + first.axes,
        spacing=spacing,
        affine=affine,
        header=files,
    )


def one_echo(slices: list[Slice], path: Path, series: str | None) -> list[Slice]:
    echoes = sorted({s.echo for s in slices})
    wanted = [str(series).rpartition("echo ")[2]] if "echo " in str(series) else echoes
    slices = [s for s in slices if s.echo in wanted]
    if not slices or len(wanted) > 1:
        listed = "; ".join(f"'echo {echo}'" for echo in echoes)
        raise ImageError(
            f"{path}: holds {len(echoes)} echo times, choose one with series=...: {listed}"
        )
    return slices


def without_repeats(slices: list[Slice], path: Path) -> list[Slice]:
    """ImageError where two differ in one place: which of them is meant cannot be known."""
    kept = slices[:1]
    for member in slices[1:]:
        if np.abs(np.subtract(member.position, kept[-1].position)).max() > SAME:
            kept.append(member)
        elif not np.array_equal(member.image.pixels, kept[-1].image.pixels):
            raise ImageError(
                f"{path}: several different images in one place (times, weightings?). Move others out."
            )
    return kept
