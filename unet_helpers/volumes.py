"""NIfTI and DICOM: readers that keep the geometry, and the way to a canonical orientation and back."""

import gzip
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from .errors import ImageError
from .images import MedicalImage, refuse_if_hollow, refuse_if_huge

LENGTHS = {"mm": 1.0, "micron": 1e-3, "meter": 1000.0, "unknown": 1.0}  # in mm; most files that do not say mean mm
DEFLATE_LIMIT = 1100  # zlib cannot shrink anything further than about 1 : 1032


def read_nifti(path: Path, volume: int = 0, **_) -> MedicalImage:
    """.nii, .nii.gz, .hdr/.img; 'XYZ' in the file's own orientation, scaled as its header says."""
    with path.open("rb") as start:
        packed = start.read(2) == b"\x1f\x8b"
    with closing(gzip.open(path) if packed else path.open("rb")) as opened:
        return from_nifti(open_nifti(opened, path), path, volume, packed)


def open_nifti(opened, path: Path):
    """nibabel's image: of this file whatever it is called, or with its other half, which is found by its name."""
    import nibabel as nib

    start = opened.read(348)
    opened.seek(0)
    kinds = {start[344:348]: nib.Nifti1Image, start[4:8]: nib.Nifti2Image}
    kind = kinds.get(b"n+1\0", kinds.get(b"n+2\0"))
    return nib.load(path) if kind is None else kind.from_stream(opened)


def from_nifti(file, path: Path, volume: int, packed: bool) -> MedicalImage:
    shape, notes = tuple(int(n) for n in file.shape), []
    if len(shape) < 2 or min(shape) < 1:
        raise ImageError(f"{path}: an image of shape {shape} has no slices.")
    refuse_if_huge(path, shape[:3])
    promised = int(np.prod(shape, dtype=object)) * file.header.get_data_dtype().itemsize
    holder = Path(file.file_map["image"].filename or path)
    held = holder.stat().st_size
    if promised > held * (DEFLATE_LIMIT if packed else 1):
        raise ImageError(f"{path}: its header promises more data than the file holds: it is cut off. Copy it again.")
    refuse_if_hollow(path, promised, held)
    data = file.dataobj
    if len(shape) > 3:
        count = int(np.prod(shape[3:]))
        if not 0 <= volume < count:
            raise ImageError(f"{path}: has volumes 0 to {count - 1}, there is no volume {volume}.")
        pixels = np.asanyarray(data[(..., *np.unravel_index(volume, shape[3:], order="F"))])
        if count > 1:
            notes.append(f"took volume {volume} of {count}")
    else:
        pixels = np.asanyarray(data)
    if getattr(data, "slope", 1) != 1 or getattr(data, "inter", 0) != 0:
        notes.append(f"values scaled by {data.slope:g} and shifted by {data.inter:g}, as the header says")
        pixels = pixels.astype(np.float32)
    pixels = np.array(pixels.reshape(pixels.shape + (1,) * (3 - pixels.ndim)))
    unit = file.header.get_xyzt_units()[0] if hasattr(file.header, "get_xyzt_units") else "unknown"
    zooms = (*file.header.get_zooms()[:3], 1.0)[:3]
    spacing = tuple(float(z) * LENGTHS[unit] for z in zooms)
    return MedicalImage(pixels, "XYZ", spacing, file.affine, file.header, notes=tuple(notes))


def to_canonical(image: MedicalImage) -> MedicalImage:
    """A NIfTI volume with its axes turned to run to the right, front and top (RAS+); a view, voxel for voxel."""
    from nibabel.orientations import apply_orientation

    turn = orientation(image)
    order = np.argsort(turn[:, 0])
    spacing = None if image.spacing is None else tuple(image.spacing[int(i)] for i in order)
    return replace(image, pixels=apply_orientation(image.pixels, turn), spacing=spacing)


def from_canonical(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Values of the canonical shape in the file's own order."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    return apply_orientation(values, ornt_transform(axcodes2ornt("RAS"), orientation(image)))


def orientation(image: MedicalImage) -> np.ndarray:
    """nibabel's (3, 2) orientation of the file's axes; as stored where the affine says nothing sensible."""
    from nibabel.orientations import axcodes2ornt, io_orientation

    if image.affine is None or not np.isfinite(image.affine).all():
        return axcodes2ornt("RAS")
    turn = io_orientation(image.affine)
    return axcodes2ornt("RAS") if np.isnan(turn).any() else turn


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
