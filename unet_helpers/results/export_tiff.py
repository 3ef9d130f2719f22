"""Objects as a TIFF in colours, for ImageJ and other viewers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..images.stack import as_displayed, to_stack
from .measurements import slices_per_frame

if TYPE_CHECKING:
    from .segmentation import Segmentation

COLOURS = 256

# The largest id that fits into 16 bits.
MAX_UINT16 = 65535

# Steps around the circle of hues that never come back to an earlier one: neighbours in the list,
# which are often neighbours in the image, differ much.
GOLDEN_RATIO = 0.618034


def write_objects_tiff(result: Segmentation, path: Path) -> None:
    """Write the ids of objects as ImageJ's TIFF with a lookup table; pixels hold the ids.

    ImageJ shows each id in a colour, other viewers the whole range from black to white. More than
    65,535 objects are stored as float32, the only larger type that ImageJ has.
    """
    import tifffile

    stack = as_displayed(result.image, result.objects)
    depth = slices_per_frame(result.image, len(stack))
    frames = stack.reshape(-1, depth, *stack.shape[1:])
    highest = int(stack.max(initial=0))
    dtype: Any = np.float32
    if highest < COLOURS:
        dtype = np.uint8
    elif highest <= MAX_UINT16:
        dtype = np.uint16

    metadata: dict[str, Any] = {
        "axes": "TZYX",
        "LUTs": [lookup_table()],
        "Ranges": (0.0, float(max(1, highest))),
        "mode": "grayscale",
    }
    resolution = None
    spacing = to_stack(result.image).spacing
    if spacing:
        rows, columns = spacing[-2:]
        metadata["unit"] = "mm"
        resolution = (1 / columns, 1 / rows)
        if len(spacing) > 2:
            metadata["spacing"] = float(spacing[0])
    tifffile.imwrite(
        path, frames.astype(dtype), imagej=True, resolution=resolution, metadata=metadata
    )


def lookup_table() -> np.ndarray:
    """Return (3, 256) uint8: black for 0, then bright colours that differ from their neighbours."""
    from matplotlib.colors import hsv_to_rgb

    number = np.arange(COLOURS)
    hue = number * GOLDEN_RATIO % 1
    saturation = np.where(number % 3, 0.85, 0.5)
    colours = hsv_to_rgb(np.column_stack([hue, saturation, np.ones(COLOURS)]))
    colours[0] = 0
    return np.ascontiguousarray(np.rint(255 * colours).astype(np.uint8).T)
