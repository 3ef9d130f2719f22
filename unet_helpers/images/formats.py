"""The table of file formats: how each is recognised, which function reads it, or advice if none.

To add a format, write a function ``read(path, options) -> MedicalImage`` in a new file and add a
line to ``FORMATS``. This table is also the source of the file endings of images, of the options of
each format, of the packages that errors name, and of the list in the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .arrays import ARRAY
from .dicom import MAGIC as DICOM_MAGIC
from .dicom import read_dicom
from .dicom_series import read_dicom_folder
from .image import MedicalImage
from .itk import read_itk
from .nifti import read_nifti
from .numpy_files import read_npy, read_npz
from .options import ReadOptions
from .pillow import read_raster
from .tiff import read_tiff
from .zarr_stores import read_zarr

IN_FIJI = "open it in Fiji and save it as OME-TIFF"

# Bytes that are read from the beginning of a file to recognise its format. DICOM's "DICM" ends at
# byte 132.
START_BYTES = 560


@dataclass(frozen=True)
class Format:
    """One file format."""

    # The name of the format in lists and errors.
    name: str

    # Regular expression that matches the first bytes; those of a gzipped file are unpacked before.
    magic: bytes

    # Endings of file names, in lower case, that only images have.
    endings: tuple[str, ...] = ()

    # The function that reads it; None if the format is recognised, but not read.
    read: Callable[[Path, ReadOptions], MedicalImage] | None = None

    # The fields of ``ReadOptions`` that the reader accepts.
    options: tuple[str, ...] = ()

    # The optional package that the reader needs; '' if none.
    package: str = ""

    # For a format that is not read: what it is, and what the user can do.
    advice: str = ""

    # Whether the name must have one of the endings, too, because the bytes are not specific.
    known_by_ending: bool = False

    def fits(self, start: bytes, path: Path) -> bool:
        """Return whether a file with these first bytes and this name has this format."""
        if self.known_by_ending and path.suffix.lower() not in self.endings:
            return False
        return re.match(self.magic, start, re.DOTALL) is not None


# Fields of ``ReadOptions`` for pictures, for TIFFs and Zarr stores, for volumes, and for DICOM.
PICTURE = ("page", "frame", "channel")
STACK = ("page", "frame", "channel", "level", "series")
VOLUME = ("volume",)
SERIES = ("series", "select", "frame")

# The first format that fits is used, so the order matters: DICOM may have a TIFF's header in its
# preamble, and a .vsi is a TIFF that holds only a thumbnail. The .img of a pair has no header, so
# it comes last.
FORMATS = (
    Format("DICOM", DICOM_MAGIC, (".dcm", ".ima"), read_dicom, SERIES, "pydicom"),
    Format(
        "Olympus .vsi",
        magic=b"",
        endings=(".vsi",),
        advice=f"Olympus .vsi, whose image lies in another folder: {IN_FIJI}",
        known_by_ending=True,
    ),
    Format("PNG", rb"\x89PNG\r\n\x1a\n", (".png",), read_raster, PICTURE),
    Format("JPEG", rb"\xff\xd8\xff", (".jpg", ".jpeg"), read_raster, PICTURE),
    Format("JPEG 2000", rb"\0\0\0\x0cjP  ", (".jp2",), read_raster, PICTURE),
    Format("GIF", rb"GIF", (".gif",), read_raster, PICTURE),
    Format("BMP", rb"BM", (".bmp",), read_raster, PICTURE),
    Format("WebP", rb"RIFF....WEBP", (".webp",), read_raster, PICTURE),
    Format("TIFF", rb"II[*+]\0|MM\0[*+]", (".tif", ".tiff", ".svs", ".ndpi"), read_tiff, STACK),
    Format(
        "NIfTI and Analyze",
        rb"\x5c\x01\0\0|\0\0\x01\x5c|\x1c\x02\0\0|\0\0\x02\x1c",
        (".nii", ".nii.gz", ".hdr"),
        read_nifti,
        VOLUME,
    ),
    Format("MGH", rb"\0\0\0\x01\0\0", (".mgh", ".mgz"), read_nifti, VOLUME),
    Format("NRRD", rb"NRRD0", (".nrrd", ".nhdr"), read_itk, VOLUME, "SimpleITK"),
    Format(
        "MetaImage",
        rb"(Comment|ObjectType|NDims)\s*=",
        (".mha", ".mhd"),
        read_itk,
        VOLUME,
        "SimpleITK",
    ),
    Format("NumPy .npy", rb"\x93NUMPY", (".npy",), read_npy, ARRAY),
    Format("NumPy .npz", rb"PK", (".npz",), read_npz, ARRAY),
    Format("Zeiss .czi", rb"ZISRAWFILE", (".czi",), advice=f"Zeiss .czi: {IN_FIJI}"),
    Format("Nikon .nd2", rb"\xda\xce\xbe\x0a", (".nd2",), advice=f"Nikon .nd2: {IN_FIJI}"),
    Format("Leica .lif", rb"\x70\0\0\0", (".lif",), advice=f"Leica .lif: {IN_FIJI}"),
    Format(
        "Olympus .oib, Zeiss .zvi",
        rb"\xd0\xcf\x11\xe0",
        (".oib", ".zvi"),
        advice=f"Olympus .oib, Zeiss .zvi or an old Office document: {IN_FIJI}",
    ),
    # .h5 is not among the endings, because such files also hold networks and tables.
    Format(
        "HDF5",
        rb"\x89HDF\r\n\x1a\n",
        (".ims", ".mnc"),
        advice="HDF5 (.ims, .h5, .mnc): save it as OME-TIFF with Fiji, a volume as NIfTI",
    ),
    Format("PDF", rb"%PDF", advice="a PDF document: export the image in it as PNG"),
    Format(
        "voxels of NIfTI and Analyze",
        magic=b"",
        endings=(".img",),
        read=read_nifti,
        options=VOLUME,
        known_by_ending=True,
    ),
)

# The format of a folder, which has no first bytes and so is not in ``FORMATS``.
FOLDER = Format(
    "folder of DICOM slices",
    magic=b"",
    read=read_dicom_folder,
    options=("series", "select"),
    package="pydicom",
)

# The format of a folder that is a Zarr store.
ZARR = Format(
    "OME-Zarr store",
    magic=b"",
    read=read_zarr,
    options=STACK,
    package="zarr",
)

# Last parts of the names of images. ``.gz`` is one of them, because of ``.nii.gz``.
ENDINGS = frozenset(Path("name" + ending).suffix for row in FORMATS for ending in row.endings)


def format_of(start: bytes, path: Path) -> Format | None:
    """Return the format of a file by its first bytes and name; None if no format fits."""
    for row in FORMATS:
        if row.fits(start, path):
            return row
    return None


def formats_needing(package: str | None) -> list[str]:
    """List the names of the formats that need a package."""
    return [row.name for row in FORMATS if row.package and row.package == package]


def promises_image(path: Path) -> bool:
    """Return whether a file's name has the ending of an image; the file is not opened."""
    return path.suffix.lower() in ENDINGS


def formats_in_markdown() -> str:
    """Write the table for the documentation: each format, its endings and the package it needs."""
    lines = ["| format | endings | |", "|---|---|---|"]
    for row in FORMATS:
        remark = ""
        if row.read is None:
            remark = f"not read: {row.advice}"
        elif row.package:
            remark = f"needs `pip install {row.package}`"
        endings = " ".join(f"`{ending}`" for ending in row.endings)
        lines.append(f"| {row.name} | {endings} | {remark} |")
    return "\n".join(lines) + "\n"
