"""Options that choose one of several images in a file."""

from dataclasses import dataclass, fields
from pathlib import Path

from ..errors import ImageError


@dataclass(frozen=True)
class ReadOptions:
    """Which of several images in a file to read; with None the reader chooses."""

    # Index, or the name in the file; for colours "red", "green" or "blue".
    channel: int | str | None = None

    # Index of a point in time, or of a frame of a GIF or DICOM file.
    frame: int | None = None

    # Index of a page of a TIFF or of a frame of a GIF.
    page: int | None = None

    # Index of a resolution of an image pyramid; 0 is the finest.
    level: int | None = None

    # Index of a volume of a 4D file.
    volume: int | None = None

    # UID, number or description of a DICOM series; 'echo TIME' picks one of its echoes.
    series: str | int | None = None

    # A DICOM attribute and its value, such as 'AcquisitionNumber=2'; several after commas.
    select: str | None = None

    def given(self) -> list[str]:
        """List the options that are not None, sorted."""
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return sorted(names)


def index_of(path: Path, what: str, index: int | None, count: int) -> int:
    """Check and return the index of a frame, page, volume or level; 0 if it is None.

    ``what`` names it in the ImageError.
    """
    if index is None:
        index = 0
    if not 0 <= index < count:
        raise ImageError(f"{path}: has {what}s 0 to {count - 1}, there is no {what} {index}.")
    return index
