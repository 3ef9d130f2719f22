"""Read spacing and channel names of a TIFF from OME, ImageJ, Aperio and resolution tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    import tifffile

# Length in mm of the units that programs write, in lower case and without the plural's s.
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

# Characters at the beginning of a description among which OME's root element is.
OME_START = 4000

# Value of the tag ResolutionUnit that means centimetres (TIFF 6.0, page 38).
CENTIMETRES = 3

# px per cm. A resolution up to this may be that of a printer (1200 dpi are 472 per cm) and says
# nothing about the object.
MAX_PRINTER_RESOLUTION = 500


def millimetres(unit: str) -> float | None:
    """Return the length of ``unit`` in mm, for any of its spellings; None if it is unknown."""
    unit = unit.strip().strip("\0")
    unit = unit.replace("\\u00B5", "µ").replace("μ", "µ").replace("metre", "meter")
    unit = unit.lower()
    if len(unit) > 2:
        unit = unit.rstrip("s")
    return MILLIMETRES.get(unit)


def ome_root(tif: tifffile.TiffFile) -> ElementTree.Element | None:
    """Parse OME's metadata; None if the file has none."""
    description = tif.pages.first.description
    if "<OME" not in description[:OME_START]:
        return None
    return ElementTree.fromstring(description)


def ome_image(
    root: ElementTree.Element | None, tif: tifffile.TiffFile, number: int
) -> ElementTree.Element | None:
    """Return OME's Image element of one image in a file; None if there is none.

    tifffile leaves out images without pixels in the file. The others are in the same order, with
    their names and sizes.
    """
    if root is None:
        return None
    elements = root.findall("{*}Image")
    if not tif.is_ome:
        # The metadata do not fit the pages, so that it is unknown which image is which.
        return elements[0] if len(elements) == 1 and len(tif.series) == 1 else None

    remaining = iter(elements)
    found = None
    for series in tif.series[: number + 1]:
        found = next((image for image in remaining if is_image_of(image, series)), None)
    return found


def is_image_of(image: ElementTree.Element, series: tifffile.TiffPageSeries) -> bool:
    """Return whether an Image element has the width, the height and the name of an image."""
    pixels = image.find("{*}Pixels")
    if pixels is None:
        return False
    same_name = (image.get("Name") or "") == (series.name or "") or series.name == "Baseline"
    sizes = series.get_shape(squeeze=False)
    axes = series.get_axes(squeeze=False)
    return same_name and all(
        int(pixels.get(f"Size{axis}", 0)) == sizes[axes.index(axis)] for axis in "YX"
    )


def tiff_spacing(
    tif: tifffile.TiffFile,
    ome: ElementTree.Element | None,
    page: tifffile.TiffPage,
) -> dict[str, float]:
    """Read the spacing in mm along 'Z', 'Y' and 'X'; unknown ones are missing.

    ``ome`` is OME's Image element, and ``page`` the first page at full resolution, of the image
    that is read.
    """
    if ome is not None:
        return ome_spacing(ome)
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
    """Read the spacing in mm in OME's Pixels element, whose default unit is the micrometre."""
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
    """Read the micrometres per px in an Aperio slide's description; None for other files."""
    if not description.startswith("Aperio"):
        return None
    match = re.search(r"\bMPP\s*=\s*([\d.]+)", description)
    return float(match[1]) if match else None


def pixels_per_unit(tags: tifffile.TiffTags) -> dict[str, float]:
    """Read the pixels per resolution unit along 'Y' and 'X'; those that are 0 are missing."""
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
    """Return the length in mm of the resolution unit; None if it is not reliable.

    ImageJ names its unit. Other programs write centimetres or inches even if they know no spacing.
    So only centimetres are used, and only with a resolution above MAX_PRINTER_RESOLUTION.
    """
    if tif.is_imagej:
        return millimetres(str(imagej_metadata(tif).get("unit", "")))
    in_centimetres = tags.valueof("ResolutionUnit") == CENTIMETRES
    if in_centimetres and min(per_unit.values(), default=0) > MAX_PRINTER_RESOLUTION:
        return MILLIMETRES["cm"]
    return None


def imagej_metadata(tif: tifffile.TiffFile) -> dict:
    """Return ImageJ's metadata; empty for other files."""
    if not tif.is_imagej:
        return {}
    return tif.imagej_metadata or {}
