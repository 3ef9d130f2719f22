"""What an image looks like, in about 36 numbers: histogram, texture, layout and colour.

They are taken at about the scale at which a card's network works. Nothing depends on the unit of
the intensities, so that 8 and 16 bits, or 0 to 1, look the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..networks.cards import ModelCard
from ..preprocessing.field_of_view import box_of, field_of_view
from ..preprocessing.intensities import intensity_range
from ..preprocessing.resample import highest_contrast_window, resize

# px: the longer side of the overview that the statistics are taken of.
OVERVIEW_SIDE = 256

# Weights of red, green and blue in the brightness of a colour, rounded from ITU-R BT.601.
LUMA = (0.3, 0.59, 0.11)

# Of the range of intensities above its lower end: what is brighter in an X-ray, as markers, is
# clipped.
HIGHEST_RELATIVE_VALUE = 1.25

# Larger finite values are clipped to this, so that their squares stay finite in single precision.
LARGEST_FLOAT = 1e12

# Octaves of the Laplacian pyramid that the texture is described by.
OCTAVES = 5

# Of the intensity range: where a band of the pyramid stays below this, an area is flat.
FLAT = 0.02

# px: side of the thumbnail that the layout is described by.
THUMBNAIL_SIDE = 16

# Squared distance from the middle of the thumbnail, in half sides, beyond which its corners lie.
CORNER_RADIUS = 1.35

# Share of the 99.5th percentile of the light above which a pixel's colour counts.
LIT = 0.15


@dataclass(frozen=True)
class Viewpoint:
    """How a card looks at an image: equal for cards that share the statistics."""

    # 'native' pixels of a window, a 'square', or the 'field of view' of a photograph.
    scale: str

    # Are markers that are far brighter than a chest clipped?
    clips_markers: bool

    # 'green' if a grey image lacks its colours, 'flair' for the second of three, or 'any'.
    channels: str

    # Does the size of the image count? Small crops are the rule for such a card.
    counts_size: bool


def viewpoint_of(card: ModelCard) -> Viewpoint:
    """Tell how a card looks at an image."""
    preprocessing = card.preprocessing

    scale: str = preprocessing.scale
    if scale == "objects":
        scale = "native"

    channels: str = preprocessing.channels
    if channels not in ("green", "flair"):
        channels = "any"

    return Viewpoint(
        scale=scale,
        clips_markers=scale == "square" and preprocessing.intensities == "percentile",
        channels=channels,
        counts_size=len(preprocessing.axes) > 1,
    )


class Overviews:
    """The slices of a stack as cards look at them, each made once for every viewpoint."""

    def __init__(self, slices: Sequence[np.ndarray]) -> None:
        self.slices = slices  # (H, W) or (H, W, C) each
        self.by_viewpoint: dict[Viewpoint, list[np.ndarray]] = {}

    def __getitem__(self, viewpoint: Viewpoint) -> list[np.ndarray]:
        """Make the overviews (h, w) or (h, w, 3) of all slices."""
        if viewpoint not in self.by_viewpoint:
            overviews = [overview(pixels, viewpoint) for pixels in self.slices]
            self.by_viewpoint[viewpoint] = overviews
        return self.by_viewpoint[viewpoint]

    def features(self, viewpoint: Viewpoint) -> np.ndarray:
        """Describe each slice by the D statistics of its overview: (slices, D)."""
        rows = []
        for pixels, shrunk in zip(self.slices, self[viewpoint], strict=True):
            rows.append(describe(shrunk, viewpoint, longer_side=max(pixels.shape[:2])))
        return np.array(rows)


def features(pixels: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """Describe a slice (H, W) or (H, W, C) by (D,) statistics, as a card looks at it."""
    return Overviews([np.asarray(pixels)]).features(viewpoint)[0]


def overview(pixels: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """Shrink or cut (H, W) or (H, W, C) to at most OVERVIEW_SIDE px a side, as float32.

    At native scale it is the window of highest contrast, else all of the image.
    """
    pixels = colours_seen(pixels, viewpoint)
    if viewpoint.scale == "native":
        return as_floats(highest_contrast_window(pixels, OVERVIEW_SIDE))

    step = max(1, max(pixels.shape[:2]) // (3 * OVERVIEW_SIDE // 2))
    pixels = as_floats(pixels[::step, ::step])
    if viewpoint.scale == "square":
        if viewpoint.clips_markers:
            pixels = clip_markers(pixels)
        return resize(pixels, (OVERVIEW_SIDE, OVERVIEW_SIDE))

    return shrink_to_overview(cut_to_field_of_view(pixels))


def colours_seen(pixels: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """Choose what is looked at of (H, W[, C]): three colours, or a single channel."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[-1] < 3:
        return pixels[..., 0]
    if viewpoint.channels == "flair":
        # Three sequences that are stored as red, green and blue are no colours.
        return pixels[..., 1]
    return pixels[..., :3]


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """Convert to float32, with NaN and infinities at the lowest finite value."""
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(pixels, np.float32)

    is_small_integer = pixels.dtype.kind in "bui" and pixels.dtype.itemsize < 8
    if is_small_integer:
        return floats

    lowest = float(np.min(floats, where=np.isfinite(floats), initial=np.inf))
    if not np.isfinite(lowest):
        lowest = 0.0
    finite = np.nan_to_num(floats, nan=lowest, posinf=lowest, neginf=lowest)
    return np.clip(finite, -LARGEST_FLOAT, LARGEST_FLOAT)


def clip_markers(pixels: np.ndarray) -> np.ndarray:
    """Clip what is far brighter than the range of intensities, as a lead marker in an X-ray."""
    low, gain = intensity_range(pixels[::4, ::4], 0.5, 99.5, marker=True)
    if not gain:
        return pixels
    return np.minimum(pixels, low + HIGHEST_RELATIVE_VALUE / gain)


def cut_to_field_of_view(pixels: np.ndarray) -> np.ndarray:
    """Cut (H, W[, 3]) to the box of its field of view, which is found at half resolution."""
    rows, columns = box_of(field_of_view(np.ascontiguousarray(pixels[::2, ::2])))
    cut = pixels[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
    return np.ascontiguousarray(cut)


def shrink_to_overview(pixels: np.ndarray) -> np.ndarray:
    """Resize so that the longer side has OVERVIEW_SIDE px."""
    height, width = pixels.shape[:2]
    longer_side = max(height, width)
    shape = (
        max(1, round(height * OVERVIEW_SIDE / longer_side)),
        max(1, round(width * OVERVIEW_SIDE / longer_side)),
    )
    return resize(pixels, shape)


def describe(shrunk: np.ndarray, viewpoint: Viewpoint, longer_side: int) -> np.ndarray:
    """Describe an overview (h, w) or (h, w, 3) by (D,) statistics.

    ``longer_side``: px of the slice that the overview was made of.
    """
    if viewpoint.channels == "flair":
        return np.array(describe_grey(shrunk))

    if shrunk.ndim == 3:
        brightness = shrunk @ np.array(LUMA, np.float32)
        colour = chroma(shrunk)
    else:
        brightness = shrunk
        unknown = np.nan if viewpoint.channels == "green" else 0.0
        colour = np.full(5, unknown)

    statistics = [*describe_grey(brightness), *colour]
    if viewpoint.counts_size:
        statistics.append(np.log(longer_side))
    return np.array(statistics)


def describe_grey(grey: np.ndarray) -> list[float]:
    """Describe the histogram, the texture by scale and the layout of (h, w)."""
    low, *quantiles, high = np.percentile(grey[::2, ::2], [0.5, 5, 25, 50, 75, 95, 99.5])
    gain = 0.0
    if high - low > 1e-30:
        gain = 1 / (high - low)

    histogram = (np.array(quantiles) - low) * gain
    grey = np.clip((grey - np.float32(low)) * np.float32(gain), 0, 1)
    return [*histogram, grey.std(), *texture(grey), *layout(grey)]


def texture(grey: np.ndarray) -> list[float]:
    """Tell strength, skewness and kurtosis of the octaves of a Laplacian pyramid.

    Burt and Adelson 1983, IEEE Trans. Commun. 31:532.
    """
    values: list[float] = []
    level = grey
    for octave in range(OCTAVES):
        coarser = cv2.pyrDown(level)
        band = level - cv2.resize(coarser, level.shape[::-1])
        level = coarser
        if octave == 1:
            share_of_flat_areas = (np.abs(band) < FLAT).mean()
            values.append(share_of_flat_areas)

        band = band - band.mean()
        square = band**2
        variance = square.mean()
        values.append(np.log10(np.sqrt(variance) + 1e-3))

        # The last octave has too few pixels for higher moments.
        if octave < OCTAVES - 1:
            # Are there bright spots or dark lines?
            skewness = (square * band).mean() / (variance**1.5 + 1e-9)
            values.append(np.arcsinh(skewness))

            # Are there few strong ones or many weak ones?
            kurtosis = (square * square).mean() / (variance**2 + 1e-9)
            values.append(np.log(kurtosis + 1))
    return values


def layout(grey: np.ndarray) -> list[float]:
    """Describe how (h, w) greys are laid out: direction, symmetry, middle and rim, top and left."""
    side = THUMBNAIL_SIDE
    thumbnail = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = rows**2 + columns**2
    is_rim = np.maximum(np.abs(rows), np.abs(columns)) == 1
    is_corner = radius > CORNER_RADIUS
    middle = thumbnail[4:12, 4:12].mean()

    horizontal = np.square(np.diff(grey, axis=1)).sum() / grey.size
    vertical = np.square(np.diff(grey, axis=0)).sum() / grey.size
    values = [
        np.log((horizontal + 1e-5) / (vertical + 1e-5)),
        correlation(thumbnail, thumbnail[:, ::-1]),
        correlation(thumbnail, thumbnail[::-1]),
        correlation(thumbnail, -radius),
        middle - thumbnail[is_rim].mean(),
        middle - thumbnail[is_corner].mean(),
        thumbnail.std(),
    ]

    # Which side is up, and which is left: halves, and how far the middle of each end stands out.
    for upright in (thumbnail, thumbnail.T):
        top, bottom = upright[:5], upright[11:]
        middle_of_top = top[:, 5:11].mean() - top.mean()
        middle_of_bottom = bottom[:, 5:11].mean() - bottom.mean()
        values.append(upright[:8].mean() - upright[8:].mean())
        values.append(np.subtract(middle_of_top, middle_of_bottom))
    return values


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Compute Pearson's correlation of two arrays; 0 where one is constant."""
    a = a - a.mean()
    b = b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def chroma(pixels: np.ndarray) -> np.ndarray:
    """Describe the colours of (h, w, 3) where there is light, in (5,) numbers.

    Mean and standard deviation of red - green and green - blue as shares of the light, and the mean
    strength of both.
    """
    colours = np.maximum(pixels[::2, ::2], 0).reshape(-1, 3)
    light = colours.sum(-1)
    is_lit = light > LIT * np.percentile(light, 99.5)
    if not is_lit.any():
        return np.zeros(5)

    shares = np.diff(-colours[is_lit] / light[is_lit, None], axis=1)
    strength = np.hypot(*shares.T).mean()
    return np.array([*shares.mean(0), *shares.std(0), strength])
