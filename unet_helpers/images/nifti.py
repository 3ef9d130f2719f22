"""Read NIfTI, Analyze and FreeSurfer's MGH, and write NIfTI, with nibabel."""

from __future__ import annotations

import gzip
import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, noted
from .limits import refuse_if_huge
from .options import ReadOptions, index_of

if TYPE_CHECKING:
    import nibabel as nib

GZIP_START = b"\x1f\x8b"

# Bytes of a NIfTI-1 header, enough to recognise NIfTI-2, too.
HEADER_BYTES = 348

# Position of the voxel sizes, pixdim[1:4], in the bytes of a NIfTI-1 or Analyze header.
VOXEL_SIZES = slice(80, 92)

# Position of the flag that the header gives the orientation, in the bytes of an MGH header.
GOOD_RAS_FLAG = slice(28, 30)

# Length of each unit of a header in mm. Most files with the unit "unknown" mean mm.
MILLIMETRES = {"mm": 1.0, "micron": 1e-3, "meter": 1000.0, "unknown": 1.0}

# The highest compression ratio of a gzipped file: zlib reaches at most about 1032.
MAX_COMPRESSION = 1100

# A relative difference below this, between the steps of an sform and the voxel sizes, is rounding.
SIZE_TOLERANCE = 0.02


def read_nifti(path: Path, options: ReadOptions) -> MedicalImage:
    """Read 'XYZ' in the file's own orientation, with the values scaled as the header says."""
    import nibabel as nib

    with path.open("rb") as file:
        is_packed = file.read(2) == GZIP_START

    # A single file is recognised by its bytes, because its name may be wrong; the two files of a
    # pair are found by their names. The stream stays open until the voxels are read.
    with closing(gzip.open(path) if is_packed else path.open("rb")) as stream:
        start = stream.read(HEADER_BYTES)
        stream.seek(0)
        source: Any
        if start[344:348] == b"n+1\0":
            source = nib.Nifti1Image.from_stream(stream)
        elif start[4:8] == b"n+2\0":
            source = nib.Nifti2Image.from_stream(stream)
        else:
            refuse_without_header(path)
            source = nib.load(path)
        image = image_of(source, path, options.volume, is_packed=is_packed)

    is_mgh = "goodRASFlag" in source.header
    if is_mgh and not any(start[GOOD_RAS_FLAG]):
        image = noted(image, "orientation unknown: its flag goodRASFlag is 0", oriented=False)

    # If the header has no voxel size, nibabel returns 1 mm. MGH always has one, in other bytes.
    is_nifti_2 = isinstance(source, nib.Nifti2Image)
    if is_nifti_2 or "sform_code" not in source.header or any(start[VOXEL_SIZES]):
        return image
    words = "its header has no voxel size: give it with spacing=, or there are no volumes"
    return noted(image, words, spacing=None)


def refuse_without_header(path: Path) -> None:
    """Raise ImageError for the voxels of a pair whose header is not beside them."""
    if path.suffix.lower() != ".img":
        return
    names = [path.with_suffix(ending) for ending in (".hdr", ".HDR")]
    if not any(name.exists() for name in names):
        raise ImageError(f"{path}: {names[0].name}, its header, is missing. Copy both files.")


def image_of(
    source: nib.spatialimages.SpatialImage, path: Path, volume: int | None, *, is_packed: bool
) -> MedicalImage:
    """Read one volume of nibabel's image, with its geometry and notes about doubtful headers."""
    refuse_if_more_than_stored(source, path, is_packed=is_packed)
    pixels, notes = voxels_of(source, path, volume)

    voxel_sizes = (*source.header.get_zooms()[:3], 1.0)[:3]
    unit = millimetres_of_unit(source.header)
    place = place_of(source)
    return MedicalImage(
        pixels=pixels,
        axes="XYZ",
        spacing=tuple(float(size) * unit for size in voxel_sizes),
        affine=place.affine,
        header=source.header,
        notes=(*notes, *place.notes),
        oriented=place.is_oriented,
    )


def refuse_if_more_than_stored(
    source: nib.spatialimages.SpatialImage, path: Path, *, is_packed: bool
) -> None:
    """Raise ImageError for no voxels, too many voxels, or more voxels than the file holds."""
    shape = tuple(map(int, source.shape))
    if len(shape) < 2 or min(shape) < 1:
        raise ImageError(f"{path}: an image of shape {shape} has no slices.")
    refuse_if_huge(path, shape[:3])

    promised_bytes = math.prod(shape) * source.header.get_data_dtype().itemsize
    voxel_file = Path(source.file_map["image"].filename or path)
    stored_bytes = voxel_file.stat().st_size
    possible_bytes = stored_bytes * MAX_COMPRESSION if is_packed else stored_bytes
    if promised_bytes > possible_bytes:
        raise ImageError(
            f"{path}: its header promises more data than the file holds: it is cut off. "
            "Copy it again."
        )
    refuse_if_huge(path, (), promised_bytes, stored_bytes)


def voxels_of(
    source: nib.spatialimages.SpatialImage, path: Path, volume: int | None
) -> tuple[np.ndarray, list[str]]:
    """Read the (X, Y, Z) voxels of one volume, and notes; a file with two axes gets one slice."""
    data = source.dataobj
    shape = tuple(map(int, source.shape))
    further_axes = shape[3:]
    notes = []

    if further_axes:
        count = math.prod(further_axes)
        index = index_of(path, "volume", volume, count)
        place = np.unravel_index(index, further_axes, order="F")
        voxels = np.asanyarray(data[(..., *place)])
        if count > 1:
            notes.append(f"took volume {index} of {count}")
    else:
        index_of(path, "volume", volume, count=1)
        voxels = np.asanyarray(data)

    slope = getattr(data, "slope", 1)
    intercept = getattr(data, "inter", 0)
    if slope != 1 or intercept != 0:
        notes.append(f"values scaled by {slope:g} and shifted by {intercept:g}, as the header says")
        voxels = voxels.astype(np.float32)

    missing_axes = 3 - voxels.ndim
    voxels = voxels.reshape(voxels.shape + (1,) * missing_axes)
    # A copy, because nibabel may map the file, which is closed soon.
    return np.array(voxels), notes


def millimetres_of_unit(header: Any) -> float:
    """Return the length in mm of the header's unit."""
    if not hasattr(header, "get_xyzt_units"):
        return MILLIMETRES["unknown"]
    unit, _ = header.get_xyzt_units()
    return MILLIMETRES[unit]


@dataclass(frozen=True, eq=False)
class Place:
    """Where a volume lies, as its file says."""

    # (4, 4) from indices to positions; without an orientation, nibabel's guess by the voxel sizes.
    affine: np.ndarray
    is_oriented: bool = True
    notes: tuple[str, ...] = ()


def place_of(source: nib.spatialimages.SpatialImage) -> Place:
    """Return the affine, whether the file gives the volume's orientation, and notes on doubts."""
    header: Any = source.header
    if "sform_code" not in header:
        return place_in_other_formats(source)
    has_sform = header["sform_code"] > 0
    has_qform = header["qform_code"] > 0
    if not has_sform and not has_qform:
        words = "orientation unknown: neither sform nor qform is set"
        return Place(source.affine, is_oriented=False, notes=(words,))
    if not has_sform:
        return Place(source.affine)

    # A flat image has no third step.
    dimensions = min(3, int(header["dim"][0]))
    steps = header.get_sform()[:3, :dimensions]
    has_directions = np.isfinite(steps).all() and np.linalg.matrix_rank(steps) == dimensions
    if not has_directions and has_qform:
        words = "its sform has no directions (steps of 0, or no numbers): its qform is used"
        return Place(header.get_qform(), notes=(words,))
    if not has_directions:
        words = "orientation unknown: its sform has no directions (steps of 0, or no numbers)"
        return Place(header.get_base_affine(), is_oriented=False, notes=(words,))

    lengths = np.linalg.norm(steps, axis=0)
    if np.allclose(lengths, header.get_zooms()[:dimensions], rtol=SIZE_TOLERANCE):
        return Place(source.affine)
    listed = " × ".join(f"{length:.4g}" for length in lengths)
    words = (
        f"its sform (steps of {listed}) disagrees with its voxel sizes, which are used for volumes"
    )
    return Place(source.affine, notes=(words,))


def place_in_other_formats(source: nib.spatialimages.SpatialImage) -> Place:
    """Return the affine of a file of Analyze or MGH, and a note if it gives no orientation.

    nibabel replaces the flag of MGH by 1, so ``read_nifti`` looks at it in the file.
    """
    header: Any = source.header
    if "goodRASFlag" in header:
        return Place(source.affine)

    # SPM writes the affine of an Analyze pair to a third file.
    matrix = source.file_map.get("mat")
    if matrix is not None and matrix.filename and Path(matrix.filename).is_file():
        return Place(source.affine)
    words = "orientation unknown: Analyze files do not hold it"
    return Place(source.affine, is_oriented=False, notes=(words,))


def write_nifti(image: MedicalImage, values: np.ndarray, path: Path) -> Path:
    """Write values of the image's spatial shape, with the image's geometry."""
    import nibabel as nib

    is_read_from_file = isinstance(
        image.header, nib.analyze.AnalyzeHeader | nib.freesurfer.mghformat.MGHHeader
    )
    if image.axes.startswith("XYZ") and is_read_from_file:
        file = with_header_of(image, values)
    else:
        file = with_new_header(image, values)
    nib.save(file, path)
    return path


def with_header_of(image: MedicalImage, values: np.ndarray) -> nib.Nifti1Pair:
    """Make a NIfTI of (X, Y, Z) values with the geometry, codes and units of the image's header."""
    import nibabel as nib

    kind = nib.Nifti2Image if isinstance(image.header, nib.Nifti2Header) else nib.Nifti1Image
    header = kind.header_class.from_header(image.header)
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)

    # A flat image was stored with two axes. An image that the user has cut keeps its new shape.
    stored_shape = image.header.get_data_shape()[:3]
    if math.prod(stored_shape) == values.size:
        values = values.reshape(stored_shape)

    # nibabel cannot write an affine with NaN; with None it keeps that of the header.
    affine = image.affine if has_finite_affine(image) else None
    return kind(values, affine, header)


def with_new_header(image: MedicalImage, values: np.ndarray) -> nib.Nifti1Image:
    """Make a NIfTI (X, Y, Z) or (X, Y, Z, T) with the geometry of the affine or the spacing.

    For images without a NIfTI header: of other formats, such as DICOM, or made from an array.
    """
    import nibabel as nib

    affine = image.affine if has_finite_affine(image) else affine_of_spacing(image)
    file = nib.Nifti1Image(in_nifti_order(image, values), affine)
    is_in_millimetres = image.affine is not None or image.spacing is not None
    file.header.set_xyzt_units("mm" if is_in_millimetres else "unknown")
    return file


def has_finite_affine(image: MedicalImage) -> bool:
    """Return whether the image has an affine without NaN or infinity."""
    return image.affine is not None and bool(np.isfinite(image.affine).all())


def affine_of_spacing(image: MedicalImage) -> np.ndarray:
    """Make a diagonal (4, 4) affine from the image's spacing, or from 1 if it is unknown."""
    steps = image.spacing or ()
    if not image.axes.startswith("X"):
        steps = steps[::-1]
    affine = np.eye(4)
    for axis, step in enumerate(steps):
        affine[axis, axis] = step
    return affine


def in_nifti_order(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Transpose values of the image's spatial shape to (X, Y, Z), a movie to (X, Y, Z, T)."""
    if image.axes.startswith("X"):
        return values
    return values.transpose()
