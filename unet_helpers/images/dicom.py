"""DICOM: single files, multi-frame files and folders of slices."""

from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, refuse_if_huge


def pydicom_or_advice(path: Path):
    try:
        import pydicom
    except ImportError as error:
        raise ImageError(f"{path}: reading DICOM needs one more package: pip install pydicom") from error
    return pydicom


def read_dicom(path: Path, **_) -> MedicalImage:
    """One file: 'YX', 'YXC', or 'ZYX' where it holds several frames."""
    return from_dataset(pydicom_or_advice(path).dcmread(path), path)


def from_dataset(data, path: Path) -> MedicalImage:
    frames = int(getattr(data, "NumberOfFrames", 1) or 1)
    if not getattr(data, "Rows", 0) or not getattr(data, "Columns", 0):
        raise ImageError(f"{path}: a DICOM file without an image (report, structure set, ...). Choose another one.")
    refuse_if_huge(path, (frames, data.Rows, data.Columns, int(getattr(data, "SamplesPerPixel", 1))))
    pixels, notes = data.pixel_array, []
    photometric = str(getattr(data, "PhotometricInterpretation", ""))
    colour = int(getattr(data, "SamplesPerPixel", 1)) == 3
    if colour and photometric.startswith("YBR"):
        notes.append("converted from YBR to RGB")  # by pydicom
    if photometric == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels, colour = apply_color_lut(pixels, data)[..., :3], True
        notes.append("expanded the colour palette")
    if photometric == "MONOCHROME1":
        top = -1 if data.PixelRepresentation else 2**data.BitsStored - 1
        pixels = pixels.dtype.type(top) - pixels  # the same in every slice of a series
        notes.append("inverted: the file stores white as the lowest value")
    slope, shift = float(attribute(data, "RescaleSlope") or 1), float(attribute(data, "RescaleIntercept") or 0)
    if (slope, shift) != (1, 0):
        pixels = pixels.astype(np.float32) * np.float32(slope) + np.float32(shift)
        notes.append(f"values scaled by {slope:g} and shifted by {shift:g}, as the file says")
    across = attribute(data, "PixelSpacing", "ImagerPixelSpacing")
    spacing = tuple(float(s) for s in across) if across else None
    axes = ("Z" if frames > 1 else "") + "YX" + ("C" if colour else "")
    if spacing and frames > 1:
        depth = attribute(data, "SpacingBetweenSlices", "SliceThickness")
        spacing = (float(depth), *spacing) if depth else None
    return MedicalImage(pixels, axes, spacing, path=path, notes=tuple(notes))


def attribute(data, *names: str):
    """The first of ``names`` that a file gives, an enhanced one in the groups that all its frames share; else None."""
    groups = getattr(data, "SharedFunctionalGroupsSequence", None) or ()
    shared = [element.value[0] for group in groups for element in group if element.VR == "SQ" and element.value]
    values = (getattr(place, name, None) for name in names for place in (data, *shared))
    return next((value for value in values if value), None)


def read_dicom_folder(folder: Path, series: str | None = None, **_) -> MedicalImage:
    """One series as a 'ZYX' stack, sorted along its normal, with an affine to mm (right, front, top)."""
    found: dict[str, list] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                continue
        data = pydicom_or_advice(path).dcmread(path)
        if "PixelData" in data:
            found.setdefault(str(getattr(data, "SeriesInstanceUID", "")), []).append(data)
    if not found:
        raise ImageError(f"{folder}: a folder without DICOM images. Give one file, or the folder of a series.")
    if series not in found and (len(found) > 1 or series is not None):
        listed = "; ".join(f"{uid} ({len(slices)} slices)" for uid, slices in found.items())
        raise ImageError(f"{folder}: holds {len(found)} series, choose one with series='...': {listed}")
    slices = found[series or next(iter(found))]
    if len(slices) == 1:
        return from_dataset(slices[0], folder)
    if not all("ImagePositionPatient" in s and "ImageOrientationPatient" in s for s in slices):
        raise ImageError(f"{folder}: its slices do not say where they lie. Read them one by one.")
    along, down = np.reshape([float(v) for v in slices[0].ImageOrientationPatient], (2, 3))
    normal = np.cross(along, down)
    slices.sort(key=lambda s: float(np.dot(normal, [float(v) for v in s.ImagePositionPatient])))
    images = [from_dataset(s, folder) for s in slices]
    if len({(i.pixels.shape, i.spacing) for i in images}) > 1:
        raise ImageError(f"{folder}: slices of different size or spacing. Move the odd ones out.")
    first, last = (np.array([float(v) for v in s.ImagePositionPatient]) for s in (slices[0], slices[-1]))
    step = (last - first) / (len(slices) - 1)
    rows, columns = images[0].spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3] = np.column_stack([along * columns, down * rows, step, first])
    affine[:2] *= -1  # DICOM counts to the left and back, NIfTI to the right and front
    spacing = (float(np.linalg.norm(step)), rows, columns) if images[0].spacing else None
    return MedicalImage(
        np.stack([i.pixels for i in images]), "Z" + images[0].axes, spacing, affine, notes=images[0].notes
    )
