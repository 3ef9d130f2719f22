"""Physical sizes of pixels and voxels, and the unit in which they are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.image import MedicalImage
from ..images.stack import to_stack

# mm per px. If both sides of a displayed pixel are smaller, sizes are given in µm, else in mm.
MICROSCOPIC = 0.01


@dataclass(frozen=True)
class PixelSize:
    """The physical size of a displayed pixel or of a voxel."""

    size: float  # mm² of a pixel, mm³ of a voxel
    unit: str  # of lengths: 'µm' or 'mm'; 'px' if the spacing is not known
    per_mm: int  # how many of this unit make 1 mm


def pixel_size(image: MedicalImage, dimensions: int) -> PixelSize | None:
    """Return the size of a displayed pixel (2 dimensions) or of a voxel (3); None if not known."""
    spacing = to_stack(image).spacing
    if not spacing:
        return None

    plane = spacing[-2:]
    size: float | None = float(np.prod(plane))
    if dimensions == 3:
        size = image.voxel_volume
    if size is None:
        return None

    if max(plane) < MICROSCOPIC:
        return PixelSize(size, unit="µm", per_mm=1000)
    return PixelSize(size, unit="mm", per_mm=1)
