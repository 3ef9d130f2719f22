"""What a TIFF says about spacing and channels, in OME, ImageJ, Aperio and resolution tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    import tifffile

# Millimetres of the units that programs write, in lower case and without the plural's s.
MILLIMETRES = {
    "nm": 1e-6,
    "nanometer": 1e-6,
    "µm": 1e-3,
    "um": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
    "mm": 1.0,
    "millimeter": 1.0,
    "cm": 10.0,
    "centimeter": 10.0,
    "m": 1000.0,
    "in": 25.4,
    "inch": 25.4,
    "å": 1e-7,
    "angstrom": 1e-7,
}

# Value of the tag ResolutionUnit that means centimetres (TIFF 6.0, page 38).
CENTIMETRES = 3

# px per cm. A lower resolution is a printer's (up to 1200 dpi), not a microscope's.
FINEST_PRINTER = 500


def millimetres(unit: str) -> float | None:
    """Find the millimetres of one ``unit``, in any of its spellings; None where it is not known."""
    unit = unit.strip().strip("\0")
    unit = unit.replace("\\u00B5", "µ").replace("μ", "µ").replace("metre", "meter")
    unit = unit.lower()
    if len(unit) > 2:
        unit = unit.rstrip("s")
    return MILLIMETRES.get(unit)


def ome_image(tif: tifffile.TiffFile) -> ElementTree.Element | None:
    """Find the first Image element of OME's metadata; None where the file is not of OME."""
    if not tif.is_ome:
        return None
    image = ElementTree.fromstring(tif.ome_metadata or "").find(".//{*}Image")
    if image is None:
        raise ValueError("OME metadata without an image")
    return image


def channel_names(tif: tifffile.TiffFile, ome: ElementTree.Element | None) -> tuple[str, ...]:
    """Read the channels' names from OME's Image element or ImageJ; none where one is missing."""
    if ome is not None:
        names = [channel.get("Name") for channel in ome.iterfind(".//{*}Channel")]
        given = [name for name in names if name]
        return tuple(given) if len(given) == len(names) else ()

    labels = imagej_metadata(tif).get("Labels")
    if isinstance(labels, list | tuple):
        return tuple(map(str, labels))
    return ()


def tiff_spacing(tif: tifffile.TiffFile, ome: ElementTree.Element | None) -> dict[str, float]:
    """Read millimetres of a step along 'Z', 'Y' and 'X', of those that the file gives."""
    if ome is not None:
        return ome_spacing(ome)
    page = tif.pages.first
    micrometres = aperio_micrometres(page.description)
    if micrometres is not None:
        return {"Y": micrometres * 1e-3, "X": micrometres * 1e-3}

    per_unit = pixels_per_unit(page.tags)
    unit = resolution_unit(tif, page.tags, per_unit)
    if unit is None or len(per_unit) < 2:
        return {}
    spacing = {axis: unit / count for axis, count in per_unit.items()}
    metadata = imagej_metadata(tif)
    if "spacing" in metadata:
        spacing["Z"] = float(metadata["spacing"]) * unit
    return spacing


def ome_spacing(ome: ElementTree.Element) -> dict[str, float]:
    """Read the sizes in OME's Pixels element; their unit is the micrometre where none is given."""
    pixels = ome.find(".//{*}Pixels")
    if pixels is None:
        raise ValueError("OME metadata without Pixels")
    spacing = {}
    for axis in "ZYX":
        size = pixels.get(f"PhysicalSize{axis}")
        unit = millimetres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size and unit:
            spacing[axis] = float(size) * unit
    return spacing


def aperio_micrometres(description: str) -> float | None:
    """Read micrometres per px in the description of an Aperio slide; None of other files."""
    if not description.startswith("Aperio"):
        return None
    match = re.search(r"\bMPP\s*=\s*([\d.]+)", description)
    return float(match[1]) if match else None


def pixels_per_unit(tags: tifffile.TiffTags) -> dict[str, float]:
    """Count pixels per resolution unit along 'Y' and 'X', where the tags give a number above 0."""
    per_unit = {}
    for axis in "YX":
        fraction = tags.valueof(f"{axis}Resolution")
        if not fraction:
            continue
        numerator, denominator = fraction[:2]
        if numerator and denominator:
            per_unit[axis] = numerator / denominator
    return per_unit


def resolution_unit(
    tif: tifffile.TiffFile, tags: tifffile.TiffTags, per_unit: dict[str, float]
) -> float | None:
    """Find mm of the unit in which pixels are counted; None where it is not to be trusted.

    ImageJ names its unit. Other programs give centimetres or inches also where they know nothing,
    so that only centimetres are taken, and only of a resolution that no printer has.
    """
    if tif.is_imagej:
        return millimetres(str(imagej_metadata(tif).get("unit", "")))
    in_centimetres = tags.valueof("ResolutionUnit") == CENTIMETRES
    if in_centimetres and min(per_unit.values(), default=0) > FINEST_PRINTER:
        return MILLIMETRES["cm"]
    return None


def imagej_metadata(tif: tifffile.TiffFile) -> dict:
    """Read what ImageJ wrote about the image; empty of other files."""
    if not tif.is_imagej:
        return {}
    return tif.imagej_metadata or {}
