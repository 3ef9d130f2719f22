"""NumPy's own files, .npy and .npz; never a pickle."""

import math
import zipfile
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, from_array, refuse_if_huge


def read_npy(path: Path) -> MedicalImage:
    with path.open("rb") as file:
        check_header(file, path)
    return from_array(np.load(path, allow_pickle=False), name=path)


def check_header(file, path: Path, held: float = math.inf) -> None:
    header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    shape, _, dtype = header[np.lib.format.read_magic(file)[0]](file)
    refuse_if_huge(path, shape, math.prod(shape) * dtype.itemsize, held)


def read_npz(path: Path) -> MedicalImage:
    """The only array of an archive, or the one named 'image' or 'arr_0'."""
    if not zipfile.is_zipfile(path):
        raise ImageError(
            f"{path}: a zip archive that is damaged or cut off. Copy or download it again."
        )
    with zipfile.ZipFile(path) as archive:
        held = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if "[Content_Types].xml" in held:
            raise ImageError(
                f"{path}: an Office document (Word, PowerPoint, Excel). Export the image in it as PNG."
            )
        if not any(info.filename.endswith(".npy") for info in held.values()):
            raise ImageError(
                f"{path}: a zip archive without an array. Unpack it (or export the image it holds)."
            )
        names = [name for name in ("image", "arr_0") if name in held] or list(held)
        if len(names) != 1:
            raise ImageError(
                f"{path}: holds {', '.join(held)[:200] or 'nothing'}. Save one array, or call it 'image'."
            )
        with archive.open(held[names[0]]) as file:
            check_header(file, path, held[names[0]].compress_size)
    with np.load(path, allow_pickle=False) as arrays:
        return from_array(arrays[names[0]], (f"took the array '{names[0]}'",), path)
