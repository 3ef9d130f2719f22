"""Positions of voxels: affines, and a spacing given by the user."""

from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import ImageError
from ..number_types import is_number
from .image import MedicalImage, noted

# Signs for the rows of an affine. They turn the axes of DICOM and ITK (LPS: to the left, back and
# head) into those of NIfTI (RAS: to the right, front and head).
LPS_TO_RAS = np.array([[-1], [-1], [1]])


def ras_affine(steps: np.ndarray, start: Sequence[float]) -> np.ndarray:
    """Make NIfTI's (4, 4) affine (RAS) from steps and a start in the axes of DICOM and ITK (LPS).

    ``steps`` is (3, 3): its columns are the steps along x, y and z. ``start`` is the position of
    the first voxel. Both are in mm.
    """
    affine = np.eye(4)
    affine[:3] = np.column_stack([steps, start]) * LPS_TO_RAS
    return affine


def with_spacing(image: MedicalImage, spacing: float | Sequence[float] | None) -> MedicalImage:
    """Replace the spacing by one in mm: one number, or one for each spatial axis, in their order.

    The affine of a volume is scaled to it. None leaves the image as it is.
    """
    if spacing is None:
        return image
    count = len(image.axes.strip("TC"))
    given = tuple(spacing) if isinstance(spacing, Iterable) else (spacing,) * count
    if len(given) != count or not all(map(is_length, given)):
        raise ImageError(
            f"spacing={spacing!r}: give mm per px above 0, one number or {count} of them."
        )
    steps = tuple(map(float, given))

    affine = image.affine
    if affine is not None and count == 3:
        # The columns of an affine are in the order (x, y, z), as axes only are if X is the first.
        in_affine_order = steps if image.axes.startswith("X") else steps[::-1]
        affine = rescaled(affine, in_affine_order)
    return noted(image, "spacing given by hand", spacing=steps, affine=affine)


def is_length(step: object) -> bool:
    """Return whether this is a finite number above 0."""
    return is_number(step) and 0 < float(step) < np.inf


def rescaled(affine: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """Return a copy of an affine with steps (x, y, z) of these lengths, in the same directions."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    affine = affine.copy()
    affine[:3, :3] *= steps / np.where(lengths > 0, lengths, 1)
    return affine
