"""What every image has to be, whichever reader it comes from."""

from dataclasses import replace

import numpy as np

from ..errors import ImageError
from . import limits
from .channels import drop_idle_channels
from .image import MedicalImage, noted

# Bytes of single and double precision, the floats that every library can calculate with.
USUAL_FLOAT_BYTES = (4, 8)


def checked(image: MedicalImage) -> MedicalImage:
    """Make sure that there are numbers, not too many, in a usual dtype, without idle channels.

    Booleans become 0 and 1; half precision and long double become single.
    """
    pixels = image.pixels
    name = image.path or "The array"
    if pixels.dtype.kind not in "buif":
        raise ImageError(
            f"{name} holds {pixels.dtype} values, not numbers. Convert it to integers or floats."
        )
    if pixels.size == 0:
        raise ImageError(f"{name} has no pixels (shape {pixels.shape}).")
    if limits.too_many_values(pixels.shape):
        raise ImageError(
            f"{name} has {pixels.size:,} values, more than {limits.MAX_VALUES:,}. "
            "Cut it or try segment_large."
        )

    image = without_impossible_spacing(image)
    pixels = pixels.astype(usual_dtype(pixels.dtype), copy=False)
    return drop_idle_channels(replace(image, pixels=pixels))


def without_impossible_spacing(image: MedicalImage) -> MedicalImage:
    """Drop a spacing with a step that is not a finite number above 0, and say so."""
    if image.spacing is None:
        return image
    if all(np.isfinite(step) and step > 0 for step in image.spacing):
        return image
    return noted(image, f"ignored an impossible spacing of {image.spacing}", spacing=None)


def usual_dtype(dtype: np.dtype) -> np.dtype:
    """Choose the dtype, in native byte order, in which values of ``dtype`` are kept."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f" and dtype.itemsize not in USUAL_FLOAT_BYTES:
        return np.dtype(np.float32)
    return dtype.newbyteorder("=")
