"""Whether an image shows anything but its background: blank glass, resin, or a dark field.

Noise that is stretched to the full range of intensities looks like objects, and compression,
smoothing and enlargement give it the size of objects. It is told from structure at several scales,
by the octaves of a Laplacian pyramid (Burt and Adelson 1983, IEEE Trans. Commun. 31:532).

The limits were chosen on 851 training and validation images of all cards, and on 594 drawn images
of noise: glass and camera fields, smoothed, enlarged, uneven, compressed, 8 and 16 bits.
"""

import cv2
import numpy as np

from .huge_values import within_floats
from .intensities import noise_around
from .resample import resize

# px: the longer side of an image in which structure is searched.
OVERVIEW_SIDE = 1024

# px: images with a shorter side have too few octaves; only constant ones count as background.
SMALLEST_SIDE = 128

# px: octaves of the pyramid are used as long as their shorter side is at least this, and at most so
# many: structure is finer than the seventh.
SMALLEST_OCTAVE = 16
MOST_OCTAVES = 6

# px: a border of each octave that is not used, because the pyramid extrapolates there.
MARGIN = 2

# A pixel of an octave is no noise beyond this many standard deviations of the octave's noise. In
# noise the most was 6.3; in images that the coarse octaves do not recognise, it is at least 17.8.
HIGHEST_NOISE = 8.0

# The same if the image has few grey levels, where compression leaves single blocks: 13.7 in noise.
HIGHEST_NOISE_OF_FEW_LEVELS = 16.0

# An image has few grey levels if the middle 99.8 % of its values span at most so many. The images
# span 25 or more.
FEW_LEVELS = 12

# Smallest standard deviation of noise in an octave, in grey levels: that of rounding, smoothed.
LEAST_NOISE = 0.25

# Deviation of the coarsest octave / that of the strongest: structure is above this. From octave to
# octave, the deviation of noise halves. In noise it was at most 0.21, in images of tissue and
# electron micrographs at least 0.39; with five octaves (256 px) 0.39 and 0.46, so that noise
# enlarged further is not told from structure there.
COARSE_SHARE = 0.3
COARSE_SHARE_OF_FEW_OCTAVES = 0.42
FEW_OCTAVES = 5

# Skewness of the three finest octaves below which there is structure: tissue and membranes are
# darker than what is between them. Noise is symmetric, or skewed to the other side where photons
# are few. In noise it was at least -0.1, in electron micrographs at most -0.16.
SKEWNESS = -0.13
SKEWED_OCTAVES = 3

# Shading is a polynomial of this degree, fitted to a thumbnail with about so many px on each side.
SHADING_DEGREE = 4
SHADING_SIDE = 32

# Uneven light changes by at most this share of the brightest place; what changes more is shown.
STRONGEST_SHADING = 0.6

# About how many values are looked at to find the distance of two grey levels.
LEVELS_SAMPLE = 20_000


def is_only_background(slices: np.ndarray) -> bool:
    """Return whether no slice of (N, H, W) or (N, H, W, C) shows anything but noise.

    The middle slice is looked at first: it mostly shows something.
    """
    by_distance = sorted(range(len(slices)), key=lambda index: abs(index - len(slices) // 2))
    return not any(shows_structure(slices[index]) for index in by_distance)


def shows_structure(pixels: np.ndarray) -> bool:
    """Return whether any channel of a slice (H, W) or (H, W, C) has more than noise in it."""
    if pixels.ndim == 2:
        return has_structure(pixels)
    return any(has_structure(pixels[..., channel]) for channel in range(pixels.shape[-1]))


def has_structure(channel: np.ndarray) -> bool:
    """Return whether (H, W) values are more than noise on an even, or smoothly uneven, ground."""
    scaled, factor = within_floats(channel)
    floats = np.nan_to_num(scaled, posinf=0, neginf=0)
    shrink = min(1.0, OVERVIEW_SIDE / max(floats.shape))
    height, width = (max(1, round(n * shrink)) for n in floats.shape)
    overview = resize(floats, (height, width))
    if min(overview.shape) < SMALLEST_SIDE:
        return bool(np.ptp(overview) > 0)

    shading = shading_of(overview)
    even = overview - shading
    if np.ptp(shading) > max(STRONGEST_SHADING * np.abs(shading).max(), 6 * even.std()):
        return True

    octaves = octaves_of(even)
    deviations = np.array([octave.std() for octave in octaves])
    strongest = float(deviations.max())
    if strongest == 0:
        return False

    step = grey_step(channel) * factor
    low, high = np.percentile(even[::2, ::2], [0.1, 99.9])
    has_few_levels = high - low <= FEW_LEVELS * step

    least_share = COARSE_SHARE if len(octaves) > FEW_OCTAVES else COARSE_SHARE_OF_FEW_OCTAVES
    if not has_few_levels and deviations[-1] > least_share * strongest:
        return True

    fine = octaves[:SKEWED_OCTAVES]
    if not has_few_levels and min(skewness(octave) for octave in fine) < SKEWNESS:
        return True

    # The finest octave is left out: it holds hot pixels and the sensor's lines.
    highest_noise = HIGHEST_NOISE_OF_FEW_LEVELS if has_few_levels else HIGHEST_NOISE
    return any(
        largest_in_noise(octave, LEAST_NOISE * step) > highest_noise for octave in octaves[1:]
    )


def shading_of(overview: np.ndarray) -> np.ndarray:
    """Return the uneven light of (h, w): the polynomial surface that fits best."""
    height, width = overview.shape
    step = max(1, min(height, width) // SHADING_SIDE)
    thumbnail = cv2.blur(overview, (step, step))[::step, ::step]

    rows = np.linspace(-1, 1, height)
    columns = np.linspace(-1, 1, width)
    row_terms = np.polynomial.legendre.legvander(rows, SHADING_DEGREE)
    column_terms = np.polynomial.legendre.legvander(columns, SHADING_DEGREE)

    # The terms are orthogonal, so the fit along columns and then along rows is that in both.
    along_rows = np.linalg.pinv(row_terms[::step])
    along_columns = np.linalg.pinv(column_terms[::step])
    weights = along_rows @ thumbnail @ along_columns.T
    surface = row_terms @ weights @ column_terms.T
    return surface.astype(np.float32)


def octaves_of(overview: np.ndarray) -> list[np.ndarray]:
    """Return the octaves of the Laplacian pyramid of (h, w), the finest first, without borders."""
    octaves: list[np.ndarray] = []
    level = overview
    while min(level.shape) >= SMALLEST_OCTAVE and len(octaves) < MOST_OCTAVES:
        coarser = cv2.pyrDown(level)
        octave = level - cv2.pyrUp(coarser, dstsize=level.shape[::-1])
        octaves.append(octave[MARGIN:-MARGIN, MARGIN:-MARGIN])
        level = coarser
    return octaves


def skewness(octave: np.ndarray) -> float:
    """Return the skewness of the values of an octave, 0 if it is constant."""
    from_mean = octave - octave.mean()
    square = from_mean**2
    return float((square * from_mean).mean() / max(float(square.mean()) ** 1.5, 1e-30))


def largest_in_noise(octave: np.ndarray, least_noise: float) -> float:
    """Return the largest |value| of an octave, as a multiple of the deviation of its noise."""
    noise = noise_around(0.0, octave)
    largest = float(np.abs(octave).max())
    if largest == 0:
        return 0.0
    return largest / max(noise, least_noise, 1e-12 * largest)


def grey_step(channel: np.ndarray) -> float:
    """Return the distance between neighbouring grey levels; 0 for floats that are never equal."""
    values = channel.reshape(-1)
    values = np.unique(values[:: max(1, values.size // LEVELS_SAMPLE)].astype(np.float64))
    steps = np.diff(values[np.isfinite(values)])
    smallest = float(steps.min()) if steps.size else 0.0
    if channel.dtype.kind in "ui":
        return max(1.0, smallest)
    return smallest
