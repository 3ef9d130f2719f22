"""Which of the images in a file is meant."""

from dataclasses import dataclass, fields
from pathlib import Path

from ..errors import ImageError


@dataclass(frozen=True)
class ReadOptions:
    """What to take of a file that holds several images; None leaves the choice to the reader."""

    # Index, or the name the file gives it; of colours "red", "green" or "blue".
    channel: int | str | None = None

    # Index of a point in time.
    frame: int | None = None

    # Index of a page of a TIFF or of a frame of a GIF.
    page: int | None = None

    # Index of a resolution of a pyramid; 0 is the finest.
    level: int | None = None

    # Index of a volume of a 4D file.
    volume: int | None = None

    # UID, number or description of a DICOM series; 'echo TIME' picks one of its echoes.
    series: str | int | None = None

    def given(self) -> list[str]:
        """List the options that are not None, sorted."""
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return sorted(names)


def index_of(path: Path, what: str, index: int | None, count: int) -> int:
    """Check the index of a frame, page, volume or level that was asked for; 0 where none was."""
    if index is None:
        index = 0
    if not 0 <= index < count:
        raise ImageError(f"{path}: has {what}s 0 to {count - 1}, there is no {what} {index}.")
    return index
