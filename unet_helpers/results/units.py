"""Physical units of measurements: the size of a pixel or voxel, in µm where steps are small and in mm elsewhere."""

import numpy as np

from ..images.orientation import to_stack

SMALL = 0.01  # mm: sizes are given in µm where all steps are smaller


def is_small(image) -> bool:
    return image.spacing is not None and max((to_stack(image).spacing or ())[-2:]) < SMALL


def step_size(image, dimensions: int) -> float | None:
    """mm² of a pixel as displayed, or mm³ of a voxel; None without spacing."""
    if image.spacing is None:
        return None
    return float(np.prod((to_stack(image).spacing or ())[-2:])) if dimensions == 2 else image.voxel_volume
