"""Read a DICOM file: its pixels, with the scaling, spacing and frames that its header describes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError
from .dicom_anatomy import body_part_of, view_of
from .dicom_choice import Condition, conditions_in, name_and_echo, of_conditions
from .dicom_geometry import Slice, SourceFrame, assemble
from .dicom_tags import (
    contents_of_frames,
    first_given,
    first_text,
    frames_of,
    photometric_of,
    samples_of,
    shared_contents,
)
from .dicom_values import finished, values_of
from .image import MedicalImage, noted
from .limits import refuse_if_huge
from .options import ReadOptions, index_of

if TYPE_CHECKING:
    from pydicom import Dataset

# How a file begins: with a preamble of 128 arbitrary bytes and "DICM"; or, without these, with a
# data element of group 2 or 8, whose next four bytes (type or length) are not all zeros.
MAGIC = rb".{128}DICM|[\x02\x08]\0.\0(?=\0{0,3}[^\0])"
MAGIC_BYTES = 132

PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

# Elements that only a movie has. The frames of a movie are points in time, not slices.
MOVIE_ELEMENTS = ("FrameTime", "FrameTimeVector", "CineRate")


def looks_like_dicom(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of DICOM."""
    return re.match(MAGIC, start, re.DOTALL) is not None


def header_of(path: Path, tags: list[str] | None = None) -> Dataset | None:
    """Read all but the pixels, or only some tags; return None if the file is not DICOM."""
    with path.open("rb") as file:
        if not looks_like_dicom(file.read(MAGIC_BYTES)):
            return None
    import pydicom

    return pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)


@dataclass(frozen=True, eq=False)
class DicomImage:
    """An image as its file stores it, and what is needed to finish it, alone or in a volume."""

    image: MedicalImage

    # What the file says about each frame, and about itself; one entry for a single image.
    datasets: list[list[Dataset]]

    # True where a pixel is padding, in the shape of the pixels; None if there is none.
    padding: np.ndarray | None

    # (slope, intercept) of each frame, or of all.
    scalings: tuple[tuple[float, float], ...]

    def finished(self) -> MedicalImage:
        """Return the image as it is, all frames in the file's order."""
        return finished(self.image, self.padding, set(self.scalings))

    @property
    def frames(self) -> list[DicomImage]:
        """Each frame on its own; the image itself if it has no frames."""
        image = self.image
        if image.axes[0] not in "TZ":
            return [self]

        count = len(image.pixels)
        datasets = self.datasets * (count // len(self.datasets))
        scalings = self.scalings * (count // len(self.scalings))
        frames = []
        for index in range(count):
            single = replace(
                image,
                pixels=image.pixels[index],
                axes=image.axes[1:],
                spacing=spacing_of(datasets[index], has_depth=False),
                header={0: SourceFrame(image.header[0].path, index)},
            )
            padding = None if self.padding is None else self.padding[index]
            frames.append(DicomImage(single, [datasets[index]], padding, (scalings[index],)))
        return frames


def read_dicom(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'YX', or 'ZYX' or 'TYX' of several frames, with a last 'C' if in colour.

    Frames that have positions in the body are sorted by them.
    """
    import pydicom

    data = pydicom.dcmread(path, force=True)
    refuse_other_series(data, path, options.series)
    dicom = image_of(data, path)
    if options.frame is not None:
        return frame_of(dicom, options, path)

    return image_in(dicom, conditions_in(options.select, options.series, path), path)


def image_in(dicom: DicomImage, conditions: Sequence[Condition], path: Path) -> MedicalImage:
    """Return the image of one file: its frames as a volume if they lie in space, or as they are.

    Raises ImageError if conditions are given that an image, or frames without positions, do not
    meet.
    """
    slices = slices_of(dicom)
    if slices is not None and len(slices) > 1:
        return assemble(slices, path, conditions)

    of_conditions([unplaced(dicom)], conditions, path)
    return dicom.finished()


def refuse_other_series(data: Dataset, path: Path, wanted: str | int | None) -> None:
    """Raise ImageError if the file is not of the series that is asked for."""
    name, _ = name_and_echo(wanted)
    names = names_of_series(data)
    if name and name not in names:
        listed = ", ".join(filter(None, names))
        raise ImageError(f"{path}: is not of the series {name!r}, but of {listed or 'none'}.")


def names_of_series(data: Dataset) -> tuple[str, str, str]:
    """Return the names by which a user may choose a series: UID, number and description."""
    keywords = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription")
    uid, number, description = (first_text([data], keyword) for keyword in keywords)
    return uid, number, description


def frame_of(dicom: DicomImage, options: ReadOptions, path: Path) -> MedicalImage:
    """Take one frame of a stack or movie; a single image has only frame 0."""
    if options.select is not None:
        raise ImageError(f"{path}: give either a frame or select=..., not both.")
    frames = dicom.frames
    index = index_of(path, "frame", options.frame, len(frames))
    return noted(frames[index].finished(), f"took frame {index} of {len(frames)}")


def slices_of(dicom: DicomImage) -> list[Slice] | None:
    """Return each frame with its position in the body; None if a frame has no position."""
    frames = dicom.frames
    if len(dicom.datasets) != len(frames):
        return None

    slices = []
    for frame in frames:
        datasets = frame.datasets[0]
        position = first_given(datasets, "ImagePositionPatient")
        orientation = first_given(datasets, "ImageOrientationPatient")
        if not position or not orientation:
            return None
        placed = replace(
            unplaced(frame),
            position=tuple(map(float, position)),
            orientation=tuple(map(float, orientation)),
        )
        slices.append(placed)
    return slices


def unplaced(dicom: DicomImage) -> Slice:
    """Return an image as a slice of unknown position, with the attributes of its first frame."""
    return Slice(
        position=(),
        orientation=(),
        datasets=dicom.datasets[0],
        image=dicom.image,
        source=dicom.image.header[0],
        padding=dicom.padding,
        scaling=dicom.scalings[0],
    )


def image_of(data: Dataset, path: Path) -> DicomImage:
    """Read pixels, axes, spacing and notes of a data set, its frames in the file's order."""
    refuse_without_pixels(data, path)
    assumptions = assume_what_is_missing(data)
    values = values_of(data, path)

    count = frames_of(data)
    datasets = contents_of_frames(data) or [[*shared_contents(data), data]]
    has_depth = count > 1 and not is_movie(data)
    axes = "YX"
    if has_depth:
        axes = "ZYX"
    elif count > 1:
        axes = "TYX"

    notes = (*assumptions, *values.notes)
    groups = len(data.get("PerFrameFunctionalGroupsSequence") or ())
    if groups not in (0, count):
        notes = (*notes, f"describes {groups} frames, but holds {count}: not used")

    is_colour = values.pixels.ndim > len(axes)
    about = datasets[0]
    image = MedicalImage(
        pixels=values.pixels,
        axes=f"{axes}C" if is_colour else axes,
        spacing=spacing_of(about, has_depth=has_depth),
        header={0: SourceFrame(path)},
        path=path,
        notes=notes,
        modality=first_text(about, "Modality"),
        description=first_text(about, "SeriesDescription", "ProtocolName"),
        study=first_text(about, "RequestedProcedureDescription", "StudyDescription"),
        body_part=body_part_of(about),
        view=view_of(about),
        image_type=first_text(about, "FrameType", "ImageType"),
    )
    return DicomImage(image, datasets, values.padding, values.scalings)


def is_movie(data: Dataset) -> bool:
    """Return whether frames are points in time, not slices."""
    return any(data.get(name) for name in MOVIE_ELEMENTS)


def refuse_without_pixels(data: Dataset, path: Path) -> None:
    """Raise ImageError if there is no image, or if it is too large."""
    has_pixels = any(name in data for name in PIXEL_ELEMENTS)
    if not (has_pixels and data.get("Rows") and data.get("Columns")):
        raise ImageError(
            f"{path}: a DICOM file without an image (report, structure set, ...). "
            "Choose another one."
        )
    refuse_if_huge(path, (frames_of(data), data.Rows, data.Columns, samples_of(data)))


def assume_what_is_missing(data: Dataset) -> list[str]:
    """Add attributes of the pixels that the file lacks but decoding needs; return notes on them."""
    if "PixelData" not in data:
        return []

    is_colour = photometric_of(data).startswith(("RGB", "YBR"))
    samples = samples_of(data) if "SamplesPerPixel" in data else 1 + 2 * is_colour
    values = frames_of(data) * data.Rows * data.Columns * samples
    bits = data.get("BitsAllocated") or 8 * max(1, len(data.PixelData) // values)
    usual = {
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "PlanarConfiguration": 0 if samples == 3 else None,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": 0,
    }
    notes = []
    for name, value in usual.items():
        if value is not None and data.get(name) is None:
            setattr(data, name, value)
            notes.append(f"assumed {name} {value}, which the file lacks")
    return notes


def spacing_of(datasets: Sequence[Dataset], *, has_depth: bool) -> tuple[float, ...] | None:
    """Read the spacing along (Z,) Y and X in mm; None if one of the numbers is unknown."""
    within_slice = first_given(
        datasets, "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"
    )
    if not within_slice:
        return None
    spacing = tuple(map(float, within_slice))
    if not has_depth:
        return spacing
    depth = first_given(datasets, "SpacingBetweenSlices", "SliceThickness")
    if not depth:
        return None
    return (float(depth), *spacing)
