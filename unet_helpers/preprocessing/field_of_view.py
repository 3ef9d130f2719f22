"""The field of view of a fundus photograph, and flat illumination inside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import scipy

from .intensities import noise_around
from .resample import resize, resize_labels

# px: longer side of the thumbnail in which the field of view is found.
THUMBNAIL_SIDE = 512

# px: standard deviation of the Gaussian that smooths the thumbnail.
SMOOTHING = 1.5

# Side of the squares in the corners in which the surround is measured, as a share of the
# thumbnail's longer side.
CORNER_SHARE = 0.03

# The following six limits are differences in brightness from the dark surround: the ones _IN_NOISE
# as multiples of the surround's noise (a standard deviation), the others as a share. The larger of
# the two is used.

# The bright middle differs from the surround by at least this (as a share of the middle's
# brightness); otherwise the photograph has no dark surround.
MIN_CONTRAST_IN_NOISE = 6
MIN_CONTRAST_SHARE = 0.3

# A pixel is lit if it differs by more than this (as a share of the contrast).
LIT_IN_NOISE = 4
LIT_SHARE_OF_CONTRAST = 0.2

# A pixel at the disc's rim belongs to a notch, not to the retina in shadow, if it differs by no
# more than this (as a share of the contrast).
NOTCH_IN_NOISE = 3
NOTCH_SHARE_OF_CONTRAST = 0.08

# px of the thumbnail: opening with this square removes the thin strokes of labels in the corners.
OPENING = np.ones((7, 7), np.uint8)

# px of the thumbnail: erosion with this square removes the rim, whose shadow looks like a vessel.
RIM = np.ones((5, 5), np.uint8)

# In a photograph through a lens, a pixel is bright above these shares of the 99th percentile; they
# are tried in this order.
LENS_LEVELS = (0.25, 0.4)

# A bright region is a disc if shorter side / longer side of its bounding box is at least this, ...
MIN_ROUNDNESS = 0.7

# ... if its area is more than the first share of its bounding box (a disc has pi / 4 = 0.79), and
# more than the second share of the image, ...
MIN_FILLING = 0.7
MIN_DISC_SHARE = 0.02

# ... and if brightness of the ring / brightness of the disc is below the second number. The ring is
# between these multiples of the disc's radius.
RING = (1.05, 1.15)
MAX_RING_BRIGHTNESS = 0.4

# Multiple of the radius up to which the disc is used, because its rim is blurred.
USED_RADII = 0.97

# The lens is in a bright room if more than this share of the image is bright outside the discs;
# otherwise the surround is dark, and ``discs_in_the_dark`` is used.
MIN_LIGHT_ELSEWHERE = 0.01

# Local standard deviations are raised to at least this share of their median, so that noise in flat
# parts is not amplified to look like vessels.
MIN_DEVIATION_SHARE = 0.25


class FieldsOfView:
    """The fields of view of a stack's slices (N, H, W[, 3]); each is computed at its first use."""

    def __init__(self, slices: np.ndarray) -> None:
        self.slices = slices
        self.by_index: dict[int, np.ndarray] = {}

    def __getitem__(self, index: int) -> np.ndarray:
        """Return the field of view of a slice, (H, W) bool."""
        if index not in self.by_index:
            self.by_index[index] = field_of_view(self.slices[index])
        return self.by_index[index]


def field_of_view(pixels: np.ndarray) -> np.ndarray:
    """Find the lit disc or discs of a fundus photograph (H, W[, 3]): (H, W) bool.

    All is True if there is no dark surround. The surround is measured in the corners; it may be
    grey or noisy, and the disc may be cut off at top and bottom. Discs in dark rings are eyes seen
    through a lens. Only the red channel is used, because every retina is bright in it.
    """
    red = pixels[..., 0] if pixels.ndim == 3 else pixels
    light = np.nan_to_num(red.astype(np.float32))
    shrink = min(1, THUMBNAIL_SIDE / max(light.shape))
    height, width = (max(1, round(n * shrink)) for n in light.shape)
    thumbnail = cv2.GaussianBlur(resize(light, (height, width)), (0, 0), SMOOTHING)

    discs = discs_in_a_lens(thumbnail)
    if discs is None:
        discs = discs_in_the_dark(thumbnail)
    if discs is None:
        return np.ones(light.shape, bool)
    return resize_labels(discs, light.shape) > 0


@dataclass(frozen=True)
class Light:
    """Brightness of a photograph, in the unit of its pixels."""

    dark: float  # brightness of the surround, measured in the corners
    noise: float  # standard deviation in the surround
    bright: float  # brightness of the middle

    @property
    def contrast(self) -> float:
        """Brightness of the middle - brightness of the surround."""
        return self.bright - self.dark


def light_of(thumbnail: np.ndarray) -> Light:
    """Measure surround and middle of a photograph (h, w)."""
    side = max(2, round(CORNER_SHARE * max(thumbnail.shape)))
    corners = np.concatenate(
        [
            thumbnail[:side, :side].ravel(),
            thumbnail[:side, -side:].ravel(),
            thumbnail[-side:, :side].ravel(),
            thumbnail[-side:, -side:].ravel(),
        ]
    )
    # One or two corners may contain a label or the eye, so low percentiles are used.
    dark = float(np.percentile(corners, 25))
    noise = noise_around(dark, corners[corners <= np.median(corners)])

    rows, columns = (slice(n // 4, n - n // 4) for n in thumbnail.shape)
    bright = float(np.percentile(thumbnail[rows, columns], 75))
    return Light(dark, noise, bright)


def discs_in_the_dark(thumbnail: np.ndarray) -> np.ndarray | None:
    """Find lit discs in a dark surround: (h, w) uint8, 0 or 1; None if there is no such surround.

    Convex hulls are used, because shadows at the rim belong to the disc.
    """
    light = light_of(thumbnail)
    min_contrast = max(MIN_CONTRAST_IN_NOISE * light.noise, MIN_CONTRAST_SHARE * light.bright)
    if light.contrast < min_contrast:
        return None

    lit_from = light.dark + max(LIT_IN_NOISE * light.noise, LIT_SHARE_OF_CONTRAST * light.contrast)
    bright = (thumbnail > lit_from).astype(np.uint8)
    lit = cv2.morphologyEx(bright, cv2.MORPH_OPEN, OPENING)
    if not lit.any():
        return None

    discs = convex_hulls_of_largest_regions(lit)

    notch_to = light.dark + max(
        NOTCH_IN_NOISE * light.noise, NOTCH_SHARE_OF_CONTRAST * light.contrast
    )
    discs[thumbnail <= notch_to] = 0
    # This also removed dark vessels inside the disc, so everything inside the outline is filled.
    outlines, _ = cv2.findContours(discs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(discs, outlines, -1, 1, thickness=cv2.FILLED)
    return cv2.erode(discs, RIM, borderValue=1)


def convex_hulls_of_largest_regions(lit: np.ndarray) -> np.ndarray:
    """Fill the convex hulls of the largest region and of those at least half as large.

    A photograph may show two eyes side by side.
    """
    _, regions, statistics, _ = cv2.connectedComponentsWithStats(lit)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    hulls = np.zeros_like(lit)
    for label in np.flatnonzero(areas >= areas.max() / 2) + 1:
        region = (regions == label).astype(np.uint8)
        outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        longest = max(outlines, key=len)
        cv2.fillConvexPoly(hulls, cv2.convexHull(longest), 1)
    return hulls


@dataclass(frozen=True)
class Region:
    """A connected region of an image: its bounding box and area, in px."""

    left: int
    top: int
    width: int
    height: int
    area: int


def regions_of(mask: np.ndarray) -> list[Region]:
    """List the connected regions of a mask (h, w)."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return [Region(*row) for row in statistics[1:].tolist()]


def discs_in_a_lens(thumbnail: np.ndarray) -> np.ndarray | None:
    """Find bright discs in dark rings, as seen through a lens in a bright room.

    Returns (h, w) uint8, 0 or 1, or None if there are no discs or nothing else is bright.
    """
    for level in np.percentile(thumbnail, 99) * np.array(LENS_LEVELS):
        lit = thumbnail > level
        discs = np.zeros(lit.shape, np.uint8)
        near_discs = np.zeros(lit.shape, bool)
        for region in regions_of(lit):
            if touches_border(region, lit.shape) or not is_round(region, lit.size):
                continue
            radii = radii_from(region, lit.shape)
            if has_dark_ring(thumbnail, radii):
                discs[radii < USED_RADII] = 1
                near_discs[radii < RING[1]] = True

        light_elsewhere = np.count_nonzero(lit[~near_discs])
        if near_discs.any() and light_elsewhere > MIN_LIGHT_ELSEWHERE * lit.size:
            return discs
    return None


def touches_border(region: Region, shape: tuple[int, ...]) -> bool:
    """Return whether fewer than 2 px are between a region and the image's border."""
    height, width = shape
    right_gap = width - region.left - region.width
    bottom_gap = height - region.top - region.height
    return min(region.left, region.top, right_gap, bottom_gap) < 2


def is_round(region: Region, image_size: int) -> bool:
    """Return whether a region is a disc, large enough for an eye; ``image_size`` is in px."""
    shorter = min(region.width, region.height)
    longer = max(region.width, region.height)
    min_area = max(MIN_DISC_SHARE * image_size, MIN_FILLING * region.width * region.height)
    return shorter >= MIN_ROUNDNESS * longer and region.area > min_area


def radii_from(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    """Compute each pixel's distance from a region's centre, as a multiple of its radius: (h, w)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down = (rows - region.top - (region.height - 1) / 2) / (region.height / 2)
    across = (columns - region.left - (region.width - 1) / 2) / (region.width / 2)
    return np.hypot(down, across)


def has_dark_ring(thumbnail: np.ndarray, radii: np.ndarray) -> bool:
    """Return whether the ring around a disc is dark; ``radii`` are those of ``radii_from``."""
    ring = thumbnail[(radii > RING[0]) & (radii < RING[1])]
    if ring.size == 0:
        return False
    disc = thumbnail[radii < 1]
    return bool(np.median(ring) < MAX_RING_BRIGHTNESS * np.median(disc))


def width_of(inside: np.ndarray) -> int:
    """Return the longer side, in px, of the largest region of a mask (H, W); 1 if it is empty.

    This is the diameter of a field of view, even if that is cut off on two sides.
    """
    sizes = [(region.area, max(region.width, region.height)) for region in regions_of(inside)]
    if not sizes:
        return 1
    _, width = max(sizes)
    return width


def shift_at(width: float, shifts: Sequence[tuple[float, float]]) -> float:
    """Return what is added to logits where a field of view, or an object, is ``width`` px wide.

    The fewer pixels an eye has, the wider, at the working size, are the vessels of masks that were
    drawn on them; and the more pixels a nucleus has, the wider is its outline. ``shifts`` are
    widths with the shift there. Between two of them it follows the logarithm of the width; beyond
    the first and the last it is theirs.
    """
    widths, values = np.array(shifts).T
    return float(np.interp(np.log(width), np.log(widths), values))


def box_of(inside: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box, a slice per axis, around a mask; the whole image if it is empty."""
    boxes = scipy.ndimage.find_objects(inside.astype(np.uint8))
    if not boxes:
        return tuple(slice(0, n) for n in inside.shape)
    return boxes[0]


def flatten_illumination(pixels: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """Compute the local z-score inside the field of view, as 0.5 + z / 6 from 0 to 1.

    ``pixels`` are (h, w), or (h, w, 3), whose colours are scaled separately. This removes
    differences between cameras and exposures. ``sigma``, the standard deviation of the Gaussian
    that defines what is local, is in px. Outside the field of view all is 0.5.
    """
    if pixels.ndim == 3:
        colours = np.moveaxis(pixels, -1, 0)
        flat = [flatten_illumination(colour, inside, sigma) for colour in colours]
        return np.stack(flat, axis=-1)

    region = inside.astype(np.float32)
    light = np.nan_to_num(pixels.astype(np.float32))
    # The share of the Gaussian inside the field of view, by which means are divided; never 0.
    weight = np.maximum(blur(region, sigma), 1e-3)

    mean = blur(light * region, sigma) / weight
    difference = (light - mean) * region
    deviation = np.sqrt(blur(difference**2, sigma) / weight)

    min_deviation = 0.0
    if inside.any():
        min_deviation = MIN_DEVIATION_SHARE * float(np.median(deviation[inside]))
    deviation = np.maximum(deviation, min_deviation)

    # Three standard deviations to each side are mapped to 0 to 1; 1e-6 avoids a division by 0.
    return np.clip(0.5 + difference / (6 * deviation + 1e-6), 0, 1)


def blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth (h, w) by a Gaussian whose standard deviation is in px."""
    return cv2.GaussianBlur(pixels, (0, 0), sigma)
