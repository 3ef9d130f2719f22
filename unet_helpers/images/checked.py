"""Checks and conversions that every image goes through, whichever reader it comes from."""

from dataclasses import replace

import numpy as np

from ..errors import ImageError
from . import limits
from .channels import drop_idle_channels
from .image import MedicalImage, noted

# Bytes of single and double precision, the floats that all libraries used here support.
SUPPORTED_FLOAT_BYTES = (4, 8)


def checked(image: MedicalImage) -> MedicalImage:
    """Return the image with a supported dtype and without uninformative channels.

    Booleans become 0 and 1; half precision and long double become single precision. Raises
    ImageError if the values are no numbers, or there are none or too many of them.
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
    dtype = supported_dtype(pixels.dtype)
    all_channels = image.all_channels
    if isinstance(all_channels, np.ndarray):
        all_channels = all_channels.astype(dtype, copy=False)
    pixels = pixels.astype(dtype, copy=False)
    return drop_idle_channels(replace(image, pixels=pixels, all_channels=all_channels))


def without_impossible_spacing(image: MedicalImage) -> MedicalImage:
    """Drop the spacing, with a note, if one of its steps is not a finite number above 0."""
    if image.spacing is None:
        return image
    if all(np.isfinite(step) and step > 0 for step in image.spacing):
        return image
    return noted(image, f"ignored an impossible spacing of {image.spacing}", spacing=None)


def supported_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype, in native byte order, to which values of ``dtype`` are converted."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f" and dtype.itemsize not in SUPPORTED_FLOAT_BYTES:
        return np.dtype(np.float32)
    return dtype.newbyteorder("=")
