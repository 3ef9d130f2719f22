"""Read spacing and channel names of a TIFF from OME's metadata, or from those of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .lengths import millimetres
from .tiff_sizes import imagej_metadata, sizes, vendor_spacing

if TYPE_CHECKING:
    import tifffile


def ome_image(tif: tifffile.TiffFile) -> ElementTree.Element | None:
    """Return the first Image element of OME's metadata; None if the file has no OME metadata."""
    if not tif.is_ome:
        return None
    image = ElementTree.fromstring(tif.ome_metadata or "").find(".//{*}Image")
    if image is None:
        raise ValueError("OME metadata without an image")
    return image


def channel_names(tif: tifffile.TiffFile, ome: ElementTree.Element | None) -> tuple[str, ...]:
    """Read the channels' names from OME's Image element or ImageJ; () if one is missing."""
    if ome is not None:
        names = [channel.get("Name") for channel in ome.iterfind(".//{*}Channel")]
        given = [name for name in names if name]
        return tuple(given) if len(given) == len(names) else ()

    labels = imagej_metadata(tif).get("Labels")
    if isinstance(labels, list | tuple):
        return tuple(map(str, labels))
    return ()


def tiff_spacing(
    tif: tifffile.TiffFile,
    ome: ElementTree.Element | None,
    page: tifffile.TiffPage | None = None,
) -> dict[str, float]:
    """Read the spacing in mm along 'Z', 'Y' and 'X'; unknown ones are missing.

    ``ome`` is OME's Image element, and ``page`` the first page at full resolution, of the image
    that is read. By default it is the first page of the file.
    """
    spacing = {}
    if ome is not None:
        spacing = ome_spacing(ome)
    if "X" not in spacing or "Y" not in spacing:
        # Programs that write OME without a size leave it in their own metadata.
        spacing |= vendor_spacing(tif, page or tif.pages.first)
    return spacing


def ome_spacing(ome: ElementTree.Element) -> dict[str, float]:
    """Read the spacing in mm in OME's Pixels element, whose default unit is the micrometre."""
    pixels = ome.find(".//{*}Pixels")
    if pixels is None:
        raise ValueError("OME metadata without Pixels")
    spacing = {}
    for axis in "ZYX":
        unit = millimetres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        spacing |= sizes(unit, **{axis: pixels.get(f"PhysicalSize{axis}")})
    return spacing
