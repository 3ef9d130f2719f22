"""What a network reads of the stored values: its channels, brought to about 0 to 1.

Slices are (..., H, W), or (..., H, W, 3) where they have colours.
"""

import cv2
import numpy as np

from ..networks.cards import IN_COLOUR, Preprocessing
from .resample import READABLE, resize

# Grey of red, green and blue: the luma of ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Values that percentiles are taken of: enough, and fast.
MAX_SAMPLE = 2_000_000

# Times as high as the 95th percentile is a marker or an implant: in 650 images without one the
# upper percentile is at most 1.5 times as high, with one it may be 16 times.
MARKER_HEIGHT = 3.0

# Highest gain of a slice of a head, over that of the volume's brighter slices (the 25th percentile
# of their gains), so that air above the head stays dark.
MAX_RELATIVE_GAIN = 3.0

# From this share of the range of a slice on a pixel belongs to the head.
HEAD_LEVEL = 0.05

# From this share of white on the ground of an image is light.
LIGHT_GROUND = 0.45

# Median absolute deviation to standard deviation, where the noise is Gaussian.
MAD_TO_DEVIATION = 1.4826

# px: longer side of an image in which objects are looked for, and area of the smallest one.
OVERVIEW_SIDE = 1024
LEAST_OBJECT_AREA = 12

# What the range of intensities should be, over the height of the objects; and between which values
# it is left as it is. Of 431 fields of nuclei half are below 1.4 and 99 % between 0.9 and 3.1; one
# bright disc makes it 100, an almost empty field 0.02.
RANGE_OVER_OBJECTS = 1.4
FITTING_RANGE = (0.75, 4.0)


def select_channels(pixels: np.ndarray, channels: str, colour: bool) -> np.ndarray:
    """Take the channels that a network reads of (..., C) colours.

    The result is (..., 3) for the ``channels`` that are read ``IN_COLOUR``, else (...). Pixels
    without colours stay as they are, but for types that OpenCV cannot take.
    """
    if pixels.dtype.name not in READABLE:
        pixels = pixels.astype(np.float32)
    if not colour or channels in IN_COLOUR:
        return pixels
    if channels in ("green", "flair"):
        return np.ascontiguousarray(pixels[..., 1])
    return pixels.astype(np.float32) @ LUMA


def is_bright_field(pixels: np.ndarray) -> bool:
    """Tell whether (..., H, W, 3) has a light ground: dyed tissue, and nothing that glows."""
    row_step, column_step = (max(1, n // 256) for n in pixels.shape[-3:-1])
    brightest_colour = pixels[..., ::row_step, ::column_step, :].max(-1)
    return float(np.nanmedian(brightest_colour)) > LIGHT_GROUND * white_of(pixels)


def white_of(pixels: np.ndarray) -> float:
    """Return the value of white: the type's highest, or the image's own where they are floats."""
    if pixels.dtype.kind in "ui":
        return float(np.iinfo(pixels.dtype).max)
    return float(max(np.nanmax(pixels), 1e-6))


def remove_brown(pixels: np.ndarray) -> np.ndarray:
    """Take the brown of DAB out of (..., 3) colours, so that the nuclei's blue is left.

    By colour deconvolution into haematoxylin, eosin and DAB (Ruifrok and Johnston 2001, Anal.
    Quant. Cytol. Histol. 23:291).
    """
    # `import unet_helpers` must not load scikit-image.
    from skimage.color import hed2rgb, rgb2hed

    white = white_of(pixels)
    colours = np.nan_to_num(pixels.astype(np.float32)) / white
    dyes = rgb2hed(np.clip(colours, 0, 1))
    dyes[..., 2] = np.minimum(dyes[..., 2], 0)
    return (hed2rgb(dyes) * white).astype(np.float32)


def intensity_range(
    pixels: np.ndarray, low: float, high: float, *, marker: bool = False
) -> tuple[float, float]:
    """Find the (offset, gain) that bring the ``low`` to ``high`` percentile onto 0 to 1.

    A constant image becomes 0. With ``marker`` the range ends at the 95th percentile where a marker
    or an implant lies far beyond it.
    """
    values = pixels.reshape(-1)
    values = values[:: max(1, values.size // MAX_SAMPLE)].astype(np.float32)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 0.0

    bottom, upper, top = np.percentile(values, [low, 95, high])
    has_marker = 0 < MARKER_HEIGHT * (upper - bottom) < top - bottom
    if marker and has_marker:
        top = upper
    if top <= bottom:
        return float(bottom), 0.0
    return float(bottom), float(1 / (top - bottom))


def noise_around(level: float, values: np.ndarray) -> float:
    """Estimate the standard deviation of noise around a level from the values that are noise."""
    return MAD_TO_DEVIATION * float(np.median(np.abs(values - level)))


def range_of_objects(pixels: np.ndarray, offset: float, gain: float) -> tuple[float, float]:
    """Find the (offset, gain) that suit the bright objects of (H, W) pixels.

    Those given stay, unless they suit a speck, or noise, instead. Each object counts once, however
    large or bright: three quarters of them peak below the level taken.
    """
    if gain == 0:
        return offset, gain
    shrink = min(1.0, OVERVIEW_SIDE / max(pixels.shape))
    height, width = (max(1, round(n * shrink)) for n in pixels.shape)
    overview = resize(pixels.astype(np.float32), (height, width))
    overview = cv2.GaussianBlur(np.nan_to_num(overview), (0, 0), 2)

    ground = float(np.median(overview))
    noise = noise_around(ground, overview[overview <= ground])
    peaks = peaks_of_objects(overview, ground + max(6 * noise, 1e-9))
    if peaks.size == 0:
        return offset, gain

    object_height = float(np.percentile(peaks, 75)) - ground
    given_top = offset + 1 / gain
    least, most = FITTING_RANGE
    if least < (given_top - ground) / object_height < most:
        return offset, gain
    top = ground + RANGE_OVER_OBJECTS * object_height
    return offset, 1 / (top - offset)


def peaks_of_objects(pixels: np.ndarray, level: float) -> np.ndarray:
    """Return the highest value of each object: connected pixels above a level, but no specks."""
    from scipy import ndimage

    count, objects, statistics, _ = cv2.connectedComponentsWithStats(
        (pixels > level).astype(np.uint8)
    )
    peaks = np.asarray(ndimage.maximum(pixels, objects, range(1, count)))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return peaks[areas >= LEAST_OBJECT_AREA]


def slice_levels(
    slices: np.ndarray, preprocessing: Preprocessing, colour: bool, brown: bool
) -> list[tuple[float, float]]:
    """Find the (offset, gain) of each slice of (N, H, W[, C]), as the card's ``intensities`` say.

    ``brown``: the brown dye will be taken out of the colours.
    """
    if preprocessing.intensities == "local":
        return [(0.0, 1.0)] * len(slices)
    if preprocessing.intensities == "head":
        return levels_of_a_head(slices, preprocessing, colour)
    return [common_level(slices, preprocessing, colour, brown)] * len(slices)


def common_level(
    slices: np.ndarray, preprocessing: Preprocessing, colour: bool, brown: bool
) -> tuple[float, float]:
    """Find the (offset, gain) of all slices together."""
    low, high = preprocessing.percentiles
    sample = sample_as_read(slices, preprocessing.channels, colour, brown)
    if preprocessing.scale != "objects":
        return intensity_range(sample, low, high, marker=True)

    offset, gain = intensity_range(sample, low, high)
    if brown:
        return offset, gain
    middle = slices[len(slices) // 2]
    if colour:
        middle = middle.max(-1)
    return range_of_objects(middle, offset, gain)


def sample_as_read(slices: np.ndarray, channels: str, colour: bool, brown: bool) -> np.ndarray:
    """Take pixels at regular steps, as the network reads them; all where nothing is computed."""
    if not colour or (channels in IN_COLOUR and not brown):
        return slices

    colours = slices.reshape(-1, slices.shape[-1])
    if brown:
        # Colour deconvolution takes time for each of the three values of a pixel.
        step = max(1, slices.size // MAX_SAMPLE)
        return remove_brown(colours[::step])
    step = max(1, len(colours) // MAX_SAMPLE)
    return select_channels(colours[::step], channels, colour)


def levels_of_a_head(
    slices: np.ndarray, preprocessing: Preprocessing, colour: bool
) -> list[tuple[float, float]]:
    """Find the (offset, gain) of each slice of a head by itself, without the air around it.

    A slice beyond the head would be stretched until its noise is as bright as a brain: gains are
    bounded.
    """
    low, high = preprocessing.percentiles
    levels = []
    for stored in slices:
        pixels = select_channels(stored, preprocessing.channels, colour)
        head = pixels > pixels.min() + HEAD_LEVEL * np.ptp(pixels)
        values = pixels[head] if head.any() else pixels
        levels.append(intensity_range(values, low, high))

    # Constant slices have no gain.
    gains = [gain for _, gain in levels if gain]
    if not gains:
        return levels
    highest = MAX_RELATIVE_GAIN * float(np.percentile(gains, 25))
    return [(offset, min(gain, highest)) for offset, gain in levels]
