"""Which images a source holds, and where the result of each belongs."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import Any

from ..download import fetch
from ..errors import ImageError
from ..images.dicom import header_of
from ..images.image import MedicalImage, name_of
from ..results.segmentation import Segmentation
from .segment import segment


@dataclass(frozen=True, eq=False)
class Source:
    """One image and how it was found."""

    image: Any  # a path, an array or a MedicalImage
    base: Path | None = (
        None  # the folder that was searched, whose folders results mirror; None if asked for by name
    )
    options: dict = field(
        default_factory=dict
    )  # the series, where ``image`` is a folder of DICOM slices
    result: Path = Path()  # the manifest of its result

    def segmented(self, model, **options) -> Segmentation:
        return segment(self.image, model, **options | self.options)


def find_images(source, whole: bool = False, skip: Path = Path()) -> list[Source]:
    """All files of a folder and its folders, a DICOM series as one; those that fit a pattern; the items of a list; a
    file, web address, array or image as it is. ``whole`` folders are left to the reader, files below ``skip`` not seen.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        source = fetch(source)
    if not isinstance(source, str | os.PathLike):
        if (
            isinstance(source, Iterable)
            and not hasattr(source, "shape")
            and not isinstance(source, MedicalImage)
        ):
            return [item for part in source for item in find_images(part, whole, skip)]
        return [Source(source)]
    if not str(source).strip():  # pathlib would take it for the current folder
        raise ImageError(
            "No image given: the path is empty. Write the path of a file or of a folder."
        )
    path = Path(os.path.abspath(Path(source).expanduser()))
    if path.is_dir() and not whole:
        return in_folder(path, skip)
    plain = next((i for i, part in enumerate(path.parts) if set(part) & set("*?[")), 0)
    if path.exists() or not plain:  # where it is missing, the reader says so
        return [Source(path)]
    found = [
        item
        for fits in sorted(glob(str(path), recursive=True))
        for item in find_images(fits, whole, skip)
    ]
    if not found:
        raise ImageError(f"{path}: no file fits this pattern.")
    return [replace(item, base=Path(*path.parts[:plain])) for item in found]


def in_folder(folder: Path, skip: Path) -> list[Source]:
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        skipped = folder in skip.parents and skip in path.parents
        of_pair = path.suffix.lower() == ".hdr" and path.with_suffix(".img").exists()
        if path.is_file() and not (hidden or skipped or of_pair):
            groups[series_of(path) or str(path)].append(path)
    found = [Source(paths[0], folder) for paths in groups.values() if len(paths) == 1]
    series = {
        uid: os.path.commonpath([p.parent for p in paths])
        for uid, paths in groups.items()
        if len(paths) > 1
    }
    return found + [
        Source(Path(together), folder, {"series": uid}) for uid, together in series.items()
    ]


def series_of(path: Path) -> str:
    """The SeriesInstanceUID of a DICOM slice that says where it lies, else ''."""
    try:
        data = header_of(path, ["SeriesInstanceUID", "ImagePositionPatient"])
        return str(data.SeriesInstanceUID) if data.ImagePositionPatient else ""
    except Exception:  # not DICOM; or not there, damaged, or no pydicom: the reader will say so
        return ""


def place(sources: list[Source], out: Path, card: str) -> list[Source]:
    """Each once, its ``result`` in ``out`` and sub-folders as in the source; equal names in folders of their own."""
    if unnamed := [item for item in sources if not isinstance(item.image, Path)]:
        raise ImageError(
            f"{type(unnamed[0].image).__name__}: only files have names to save under. Use segment_many."
        )
    sources = list({(item.image, *item.options.values()): item for item in sources}.values())
    names = [f"{name_of(item.image)}_{card}.json" for item in sources]
    inside = [
        s.image.parent.relative_to(s.base) if s.base not in (None, s.image) else Path()
        for s in sources
    ]
    count = Counter(str(folder / name).casefold() for folder, name in zip(inside, names))
    for i, (item, name) in enumerate(zip(sources, names)):
        if (
            count[str(inside[i] / name).casefold()] > 1
        ):  # A1/dapi.tif and A2/dapi.tif, a.jpg and a.png, two series
            common = os.path.commonpath([other.image.parent for other in sources])
            inside[i] = item.image.relative_to(common) / item.options.get("series", "")
    return [
        replace(item, result=out / folder / name)
        for item, folder, name in zip(sources, inside, names)
    ]
