"""Volumes and their geometry: NIfTI, Analyze and FreeSurfer's MGH with nibabel, NRRD and MetaImage with SimpleITK."""

import gzip
import math
from contextlib import closing
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, index_of, noted, ras_affine, refuse_if_huge

LENGTHS = {
    "mm": 1.0,
    "micron": 1e-3,
    "meter": 1000.0,
    "unknown": 1.0,
}  # in mm; most files that do not say mean mm
DEFLATE_LIMIT = 1100  # zlib cannot shrink anything further than about 1 : 1032
SIZES = (
    b"space directions",
    b"spacings",
    b"elementspacing",
    b"elementsize",
)  # in an ITK header that has the spacing
TURNS = (
    b"\nspace:",
    b"transformmatrix",
    b"\norientation",
    b"\nrotation",
)  # and the directions of its axes


def read_nifti(path: Path, volume: int = 0) -> MedicalImage:
    """.nii, .nii.gz, .hdr/.img, .mgh, .mgz; 'XYZ' in the file's own orientation, scaled as its header says."""
    import nibabel as nib

    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with closing(gzip.open(path) if packed else path.open("rb")) as opened:
        start = opened.read(348)
        opened.seek(0)
        kinds = {start[344:348]: nib.Nifti1Image, start[4:8]: nib.Nifti2Image}
        kind = kinds.get(
            b"n+1\0", kinds.get(b"n+2\0")
        )  # whatever it is called; a pair is found by its name
        image = from_nifti(
            kind.from_stream(opened) if kind else nib.load(path), path, volume, packed
        )
    if (
        kind is nib.Nifti2Image or "sform_code" not in image.header or any(start[80:92])
    ):  # else nibabel says 1 mm
        return image
    return noted(
        image,
        "its header has no voxel size: give it with spacing=, or there are no volumes",
        spacing=None,
    )


def from_nifti(file, path: Path, volume: int, packed: bool) -> MedicalImage:
    shape, data, header = tuple(map(int, file.shape)), file.dataobj, file.header
    if len(shape) < 2 or min(shape) < 1:
        raise ImageError(f"{path}: an image of shape {shape} has no slices.")
    refuse_if_huge(path, shape[:3])
    promised = math.prod(shape) * header.get_data_dtype().itemsize
    held = Path(file.file_map["image"].filename or path).stat().st_size
    if promised > held * (DEFLATE_LIMIT if packed else 1):
        raise ImageError(
            f"{path}: its header promises more data than the file holds: it is cut off. Copy it again."
        )
    refuse_if_huge(path, (), promised, held)
    count = math.prod(shape[3:])
    place = np.unravel_index(
        index_of(path, "volume", volume if shape[3:] else 0, count), shape[3:], order="F"
    )
    pixels = np.asanyarray(data[(..., *place)] if shape[3:] else data)
    notes = [f"took volume {volume} of {count}"] if count > 1 else []
    if getattr(data, "slope", 1) != 1 or getattr(data, "inter", 0) != 0:
        notes.append(
            f"values scaled by {data.slope:g} and shifted by {data.inter:g}, as the header says"
        )
        pixels = pixels.astype(np.float32)
    pixels = np.array(pixels.reshape(pixels.shape + (1,) * (3 - pixels.ndim)))
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "unknown"
    spacing = tuple(float(z) * LENGTHS[unit] for z in (*header.get_zooms()[:3], 1.0)[:3])
    oriented, doubts = orientation_known(header)
    return MedicalImage(
        pixels, "XYZ", spacing, file.affine, header, notes=(*notes, *doubts), oriented=oriented
    )


def orientation_known(header) -> tuple[bool, list[str]]:
    """Whether the header says how the volume lies, and what is doubtful about it."""
    if (
        "sform_code" not in header or header["sform_code"] <= 0 < header["qform_code"]
    ):  # Analyze or MGH; a qform
        return True, []
    if header["sform_code"] <= 0:
        return False, ["orientation unknown: neither sform nor qform is set"]
    given = min(3, int(header["dim"][0]))  # a flat image has no third step
    lengths = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    if np.allclose(lengths[:given], header.get_zooms()[:given], rtol=0.02):
        return True, []
    said = " × ".join(f"{n:.4g}" for n in lengths)
    return True, [
        f"its sform (steps of {said}) disagrees with its voxel sizes, which are used for volumes"
    ]


def read_itk(path: Path, volume: int | None = None) -> MedicalImage:
    """'YX' or 'ZYX' with an affine, 'C' last where a voxel has three values; ``volume`` is one of a 4D file."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    header = path.open("rb").read(4096).split(b"\n\n")[0].partition(b"ElementDataFile")[0].lower()
    reader.SetImageIO(
        "NrrdImageIO" if header[:4] == b"nrrd" else "MetaImageIO"
    )  # whatever the file is called
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, values = reader.GetSize(), reader.GetNumberOfComponents()
    if values not in (1, 3):
        raise ImageError(
            f"{path}: {values} values a voxel (a vector field, tensors?). Export one of them."
        )
    parts = [
        p for p in path.parent.iterdir() if p.name.startswith(path.stem)
    ]  # the data may lie beside its header
    refuse_if_huge(
        path, (*size[:3], values), math.prod(size) * values, sum(p.stat().st_size for p in parts)
    )
    count, notes = (size[3] if len(size) > 3 else 1), ()
    index = index_of(path, "volume", volume, count)
    if count > 1:
        reader.SetExtractIndex([0, 0, 0, index])
        reader.SetExtractSize([*size[:3], 0])
        notes = (f"took volume {index} of {count}",)
    image = reader.Execute()
    pixels, axes = (
        sitk.GetArrayFromImage(image),
        "ZYX"[-image.GetDimension() :] + "C" * (values == 3),
    )
    steps, turn = image.GetSpacing(), np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)
    affine = ras_affine(turn * steps, image.GetOrigin()) if len(steps) == 3 else None
    # what is not in the file, ITK makes up without a word: 1 mm, and axes along those of the body
    sized, turned = (any(word in header for word in words) for words in (SIZES, TURNS))
    notes += ("orientation unknown: it is not in the header",) * (affine is not None and not turned)
    return MedicalImage(
        pixels, axes, steps[::-1] if sized else None, affine, notes=notes, oriented=turned
    )


def write_nifti(image: MedicalImage, values: np.ndarray, path: Path) -> Path:
    import nibabel as nib

    if image.axes == "XYZ":
        stored = image.header.get_data_shape()[:3]
        kind = nib.Nifti2Image if isinstance(image.header, nib.Nifti2Header) else nib.Nifti1Image
        header = kind.header_class.from_header(image.header)
        header.set_data_dtype(values.dtype)
        header.set_slope_inter(1, 0)
        sound = np.isfinite(
            image.affine
        ).all()  # nibabel cannot write another one; the header's own stays as it is
        file = kind(values.reshape(stored), image.affine if sound else None, header)
    else:
        file = nib.Nifti1Image(values.transpose(2, 1, 0), image.affine)
        file.header.set_xyzt_units("mm")
    nib.save(file, path)
    return path
