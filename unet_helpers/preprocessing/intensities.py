"""Choose the channels that a network reads, and find the scaling of their values to about 0 to 1.

Slices are (..., H, W), or (..., H, W, 3) in colour. A scaling is a pair (offset, gain); the network
reads (value - offset) * gain.
"""

import cv2
import numpy as np

from ..networks.card import IN_COLOUR
from ..networks.cards import Preprocessing
from .resample import READABLE, resize

# Weights of red, green and blue in grey: the luma of ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# About how many values percentiles are computed from: enough, and fast.
MAX_SAMPLE = 2_000_000

# An image contains a marker or an implant if (highest percentile - lowest) / (95th percentile -
# lowest) is above this. In 650 images without a marker it is at most 1.5, with one up to 16.
MARKER_HEIGHT = 3.0

# The highest gain of a slice of a head / 25th percentile of the gains of the volume's slices (the
# gain of its brighter slices), so that air above the head stays dark.
MAX_RELATIVE_GAIN = 3.0

# A pixel belongs to the head if (value - minimum) / (maximum - minimum) of its slice is above this.
HEAD_LEVEL = 0.05

# An image is bright-field if the median brightness is above this share of white.
LIGHT_BACKGROUND = 0.45

# Least range of intensities of a bright-field image, as a share of white: a field that is nearly
# all glass is not stretched further. In 225 training and validation images the range between the
# 0.5th and 99.5th percentiles is 0.133 or more.
LEAST_LIGHT_RANGE = 0.12

# Bits of the cameras whose values are stored in more bits, and of pictures of 8 bits that a program
# converted.
CAMERA_BITS = (8, 10, 12, 14, 16)

# Standard deviation / median absolute deviation of Gaussian noise.
MAD_TO_DEVIATION = 1.4826

# px: longer side of the image in which objects are searched, and area of the smallest object.
OVERVIEW_SIDE = 1024
MIN_OBJECT_AREA = 12

# Ratio (top of the intensity range - background) / (height of the objects above the background).
# The first is the ratio after a correction. Between the next two nothing is corrected. In 431
# fields of nuclei the median ratio is 1.4, and 99 % are between 0.9 and 3.1; one bright disc makes
# it 100, an almost empty field 0.02.
RANGE_OVER_OBJECTS = 1.4
FITTING_RATIOS = (0.75, 4.0)


def select_channels(pixels: np.ndarray, channels: str, colour: bool) -> np.ndarray:
    """Choose the channels that a network reads from (..., C) colours.

    The result is (..., 3) if ``channels`` is one of ``IN_COLOUR``, else (...). Pixels without
    colours are returned unchanged. Types that OpenCV does not support become float32 before.
    """
    if pixels.dtype.name not in READABLE:
        pixels = pixels.astype(np.float32)
    if not colour or channels in IN_COLOUR:
        return pixels
    if channels in ("green", "flair"):
        return np.ascontiguousarray(pixels[..., 1])
    return pixels.astype(np.float32) @ LUMA


def is_bright_field(pixels: np.ndarray) -> bool:
    """Return whether (..., H, W, 3) has a light background: stained tissue, not fluorescence."""
    row_step, column_step = (max(1, n // 256) for n in pixels.shape[-3:-1])
    brightest_colour = pixels[..., ::row_step, ::column_step, :].max(-1)
    return float(np.nanmedian(brightest_colour)) > LIGHT_BACKGROUND * white_of(pixels)


def white_of(pixels: np.ndarray) -> float:
    """Return the value of white: of integers the highest of the camera, of floats of the image.

    Integers may have fewer bits than they are stored in: the fewest that hold all values count.
    """
    if pixels.dtype.kind not in "ui":
        return float(max(np.nanmax(pixels), 1e-6))
    highest = np.iinfo(pixels.dtype).max
    brightest = int(pixels.max())
    whites = [2**bits - 1 for bits in CAMERA_BITS]
    return float(min((w for w in whites if brightest <= w < highest), default=highest))


def remove_brown(pixels: np.ndarray, white: float) -> np.ndarray:
    """Remove the brown of DAB from (..., 3) colours, so that the blue of the nuclei remains.

    ``white`` is that of the whole image.

    The method is colour deconvolution into haematoxylin, eosin and DAB (Ruifrok and Johnston 2001,
    Anal. Quant. Cytol. Histol. 23:291).
    """
    # Imported here, because `import unet_helpers` must not load scikit-image.
    from skimage.color import hed2rgb, rgb2hed

    colours = np.nan_to_num(pixels.astype(np.float32)) / white
    dyes = rgb2hed(np.clip(colours, 0, 1))
    # The last dye is DAB.
    dyes[..., 2] = np.minimum(dyes[..., 2], 0)
    return (hed2rgb(dyes) * white).astype(np.float32)


def intensity_range(
    pixels: np.ndarray, low: float, high: float, *, marker: bool = False
) -> tuple[float, float]:
    """Return the (offset, gain) that map the ``low`` and ``high`` percentiles to 0 and 1.

    For a constant image the gain is 0. With ``marker``, the 95th percentile is mapped to 1 instead
    if a marker or an implant is far brighter than it.
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
    """Estimate the standard deviation of noise around ``level`` from ``values`` of noise alone."""
    return MAD_TO_DEVIATION * float(np.median(np.abs(values - level)))


def range_of_objects(pixels: np.ndarray, offset: float, gain: float) -> tuple[float, float]:
    """Correct an (offset, gain) that does not fit the bright objects of (H, W) pixels.

    A bright speck makes the gain too low, an almost empty image makes it too high. The height of
    the objects is the 75th percentile of their peaks - background, so each object counts once,
    however large or bright it is.
    """
    if gain == 0:
        return offset, gain
    shrink = min(1.0, OVERVIEW_SIDE / max(pixels.shape))
    height, width = (max(1, round(n * shrink)) for n in pixels.shape)
    overview = resize(pixels.astype(np.float32), (height, width))
    overview = cv2.GaussianBlur(np.nan_to_num(overview), (0, 0), 2)

    background = float(np.median(overview))
    noise = noise_around(background, overview[overview <= background])
    # Six standard deviations above the background is no noise.
    peaks = peaks_of_objects(overview, background + max(6 * noise, 1e-9))
    if peaks.size == 0:
        return offset, gain

    object_height = float(np.percentile(peaks, 75)) - background
    given_top = offset + 1 / gain
    lowest, highest = FITTING_RATIOS
    if lowest < (given_top - background) / object_height < highest:
        return offset, gain
    top = background + RANGE_OVER_OBJECTS * object_height
    return offset, 1 / (top - offset)


def peaks_of_objects(pixels: np.ndarray, level: float) -> np.ndarray:
    """Return the highest value of each object: connected pixels above ``level``, without specks."""
    count, objects, statistics, _ = cv2.connectedComponentsWithStats(
        (pixels > level).astype(np.uint8)
    )
    # ndimage.maximum sorts all pixels, which takes twenty times as long.
    peaks = np.full(count, -np.inf, pixels.dtype)
    np.maximum.at(peaks, objects.reshape(-1).astype(np.intp), pixels.reshape(-1))

    is_large = statistics[:, cv2.CC_STAT_AREA] >= MIN_OBJECT_AREA
    is_large[0] = False  # the background
    return peaks[is_large]


def slice_levels(
    slices: np.ndarray, preprocessing: Preprocessing, colour: bool, brown: bool
) -> list[tuple[float, float]]:
    """Return the (offset, gain) of each slice of (N, H, W[, C]), by the card's ``intensities``.

    ``brown`` says whether the brown dye will be removed from the colours.
    """
    if preprocessing.intensities == "local":
        return [(0.0, 1.0)] * len(slices)
    if preprocessing.intensities == "head":
        return levels_of_a_head(slices, preprocessing, colour)
    return [common_level(slices, preprocessing, colour, brown)] * len(slices)


def common_level(
    slices: np.ndarray, preprocessing: Preprocessing, colour: bool, brown: bool
) -> tuple[float, float]:
    """Return the (offset, gain) that all slices share."""
    low, high = preprocessing.percentiles
    sample = sample_as_read(slices, preprocessing.channels, colour, brown)
    has_objects = preprocessing.scale == "objects"
    offset, gain = intensity_range(sample, low, high, marker=not has_objects)
    reads_colours = colour and preprocessing.channels in IN_COLOUR
    if brown or (reads_colours and is_bright_field(slices)):
        return below_white(slices, offset, gain)
    if not has_objects:
        return offset, gain
    middle = slices[len(slices) // 2]
    if colour:
        middle = middle.max(-1)
    return range_of_objects(middle, offset, gain)


def below_white(slices: np.ndarray, offset: float, gain: float) -> tuple[float, float]:
    """Widen the range of a bright-field image, downwards, if it is only that of glass."""
    least_range = LEAST_LIGHT_RANGE * white_of(slices)
    if gain == 0 or 1 / gain >= least_range:
        return offset, gain
    return offset + 1 / gain - least_range, 1 / least_range


def sample_as_read(slices: np.ndarray, channels: str, colour: bool, brown: bool) -> np.ndarray:
    """Return every n-th pixel as the network reads it; all slices if nothing must be computed."""
    if not colour or (channels in IN_COLOUR and not brown):
        return slices

    colours = slices.reshape(-1, slices.shape[-1])
    if brown:
        # Colour deconvolution is slow, so MAX_SAMPLE counts values, not pixels with three values.
        step = max(1, slices.size // MAX_SAMPLE)
        return remove_brown(colours[::step], white_of(slices))
    step = max(1, len(colours) // MAX_SAMPLE)
    return select_channels(colours[::step], channels, colour)


def levels_of_a_head(
    slices: np.ndarray, preprocessing: Preprocessing, colour: bool
) -> list[tuple[float, float]]:
    """Return the (offset, gain) of each slice of a head, computed without the air around it.

    Gains are limited; otherwise the noise of a slice above the head would become as bright as a
    brain.
    """
    low, high = preprocessing.percentiles
    levels = []
    for stored in slices:
        pixels = select_channels(stored, preprocessing.channels, colour)
        # Floats, because differences of int16 overflow.
        lowest, highest = float(pixels.min()), float(pixels.max())
        head = pixels > lowest + HEAD_LEVEL * (highest - lowest)
        values = pixels[head] if head.any() else pixels
        levels.append(intensity_range(values, low, high))

    # Constant slices, whose gain is 0, do not count.
    gains = [gain for _, gain in levels if gain]
    if not gains:
        return levels
    highest_gain = MAX_RELATIVE_GAIN * float(np.percentile(gains, 25))
    return [(offset, min(gain, highest_gain)) for offset, gain in levels]
