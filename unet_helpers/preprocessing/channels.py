"""From stored channels to those that a network reads. Arrays are (..., H, W) or (..., H, W, 3)."""

import numpy as np

from .resize import READABLE

IN_COLOUR = ("rgb", "stain")  # what is read with all three channels


def select_channels(pixels: np.ndarray, channels: str, colour: bool) -> np.ndarray:
    """Of (..., C) colours (..., 3) for the ``channels`` that are read ``IN_COLOUR``, else (...); others as they are."""
    pixels = pixels if pixels.dtype.name in READABLE else pixels.astype(np.float32)
    if not colour or channels in IN_COLOUR:
        return pixels
    if channels in ("green", "flair"):
        return np.ascontiguousarray(pixels[..., 1])
    return pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 luma


def is_bright_field(pixels: np.ndarray) -> bool:
    """(..., H, W, 3) on a light ground: dyed tissue, and not something that glows in the dark."""
    rows, columns = (max(1, n // 256) for n in pixels.shape[-3:-1])
    return float(np.nanmedian(pixels[..., ::rows, ::columns, :].max(-1))) > 0.45 * white(pixels)


def white(pixels: np.ndarray) -> float:
    return float(np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else max(np.nanmax(pixels), 1e-6))


def remove_brown(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) colours with the brown of DAB, where there is any, taken out, so that the nuclei's blue haematoxylin is
    left; by colour deconvolution (Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23:291)."""
    from skimage.color import hed2rgb, rgb2hed  # `import unet_helpers` must not load scikit-image

    dyes = rgb2hed(np.clip(np.nan_to_num(pixels.astype(np.float32)) / white(pixels), 0, 1))
    dyes[..., 2] = np.minimum(dyes[..., 2], 0)
    return (hed2rgb(dyes) * white(pixels)).astype(np.float32)
