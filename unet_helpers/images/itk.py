"""NRRD and MetaImage, the formats of 3D Slicer and ITK, with SimpleITK."""

from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, refuse_if_bomb, refuse_if_huge


def read_itk(path: Path, volume: int | None = None, **_) -> MedicalImage:
    """'YX' or 'ZYX' with an affine, 'C' last where a voxel has three values; ``volume`` is one of a 4D file."""
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise ImageError(f"{path}: NRRD and MetaImage need one more package: pip install SimpleITK") from error
    reader = sitk.ImageFileReader()
    # by its contents, whatever the file is called
    reader.SetImageIO("NrrdImageIO" if path.open("rb").read(4) == b"NRRD" else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, values = list(reader.GetSize()), reader.GetNumberOfComponents()
    if values not in (1, 3):
        raise ImageError(f"{path}: {values} values a voxel (a vector field, tensors?). Export one of them.")
    count, notes = (size[3] if len(size) > 3 else 1), []
    refuse_if_huge(path, (*size[:3], values))
    promised = int(np.prod(size, dtype=object)) * values
    parts = [p for p in path.parent.iterdir() if p.name.startswith(path.stem)]  # the data may lie beside its header
    refuse_if_bomb(path, promised, sum(p.stat().st_size for p in parts))
    if not 0 <= (volume or 0) < count:
        raise ImageError(f"{path}: has volumes 0 to {count - 1}, there is no volume {volume}.")
    if count > 1:
        reader.SetExtractIndex([0, 0, 0, volume or 0])
        reader.SetExtractSize([*size[:3], 0])
        notes.append(f"took volume {volume or 0} of {count}")
    image = reader.Execute()
    pixels, axes = sitk.GetArrayFromImage(image), "ZYX"[-image.GetDimension() :] + "C" * (values == 3)
    spacing = tuple(image.GetSpacing()[::-1])
    if image.GetDimension() < 3:
        return MedicalImage(pixels, axes, spacing, notes=tuple(notes))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK counts to the left and back, NIfTI to the right and front
    return MedicalImage(pixels, axes, spacing, affine, notes=tuple(notes))
