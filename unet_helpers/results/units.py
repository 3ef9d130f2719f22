"""Physical units of measurements: the size of a pixel or voxel, in µm where steps are small and in mm elsewhere."""

import numpy as np

from ..images.orientation import to_stack

SMALL = 0.01  # mm: sizes are given in µm where all steps are smaller


def step_size(image, dimensions: int) -> tuple[float, str, int] | None:
    """mm² of a pixel as displayed, or mm³ of a voxel; the unit of lengths, and how many of it 1 mm has; or None."""
    plane = (to_stack(image).spacing or ())[-2:] if image.spacing is not None else ()
    step = float(np.prod(plane)) if dimensions == 2 else image.voxel_volume
    if not plane or step is None:
        return None
    return (step, "µm", 1000) if max(plane) < SMALL else (step, "mm", 1)
