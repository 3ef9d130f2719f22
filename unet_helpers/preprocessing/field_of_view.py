"""The field of view of a fundus photograph, and flat illumination inside it."""

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

# Side of the corners that show the surround, as a share of the thumbnail's longer side.
CORNER_SHARE = 0.03

# Noise is in standard deviations of the surround's, contrast that between the surround and the
# bright middle. Without this contrast, as a share of the brightness, there is no dark surround.
LEAST_CONTRAST_IN_NOISE = 6
LEAST_CONTRAST_SHARE = 0.3

# What is brighter than the surround by so much is lit.
LIT_IN_NOISE = 4
LIT_SHARE_OF_CONTRAST = 0.2

# What is not even by so much is a notch in the disc's rim, and no shadow on the retina.
NOTCH_IN_NOISE = 3
NOTCH_SHARE_OF_CONTRAST = 0.08

# px of the thumbnail: the label in a corner, whose strokes are thinner, is not the eye.
OPENING = np.ones((7, 7), np.uint8)

# px of the thumbnail: the rim's own shadow looks like a vessel, and is cut off.
RIM = np.ones((5, 5), np.uint8)

# Shares of the 99th percentile from which a part of a photograph through a lens is bright.
LENS_LEVELS = (0.25, 0.4)

# A bright part is a disc where its shorter side is so long, as a share of the longer one, ...
LEAST_ROUNDNESS = 0.7

# ... where it fills its bounding box so far (a disc: 0.79) and covers so much of the image, ...
LEAST_FILLING = 0.7
LEAST_DISC_SHARE = 0.02

# ... and where the ring around it, in radii, is darker than the disc by so much.
RING = (1.05, 1.15)
MOST_RING_BRIGHTNESS = 0.4

# Radii up to which the disc is used: its rim is blurred.
USED_RADII = 0.97

# With no more light than this elsewhere, as a share of the image, the surround is simply dark.
LEAST_LIGHT_ELSEWHERE = 0.01

# Local standard deviations are at least this share of their median: noise is no vessel.
LEAST_DEVIATION_SHARE = 0.25


class FieldsOfView:
    """The fields of view of a stack's slices (N, H, W[, 3]); each is found once, when asked for."""

    def __init__(self, slices: np.ndarray) -> None:
        self.slices = slices
        self.by_index: dict[int, np.ndarray] = {}

    def __getitem__(self, index: int) -> np.ndarray:
        """(H, W) bool."""
        if index not in self.by_index:
            self.by_index[index] = field_of_view(self.slices[index])
        return self.by_index[index]


def field_of_view(pixels: np.ndarray) -> np.ndarray:
    """Find the lit disc or discs of a fundus photograph (H, W[, 3]): (H, W) bool.

    All True where there is no dark surround. The surround is what the corners show; it may be grey
    or noisy, and the disc cut off at top and bottom. Discs in dark rings are eyes seen through a
    lens. Of colours red is taken, in which every retina is bright.
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
    """How bright a photograph is, in the unit of its pixels."""

    dark: float  # of the surround, as the corners show it
    noise: float  # standard deviation in the surround
    bright: float  # of the middle

    @property
    def contrast(self) -> float:
        """Difference between the middle and the surround."""
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
    # A corner or two may hold a label, or the eye.
    dark = float(np.percentile(corners, 25))
    noise = noise_around(dark, corners[corners <= np.median(corners)])

    rows, columns = (slice(n // 4, n - n // 4) for n in thumbnail.shape)
    bright = float(np.percentile(thumbnail[rows, columns], 75))
    return Light(dark, noise, bright)


def discs_in_the_dark(thumbnail: np.ndarray) -> np.ndarray | None:
    """Find lit discs in a dark surround: (h, w) uint8; None where there is no such surround.

    A disc is convex, so that shadows at its rim belong to it.
    """
    light = light_of(thumbnail)
    least_contrast = max(LEAST_CONTRAST_IN_NOISE * light.noise, LEAST_CONTRAST_SHARE * light.bright)
    if light.contrast < least_contrast:
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
    # Dark vessels inside were taken for notches, too: what lies inside the outline is filled.
    outlines, _ = cv2.findContours(discs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(discs, outlines, -1, 1, thickness=cv2.FILLED)
    return cv2.erode(discs, RIM, borderValue=1)


def convex_hulls_of_largest_regions(lit: np.ndarray) -> np.ndarray:
    """Fill the convex hulls of the largest region, and of others at least half as large.

    Two eyes may lie side by side.
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
    """Find round bright parts in dark rings, where the room or rims around are bright, too.

    Returns (h, w) uint8, or None where there are none, or nothing around them is bright.
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
        if near_discs.any() and light_elsewhere > LEAST_LIGHT_ELSEWHERE * lit.size:
            return discs
    return None


def touches_border(region: Region, shape: tuple[int, ...]) -> bool:
    """Tell whether a region comes within 2 px of the image's border."""
    height, width = shape
    right_gap = width - region.left - region.width
    bottom_gap = height - region.top - region.height
    return min(region.left, region.top, right_gap, bottom_gap) < 2


def is_round(region: Region, image_size: int) -> bool:
    """Tell whether a region is about as wide as high, full, and large enough for an eye."""
    shorter = min(region.width, region.height)
    longer = max(region.width, region.height)
    least_area = max(LEAST_DISC_SHARE * image_size, LEAST_FILLING * region.width * region.height)
    return shorter >= LEAST_ROUNDNESS * longer and region.area > least_area


def radii_from(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    """Measure the distance of each pixel from a region's centre, in its own radii: (h, w)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down = (rows - region.top - (region.height - 1) / 2) / (region.height / 2)
    across = (columns - region.left - (region.width - 1) / 2) / (region.width / 2)
    return np.hypot(down, across)


def has_dark_ring(thumbnail: np.ndarray, radii: np.ndarray) -> bool:
    """Tell whether a disc, all within 1 radius, has a dark ring around it."""
    ring = thumbnail[(radii > RING[0]) & (radii < RING[1])]
    if ring.size == 0:
        return False
    disc = thumbnail[radii < 1]
    return bool(np.median(ring) < MOST_RING_BRIGHTNESS * np.median(disc))


def width_of(inside: np.ndarray) -> int:
    """Measure the larger side in px of the largest region of a mask (H, W); 1 where it is empty.

    That is the diameter of a field of view, even of one that is cut off.
    """
    sizes = [(region.area, max(region.width, region.height)) for region in regions_of(inside)]
    if not sizes:
        return 1
    _, width = max(sizes)
    return width


def box_of(inside: np.ndarray) -> tuple[slice, ...]:
    """Return the rows and columns (and slices) that hold all of a mask; all where it is empty."""
    boxes = scipy.ndimage.find_objects(inside.astype(np.uint8))
    if not boxes:
        return tuple(slice(0, n) for n in inside.shape)
    return boxes[0]


def flatten_illumination(pixels: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """Take the local z-score of (h, w) inside the field of view, brought to about 0 to 1.

    Cameras and exposures then look alike. ``sigma`` is in px; outside, all is 0.5.
    """
    region = inside.astype(np.float32)
    light = np.nan_to_num(pixels.astype(np.float32))
    weight = np.maximum(blur(region, sigma), 1e-3)

    mean = blur(light * region, sigma) / weight
    difference = (light - mean) * region
    deviation = np.sqrt(blur(difference**2, sigma) / weight)

    least_deviation = 0.0
    if inside.any():
        least_deviation = LEAST_DEVIATION_SHARE * float(np.median(deviation[inside]))
    deviation = np.maximum(deviation, least_deviation)

    # Three standard deviations to each side span 0 to 1.
    return np.clip(0.5 + difference / (6 * deviation + 1e-6), 0, 1)


def blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth (h, w) by a Gaussian whose standard deviation is in px."""
    return cv2.GaussianBlur(pixels, (0, 0), sigma)
