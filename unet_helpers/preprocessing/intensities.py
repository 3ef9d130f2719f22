"""What a network reads of the stored values: its channels, (..., H, W) or (..., H, W, 3), brought to about 0 to 1."""

import cv2
import numpy as np

from .resample import READABLE, resize

IN_COLOUR = ("rgb", "stain")  # what is read with all three channels
SAMPLE = 2_000_000  # values that percentiles are taken of: enough, and fast
FAR = 3.0  # times as high as the 95th percentile: 1.5 at most in 650 images; a marker or implant may be 16
MAX_RELATIVE_GAIN = (
    3.0  # of a slice, over that of the volume's brighter slices; air above the head stays dark
)

LONGEST, SPECK = (
    1024,
    12,
)  # px: the longer side of an image as it is looked at, and the smallest object in it
# the range over the height of the objects: of 431 fields of nuclei half are below 1.4, 99 % between 0.9 and 3.1; one
# bright disc makes it 100, an almost empty field 0.02
USUAL, FITS = 1.4, (0.75, 4.0)


def select_channels(pixels: np.ndarray, channels: str, colour: bool) -> np.ndarray:
    """Of (..., C) colours (..., 3) for the ``channels`` that are read ``IN_COLOUR``, else (...); others as they are."""
    pixels = pixels if pixels.dtype.name in READABLE else pixels.astype(np.float32)
    if not colour or channels in IN_COLOUR:
        return pixels
    if channels in ("green", "flair"):
        return np.ascontiguousarray(pixels[..., 1])
    return pixels.astype(np.float32) @ np.array(
        [0.299, 0.587, 0.114], np.float32
    )  # ITU-R BT.601 luma


def is_bright_field(pixels: np.ndarray) -> bool:
    """(..., H, W, 3) on a light ground: dyed tissue, and not something that glows in the dark."""
    rows, columns = (max(1, n // 256) for n in pixels.shape[-3:-1])
    return float(np.nanmedian(pixels[..., ::rows, ::columns, :].max(-1))) > 0.45 * white(pixels)


def white(pixels: np.ndarray) -> float:
    return float(
        np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else max(np.nanmax(pixels), 1e-6)
    )


def remove_brown(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) colours with the brown of DAB, where there is any, taken out, so that the nuclei's blue haematoxylin is
    left; by colour deconvolution (Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23:291).
    """
    from skimage.color import hed2rgb, rgb2hed  # `import unet_helpers` must not load scikit-image

    dyes = rgb2hed(np.clip(np.nan_to_num(pixels.astype(np.float32)) / white(pixels), 0, 1))
    dyes[..., 2] = np.minimum(dyes[..., 2], 0)
    return (hed2rgb(dyes) * white(pixels)).astype(np.float32)


def intensity_range(
    pixels: np.ndarray, low: float, high: float, *, marker: bool = False
) -> tuple[float, float]:
    """(offset, gain) that bring the ``low`` to ``high`` percentile onto 0 to 1; a constant image becomes 0. With
    ``marker`` only up to the 95th percentile where a marker or an implant lies far beyond it.
    """
    values = pixels.reshape(-1)
    values = values[:: max(1, values.size // SAMPLE)].astype(np.float32)
    values = values[np.isfinite(values)]
    bottom, usual, top = np.percentile(values, [low, 95, high]) if values.size else (0.0, 0.0, 0.0)
    top = usual if marker and 0 < FAR * (usual - bottom) < top - bottom else top
    return float(bottom), float(1 / (top - bottom)) if top > bottom else 0.0


def range_of_objects(pixels: np.ndarray, offset: float, gain: float) -> tuple[float, float]:
    """(offset, gain) that suit the bright objects of (H, W) pixels, where those given suit a speck, or noise, instead.
    Each object counts once, however large or bright: three quarters of them peak below the level taken.
    """
    from scipy import ndimage

    shrink = min(1.0, LONGEST / max(pixels.shape))
    seen = resize(pixels.astype(np.float32), tuple(max(1, round(n * shrink)) for n in pixels.shape))
    seen = cv2.GaussianBlur(np.nan_to_num(seen), (0, 0), 2)
    ground = float(np.median(seen))
    noise = 1.4826 * float(np.median(np.abs(seen[seen <= ground] - ground)))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (seen > ground + max(6 * noise, 1e-9)).astype(np.uint8)
    )
    peaks = np.asarray(ndimage.maximum(seen, parts, range(1, count)))[
        stats[1:, cv2.CC_STAT_AREA] >= SPECK
    ]
    if not (gain and len(peaks)):
        return offset, gain
    height = float(np.percentile(peaks, 75)) - ground
    if FITS[0] < (offset + 1 / gain - ground) / height < FITS[1]:
        return offset, gain
    return offset, 1 / (ground + USUAL * height - offset)


def slice_levels(
    slices: np.ndarray, preprocessing, colour: bool, brown: bool
) -> list[tuple[float, float]]:
    """(offset, gain) of each slice of (N, H, W[, C]): those of all slices together, or with 'head' each slice's own.
    A slice beyond the head would then be stretched until its noise is as bright as a brain: gains are bounded.
    """
    channels, percentiles = preprocessing.channels, preprocessing.percentiles
    if preprocessing.intensities == "local":
        return [(0.0, 1.0)] * len(slices)
    if preprocessing.intensities != "head":
        sample = slices
        if colour and (brown or channels not in IN_COLOUR):
            sample = slices.reshape(-1, slices.shape[-1])
            sample = sample[:: max(1, (slices.size if brown else len(sample)) // SAMPLE)]
            sample = remove_brown(sample) if brown else select_channels(sample, channels, colour)
        if preprocessing.scale != "objects":
            return [intensity_range(sample, *percentiles, marker=True)] * len(slices)
        level = intensity_range(sample, *percentiles)
        if not brown:
            middle = slices[len(slices) // 2]
            level = range_of_objects(middle.max(-1) if colour else middle, *level)
        return [level] * len(slices)
    levels = []
    for pixels in (select_channels(pixels, channels, colour) for pixels in slices):
        head = pixels > pixels.min() + 0.05 * np.ptp(pixels)
        levels.append(intensity_range(pixels[head] if head.any() else pixels, *percentiles))
    highest = MAX_RELATIVE_GAIN * float(
        np.percentile([gain for _, gain in levels if gain] or [0], 25)
    )
    return [(offset, min(gain, highest)) for offset, gain in levels]
