"""Read NRRD and MetaImage with SimpleITK."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from .geometry import ras_affine
from .image import MedicalImage
from .limits import refuse_if_huge
from .options import ReadOptions, index_of

# Bytes from the beginning of a file that are searched for the header.
HEADER_BYTES = 4096

# The text that ends a header: an empty line in NRRD, the field ElementDataFile in MetaImage.
HEADER_ENDS = (b"\n\n", b"ElementDataFile")

# Names of the fields that hold the spacing, in lower case.
SPACING_FIELDS = (b"space directions", b"spacings", b"elementspacing", b"elementsize")

# Regular expressions for the fields that hold the directions of the axes in the body, in lower
# case. NRRD also has spaces without a body, such as scanner-xyz.
DIRECTION_FIELDS = (
    rb"\nspace:\s*((left|right)-|[lr][ap]s)",
    rb"\n(transformmatrix|orientation|rotation)\s*=",
)


def read_itk(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'YX', or 'ZYX' with an affine, and a last 'C' if a voxel has three values."""
    import SimpleITK

    header = header_text(path)
    reader = SimpleITK.ImageFileReader()
    # The format is recognised by the first bytes, because the file's name may be wrong.
    reader.SetImageIO("NrrdImageIO" if header.startswith(b"nrrd") else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()

    refuse_unreadable(path, reader)
    notes = choose_volume(path, reader, options)
    volume = reader.Execute()

    dimensions = volume.GetDimension()
    axes = "ZYX"[-dimensions:]
    if reader.GetNumberOfComponents() == 3:
        axes += "C"
    steps = volume.GetSpacing()
    affine = None
    if dimensions == 3:
        directions = np.reshape(volume.GetDirection(), (dimensions, dimensions))
        affine = ras_affine(directions * steps, volume.GetOrigin())

    # If the file has no spacing or no directions, ITK silently uses 1 mm and the body's axes.
    has_spacing = any(field in header for field in SPACING_FIELDS)
    has_directions = any(re.search(field, header) for field in DIRECTION_FIELDS)
    if affine is not None and not has_directions:
        notes.append("orientation unknown: it is not in the header")
    return MedicalImage(
        pixels=SimpleITK.GetArrayFromImage(volume),
        axes=axes,
        spacing=steps[::-1] if has_spacing else None,
        affine=affine,
        notes=tuple(notes),
        oriented=has_directions,
    )


def refuse_unreadable(path: Path, reader: Any) -> None:
    """Raise ImageError for voxels that are vectors or tensors, and for too many of them."""
    size = reader.GetSize()
    values_per_voxel = reader.GetNumberOfComponents()
    if values_per_voxel not in (1, 3):
        raise ImageError(
            f"{path}: {values_per_voxel} values a voxel (a vector field, tensors?). "
            "Export one of them."
        )
    refuse_if_huge(
        path,
        (*size[:3], values_per_voxel),
        math.prod(size) * values_per_voxel,
        stored_bytes(path),
    )


def choose_volume(path: Path, reader: Any, options: ReadOptions) -> list[str]:
    """Tell the reader which volume of a 4D file to read; return a note if there are several."""
    size = reader.GetSize()
    count = size[3] if len(size) > 3 else 1
    index = index_of(path, "volume", options.volume, count)
    if count == 1:
        return []

    reader.SetExtractIndex([0, 0, 0, index])
    reader.SetExtractSize([*size[:3], 0])
    return [f"took volume {index} of {count}"]


def header_text(path: Path) -> bytes:
    """Read the header at the beginning of a file, in lower case."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    for end in HEADER_ENDS:
        header, _, _ = header.partition(end)
    return header.lower()


def stored_bytes(path: Path) -> int:
    """Add up the sizes of all files whose names begin like this one, in bytes.

    A header's voxels may be in a second file of the same name.
    """
    beside = [file for file in path.parent.iterdir() if file.name.startswith(path.stem)]
    return sum(file.stat().st_size for file in beside)
