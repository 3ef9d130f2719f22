"""Read one series of a folder of DICOM files as an image or volume."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ImageError
from .dicom import header_of, image_of, slice_of
from .dicom_geometry import assemble
from .image import MedicalImage, noted
from .options import ReadOptions

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, eq=False)
class Series:
    """Files of a folder that belong to the same DICOM series."""

    uid: str

    # Data sets without their pixels, each with the name of its file.
    headers: list[Dataset]

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a user may choose it: UID, number and description."""
        first = self.headers[0]
        number = str(first.get("SeriesNumber"))
        description = str(first.get("SeriesDescription", ""))
        return self.uid, number, description

    @property
    def is_scout(self) -> bool:
        """Whether it was only made to plan the others: a single slice or a localizer."""
        image_type = self.headers[0].get("ImageType") or ()
        return len(self.headers) == 1 or "LOCALIZER" in image_type

    def __str__(self) -> str:
        first = self.headers[0]
        size = f"{first.Rows} × {first.Columns}"
        modality_and_description = [
            str(first.get(name, "")) for name in ("Modality", "SeriesDescription")
        ]
        words = " ".join(modality_and_description).strip()
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

    image = image_of_series(folder, chosen, options.series)
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
        by_uid[str(header.get("SeriesInstanceUID", ""))].append(header)
    return [Series(uid, members) for uid, members in by_uid.items()]


def choose_series(folder: Path, all_series: list[Series], wanted: str | int | None) -> Series:
    """Choose a series by UID, number or description; if None, the only one that is no scout."""
    asks_only_for_echo = str(wanted).startswith("echo ")
    if wanted is None:
        candidates = [series for series in all_series if not series.is_scout]
    else:
        name = str(wanted).split(" echo ")[0].strip()
        candidates = [series for series in all_series if name in series.names]

    if not candidates and (wanted is None or asks_only_for_echo):
        candidates = all_series
    if len(candidates) != 1:
        listed = "; ".join(map(str, all_series))
        raise ImageError(
            f"{folder}: holds {len(all_series)} series, choose one with series='...': {listed}"
        )
    return candidates[0]


def image_of_series(folder: Path, series: Series, wanted: str | int | None) -> MedicalImage:
    """Read a series: its only image, or its slices as a volume."""
    import pydicom

    paths = [Path(header.filename) for header in series.headers]
    images = [image_of(pydicom.dcmread(path, force=True), path) for path in paths]
    if len(images) == 1:
        return images[0]

    slices = []
    for header, image in zip(series.headers, images):
        member = slice_of([header], "EchoTime", image)
        if member is None:
            raise ImageError(
                f"{folder}: its slices do not say where they lie. Read them one by one."
            )
        slices.append(member)
    return noted(assemble(slices, folder, wanted), path=folder)
