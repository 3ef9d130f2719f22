"""The table of file formats: how each is known, what reads it, what to do where nothing does.

A new format is a function ``read(path, options) -> MedicalImage`` in a file of its own and a line
in ``FORMATS``. Endings that promise an image, the options a file offers, the package an error asks
for and the list in the documentation all come from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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

IN_FIJI = "open it in Fiji and save it as OME-TIFF"

# Bytes from the beginning of a file by which its format is known; a DICM comes after 128 others.
START_BYTES = 560


@dataclass(frozen=True)
class Format:
    """One format of files."""

    # How it is called in lists and errors.
    name: str

    # Regular expression that fits the first bytes, unpacked where the file is gzipped.
    magic: bytes

    # A file whose name ends so promises to be an image, in lower case.
    endings: tuple[str, ...] = ()

    # What reads it; None where it is recognised, but not read.
    read: Callable[[Path, ReadOptions], MedicalImage] | None = None

    # The fields of ``ReadOptions`` that the reader takes.
    options: tuple[str, ...] = ()

    # The package that has to be installed beside those this one needs anyway.
    package: str = ""

    # Of a format that is not read: what it is, and the way out.
    advice: str = ""

    # Whether a name has to have one of the endings, too, because the bytes say too little.
    known_by_ending: bool = False

    def fits(self, start: bytes, path: Path) -> bool:
        """Tell whether a file with these first bytes and this name is of the format."""
        if self.known_by_ending and path.suffix.lower() not in self.endings:
            return False
        return re.match(self.magic, start, re.DOTALL) is not None


# Options of the readers of pictures, TIFFs and volumes.
PICTURE = ("page", "frame", "channel")
STACK = ("page", "frame", "channel", "level")
VOLUME = ("volume",)
SERIES = ("series", "frame")

# The first that fits counts: DICOM may have a TIFF's header in its preamble, a .vsi is a TIFF with
# only a thumbnail in it, and the .img of a pair holds nothing but voxels.
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
    Format("NumPy .npy", rb"\x93NUMPY", (".npy",), read_npy),
    Format("NumPy .npz", rb"PK", (".npz",), read_npz),
    Format("Zeiss .czi", rb"ZISRAWFILE", (".czi",), advice=f"Zeiss .czi: {IN_FIJI}"),
    Format("Nikon .nd2", rb"\xda\xce\xbe\x0a", (".nd2",), advice=f"Nikon .nd2: {IN_FIJI}"),
    Format("Leica .lif", rb"\x70\0\0\0", (".lif",), advice=f"Leica .lif: {IN_FIJI}"),
    Format(
        "Olympus .oib, Zeiss .zvi",
        rb"\xd0\xcf\x11\xe0",
        (".oib", ".zvi"),
        advice=f"Olympus .oib, Zeiss .zvi or an old Office document: {IN_FIJI}",
    ),
    # .h5 promises no image: networks and tables are kept in it, too.
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

# A folder is known by being one.
FOLDER = Format(
    "folder of DICOM slices",
    magic=b"",
    read=read_dicom_folder,
    options=("series",),
    package="pydicom",
)

# Last parts of names that promise an image; a ``.gz`` may be any of them, packed.
ENDINGS = frozenset(Path("name" + ending).suffix for row in FORMATS for ending in row.endings)


def format_of(start: bytes, path: Path) -> Format | None:
    """Find the format of a file by its first bytes and name; None where none fits."""
    for row in FORMATS:
        if row.fits(start, path):
            return row
    return None


def formats_needing(package: str | None) -> list[str]:
    """List the formats that a package is needed for."""
    return [row.name for row in FORMATS if row.package and row.package == package]


def promises_image(path: Path) -> bool:
    """Tell whether a file is an image by its name, whatever it holds."""
    return path.suffix.lower() in ENDINGS


def formats_in_markdown() -> str:
    """Make a table for the documentation: each format, its endings, what it needs."""
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
