"""What a TIFF says about its channels: OME, ImageJ, PerkinElmer and Akoya, or names of pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .nuclear_stains import Channel
from .tiff_sizes import imagej_metadata

if TYPE_CHECKING:
    import tifffile

# nm in the units of OME's wavelengths, whose default is the nanometre.
NANOMETRES = {"nm": 1.0, "µm": 1e3, "um": 1e3, "m": 1e9, "å": 0.1}

# Elements of the description of a page by PerkinElmer and Akoya (.qptiff), the best first.
QPI_NAMES = ("Biomarker", "Name")

# The tag PageName (TIFF 6.0, page 55).
PAGE_NAME = 285


def channels_of(
    tif: tifffile.TiffFile, ome: ElementTree.Element | None, series: tifffile.TiffPageSeries
) -> tuple[Channel, ...]:
    """Describe the channels of an image; () if nothing is known of them.

    ``ome`` is the image's element of OME's metadata.
    """
    if ome is not None:
        return tuple(ome_channel(element) for element in ome.iterfind(".//{*}Channel"))

    labels = imagej_metadata(tif).get("Labels")
    if isinstance(labels, list | tuple):
        return tuple(Channel(str(label)) for label in labels)
    if "C" not in series.axes:
        return ()
    names = [page_name(page) for page in pages_of_channels(series)]
    return tuple(map(Channel, names)) if any(names) else ()


def ome_channel(element: ElementTree.Element) -> Channel:
    """Read the name, or the dye, the wavelength of light and the contrast of a Channel element."""
    name = element.get("Name") or element.get("Fluor") or ""
    excitation = None
    wavelength = element.get("ExcitationWavelength")
    unit = element.get("ExcitationWavelengthUnit", "nm").lower()
    if wavelength and unit in NANOMETRES:
        excitation = float(wavelength) * NANOMETRES[unit]
    return Channel(name, excitation, element.get("ContrastMethod") or "")


def pages_of_channels(
    series: tifffile.TiffPageSeries,
) -> list[tifffile.TiffPage | tifffile.TiffFrame | None]:
    """Return the first page of each channel, of pages whose channels follow one another."""
    count = series.shape[series.axes.index("C")]
    later_axes = series.axes[series.axes.index("C") + 1 :]
    pages_per_channel = 1
    for axis in later_axes:
        if axis not in "YXS":
            pages_per_channel *= series.shape[series.axes.index(axis)]
    return list(series.pages)[: count * pages_per_channel : pages_per_channel]


def page_name(page: tifffile.TiffPage | tifffile.TiffFrame | None) -> str:
    """Read the name of a page from its description (.qptiff) or its tag PageName; else ''."""
    if page is None:
        return ""
    # The tags of a frame are those of its first page; its own must be read from the file.
    page = page.aspage()
    if page.description.lstrip().startswith("<?xml") or "QPI-ImageDescription" in page.description:
        for element in QPI_NAMES:
            match = re.search(rf"<{element}>([^<]+)</{element}>", page.description)
            if match:
                return match[1].strip()
    return str(page.tags.valueof(PAGE_NAME) or "").strip()
