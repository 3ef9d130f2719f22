"""Read one series of a folder of DICOM files as an image or volume."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from .dicom import (
    DicomImage,
    header_of,
    image_in,
    image_of,
    names_of_series,
    slices_of,
    unplaced,
)
from .dicom_choice import (
    Condition,
    attribute_of,
    component_of_datasets,
    conditions_in,
    name_and_echo,
    of_conditions,
    refuse,
)
from .dicom_geometry import PARALLEL_DECIMALS, PLACE_DECIMALS, Slice, assemble, even_indices
from .dicom_tags import first_text, photometric_of, samples_of, values_in
from .image import MedicalImage, noted
from .options import ReadOptions

if TYPE_CHECKING:
    from pydicom import Dataset

# The attributes by which files are grouped, so that not more of each header is read.
GROUPING_TAGS = [
    "SOPClassUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PerFrameFunctionalGroupsSequence",
]

# The attributes in which slices of one volume agree, besides their orientation.
IDENTITY_TAGS = (
    "SeriesNumber",
    "Modality",
    "SeriesDescription",
    "Rows",
    "Columns",
    "PixelSpacing",
)

# How the UIDs of all classes of secondary captures begin: screenshots, scanned documents.
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

# Modalities of what was made from images: segmentations, dose maps, presentations, documents.
DERIVED_MODALITIES = ("SEG", "RTDOSE", "PR", "SR", "DOC")

# Values of ImageType of pictures of a screen and of tables of doses.
CAPTURE_TYPES = ("SCREEN SAVE", "SCREENSHOT", "SCREEN SHOT", "CAPTURED", "DOSE_INFO", "DOSE INFO")

# The attributes by which images without positions, such as two views of a chest, are chosen.
TELLING_IMAGES_APART = ("ViewPosition", "ImageLaterality", "ImageType", "InstanceNumber")

# How many names of files a note lists at most.
LISTED_NAMES = 3

# A few images that were made from others are no slices among so many times as many primary images.
MANY_PRIMARY = 2

# Series of fewer slices are not joined, because two slices are evenly spaced anywhere.
FEWEST_JOINED = 3


@dataclass(frozen=True, eq=False)
class Series:
    """Files of a folder that belong to the same DICOM series."""

    # One UID, or several if a series is stored with another one in each slice.
    uids: tuple[str, ...]

    # Data sets without their pixels, each with the name of its file.
    headers: list[Dataset]

    @property
    def uid(self) -> str:
        """The first UID, by which a user may choose the series."""
        return self.uids[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a user may choose it: UIDs, number and description."""
        _, number, description = names_of_series(self.headers[0])
        return (*self.uids, number, description)

    @property
    def is_scout(self) -> bool:
        """Whether it only belongs to others: a slice, a localizer, screenshots, a segmentation."""
        if first_text(self.headers[:1], "Modality") in DERIVED_MODALITIES:
            return True
        image_type = values_in(self.headers[0].get("ImageType"))
        has_frames = "PerFrameFunctionalGroupsSequence" in self.headers[0]
        is_single = len(self.headers) == 1 and not has_frames
        are_captures = all(is_capture(one) and lacks_position(one) for one in self.headers)
        return is_single or "LOCALIZER" in image_type or are_captures

    @property
    def component(self) -> str:
        """Which part of a complex MR image its first image is, such as 'phase'; '' if unknown."""
        return component_of_datasets(self.headers[:1])

    @property
    def is_volume(self) -> bool:
        """Whether several of its files lie in space, so that it is read as one image."""
        return sum(map(has_position, self.headers)) > 1

    def __str__(self) -> str:
        first = self.headers[0]
        size = f"{first.Rows} × {first.Columns}"
        modality_and_description = [
            first_text([first], name) for name in ("Modality", "SeriesDescription")
        ]
        words = " ".join(modality_and_description).strip()
        if self.component not in ("", "magnitude"):
            words = f"{words}, {self.component}".lstrip(", ")
        about = f"{words}, {size}" if words else size
        return f"{self.uid} ({about}, {counted(len(self.headers), 'slice')})"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, such as '1 slice' or '2 slices'."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {noun}s"


def read_dicom_folder(folder: Path, options: ReadOptions) -> MedicalImage:
    """Read one series of a folder and its subfolders; notes list what was left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    headers = headers_of_images(files)
    if not headers:
        raise ImageError(
            f"{folder}: a folder, but not of a DICOM series. Give one file, or try segment_folder."
        )
    all_series = grouped(headers)
    chosen = choose_series(folder, all_series, options.series)

    notes = []
    other_files = len(files) - len(headers)
    if other_files:
        notes.append(f"left out {counted(other_files, 'other file')} of the folder")
    notes += [f"left out the series {series}" for series in all_series if series is not chosen]
    if len(chosen.uids) > 1:
        notes.append(
            f"joined {len(chosen.uids)} series of different UIDs: their slices make up one volume"
        )

    image = image_of_series(folder, chosen, options)
    return noted(image, *notes)


def headers_of_images(files: list[Path]) -> list[Dataset]:
    """Read the headers of the files that are DICOM and contain an image."""
    headers = []
    for file in files:
        header = header_of(file)
        if header is not None and header.get("Rows"):
            headers.append(header)
    return headers


def grouped(headers: list[Dataset]) -> list[Series]:
    """Group files by series, sorted by the first file of each series."""
    by_uid: dict[str, list[Dataset]] = defaultdict(list)
    for header in headers:
        by_uid[first_text([header], "SeriesInstanceUID")].append(header)

    by_identity: dict[Any, list[Series]] = defaultdict(list)
    for uid, members in by_uid.items():
        by_identity[identity_of(members[0]) or uid].append(Series((uid,), members))

    all_series = []
    for parts in by_identity.values():
        all_series += [joined(parts)] if are_one_volume(parts) else parts
    order = {header.filename: index for index, header in enumerate(headers)}
    return sorted(all_series, key=lambda series: order[series.headers[0].filename])


def identity_of(header: Dataset) -> tuple[Any, ...] | None:
    """Return what slices of one volume have in common, whatever their UIDs; None if unknown."""
    orientation = header.get("ImageOrientationPatient")
    if not has_position(header) or not orientation:
        return None
    texts = [first_text([header], name) for name in IDENTITY_TAGS]
    rounded = np.round(np.array(orientation, float), PARALLEL_DECIMALS) + 0.0
    return (*texts, *rounded)


def has_position(header: Dataset) -> bool:
    """Return whether an image, or the first frame of an enhanced file, says where it lies."""
    return bool(header.get("ImagePositionPatient"))


def are_one_volume(parts: Sequence[Series]) -> bool:
    """Return whether series of one identity are slices of one volume: evenly spaced together.

    Single slices may be those of several acquisitions, in the same places; and their studies may
    have lost their UIDs, too. Series of several slices must have one number, study and no common
    places.
    """
    headers = [header for part in parts for header in part.headers]
    if len(parts) == 1 or not all(map(has_position, headers)):
        return False
    orientation = np.array(headers[0].ImageOrientationPatient, float)
    normal = np.cross(orientation[:3], orientation[3:])
    depths = [float(normal @ np.array(one.ImagePositionPatient, float)) for one in headers]
    different = np.unique(np.round(depths, PLACE_DECIMALS))
    if len(different) < FEWEST_JOINED or even_indices(different) is None:
        return False

    studies = {first_text([header], "StudyInstanceUID") for header in headers}
    if len(headers) == len(parts):
        return len(studies) in (1, len(headers))
    has_number = first_text([headers[0]], "SeriesNumber") != ""
    return has_number and len(studies) == 1 and len(different) == len(depths)


def joined(parts: Sequence[Series]) -> Series:
    """Return one series with the files of all parts."""
    uids = tuple(part.uid for part in parts)
    return Series(uids, [header for part in parts for header in part.headers])


def choose_series(folder: Path, all_series: list[Series], wanted: str | int | None) -> Series:
    """Choose a series by UID, number or description; if None, the only one that shows the body.

    Scouts, and the phase beside the magnitude, are left out.
    """
    name, _ = name_and_echo(wanted)
    named = [series for series in all_series if not name or name in series.names]
    candidates = named
    if len(named) > 1:
        candidates = [series for series in named if not series.is_scout] or named
    if len(candidates) > 1:
        candidates = of_magnitude(candidates)

    if len(candidates) != 1:
        listed = "; ".join(map(str, all_series))
        raise ImageError(
            f"{folder}: holds {len(all_series)} series, choose one with series='...': {listed}"
        )
    return candidates[0]


def of_magnitude(candidates: list[Series]) -> list[Series]:
    """Leave out series of the phase, real and imaginary images beside those of the magnitude."""
    usual = [series for series in candidates if series.component in ("", "magnitude")]
    return usual or candidates


def image_of_series(folder: Path, series: Series, options: ReadOptions) -> MedicalImage:
    """Read a series: its only image, or its slices as a volume."""
    conditions = conditions_in(options.select, options.series, folder)
    headers = without_captures(series.headers)
    images = [read_member(Path(header.filename)) for header in headers]

    if len(images) == 1:
        image = image_in(images[0], conditions, folder)
    else:
        image = image_of_several(images, conditions, folder)
    return noted(image, *note_on_captures(series.headers, headers), path=folder)


def image_of_several(
    images: list[DicomImage], conditions: Sequence[Condition], folder: Path
) -> MedicalImage:
    """Assemble images to a volume, or return the one without a position that is chosen."""
    slices: list[Slice] = []
    for dicom in images:
        placed = slices_of(dicom)
        if placed is None:
            return image_without_position(images, conditions, folder)
        slices += placed
    return assemble(slices, folder, conditions)


def image_without_position(
    images: list[DicomImage], conditions: Sequence[Condition], folder: Path
) -> MedicalImage:
    """Return the only image that fits the conditions; ImageError with a list if there are more."""
    slices = [unplaced(dicom) for dicom in images]
    chosen = of_conditions(slices, conditions, folder)
    if len(chosen) == 1:
        return images[slices.index(chosen[0])].finished()

    problem = "its slices do not say where they lie"
    for name in TELLING_IMAGES_APART:
        if len({attribute_of(member, name) for member in chosen}) == len(chosen):
            refuse(folder, name, chosen, problem)
    raise ImageError(f"{folder}: {problem}. Read them one by one.")


def read_member(path: Path) -> DicomImage:
    """Read one file of a series; an ImageError names the file."""
    import pydicom

    try:
        return image_of(pydicom.dcmread(path, force=True), path)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        raise ImageError(
            f"{path}: damaged or unusual, cannot be read ({type(error).__name__}: {error}). "
            "Copy it again, or move it out of the series."
        ) from error


def without_captures(headers: list[Dataset]) -> list[Dataset]:
    """Leave out screenshots, reports and other pictures among the images of a series.

    They are known by their class or type, or because others lie in space, are grey, are primary
    images, or have the size of these while they do not.
    """
    kept = headers
    for is_odd in (is_capture, lacks_position, is_colour):
        usual = [header for header in kept if not is_odd(header)]
        kept = usual or kept

    primary = [header for header in kept if not is_secondary(header)]
    if len(primary) > MANY_PRIMARY * (len(kept) - len(primary)):
        kept = primary
    sizes = Counter((header.Rows, header.Columns) for header in kept)
    usual_size, _ = sizes.most_common(1)[0]
    of_other_size = [header for header in kept if (header.Rows, header.Columns) != usual_size]
    if all(map(is_secondary, of_other_size)):
        kept = [header for header in kept if (header.Rows, header.Columns) == usual_size]
    return kept


def note_on_captures(headers: list[Dataset], kept: list[Dataset]) -> list[str]:
    """Say which files of a series were left out; an empty list if none were."""
    kept_names = {header.filename for header in kept}
    names = [Path(one.filename).name for one in headers if one.filename not in kept_names]
    if not names:
        return []
    listed = ", ".join(names[:LISTED_NAMES])
    more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    return [
        f"left out {counted(len(names), 'image')} of the series that "
        f"{'is' if len(names) == 1 else 'are'} no slice (a screenshot, a report?): {listed}{more}"
    ]


def is_capture(header: Dataset) -> bool:
    """Return whether an image is a screenshot, a scanned page or a table of doses."""
    is_of_class = first_text([header], "SOPClassUID").startswith(SECONDARY_CAPTURE)
    types = [value.upper() for value in values_in(header.get("ImageType"))]
    return is_of_class or any(name in types for name in CAPTURE_TYPES)


def lacks_position(header: Dataset) -> bool:
    """Return whether an image does not say where it lies; enhanced files say it frame by frame."""
    return not has_position(header) and "PerFrameFunctionalGroupsSequence" not in header


def is_colour(header: Dataset) -> bool:
    """Return whether an image is in colour."""
    return samples_of(header) > 1 or photometric_of(header) == "PALETTE COLOR"


def is_secondary(header: Dataset) -> bool:
    """Return whether an image was made from others after the examination."""
    return "SECONDARY" in values_in(header.get("ImageType"))
