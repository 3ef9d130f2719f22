"""The box of an image in which something was found.

A head of 0.5 mm has 100 million voxels, of which hippocampi are some ten thousand: what is computed
of objects is computed in their bounding box.
"""

import numpy as np


def occupied_box(values: np.ndarray) -> tuple[slice, ...]:
    """Return the slices, one an axis, of the smallest box that holds all values but 0.

    They are empty if all are 0.
    """
    box: list[slice] = []
    for axis in range(values.ndim):
        part = values[tuple(box)]
        others = tuple(i for i in range(values.ndim) if i != axis)
        filled = np.flatnonzero(part.any(axis=others))
        if not len(filled):
            return (slice(0, 0),) * values.ndim
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)
