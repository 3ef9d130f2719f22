"""Limits on what is decoded: a header can promise more than a computer holds."""

import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import ImageError

# Numbers in an image: 8192 x 8192 RGB and 512 x 512 x 1000 pass, a decompression bomb does not.
MAX_VALUES = 2**29

# A file that unpacks to more bytes than this, and is so many times smaller itself, consists of
# zeros that were made to fill the memory.
BOMB_BYTES = 2**30
BOMB_RATIO = 100


def too_many_values(shape: Iterable[int]) -> bool:
    """Tell whether an array of this shape holds more values than are read at once."""
    return math.prod(map(int, shape)) > MAX_VALUES


def refuse_if_huge(
    path: Path, shape: Iterable[int], unpacked_bytes: float = 0, stored_bytes: float = 0
) -> None:
    """Raise ImageError before a file is decoded that promises too many values or bytes."""
    shape = tuple(shape)
    if too_many_values(shape):
        sizes = " × ".join(map(str, shape))
        raise ImageError(
            f"{path}: says it is {sizes}, more than {MAX_VALUES:,} values. "
            "Cut it or try segment_large."
        )
    if unpacked_bytes > max(BOMB_BYTES, stored_bytes * BOMB_RATIO):
        raise ImageError(
            f"{path}: unpacks to {unpacked_bytes:,} bytes of almost nothing. "
            "Cut or shrink it first."
        )
