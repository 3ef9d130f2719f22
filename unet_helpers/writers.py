"""An answer in the format and geometry of the image it belongs to, for other programs."""

from pathlib import Path

import numpy as np

from .images import MedicalImage


def write_like(image: MedicalImage, values: np.ndarray, stem: Path) -> Path:
    """Write ``values`` (the image's spatial shape; uint8, int32 or float32) to ``stem`` + ending; returns the path.

    NIfTI gives .nii.gz with the same affine, codes and units; a DICOM series too, since its slices lie in
    space. Stacks, and images whose spacing is known, give OME-TIFF; others PNG; arrays .npy.
    """
    if image.axes == "XYZ" or image.affine is not None:
        return write_nifti(image, values, stem.with_name(stem.name + ".nii.gz"))
    if image.path is None:
        path = stem.with_name(stem.name + ".npy")
        np.save(path, values)
        return path
    if values.ndim == 2 and image.spacing is None and values.max() < 65536 and values.dtype != np.float32:
        return write_png(values, stem.with_name(stem.name + ".png"))
    return write_ome_tiff(image, values, stem.with_name(stem.name + ".ome.tif"))


def write_nifti(image: MedicalImage, values: np.ndarray, path: Path) -> Path:
    import nibabel as nib

    if image.axes == "XYZ":
        stored = tuple(int(n) for n in image.header.get_data_shape()[:3])
        kind = nib.Nifti2Image if isinstance(image.header, nib.Nifti2Header) else nib.Nifti1Image
        header = kind.header_class.from_header(image.header)
        header.set_data_dtype(values.dtype)
        header.set_slope_inter(1, 0)
        sound = np.isfinite(image.affine).all()  # nibabel cannot write another one; the header's own stays as it is
        file = kind(values.reshape(stored), image.affine if sound else None, header)
    else:
        file = nib.Nifti1Image(values.transpose(2, 1, 0), image.affine)
        file.header.set_xyzt_units("mm")
    nib.save(file, path)
    return path


def write_png(values: np.ndarray, path: Path) -> Path:
    from PIL import Image

    Image.fromarray(values if values.dtype == np.uint8 else values.astype(np.uint16)).save(path)
    return path


def write_ome_tiff(image: MedicalImage, values: np.ndarray, path: Path) -> Path:
    import tifffile

    metadata = {"axes": "ZYX"[-values.ndim :]}
    for axis, step in zip(metadata["axes"], image.spacing or ()):
        metadata |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata=metadata, compression="zlib")
    return path
