"""Limits on the size of images, checked before decoding: a header can promise any size."""

import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import ImageError

# The most values in an image: 8192 x 8192 RGB and 512 x 512 x 1000 are below this.
MAX_VALUES = 2**29

# A file is refused as a decompression bomb if it unpacks to more than BOMB_BYTES, and to more than
# BOMB_RATIO times its own size.
BOMB_BYTES = 2**30
BOMB_RATIO = 100


def too_many_values(shape: Iterable[int]) -> bool:
    """Return whether an array of this shape has more than MAX_VALUES values."""
    return math.prod(map(int, shape)) > MAX_VALUES


def refuse_if_huge(
    path: Path, shape: Iterable[int], unpacked_bytes: float = 0, stored_bytes: float = 0
) -> None:
    """Raise ImageError if a file, not yet decoded, promises too many values or bytes."""
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
