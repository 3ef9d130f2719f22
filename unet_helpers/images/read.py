"""``read_image``: from any file to a ``MedicalImage``; the reader is chosen by the first bytes, not by the name."""

import gzip
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .dicom import read_dicom, read_dicom_folder
from .image import MedicalImage, checked, from_array
from .nifti import read_nifti
from .numpy_files import read_npy, read_npz
from .pillow import read_raster
from .tiff import read_tiff


def read_image(source, *, page: int | None = None, volume: int = 0, series: str | None = None) -> MedicalImage:
    """Read a file (PNG, JPEG, BMP, GIF, WebP, TIFF, NIfTI, Analyze, DICOM, NumPy) or a folder of DICOM slices.

    ``page`` picks one page of a TIFF stack or frame of a GIF, ``volume`` one of a 4D NIfTI file, ``series`` one
    of several DICOM series in a folder. An array is taken as 'YX', 'YXC' (last axis 3 or 4) or 'ZYX'; a
    MedicalImage is returned as it is. Raises ImageError, and nothing else, for what cannot be read.
    """
    if isinstance(source, MedicalImage):
        return source
    if isinstance(source, np.ndarray):
        return checked(from_array(source))

    path = Path(os.fspath(source))
    try:
        image = reader_of(path)(path, page=page, volume=volume, series=series)
    except ImageError:
        raise
    except FileNotFoundError as error:
        path = error.filename or path  # perhaps the other half of a pair
        raise ImageError(f"{path}: there is no such file. Check the spelling and the folder ({Path.cwd()}).") from error
    except PermissionError as error:
        raise ImageError(f"{path}: may not be read by this user. Change its permissions or copy it.") from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into memory. Cut or shrink it first.") from error
    except Exception as error:  # decoders fail in many ways, on files made to break them in any way
        raise ImageError(f"{path}: damaged or unusual, cannot be read ({describe(error)}). Export it again.") from error
    return checked(replace(image, path=path))


def describe(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__


def reader_of(path: Path):
    """The function that reads this file or folder; ImageError where its first bytes are those of no image."""
    if path.is_dir():
        return read_dicom_folder
    if path.exists() and not path.is_file():
        raise ImageError(f"{path}: neither a file nor a folder, but a pipe or a device. Save it to a file first.")
    with path.open("rb") as file:
        start = file.read(560)
    if not start:
        raise ImageError(f"{path}: the file is empty. Copy or download it again.")
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            start = file.read(560)
    if start[:8] == b"\x89PNG\r\n\x1a\n" or start[:3] in (b"\xff\xd8\xff", b"GIF") or start[:2] == b"BM":
        return read_raster
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return read_raster
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return read_tiff
    if (
        start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
        or path.suffix.lower() == ".img"
    ):
        return read_nifti
    if start[128:132] == b"DICM":
        return read_dicom
    if start[:6] == b"\x93NUMPY":
        return read_npy
    if start[:4] == b"PK\x03\x04":
        return read_npz
    text = " It looks like text." if re.fullmatch(rb"[\t\n\r -~]+", start[:200]) else ""
    raise ImageError(f"{path}: no image format known here.{text} Export it as PNG, TIFF, NIfTI or DICOM.")
