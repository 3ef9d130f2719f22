"""Read the spacing of a TIFF from OME's metadata, or from those of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .lengths import millimetres
from .tiff_sizes import sizes, vendor_spacing, with_square_pixels

if TYPE_CHECKING:
    import tifffile

# Characters at the beginning of a description among which OME's root element is.
OME_START = 4000


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
    spacing = {}
    if ome is not None:
        spacing = ome_spacing(ome)
    if "X" not in spacing or "Y" not in spacing:
        # Programs that write OME without a size leave it in their own metadata.
        spacing |= vendor_spacing(tif, page)
    return with_square_pixels(spacing)


def ome_spacing(ome: ElementTree.Element) -> dict[str, float]:
    """Read the spacing in mm in OME's Pixels element, whose default unit is the micrometre.

    Sizes that are not above 0 are missing. Raises ValueError for one that is no number.
    """
    pixels = ome.find(".//{*}Pixels")
    if pixels is None:
        raise ValueError("OME metadata without Pixels")
    spacing: dict[str, float] = {}
    for axis in "ZYX":
        unit = millimetres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        size = pixels.get(f"PhysicalSize{axis}")
        if size:
            spacing |= sizes(unit, **{axis: float(size)})
    return spacing
