"""Read a DICOM file: its pixels, with the scaling, spacing and frames that its header describes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from .dicom_geometry import Slice, assemble
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

# Packages with which pydicom decodes all compressions, as written behind ``pip install``.
DECODERS = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


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


def read_dicom(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'YX', or 'ZYX' or 'TYX' of several frames, with a last 'C' if in colour.

    Frames that have positions in the body are sorted by them.
    """
    import pydicom

    data = pydicom.dcmread(path, force=True)
    image = image_of(data, path)
    if options.frame is not None:
        return frame_of(image, options.frame, path)

    frame_groups = data.get("PerFrameFunctionalGroupsSequence") or ()
    if len(frame_groups) > 1 and len(frame_groups) == len(image.pixels):
        shared_groups = data.get("SharedFunctionalGroupsSequence") or ()
        slices = slices_of_frames(image, frame_groups, shared_groups)
        if slices is not None:
            return assemble(slices, path, options.series)
    return image


def frame_of(image: MedicalImage, frame: int, path: Path) -> MedicalImage:
    """Take one frame of a stack or movie; a single image has only frame 0."""
    has_frames = image.axes[0] in "TZ"
    frames = image.pixels if has_frames else image.pixels[None]
    index = index_of(path, "frame", frame, len(frames))
    return noted(
        image,
        f"took frame {frame} of {len(frames)}",
        pixels=frames[index],
        axes=image.axes.lstrip("TZ"),
        spacing=image.spacing and image.spacing[-2:],
        header=None,
    )


def slices_of_frames(
    image: MedicalImage, frame_groups: Iterable[Dataset], shared_groups: Iterable[Dataset]
) -> list[Slice] | None:
    """Return each frame of an enhanced file with its position; None if a frame has no position."""
    shared = group_contents(shared_groups)
    slices = []
    for group, pixels in zip(frame_groups, image.pixels):
        datasets = group_contents([group]) + shared
        spacing = first_given(datasets, "PixelSpacing")
        frame = replace(
            image,
            pixels=pixels,
            axes=image.axes[1:],
            spacing=tuple(map(float, spacing)) if spacing else None,
        )
        member = slice_of(datasets, "EffectiveEchoTime", frame)
        if member is None:
            return None
        slices.append(member)
    return slices


def slice_of(datasets: list[Dataset], echo_element: str, image: MedicalImage) -> Slice | None:
    """Return the image with its position in the body; None if the data sets do not contain it."""
    position = first_given(datasets, "ImagePositionPatient")
    orientation = first_given(datasets, "ImageOrientationPatient")
    if not position or not orientation:
        return None
    return Slice(
        position=tuple(map(float, position)),
        orientation=tuple(map(float, orientation)),
        echo=str(first_given(datasets, echo_element) or ""),
        image=image,
    )


def group_contents(groups: Iterable[Dataset]) -> list[Dataset]:
    """List the data sets inside functional groups (those of one frame, or the shared ones)."""
    return [
        element.value[0]
        for group in groups
        for element in group
        if element.VR == "SQ" and element.value
    ]


def first_given(datasets: list[Dataset], *names: str) -> Any:
    """Return the value of the first of ``names`` that is in any of the data sets, else None."""
    for name in names:
        for dataset in datasets:
            value = dataset.get(name)
            if value:
                return value
    return None


def image_of(data: Dataset, path: Path) -> MedicalImage:
    """Read pixels, axes, spacing and notes of a data set, its frames in the file's order."""
    refuse_without_pixels(data, path)
    notes: list[str] = []
    pixels = decoded(data, path)

    is_colour = samples_of(data) == 3
    if is_colour and photometric_of(data).startswith("YBR"):
        # pydicom converts it when it decodes the pixels.
        notes.append("converted from YBR to RGB")
    if photometric_of(data) == "PALETTE COLOR":
        pixels = with_palette(pixels, data)
        is_colour = True
        notes.append("expanded the colour palette")
    if stores_white_as_lowest(data):
        pixels = inverted(pixels, data)
        notes.append("inverted: the file stores white as the lowest value")

    datasets = [data, *group_contents(data.get("SharedFunctionalGroupsSequence") or ())]
    slope = float(first_given(datasets, "RescaleSlope") or 1)
    intercept = float(first_given(datasets, "RescaleIntercept") or 0)
    if slope != 1 or intercept != 0:
        pixels = pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        notes.append(f"values scaled by {slope:g} and shifted by {intercept:g}, as the file says")

    has_depth = frames_of(data) > 1 and not is_movie(data)
    axes = "YX"
    if has_depth:
        axes = "ZYX"
    elif frames_of(data) > 1:
        axes = "TYX"
    if is_colour:
        axes += "C"
    return MedicalImage(
        pixels=pixels,
        axes=axes,
        spacing=spacing_of(datasets, has_depth=has_depth),
        header={0: path},
        path=path,
        notes=tuple(notes),
        modality=str(data.get("Modality", "")),
        description=str(data.get("SeriesDescription", "")),
    )


def frames_of(data: Dataset) -> int:
    """Read how many frames the file says it holds."""
    return int(data.get("NumberOfFrames") or 1)


def samples_of(data: Dataset) -> int:
    """Read how many values a pixel has."""
    return int(data.get("SamplesPerPixel", 1))


def photometric_of(data: Dataset) -> str:
    """Read the photometric interpretation; '' if there is none."""
    return str(data.get("PhotometricInterpretation", ""))


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


def decoded(data: Dataset, path: Path) -> np.ndarray:
    """Decompress the stored values with pydicom; raise ImageError if it lacks a plug-in."""
    try:
        return data.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        lacks_decoder = "plugin" in str(error) or "package" in str(error)
        if not lacks_decoder:
            raise
        compression = data.file_meta.TransferSyntaxUID.name
        raise ImageError(
            f"{path}: its compression ({compression}) needs more packages: pip install {DECODERS}"
        ) from error


def with_palette(pixels: np.ndarray, data: Dataset) -> np.ndarray:
    """Replace the stored indices by the palette's colours, (..., 3), without alpha."""
    from pydicom.pixels import apply_color_lut

    return apply_color_lut(pixels, data)[..., :3]


def stores_white_as_lowest(data: Dataset) -> bool:
    """Return whether low values are to be displayed bright."""
    photometric = photometric_of(data)
    if photometric == "MONOCHROME1":
        return True
    is_inverse = str(data.get("PresentationLUTShape", "")) == "INVERSE"
    return photometric == "MONOCHROME2" and is_inverse


def inverted(pixels: np.ndarray, data: Dataset) -> np.ndarray:
    """Map each value to lowest + highest - value.

    Lowest and highest are those that the file's bits can store, not those of this image: so all
    slices of a series are inverted in the same way.
    """
    is_signed = bool(data.PixelRepresentation)
    lowest_plus_highest = -1 if is_signed else 2**data.BitsStored - 1
    return pixels.dtype.type(lowest_plus_highest) - pixels


def spacing_of(datasets: list[Dataset], *, has_depth: bool) -> tuple[float, ...] | None:
    """Read the spacing along (Z,) Y and X in mm; None if one of the numbers is unknown."""
    within_slice = first_given(datasets, "PixelSpacing", "ImagerPixelSpacing")
    if not within_slice:
        return None
    spacing = tuple(map(float, within_slice))
    if not has_depth:
        return spacing
    depth = first_given(datasets, "SpacingBetweenSlices", "SliceThickness")
    if not depth:
        return None
    return (float(depth), *spacing)
