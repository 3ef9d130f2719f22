"""Physical sizes of pixels and voxels, and the unit in which people give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.image import MedicalImage
from ..images.stack import to_stack

# mm a step: where all steps are smaller, sizes are given in µm, and in mm elsewhere.
MICROSCOPIC = 0.01


@dataclass(frozen=True)
class PixelSize:
    """How large a displayed pixel, or a voxel, is in the body or under the microscope."""

    size: float  # mm² of a pixel, mm³ of a voxel
    unit: str  # of lengths: 'µm' or 'mm'; 'px' where nothing is known
    per_mm: int  # how many of that unit 1 mm has


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
