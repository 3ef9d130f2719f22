"""NRRD and MetaImage, the formats of 3D Slicer and ITK, with SimpleITK."""

import math
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, index_of, ras_affine, refuse_if_huge

SIZES = (b"space directions", b"spacings", b"elementspacing", b"elementsize")  # in a header that knows the spacing
TURNS = (b"\nspace:", b"transformmatrix", b"\norientation", b"\nrotation")  # and the directions of its axes


def read_itk(path: Path, volume: int | None = None) -> MedicalImage:
    """'YX' or 'ZYX' with an affine, 'C' last where a voxel has three values; ``volume`` is one of a 4D file."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    header = path.open("rb").read(4096).split(b"\n\n")[0].partition(b"ElementDataFile")[0].lower()
    reader.SetImageIO("NrrdImageIO" if header[:4] == b"nrrd" else "MetaImageIO")  # whatever the file is called
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, values = reader.GetSize(), reader.GetNumberOfComponents()
    if values not in (1, 3):
        raise ImageError(f"{path}: {values} values a voxel (a vector field, tensors?). Export one of them.")
    parts = [p for p in path.parent.iterdir() if p.name.startswith(path.stem)]  # the data may lie beside its header
    refuse_if_huge(path, (*size[:3], values), math.prod(size) * values, sum(p.stat().st_size for p in parts))
    count, notes = (size[3] if len(size) > 3 else 1), ()
    index = index_of(path, "volume", volume, count)
    if count > 1:
        reader.SetExtractIndex([0, 0, 0, index])
        reader.SetExtractSize([*size[:3], 0])
        notes = (f"took volume {index} of {count}",)
    image = reader.Execute()
    pixels, axes = sitk.GetArrayFromImage(image), "ZYX"[-image.GetDimension() :] + "C" * (values == 3)
    steps, turn = image.GetSpacing(), np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)
    affine = ras_affine(turn * steps, image.GetOrigin()) if len(steps) == 3 else None
    # what is not in the file, ITK makes up without a word: 1 mm, and axes along those of the body
    sized, turned = (any(word in header for word in words) for words in (SIZES, TURNS))
    notes += ("orientation unknown: it is not in the header",) * (affine is not None and not turned)
    return MedicalImage(pixels, axes, steps[::-1] if sized else None, affine, notes=notes, oriented=turned)
