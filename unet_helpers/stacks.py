"""Volumes as the networks see them: a stack of axial slices in radiological display, and back.

A file's own order stays the user's; a NIfTI volume is turned to (Z, Y, X) with the front of the body at the
top and the patient's right on the left, which is how slices are printed. Other stacks are taken as they are.
"""

from dataclasses import replace

import numpy as np

from .images import MedicalImage
from .volumes import from_canonical, to_canonical


def to_stack(image: MedicalImage) -> MedicalImage:
    """(Z, Y, X) or (Z, Y, X, C) view of a volume, with the spacing in that order."""
    if image.axes != "XYZ":
        return image
    canonical = to_canonical(image)  # (R, A, S): x grows to the right, y to the front, z to the head
    spacing = None if canonical.spacing is None else canonical.spacing[::-1]
    return replace(image, pixels=canonical.pixels[::-1, ::-1].transpose(2, 1, 0), axes="ZYX", spacing=spacing)


def from_stack(image: MedicalImage, planes: np.ndarray) -> np.ndarray:
    """(K, Z, Y, X) answers for ``to_stack(image)`` in the image's own order, voxel for voxel."""
    if image.axes != "XYZ":
        return planes
    canonical = planes.transpose(0, 3, 2, 1)[:, ::-1, ::-1]
    return np.stack([from_canonical(image, plane) for plane in canonical])


def as_displayed(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Any array of a volume's own shape and order as (Z, Y, X), like ``to_stack``."""
    return to_stack(replace(image, pixels=values)).pixels
