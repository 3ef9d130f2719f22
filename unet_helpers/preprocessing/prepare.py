"""``prepare``: the slices of an image or volume as the network of a card reads them, by the card's own method."""

from collections.abc import Sequence

import numpy as np

from ..networks.cards import Preprocessing
from .buda2019 import prepare_slices
from .slices import Prepared, PreparedStack

METHODS = {"slices": PreparedStack, "buda2019": prepare_slices}


def prepare(
    slices: np.ndarray, preprocessing: Preprocessing, shape: tuple[int, int]
) -> Sequence[Prepared]:
    """Each of the slices (N, H, W[, 3]) at the working ``shape`` (h, w), prepared when it is asked for."""
    return METHODS[preprocessing.method](slices, preprocessing, shape)
