"""Read Zarr stores: OME-Zarr images, collections of bioformats2raw, plates, and plain arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from .axes import COLOUR_SAMPLES, StoredPixels, arrange
from .image import MedicalImage, Position, downsampling
from .limits import refuse_if_huge, too_many_values
from .nuclear_stains import Channel
from .options import ReadOptions, index_of, index_of_series, listing
from .tiff_metadata import millimetres

if TYPE_CHECKING:
    import zarr

# A folder with one of these files is a Zarr store.
ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")

# The oldest version of OME-NGFF whose scales are read. A store without a version counts as this.
OLDEST_NGFF = "0.4"

# The axes of OME-NGFF 0.1 and 0.2, which do not name them.
FIRST_AXES = "TCZYX"

# Letters for names and types of axes, in lower case.
AXIS_LETTERS = {
    "t": "T",
    "time": "T",
    "c": "C",
    "channel": "C",
    "ch": "C",
    "z": "Z",
    "y": "Y",
    "x": "X",
    "s": "S",
}

# The letter of an axis whose meaning is unknown, and of one whose name is another.
UNKNOWN_AXIS = "Q"
OTHER_AXIS = "H"

# Colours in which the channels of a colour picture are displayed, as in the metadata.
RED_GREEN_BLUE = ("FF0000", "00FF00", "0000FF")

# Names of such channels: none, numbers, or those of colours. Others are those of dyes.
NAMES_OF_COLOURS = re.compile(r"|r|g|b|red|green|blue|(channel|ch|c)?[ _:]*\d+(:\d+)?", re.I)

# More images than these are not opened to find the largest: the first is taken.
MAX_COMPARED = 32

# The file in which bioformats2raw keeps the names of its images.
OME_XML = ("OME", "METADATA.ome.xml")


@dataclass(frozen=True, eq=False)
class ZarrImage:
    """One image of a store, with its levels."""

    # The arrays by name, the finest level first.
    levels: Mapping[str, zarr.Array]

    # OME-NGFF's attributes of the image; empty for plain arrays.
    attributes: Mapping[str, Any]

    notes: tuple[str, ...] = ()

    @property
    def multiscale(self) -> Mapping[str, Any]:
        """The description of its levels and axes; empty for plain arrays."""
        descriptions = self.attributes.get("multiscales") or [{}]
        return descriptions[0]


def is_zarr_store(path: Path) -> bool:
    """Return whether a folder is a Zarr store."""
    return any((path / name).exists() for name in ZARR_FILES)


def read_zarr(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'YX', 'ZYX', 'TYX' or 'TZYX' of an image in a store, at the finest level that fits."""
    image = pick_image(path, options)
    arrays = list(image.levels.values())
    if options.level is None:
        fitting = [i for i, array in enumerate(arrays) if not too_many_values(array.shape)]
        options = replace(options, level=fitting[0] if fitting else 0)

    stored = level_of(image, path, options.level)
    refuse_if_huge(path, stored.pixels.shape)
    pixels = np.asarray(stored.pixels[...])
    return arrange(replace(stored, pixels=pixels), options, path)


def pick_image(path: Path, options: ReadOptions) -> ZarrImage:
    """Open a store and find the image that is asked for, else the largest; notes list all."""
    import zarr

    # Members and attributes of a store may be of many types.
    node: Any = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        refuse_series(path, options)
        return ZarrImage({"": node}, {})

    paths = image_paths(node)
    if not paths:
        refuse_series(path, options)
        return image_in(node)

    names = names_of_images(path, node, paths)
    words = "one of"
    if options.series is not None:
        number = index_of_image(path, options.series, paths, names)
    else:
        number, words = largest_image(node, paths)
    image = image_in(node[paths[number]])
    if len(paths) == 1:
        return image
    listed = titles_of_images(paths, names)
    note = (
        f"took image {listed[number]}, {words} {len(paths)} images: {listing(listed)}; "
        "choose another one with series="
    )
    return replace(image, notes=(note,))


def refuse_series(path: Path, options: ReadOptions) -> None:
    """Check that ``series`` is not given, or 0, for a store that holds one image."""
    if options.series is not None:
        index_of_series(path, options.series, [""])


def ome_attributes(node: Any) -> Mapping[str, Any]:
    """Return OME-NGFF's attributes of a group; version 0.5 puts them under the key 'ome'."""
    attributes: dict[str, Any] = dict(node.attrs)
    return attributes.get("ome", attributes)


def image_paths(node: Any) -> list[str]:
    """List the paths of the images below a group; [] if the group itself is an image.

    These are the fields of the wells of a plate ('A/1/0'), those of a well, or the images that
    bioformats2raw puts side by side ('0', '1', ...).
    """
    attributes = ome_attributes(node)
    if "multiscales" in attributes:
        return []
    if "plate" in attributes:
        wells = [well["path"] for well in attributes["plate"]["wells"]]
        fields = attributes["plate"].get("field_count", 1)
        return [field for well in wells for field in fields_of_well(node, well, int(fields))]
    if "well" in attributes:
        return [field["path"] for field in attributes["well"]["images"]]

    series = ome_attributes(node["OME"]).get("series") if "OME" in node else None
    if series:
        return [str(name) for name in series]
    groups = [name for name, group in node.groups() if "multiscales" in ome_attributes(group)]
    return sorted(groups, key=natural)


def fields_of_well(node: Any, well: str, field_count: int) -> list[str]:
    """List the paths of the fields of a well.

    A well is only opened if it may have several fields, because plates may have hundreds of wells.
    """
    if field_count <= 1:
        first_fields = [name for name in ("0",) if f"{well}/{name}" in node]
        if first_fields:
            return [f"{well}/0"]
    if well not in node:
        return []
    attributes = ome_attributes(node[well])
    fields = attributes.get("well", {}).get("images", [])
    return [f"{well}/{field['path']}" for field in fields]


def names_of_images(path: Path, node: Any, paths: list[str]) -> list[str]:
    """Return the name of each image, '' if it has none: of OME's XML, else of its own metadata."""
    file = path.joinpath(*OME_XML)
    if file.is_file():
        names = re.findall(r"<Image\b[^>]*?\bName=\"([^\"]*)\"", file.read_text(errors="replace"))
        if len(names) == len(paths):
            return names
    if len(paths) > MAX_COMPARED:
        return [""] * len(paths)
    descriptions = [ome_attributes(node[name]).get("multiscales") or [{}] for name in paths]
    names = [str(description[0].get("name") or "") for description in descriptions]
    return ["" if name in (image, f"/{image}") else name for name, image in zip(names, paths)]


def titles_of_images(paths: list[str], names: list[str]) -> list[str]:
    """Return a title for each image: 'A/1/0', or '0 (overview)' with a name."""
    return [f"{path} ({name})" if name else path for path, name in zip(paths, names, strict=True)]


def index_of_image(path: Path, wanted: str | int, paths: list[str], names: list[str]) -> int:
    """Find an image by its path, its name, its well (whose first field is taken) or its index."""
    text = str(wanted).strip().strip("/").lower()
    lowered = [image.lower() for image in paths]
    if text in lowered:
        return lowered.index(text)

    # 'A/1' is the well of 'A/1/0', which people also write as A1 or A01.
    wells = [image.rpartition("/")[0] for image in lowered]
    written = [re.sub(r"[/ _-]|(?<=[a-z/])0+(?=\d)", "", well) for well in wells]
    for candidates, sought in (
        (wells, text),
        (written, re.sub(r"[/ _-]|(?<=[a-z/])0+(?=\d)", "", text)),
    ):
        if sought and sought in candidates:
            return candidates.index(sought)
    if any(names):
        return index_of_series(path, wanted, names)
    if text.isdecimal() and int(text) < len(paths):
        return int(text)
    raise ImageError(
        f"{path}: has no image {wanted!r} to choose with series=; it has {listing(paths)}."
    )


def largest_image(node: Any, paths: list[str]) -> tuple[int, str]:
    """Return the index of the largest of a few images, of many the first, and which it is."""
    is_plate = "/" in paths[0]
    if is_plate or len(paths) > MAX_COMPARED:
        return 0, "the first of"
    sizes = []
    for name in paths:
        finest = next(iter(image_in(node[name]).levels.values()))
        sizes.append(math.prod(finest.shape))
    number = sizes.index(max(sizes))
    return number, "the first of" if sizes.count(max(sizes)) > 1 else "the largest of"


def image_in(node: Any) -> ZarrImage:
    """Return the image of a group, whose levels are in the order of its metadata or of names."""
    attributes = ome_attributes(node)
    arrays = dict(sorted(node.arrays(), key=lambda pair: natural(pair[0])))
    image = ZarrImage(arrays, attributes)
    listed = [level["path"] for level in image.multiscale.get("datasets", ())]
    if listed and all(name in node for name in listed):
        return replace(image, levels={name: node[name] for name in listed})
    return image


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts '10' after '2'."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def level_of(image: ZarrImage, path: Path, number: int | None) -> StoredPixels:
    """Describe one level of an image; its pixels stay on disk."""
    if not image.levels:
        raise ImageError(f"{path}: a Zarr store without an image, so there is no level 0 to read.")
    index = index_of(path, "level", number, len(image.levels))
    name, array = list(image.levels.items())[index]
    finest = next(iter(image.levels.values()))
    notes = list(image.notes)
    if len(image.levels) > 1:
        listed = ", ".join(image.levels)
        notes.append(f"took the array {name!r} of {listed}; choose another one with level=")

    axes = axes_of(image, array)
    channels = channels_of_store(image.attributes)
    spacing = scale_of(image.multiscale, name)
    stored = StoredPixels(
        pixels=array,
        axes=axes,
        spacing={axis: step for axis, step in zip(axes, spacing) if axis in "ZYX" and step},
        in_colour="S" in axes,
        channels=channels,
        notes=tuple(notes),
        position=position_of(finest, array, axes),
    )
    if is_colour_picture(image, stored):
        return replace(stored, axes=axes.replace("C", "S"), in_colour=True)
    return stored


def position_of(finest: zarr.Array, array: zarr.Array, axes: str) -> Position:
    """Return how many px of the finest level make one px of a level, along rows and columns."""
    if len(finest.shape) != len(array.shape):
        return Position()
    lengths = [(finest.shape[axes.index(axis)], array.shape[axes.index(axis)]) for axis in "YX"]
    (rows, own_rows), (columns, own_columns) = lengths
    return Position(step=(downsampling(rows, own_rows), downsampling(columns, own_columns)))


def axes_of(image: ZarrImage, array: zarr.Array) -> str:
    """Return a letter for each axis of an array, by the metadata, else by its shape."""
    letters = named_axes(image, array)
    if letters is not None and len(letters) == array.ndim and {"Y", "X"} <= set(letters):
        return "".join(letters)

    is_colour = array.ndim > 2 and array.shape[-1] in COLOUR_SAMPLES
    known = "YXS" if is_colour else "YX"
    return UNKNOWN_AXIS * (array.ndim - len(known)) + known


def named_axes(image: ZarrImage, array: zarr.Array) -> list[str] | None:
    """Return the letters of axes that are named, by OME-NGFF, by Zarr or by xarray; else None."""
    if image.multiscale:
        axes = image.multiscale.get("axes")
        if axes is None:
            return list(FIRST_AXES)
        return [letter_of(axis) for axis in axes]

    names: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get(
        "_ARRAY_DIMENSIONS"
    )
    if names and all(isinstance(name, str) for name in names):
        return [letter_of(name) for name in names]
    return None


def letter_of(axis: str | Mapping[str, Any]) -> str:
    """Return the letter of an axis by its name, else by its type."""
    if isinstance(axis, str):
        axis = {"name": axis}
    name = str(axis.get("name", "")).lower()
    kind = str(axis.get("type", "")).lower()
    return AXIS_LETTERS.get(name) or AXIS_LETTERS.get(kind) or OTHER_AXIS


def channels_of_store(attributes: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Read the channels' names in a store's attributes; () if there are none."""
    channels = attributes.get("omero", {}).get("channels", ())
    return tuple(Channel(str(channel.get("label") or "")) for channel in channels)


def scale_of(multiscale: Mapping[str, Any], name: str) -> list[float | None]:
    """Return the spacing in mm along each axis of an array of an image, each None if unknown.

    The scale of the array is multiplied by that of all levels together.
    """
    is_old = str(multiscale.get("version", OLDEST_NGFF)) < OLDEST_NGFF
    axes = multiscale.get("axes")
    if is_old or not axes or not all(isinstance(axis, Mapping) for axis in axes):
        return []

    own = [level for level in multiscale.get("datasets", ()) if level["path"] == name]
    scales = [np.ones(len(axes))]
    for described in (*own, multiscale):
        scales += [
            np.array(transformation["scale"], float)
            for transformation in described.get("coordinateTransformations", ())
            if transformation.get("type") == "scale"
        ]
    if not own or len(scales) == 1 or any(len(scale) != len(axes) for scale in scales):
        return []

    units = [millimetres(str(axis.get("unit") or "")) for axis in axes]
    steps = np.prod(scales, axis=0)
    return [float(step) * unit if unit else None for step, unit in zip(steps, units, strict=True)]


def is_colour_picture(image: ZarrImage, stored: StoredPixels) -> bool:
    """Return whether the channels are red, green and blue of a picture, not dyes.

    So they are if there are three of 8 bits, displayed in these colours, without names of dyes.
    """
    if stored.pixels.dtype != np.uint8 or stored.length("C") != len(RED_GREEN_BLUE):
        return False
    described = image.attributes.get("omero", {}).get("channels", ())
    colours = tuple(str(channel.get("color", "")).upper() for channel in described)
    names = [channel.name for channel in stored.channels]
    return colours == RED_GREEN_BLUE and all(map(NAMES_OF_COLOURS.fullmatch, names))
