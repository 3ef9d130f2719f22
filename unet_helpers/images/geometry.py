"""Where voxels lie: affines, and a spacing given by hand."""

from collections.abc import Sequence

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, noted

# Signs of the rows of an affine that turn DICOM's and ITK's axes (to the left, the back and the
# head) into those of NIfTI (to the right, the front and the head).
LPS_TO_RAS = np.array([[-1], [-1], [1]])


def ras_affine(steps: np.ndarray, start: Sequence[float]) -> np.ndarray:
    """Turn steps and a start that count to left, back and head into a (4, 4) affine of NIfTI's.

    It counts to the right, the front and the head.
    ``steps`` is (3, 3), a column a step along x, y and z; ``start`` the place of the first voxel;
    both in mm.
    """
    affine = np.eye(4)
    affine[:3] = np.column_stack([steps, start]) * LPS_TO_RAS
    return affine


def with_spacing(image: MedicalImage, spacing: float | Sequence[float] | None) -> MedicalImage:
    """Replace the spacing by one given by hand: mm, one number or one for each spatial axis."""
    if spacing is None:
        return image
    count = len(image.axes.strip("TC"))
    steps = (spacing,) * count if isinstance(spacing, int | float) else tuple(spacing)
    if len(steps) != count or not all(map(is_length, steps)):
        raise ImageError(
            f"spacing={spacing!r}: give mm per px above 0, one number or {count} of them."
        )

    affine = image.affine
    if affine is not None and count == 3:
        # An affine counts in the order (x, y, z), which is that of axes beginning with X alone.
        in_affine_order = steps if image.axes.startswith("X") else steps[::-1]
        affine = rescaled(affine, in_affine_order)
    spacing = tuple(map(float, steps))
    return noted(image, "spacing given by hand", spacing=spacing, affine=affine)


def is_length(step: object) -> bool:
    """Tell whether this is a finite number above 0."""
    return isinstance(step, int | float) and bool(np.isfinite(step)) and step > 0


def rescaled(affine: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """Give an affine steps of these lengths, with its directions and origin."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    affine = affine.copy()
    affine[:3, :3] *= steps / np.where(lengths > 0, lengths, 1)
    return affine
