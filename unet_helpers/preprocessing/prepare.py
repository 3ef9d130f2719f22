"""The slices of an image or volume as the network of a card reads them, by the card's method."""

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
    """Prepare each of the slices (N, H, W[, 3]) at the working ``shape`` (h, w) when asked for.

    ``fields_of_view`` are those of these slices, where they are known already.
    """
    if preprocessing.method == "buda2019":
        return prepare_slices(slices, preprocessing)
    return PreparedStack(slices, preprocessing, shape, fields_of_view)
