"""NRRD and MetaImage, the formats of 3D Slicer and ITK, with SimpleITK."""

import math
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, index_of, ras_affine, refuse_if_bomb, refuse_if_huge


def read_itk(path: Path, volume: int | None = None) -> MedicalImage:
    """'YX' or 'ZYX' with an affine, 'C' last where a voxel has three values; ``volume`` is one of a 4D file."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    # by its contents, whatever the file is called
    reader.SetImageIO("NrrdImageIO" if path.open("rb").read(4) == b"NRRD" else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, values = reader.GetSize(), reader.GetNumberOfComponents()
    if values not in (1, 3):
        raise ImageError(f"{path}: {values} values a voxel (a vector field, tensors?). Export one of them.")
    refuse_if_huge(path, (*size[:3], values))
    parts = [p for p in path.parent.iterdir() if p.name.startswith(path.stem)]  # the data may lie beside its header
    refuse_if_bomb(path, math.prod(size) * values, sum(p.stat().st_size for p in parts))
    count, notes = (size[3] if len(size) > 3 else 1), ()
    index = index_of(path, "volume", volume, count)
    if count > 1:
        reader.SetExtractIndex([0, 0, 0, index])
        reader.SetExtractSize([*size[:3], 0])
        notes = (f"took volume {index} of {count}",)
    image = reader.Execute()
    pixels, axes = sitk.GetArrayFromImage(image), "ZYX"[-image.GetDimension() :] + "C" * (values == 3)
    steps, affine = image.GetSpacing(), None
    if len(steps) == 3:
        affine = ras_affine(np.reshape(image.GetDirection(), (3, 3)) * steps, image.GetOrigin())
    return MedicalImage(pixels, axes, steps[::-1], affine, notes=notes)
