"""Lists the images of a source, and the path of the result of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from glob import glob
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..download import fetch
from ..errors import ImageError
from ..images.dicom import header_of
from ..images.dicom_series import GROUPING_TAGS, grouped
from ..images.image import MedicalImage, name_of
from ..images.read import expanded, read_image
from ..images.zarr_stores import ZARR_FILES, is_zarr_store
from ..networks.unet import UNet
from ..results.output import result_name
from ..results.segmentation import Segmentation
from .segment import segment

if TYPE_CHECKING:
    from pydicom import Dataset

# Characters that make a path a pattern.
WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, eq=False)
class Source:
    """One image and how it was found."""

    # A path, or another input of ``read_image``.
    image: Any

    # The folder that was searched, whose sub-folders the results mirror; None for an image that was
    # given by its own path.
    base: Path | None = None

    # Options of ``read_image``: the series, if ``image`` is a folder of DICOM slices.
    options: Mapping[str, Any] = field(default_factory=dict)

    # The manifest (JSON) of its result; without the card's name and '.json' if it is not known yet.
    result: Path = Path()

    def segmented(self, model: UNet | None, **options: Any) -> Segmentation:
        """Segment this image; None: with the network that fits it. ``options`` of ``segment``."""
        return segment(self.image, model, **{**options, **self.options})

    def read(self, options: Mapping[str, Any]) -> MedicalImage:
        """Read this image; ``options`` are those of ``segment``."""
        names = signature(read_image).parameters
        reading = {name: value for name, value in options.items() if name in names}
        return read_image(self.image, **{**reading, **self.options})

    def for_card(self, card: str) -> Source:
        """Return the source with the path of the result of a card, which was not known before."""
        name = f"{result_name(self.result.name, card)}.json"
        return replace(self, result=self.result.with_name(name))


def find_images(source: Any, whole_folders: bool = False, skip: Path = Path()) -> list[Source]:
    """List the images of a source.

    - A folder: all files in it and in its sub-folders; a DICOM series is one image.
    - A pattern: all files that match it.
    - A list: the images of each item.
    - A file, web address, array or image: itself.

    Files inside the folder ``skip`` are left out. With ``whole_folders`` a folder is one image, in
    which the reader picks a series.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        source = fetch(source)
    if isinstance(source, str | os.PathLike):
        return images_at(os.fspath(source), whole_folders, skip)
    if is_list(source):
        return [image for item in source for image in find_images(item, whole_folders, skip)]
    return [Source(source)]


def is_list(source: Any) -> bool:
    """Return whether this is a list of sources, not an array or image."""
    is_image = isinstance(source, MedicalImage) or hasattr(source, "shape")
    return isinstance(source, Iterable) and not is_image


def images_at(text: str, whole_folders: bool, skip: Path) -> list[Source]:
    """List the images of a folder, a pattern or a file."""
    path = Path(os.path.abspath(expanded(text)))
    if path.is_dir() and not whole_folders and not is_zarr_store(path):
        return images_in_folder(path, skip)

    parts_with_wildcards = [i for i, part in enumerate(path.parts) if WILDCARDS & set(part)]
    if path.exists() or not parts_with_wildcards:
        return [Source(path)]  # if it does not exist, the reader raises the error

    base = Path(*path.parts[: parts_with_wildcards[0]])
    matches = sorted(glob(str(path), recursive=True))
    images = [image for match in matches for image in find_images(match, whole_folders, skip)]
    if not images:
        raise ImageError(f"{path}: no file fits this pattern.")
    return [replace(image, base=base) for image in images]


def images_in_folder(folder: Path, skip: Path) -> list[Source]:
    """List the images of a folder and its sub-folders, files first and then DICOM series.

    Files of a series that has slices, such as screenshots, are not listed on their own.
    """
    stores = outermost_stores(folder)
    files = list(stores)
    headers = []
    for path in sorted(folder.rglob("*")):
        in_store = any(store in path.parents for store in stores)
        if not in_store and is_image_candidate(path, folder, skip):
            header = grouping_header(path)
            if header is None:
                files.append(path)
            else:
                headers.append(header)

    volumes = []
    for series in grouped(headers):
        paths = [Path(header.filename) for header in series.headers]
        if series.is_volume:
            together = os.path.commonpath([path.parent for path in paths])
            volumes.append(Source(Path(together), folder, {"series": series.uid}))
        else:
            files += paths
    return [*(Source(path, folder) for path in sorted(files)), *volumes]


def outermost_stores(folder: Path) -> list[Path]:
    """List the Zarr stores in a folder and its sub-folders, without those inside another one."""
    found: list[Path] = []
    for name in ZARR_FILES:
        for path in sorted(folder.rglob(name), key=lambda path: len(path.parts)):
            store = path.parent
            if store != folder and not any(other in (store, *store.parents) for other in found):
                found.append(store)
    return sorted(found)


def is_image_candidate(path: Path, folder: Path, skip: Path) -> bool:
    """Return whether a path in a folder is a file that may be an image of its own."""
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    if is_hidden or not path.is_file():
        return False

    # Skip the results of an earlier call inside the folder.
    if folder in skip.parents and skip in path.parents:
        return False

    # If a header has an image of the same name, only the image is listed.
    return not (path.suffix.lower() == ".hdr" and path.with_suffix(".img").exists())


def grouping_header(path: Path) -> Dataset | None:
    """Read what groups DICOM images by series; None for other and for incomplete files."""
    try:
        header = header_of(path, GROUPING_TAGS)
        if header is not None and header.SeriesInstanceUID and header.Rows:
            return header
    except Exception:  # missing, damaged or incomplete file, or no pydicom: the reader reports it
        return None
    return None


def assign_result_paths(sources: list[Source], out: Path, card: str | None) -> list[Source]:
    """Return the sources, without repeats, each with the path of its result in ``out``.

    Without a card, paths are still to be completed by ``Source.for_card``.

    Sub-folders are those of the source. Images whose results would have the same name, such as
    A1/dapi.tif and A2/dapi.tif, a.jpg and a.png, or two series of a folder, get folders of their
    own.
    """
    for source in sources:
        if not isinstance(source.image, Path):
            kind = type(source.image).__name__
            raise ImageError(f"{kind}: only files have names to save under. Use segment_many.")

    sources = without_repeats(sources)
    results = [folder_in_base(source) / name_of(source.image) for source in sources]

    # Some file systems ignore the case of letters.
    count = Counter(str(result).casefold() for result in results)
    placed = []
    for source, result in zip(sources, results, strict=True):
        if count[str(result).casefold()] > 1:
            parents = [other.image.parent for other in sources]
            own_folder = source.image.relative_to(os.path.commonpath(parents))
            result = own_folder / source.options.get("series", "") / result.name
        placed.append(replace(source, result=out / result))
    if card is None:
        return placed
    return [source.for_card(card) for source in placed]


def without_repeats(sources: list[Source]) -> list[Source]:
    """Keep each image or series once."""
    by_identity = {(source.image, *source.options.values()): source for source in sources}
    return list(by_identity.values())


def folder_in_base(source: Source) -> Path:
    """Return the image's folder, relative to the folder that was searched."""
    if source.base is None or source.base == source.image:
        return Path()
    return source.image.parent.relative_to(source.base)
