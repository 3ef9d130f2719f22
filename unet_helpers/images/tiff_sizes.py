"""Read the size of a pixel that the program of a microscope or scanner left in a TIFF.

Each source is a function of a file and a page that returns the spacing in mm along some of 'Z',
'Y' and 'X'. Of a file with several, the first that knows Y and X counts; see ``SOURCES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from .lengths import MILLIMETRES, is_finer_than_print, length_of, millimetres, number_of

if TYPE_CHECKING:
    import tifffile

    Source: TypeAlias = Callable[[tifffile.TiffFile, tifffile.TiffPage], dict[str, float]]

# Values of the tag ResolutionUnit that are lengths (TIFF 6.0, page 38), in mm; and two that some
# programs add.
RESOLUTION_UNITS = {
    2: MILLIMETRES["inch"],
    3: MILLIMETRES["cm"],
    4: MILLIMETRES["mm"],
    5: MILLIMETRES["µm"],
}

# Tags of single programs.
MICRO_MANAGER = 51123
XMP = 700
TESCAN = 50431
NIKON = (65332, 65333)
GATAN_SCALES = {"Y": 65010, "X": 65009}
GATAN_UNITS = {"Y": 65004, "X": 65003}

# Descriptions of slides: Aperio's own, OpenSlide's properties as libvips writes them, and
# Ventana's.
APERIO = re.compile(r"\bMPP\s*=\s*([\d.,]+)")
OPENSLIDE = re.compile(r"openslide\.mpp-([xy])</name>\s*<value[^>]*>([\d.,]+)<")
VENTANA = re.compile(r"\bScanRes\s*=\s*['\"]([\d.,]+)")
PHILIPS = re.compile(r"DICOM_PIXEL_SPACING\"[^>]*>([^<]*)<")
TESCAN_SIZE = re.compile(r"PixelSize([XY])\s*=\s*([\d.,eE+-]+)")
NIKON_SIZE = re.compile(r"<dCalibration[^>]*\bvalue=\"([\d.,eE+-]+)\"")
NUMBER = re.compile(r"\d[\d.,]*(?:[eE][-+]?\d+)?")


def sizes(unit: float | None, **steps: object) -> dict[str, float]:
    """Return the steps in mm by axis; those that are not numbers above 0 are left out."""
    if unit is None:
        return {}
    numbers = {axis: number_of(step) for axis, step in steps.items()}
    return {axis: number * unit for axis, number in numbers.items() if number is not None}


def vendor_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the spacing in mm along 'Z', 'Y' and 'X' from the first source that knows Y or X."""
    spacing: dict[str, float] = {}
    for source in SOURCES:
        try:
            found = source(tif, page)
        # Metadata of programs come in all states of repair; the pixels are read without them.
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            continue
        if "Z" in found:
            spacing.setdefault("Z", found["Z"])
        found = with_square_pixels(found)
        if "X" in found and "X" not in spacing:
            spacing |= {"Y": found["Y"], "X": found["X"]}
    return spacing


def with_square_pixels(spacing: dict[str, float]) -> dict[str, float]:
    """Complete the spacing along Y or X by the other one, if only one of them is known."""
    known = [spacing[axis] for axis in "YX" if axis in spacing]
    if len(known) != 1:
        return spacing
    return {**spacing, "Y": known[0], "X": known[0]}


def slide_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the micrometres per px of Aperio, or of OpenSlide as libvips saves them."""
    description = page.description or tif.pages.first.description
    um = MILLIMETRES["µm"]
    if description.startswith("Aperio"):
        match = APERIO.search(description)
        return sizes(um, Y=match[1], X=match[1]) if match else {}
    steps = {axis.upper(): step for axis, step in OPENSLIDE.findall(description)}
    return sizes(um, **steps)


def philips_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read DICOM_PIXEL_SPACING, rows and columns in mm; each level has one: the finest counts."""
    pairs = [NUMBER.findall(text) for text in PHILIPS.findall(tif.pages.first.description)]
    steps = [sizes(1.0, Y=pair[0], X=pair[1]) for pair in pairs if len(pair) == 2]
    return min((step for step in steps if len(step) == 2), key=lambda step: step["X"], default={})


def ventana_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the micrometres per px of a slide of Ventana's, from its XMP packet."""
    match = VENTANA.search(text_of_tag(tif, XMP))
    return sizes(MILLIMETRES["µm"], Y=match[1], X=match[1]) if match else {}


def tescan_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the pixel size, in m, of TESCAN's electron microscopes."""
    return sizes(MILLIMETRES["m"], **dict(TESCAN_SIZE.findall(text_of_tag(tif, TESCAN))))


def nikon_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the micrometres per px of Nikon's NIS-Elements."""
    for tag in NIKON:
        match = NIKON_SIZE.search(text_of_tag(tif, tag))
        if match:
            return sizes(MILLIMETRES["µm"], Y=match[1], X=match[1])
    return {}


def text_of_tag(tif: tifffile.TiffFile, tag: int) -> str:
    """Return the text in a tag of the first page, which may be stored as bytes; '' without one."""
    value = tif.pages.first.tags.valueof(tag) or ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def fei_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read PixelWidth and PixelHeight, in m, of FEI's microscopes (Helios, SFEG)."""
    sections = dict(tif.fei_metadata or {})
    # 'Scan' describes the image; other sections, such as 'EScan', one of several beams.
    ordered = [sections.pop("Scan", {}), *sections.values()]
    for section in ordered:
        if isinstance(section, Mapping) and number_of(section.get("PixelWidth")):
            width = section["PixelWidth"]
            height = section.get("PixelHeight")
            return sizes(MILLIMETRES["m"], Y=height if number_of(height) else width, X=width)
    return {}


def zeiss_sem_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the pixel size of the saved image, or of the scan, of Zeiss' SmartSEM."""
    metadata = tif.sem_metadata or {}
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        # (name, number, unit), or (name, text) where the number has no unit that tifffile knows.
        _, *value = metadata.get(name, ("",))
        step = length_of(" ".join(map(str, value)))
        if step is not None:
            return sizes(1.0, Y=step, X=step)

    # Old files: numbers without names, of which the fourth is the pixel size in m.
    unnamed = metadata.get("", ())
    if len(unnamed) > 3:
        return sizes(MILLIMETRES["m"], Y=unnamed[3], X=unnamed[3])
    return {}


def lsm_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the voxel size, in m, of Zeiss' confocal microscopes."""
    metadata = tif.lsm_metadata or {}
    return sizes(MILLIMETRES["m"], **{axis: metadata.get(f"VoxelSize{axis}") for axis in "ZYX"})


def stk_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the calibration of MetaMorph's stacks; their planes are at distances in µm."""
    metadata = tif.stk_metadata or {}
    unit = millimetres(str(metadata.get("CalibrationUnits", "")))
    found = sizes(unit, Y=metadata.get("YCalibration"), X=metadata.get("XCalibration"))
    distances = metadata.get("ZDistance")
    if distances is not None and len(distances):
        found |= sizes(MILLIMETRES["µm"], Z=distances[0])
    return found


def metaseries_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the calibration of a plane of MetaSeries (MetaXpress)."""
    plane = (tif.metaseries_metadata or {}).get("PlaneInfo", {})
    unit = millimetres(str(plane.get("spatial-calibration-units", "")))
    return sizes(unit, Y=plane.get("spatial-calibration-y"), X=plane.get("spatial-calibration-x"))


def sis_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the pixel size, in m, of Olympus' Soft Imaging Solutions."""
    metadata = tif.sis_metadata or {}
    unit = MILLIMETRES["m"]
    return sizes(unit, Y=metadata.get("pixelsizey"), X=metadata.get("pixelsizex"))


def tvips_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the pixel size, in nm, of the cameras of TVIPS (EM-MENU)."""
    metadata = tif.tvips_metadata or {}
    return sizes(MILLIMETRES["nm"], Y=metadata.get("PixelSizeY"), X=metadata.get("PixelSizeX"))


def gatan_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the scales and their units of Gatan's DigitalMicrograph."""
    found: dict[str, float] = {}
    for axis, tag in GATAN_SCALES.items():
        unit = page.tags.valueof(GATAN_UNITS[axis], "")
        # A text, or the codes of its characters.
        if not isinstance(unit, str):
            unit = "".join(map(chr, unit))
        found |= sizes(millimetres(unit), **{axis: page.tags.valueof(tag)})
    return found


def imagej_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read px per unit and the distance of slices in ImageJ's unit."""
    metadata = imagej_metadata(tif)
    unit = millimetres(str(metadata.get("unit", "")))
    if unit is None:
        return {}
    found = {axis: unit / count for axis, count in pixels_per_unit(page.tags).items()}
    return found | sizes(unit, Z=metadata.get("spacing"))


def tifffile_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read what people give to tifffile as metadata, in OME's words or in ImageJ's.

    Without ``ome=True`` or ``imagej=True`` it writes them as they are.
    """
    (metadata, *_) = tif.shaped_metadata or ({},)
    found: dict[str, float] = {}
    for axis in "ZYX":
        unit = millimetres(str(metadata.get(f"PhysicalSize{axis}Unit", "µm")))
        found |= sizes(unit, **{axis: metadata.get(f"PhysicalSize{axis}")})
    if found:
        return found

    unit = millimetres(str(metadata.get("unit", "")))
    if unit is None:
        return {}
    return {axis: unit / count for axis, count in pixels_per_unit(page.tags).items()}


def micro_manager_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the pixel size in µm of Micro-Manager: 0 where the microscope was not calibrated."""
    of_page = page.tags.valueof(MICRO_MANAGER)
    of_file = tif.micromanager_metadata if tif.is_micromanager else None
    summary = of_file.get("Summary") if isinstance(of_file, Mapping) else None

    found: dict[str, float] = {}
    for metadata in (of_page, summary):
        if not isinstance(metadata, Mapping):
            continue
        step = first_number(metadata, "PixelSizeUm", "PixelSize_um", "pixelSizeUm")
        depth = first_number(metadata, "z-step_um", "ZStepUm", "zStepUm")
        found = sizes(MILLIMETRES["µm"], Z=depth, Y=step, X=step) | found
    return found


def first_number(metadata: Mapping[str, Any], *names: str) -> float | None:
    """Return the first number above 0 under one of the names; values may be nested in 'PropVal'."""
    for name in names:
        value = metadata.get(name)
        if isinstance(value, Mapping):
            value = value.get("PropVal", value.get("scalar"))
        number = number_of(value)
        if number is not None:
            return number
    return None


def resolution_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, float]:
    """Read the resolution in px per cm or inch, unless a printer's may be as fine."""
    unit = RESOLUTION_UNITS.get(int(page.tags.valueof("ResolutionUnit") or 0))
    per_unit = pixels_per_unit(page.tags)
    if tif.is_imagej or unit is None or len(per_unit) < 2:
        return {}
    found = {axis: unit / count for axis, count in per_unit.items()}
    return found if is_finer_than_print(*found.values()) else {}


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


def imagej_metadata(tif: tifffile.TiffFile) -> dict:
    """Return ImageJ's metadata; empty for other files."""
    if not tif.is_imagej:
        return {}
    return tif.imagej_metadata or {}


# From what is most specific to what many programs write without knowing it.
SOURCES: tuple[Source, ...] = (
    slide_spacing,
    philips_spacing,
    ventana_spacing,
    tescan_spacing,
    nikon_spacing,
    fei_spacing,
    zeiss_sem_spacing,
    lsm_spacing,
    stk_spacing,
    metaseries_spacing,
    sis_spacing,
    tvips_spacing,
    gatan_spacing,
    imagej_spacing,
    tifffile_spacing,
    micro_manager_spacing,
    resolution_spacing,
)
