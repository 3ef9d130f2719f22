"""Read NumPy's files, .npy and .npz; pickles in them are refused, because they can run code."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import ImageError
from .arrays import from_array
from .image import MedicalImage
from .limits import refuse_if_huge
from .options import ReadOptions

# If an archive has several arrays, the image is the one with one of these names.
IMAGE_NAMES = ("image", "arr_0")

# Functions that read an array's header, by the major version of the file format.
HEADER_READERS = {
    1: np.lib.format.read_array_header_1_0,
    2: np.lib.format.read_array_header_2_0,
}


def read_npy(path: Path, options: ReadOptions) -> MedicalImage:
    """Read the array of a .npy file."""
    with path.open("rb") as file:
        refuse_if_header_promises_too_much(file, path)
    return from_array(np.load(path, allow_pickle=False), name=path, options=options)


def read_npz(path: Path, options: ReadOptions) -> MedicalImage:
    """Read the only array of an archive, or the one named 'image' or 'arr_0'."""
    if not zipfile.is_zipfile(path):
        raise ImageError(
            f"{path}: a zip archive that is damaged or cut off. Copy or download it again."
        )
    with zipfile.ZipFile(path) as archive:
        member = image_member(archive, path)
        with archive.open(member) as file:
            refuse_if_header_promises_too_much(file, path, stored_bytes=member.compress_size)

    name = member.filename.removesuffix(".npy")
    with np.load(path, allow_pickle=False) as arrays:
        return from_array(arrays[name], (f"took the array '{name}'",), path, options)


def image_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Find the file in the archive that holds the image."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if "[Content_Types].xml" in members:
        raise ImageError(
            f"{path}: an Office document (Word, PowerPoint, Excel). Export the image in it as PNG."
        )
    if not any(info.filename.endswith(".npy") for info in members.values()):
        raise ImageError(
            f"{path}: a zip archive without an array. Unpack it (or export the image it holds)."
        )

    named = [name for name in IMAGE_NAMES if name in members]
    candidates = named or list(members)
    if len(candidates) != 1:
        listed = ", ".join(members)[:200] or "nothing"
        raise ImageError(f"{path}: holds {listed}. Save one array, or call it 'image'.")
    return members[candidates[0]]


def refuse_if_header_promises_too_much(
    file: IO[bytes], path: Path, stored_bytes: float = math.inf
) -> None:
    """Compare what an array's header promises with the bytes that hold it, inf if not packed."""
    version, _ = np.lib.format.read_magic(file)
    shape, _, dtype = HEADER_READERS[version](file)
    refuse_if_huge(path, shape, math.prod(shape) * dtype.itemsize, stored_bytes)
