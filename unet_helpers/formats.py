"""One reader a family of formats, chosen by a file's first bytes, not by its name; and NumPy's own files."""

import gzip
import re
import zipfile
from pathlib import Path

import numpy as np

from .errors import ImageError
from .images import MedicalImage, from_array, refuse_if_hollow, refuse_if_huge
from .raster import read_raster
from .tiff import read_tiff
from .volumes import read_dicom, read_dicom_folder, read_nifti


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


def read_npy(path: Path, **_) -> MedicalImage:
    """One array; never a pickle."""
    with path.open("rb") as file:
        npy_size(file, path)
    return from_array(np.load(path, allow_pickle=False), name=path)


def npy_size(file, path: Path) -> int:
    """Bytes of the array, from its header."""
    version = np.lib.format.read_magic(file)
    header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
    shape, _, dtype = header(file)
    refuse_if_huge(path, shape)
    return int(np.prod(shape, dtype=object)) * dtype.itemsize


def read_npz(path: Path, **_) -> MedicalImage:
    """The only array of an archive, or the one named 'image' or 'arr_0'."""
    with zipfile.ZipFile(path) as archive:
        held = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if not any(info.filename.endswith(".npy") for info in held.values()):
            raise ImageError(f"{path}: a zip archive without an array. Unpack it (or export the image it holds).")
        names = [name for name in ("image", "arr_0") if name in held] or list(held)
        if len(names) != 1:
            raise ImageError(f"{path}: holds {', '.join(held)[:200] or 'nothing'}. Save one array, or call it 'image'.")
        with archive.open(held[names[0]]) as file:
            refuse_if_hollow(path, npy_size(file, path), held[names[0]].compress_size)
    with np.load(path, allow_pickle=False) as arrays:
        return from_array(arrays[names[0]], (f"took the array '{names[0]}'",), path)
