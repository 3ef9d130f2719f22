"""An answer in the format and geometry of the image it belongs to, for other programs."""

from pathlib import Path

import numpy as np

from .image import MedicalImage
from .tiff import write_ome_tiff
from .volumes import write_nifti


def write_like(image: MedicalImage, values: np.ndarray, stem: Path) -> Path:
    """Write ``values`` (the image's spatial shape; uint8, int32 or float32) to ``stem`` + ending; returns the path.

    NIfTI gives .nii.gz with the same affine, codes and units; a DICOM series too, since its slices lie in
    space. Stacks, and images whose spacing is known, give OME-TIFF; others PNG; arrays .npy.
    """
    if image.axes == "XYZ" or image.affine is not None:
        return write_nifti(image, values, stem.with_name(f"{stem.name}.nii.gz"))
    if image.path is None:
        np.save(path := stem.with_name(f"{stem.name}.npy"), values)
        return path
    if values.ndim == 2 and image.spacing is None and values.max() < 65536 and values.dtype != np.float32:
        from PIL import Image

        whole = values if values.dtype == np.uint8 else values.astype(np.uint16)
        Image.fromarray(whole).save(path := stem.with_name(f"{stem.name}.png"))
        return path
    return write_ome_tiff(image, values, stem.with_name(f"{stem.name}.ome.tif"))
