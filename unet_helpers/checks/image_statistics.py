"""Describes an image by about 36 numbers: histogram, texture, layout and colour.

They are computed at about the working scale of a card's network. They do not depend on the unit of
the intensities: an image has the same statistics in 8 bits, in 16 bits and from 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..networks.cards import ModelCard
from ..preprocessing.field_of_view import box_of, field_of_view
from ..preprocessing.huge_values import within_floats
from ..preprocessing.intensities import intensity_range
from ..preprocessing.resample import highest_contrast_window, resize
from ..preprocessing.surroundings import content_box

# px: longer side of the overview from which the statistics are computed.
OVERVIEW_SIDE = 256

# brightness = 0.3 red + 0.59 green + 0.11 blue: ITU-R BT.601, rounded.
LUMA = (0.3, 0.59, 0.11)

# Pixels of an X-ray are clipped at low + 1.25 * (high - low) of its range of intensities, because
# markers are much brighter than the chest.
HIGHEST_RELATIVE_VALUE = 1.25

# Number of octaves of the Laplacian pyramid that describes the texture.
OCTAVES = 5

# A pixel is in a flat area if |second band of the pyramid| is below this; greys are 0 to 1.
FLAT = 0.02

# px: side of the thumbnail that describes the layout.
THUMBNAIL_SIDE = 16

# A pixel of the thumbnail is in a corner if x**2 + y**2 is above this, with x and y from -1 to 1.
CORNER_RADIUS = 1.35

# A pixel's colour counts if red + green + blue is above this share of its 99.5th percentile.
LIT = 0.15


@dataclass(frozen=True)
class Viewpoint:
    """The settings for an overview and its statistics; several cards may share one."""

    # 'native': a window at the image's own scale; 'square': the image resized to a square;
    # 'field of view': the box around the field of view of a photograph.
    scale: str

    # Whether markers that are much brighter than the chest are clipped.
    clips_markers: bool

    # 'green': the colour statistics of a grey image are unknown (NaN); 'flair': only the second
    # of three channels is used; 'any': a grey image has colour statistics 0.
    channels: str

    # Whether the size of the image is a statistic, as it is for cards trained on small crops.
    counts_size: bool


def viewpoint_of(card: ModelCard) -> Viewpoint:
    """Return the viewpoint of a card."""
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
        counts_size=preprocessing.reads_volumes,
    )


class Overviews:
    """Overviews of the slices of a stack, computed once for each viewpoint and kept."""

    def __init__(self, slices: Sequence[np.ndarray]) -> None:
        self.slices = slices  # (H, W) or (H, W, C) each
        self.by_viewpoint: dict[Viewpoint, list[np.ndarray]] = {}

    def __getitem__(self, viewpoint: Viewpoint) -> list[np.ndarray]:
        """Return the overviews, (h, w) or (h, w, 3) float32, of all slices."""
        if viewpoint not in self.by_viewpoint:
            overviews = [overview(pixels, viewpoint) for pixels in self.slices]
            self.by_viewpoint[viewpoint] = overviews
        return self.by_viewpoint[viewpoint]

    def features(self, viewpoint: Viewpoint) -> np.ndarray:
        """Return the D statistics of each slice: (slices, D)."""
        rows = []
        for pixels, shrunk in zip(self.slices, self[viewpoint], strict=True):
            rows.append(describe(shrunk, viewpoint, longer_side=max(pixels.shape[:2])))
        return np.array(rows)


def features(pixels: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """Return the (D,) statistics of a slice (H, W) or (H, W, C)."""
    return Overviews([np.asarray(pixels)]).features(viewpoint)[0]


def overview(pixels: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """Make an overview, (h, w) or (h, w, 3) float32, of a slice (H, W) or (H, W, C).

    Its sides have at most OVERVIEW_SIDE px. At native scale it is the window of highest contrast;
    otherwise it is the whole image or its field of view, resized.
    """
    pixels = colours_seen(pixels, viewpoint)
    rows, columns = content_box(pixels[None], dark_around=not viewpoint.clips_markers)
    pixels = pixels[rows, columns]
    if viewpoint.scale == "native":
        return as_floats(highest_contrast_window(pixels, OVERVIEW_SIDE))

    # Skip pixels of large images for speed: at least 1.5 times the final size is left.
    step = max(1, max(pixels.shape[:2]) // (3 * OVERVIEW_SIDE // 2))
    pixels = as_floats(pixels[::step, ::step])
    if viewpoint.scale == "square":
        if viewpoint.clips_markers:
            pixels = clip_markers(pixels)
        return resize(pixels, (OVERVIEW_SIDE, OVERVIEW_SIDE))

    return shrink_to_overview(cut_to_field_of_view(pixels))


def colours_seen(pixels: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """Choose channels of (H, W) or (H, W, C): (H, W, 3) colours or one (H, W) channel, a view."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[-1] < 3:
        return pixels[..., 0]
    if viewpoint.channels == "flair":
        # The channels are three MRI sequences, not colours. The second is FLAIR.
        return pixels[..., 1]
    return pixels[..., :3]


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """Convert to float32, scaled if huge; NaN and infinities become the lowest finite value."""
    floats, _ = within_floats(pixels)
    is_small_integer = pixels.dtype.kind in "bui" and pixels.dtype.itemsize < 8
    if is_small_integer:
        return floats

    lowest = float(np.min(floats, where=np.isfinite(floats), initial=np.inf))
    if not np.isfinite(lowest):
        lowest = 0.0
    return np.nan_to_num(floats, nan=lowest, posinf=lowest, neginf=lowest)


def clip_markers(pixels: np.ndarray) -> np.ndarray:
    """Clip pixels far above the range of intensities, such as a lead marker in an X-ray."""
    low, gain = intensity_range(pixels[::4, ::4], 0.5, 99.5, marker=True)
    if not gain:
        return pixels
    return np.minimum(pixels, low + HIGHEST_RELATIVE_VALUE / gain)


def cut_to_field_of_view(pixels: np.ndarray) -> np.ndarray:
    """Cut (H, W) or (H, W, 3) to the box around its field of view, found at half resolution."""
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
    """Return the (D,) statistics of an overview (h, w) or (h, w, 3).

    ``longer_side``: px of the slice from which the overview was made.
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
    """Return statistics of the histogram, the texture and the layout of (h, w) greys."""
    low, *quantiles, high = np.percentile(grey[::2, ::2], [0.5, 5, 25, 50, 75, 95, 99.5])
    gain = 0.0
    if high - low > 1e-30:
        gain = 1 / (high - low)

    histogram = (np.array(quantiles) - low) * gain
    grey = np.clip((grey - np.float32(low)) * np.float32(gain), 0, 1)
    return [*histogram, grey.std(), *texture(grey), *layout(grey)]


def texture(grey: np.ndarray) -> list[float]:
    """Return strength, skewness and kurtosis of the octaves of a Laplacian pyramid.

    The pyramid is that of Burt and Adelson (1983, IEEE Trans. Commun. 31:532). The share of flat
    areas comes from the second octave.
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
            # Above 0 for bright spots or lines, below 0 for dark ones.
            skewness = (square * band).mean() / (variance**1.5 + 1e-9)
            values.append(np.arcsinh(skewness))

            # Large for few strong spots or lines, small for many weak ones.
            kurtosis = (square * square).mean() / (variance**2 + 1e-9)
            values.append(np.log(kurtosis + 1))
    return values


def layout(grey: np.ndarray) -> list[float]:
    """Return statistics of the layout of (h, w) greys: direction, symmetry, middle, rim, halves."""
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

    # Orientation: the difference of the two halves, and how much the middle of each end stands out,
    # first from top to bottom, then from left to right.
    for upright in (thumbnail, thumbnail.T):
        top, bottom = upright[:5], upright[11:]
        middle_of_top = top[:, 5:11].mean() - top.mean()
        middle_of_bottom = bottom[:, 5:11].mean() - bottom.mean()
        values.append(upright[:8].mean() - upright[8:].mean())
        values.append(np.subtract(middle_of_top, middle_of_bottom))
    return values


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Compute Pearson's correlation of two arrays; 0 if one is constant."""
    a = a - a.mean()
    b = b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def chroma(pixels: np.ndarray) -> np.ndarray:
    """Return (5,) statistics of the colours of (h, w, 3); dark pixels do not count.

    They are the means of (red - green) / light and (green - blue) / light, their standard
    deviations, and the mean length of both as a vector, with light = red + green + blue.
    """
    colours = np.maximum(pixels[::2, ::2], 0).reshape(-1, 3)
    light = colours.sum(-1)
    is_lit = light > LIT * np.percentile(light, 99.5)
    if not is_lit.any():
        return np.zeros(5)

    shares = np.diff(-colours[is_lit] / light[is_lit, None], axis=1)
    strength = np.hypot(*shares.T).mean()
    return np.array([*shares.mean(0), *shares.std(0), strength])
