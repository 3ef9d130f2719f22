"""Options that choose one of several images in a file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ..errors import ImageError
from ..number_types import is_whole_number

# The most names of images, wells or channels that a note or an error lists.
MOST_NAMES = 20

# Options that are whole numbers, and options that are text; others may be either.
NUMBERS = ("frame", "page", "level", "volume")
TEXTS = ("select", "axes")


@dataclass(frozen=True)
class ReadOptions:
    """Which of several images in a file to read; with None the reader chooses."""

    # Index, or the name in the file; for colours "red", "green" or "blue".
    channel: int | str | None = None

    # Index of a point in time, or of a frame of a GIF or DICOM file.
    frame: int | None = None

    # Index of a page of a TIFF, of a slice of a stack, or of a frame of a GIF.
    page: int | None = None

    # Index of a resolution of an image pyramid; 0 is the finest.
    level: int | None = None

    # Index of a volume of a 4D file.
    volume: int | None = None

    # UID, number or description of a DICOM series; 'echo TIME' picks one of its echoes. Index or
    # name of an image (scene, position, well) of a TIFF or Zarr store.
    series: str | int | None = None

    # A DICOM attribute and its value, such as 'AcquisitionNumber=2'; several after commas.
    select: str | None = None

    # Letters of the axes of an array: 'YXC', 'CYX', 'TZYX', ...
    axes: str | None = None

    def __post_init__(self) -> None:
        """Raise ImageError for an option of another type."""
        for name in self.given():
            value = getattr(self, name)
            if is_whole_number(value) and name not in TEXTS:
                continue
            if isinstance(value, str) and name not in NUMBERS:
                continue
            kind = "a whole number or text"
            if name in NUMBERS:
                kind = "a whole number, from 0"
            elif name in TEXTS:
                kind = "text"
            raise ImageError(f"{name}={value!r}: give {kind}.")

    def given(self) -> list[str]:
        """List the options that are not None, sorted."""
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return sorted(names)


def refuse_unknown(options: ReadOptions, known: Collection[str], name: str | Path) -> None:
    """Raise ImageError for options that are not among the ``known`` ones of this kind of file."""
    unknown = [option for option in options.given() if option not in known]
    if not unknown:
        return
    words = " or ".join(unknown)
    offered = f"only {', '.join(known)}" if known else "it holds one image"
    raise ImageError(f"{name}: there is no {words} to choose in it; {offered}.")


def index_of(path: str | Path, what: str, index: int | None, count: int) -> int:
    """Check and return the index of a frame, page, volume or level; 0 if it is None.

    ``what`` names it in the ImageError.
    """
    if index is None:
        index = 0
    if not 0 <= index < count:
        raise ImageError(f"{path}: has {what}s 0 to {count - 1}, there is no {what} {index}.")
    return index


def index_of_series(path: Path, wanted: str | int, names: Sequence[str]) -> int:
    """Find an image by its index, its name, or the beginning of its name, if only one begins so.

    ``names`` are those of all images of the file, '' if one has none. A name that is equal counts
    before an index, because wells and positions may be numbers.
    """
    text = str(wanted).strip().lower()
    lowered = [name.lower() for name in names]
    if text in lowered:
        return lowered.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    beginning = [index for index, name in enumerate(lowered) if text and name.startswith(text)]
    if len(beginning) == 1:
        return beginning[0]

    listed = listing(titles(names))
    raise ImageError(f"{path}: has no image {wanted!r} to choose with series=; it has {listed}.")


def titles(names: Sequence[str]) -> list[str]:
    """Return a title for each of several images or channels: '0 (DAPI)', or '0' without a name."""
    return [f"{index} ({name})" if name else str(index) for index, name in enumerate(names)]


def listing(words: Sequence[str]) -> str:
    """Join words with commas; of very many, only the first."""
    if len(words) <= MOST_NAMES:
        return ", ".join(words)
    return f"{', '.join(words[:MOST_NAMES])}, ... ({len(words)} in all)"
