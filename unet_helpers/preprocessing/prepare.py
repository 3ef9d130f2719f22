"""Prepare the slices of an image or volume for a network, by the method of its card."""

from collections.abc import Sequence

import numpy as np

from ..networks.cards import Preprocessing
from .buda2019 import prepare_slices
from .field_of_view import FieldsOfView
from .slices import Prepared, PreparedStack


def prepare(
    slices: np.ndarray,
    preprocessing: Preprocessing,
    shape: tuple[int, int],
    fields_of_view: FieldsOfView | None = None,
) -> Sequence[Prepared]:
    """Prepare slices (N, H, W[, 3]) at the working ``shape`` (h, w).

    ``fields_of_view`` are those of these slices, if they were computed already. The method 'slices'
    prepares a slice when it is indexed; 'buda2019', which ignores ``shape``, prepares all at once.
    """
    if preprocessing.method == "buda2019":
        return prepare_slices(slices, preprocessing)
    return PreparedStack(slices, preprocessing, shape, fields_of_view)


def joined(slices: Sequence[Prepared]) -> np.ndarray:
    """Return prepared slices as the volume that a network reads: (1, N, h, w) float32."""
    whole = slice(None)
    return np.stack([prepared.tile(whole, whole, in_channels=1) for prepared in slices], axis=1)
