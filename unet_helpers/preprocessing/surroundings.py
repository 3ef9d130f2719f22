"""What surrounds an image or was drawn on it: padding, frames and scale bars.

They are no part of the picture. Padding and bars are replaced by values like those around them, and
frames are cut off, before intensities are measured and the network runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from ..networks.cards import Preprocessing

# About how many values are looked at to find padding.
SAMPLE = 200_000

# A value is padding if more than this share of the image has it, and of the border of its slices.
PADDING_SHARE = 0.005
PADDING_SHARE_OF_BORDER = 0.1

# Inside the rows and columns of bright padding, it goes on if it has at least this share of their
# border, as around a disc; else objects of its value touch it.
LEAST_SHARE_OF_INNER_BORDER = 0.25

# (Distance of the padding from the other values) / (range of these). Negative padding is below the
# others by more than the first, which is more than the distance of constant air from tissue. Values
# of 0 or more are only padding beyond the second, and only above the others, because a background
# of 0 is usual.
GAP_OF_NEGATIVE = 0.25
GAP_OF_POSITIVE = 1.0

# Values further below the 1st percentile of the others than this share of their range are
# interpolated between these and the padding.
INTERPOLATED = 0.25

# A row or column belongs to a frame if its values differ by at most this share of the image's range
# (a JPEG of a frame is not quite constant).
FRAME_TOLERANCE = 0.03

# Thinnest frame in px, and as a share of the side. Between the two only a light frame on all four
# sides counts: the outermost rows of many cameras are dark.
THINNEST_FRAME_PX = 2
THINNEST_FRAME = 0.015

# A frame differs from the median of what it contains by at least this share of the range: a row of
# background is no frame.
FRAME_CONTRAST = 0.2

# The frame of a head or an eye is lighter than this share of the range: theirs are dark by nature.
LIGHT_FRAME = 0.1

# The least share of each side that is left when a frame is cut off; otherwise there is none.
LEAST_CONTENT = 0.3

# A frame may have so many frames in it: a page with a film that has a black border.
MOST_FRAMES = 3

# Rows and columns; slices, rows and columns.
Box = tuple[slice, slice]
VolumeBox = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Padding:
    """What is around the part of an image that shows something: no picture, but constant.

    It is a value far from all others, or no number.
    """

    value: float  # as stored; NaN if it is no number (NaN or infinite)
    lowest: float  # lowest and highest of the other values
    highest: float


def find_padding(pixels: np.ndarray) -> Padding | None:
    """Find the padding of grey slices (N, H, W), below or above all other values or no number."""
    if pixels.ndim != 3 or min(pixels.shape[1:]) < 3:
        return None

    border = np.concatenate([pixels[:, [0, -1]].ravel(), pixels[:, :, [0, -1]].ravel()])
    if 1 - np.isfinite(border).mean() >= PADDING_SHARE_OF_BORDER:
        return padding_without_values(pixels)

    sample = pixels.reshape(-1)[:: max(1, pixels.size // SAMPLE)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None

    for value in (sample.min(), sample.max()):
        share = np.count_nonzero(sample == value) / sample.size
        share_of_border = np.count_nonzero(border == value) / border.size
        if share >= PADDING_SHARE and share_of_border >= PADDING_SHARE_OF_BORDER:
            padding = padding_of_value(float(value), sample, pixels)
            if padding is not None:
                return padding
    return None


def padding_without_values(pixels: np.ndarray) -> Padding | None:
    """Return the padding of slices around which values are missing; None if nothing has values."""
    values = pixels[np.isfinite(pixels)]
    if not values.size:
        return None
    return Padding(float("nan"), float(values.min()), float(values.max()))


def padding_of_value(value: float, sample: np.ndarray, pixels: np.ndarray) -> Padding | None:
    """Return the padding if a value is far from all others, of which there must be several."""
    rest = sample[sample != value]
    if not rest.size:
        return None
    low, high = np.percentile(rest, [1, 99])
    if low == high:
        return None

    gap = max(low - value, value - high)
    is_below = value < low
    if is_below and (value >= 0 or gap <= GAP_OF_NEGATIVE * (high - low)):
        return None
    if not is_below and gap <= GAP_OF_POSITIVE * (high - low):
        return None

    # Between the padding and the rest are at most a few interpolated values.
    if is_below:
        is_rest = pixels > value + gap / 2
    else:
        is_rest = pixels < value - gap / 2
    rest_of_all = pixels[is_rest]
    lowest = max(float(rest_of_all.min()), float(low - INTERPOLATED * (high - low)))
    if pixels.dtype.kind in "ui":
        lowest = float(np.ceil(lowest))
    return Padding(value, lowest, float(rest_of_all.max()))


def without_padding(pixels: np.ndarray, padding: Padding) -> np.ndarray:
    """Return a copy of slices (N, H, W) with the lowest of the other values instead of the padding.

    Where padding is above all others, too: it is background, which is dark in grey images. Bright
    objects inside the image may have its value: padding above others is connected to the border of
    its slice. So are missing values that are padding; others inside the image stay missing.
    """
    if np.isnan(padding.value):
        around = np.stack([connected_to_border(missing) for missing in ~np.isfinite(pixels)])
        return np.where(around, np.array(padding.lowest, pixels.dtype), pixels)

    is_other = (pixels >= padding.lowest) & (pixels <= padding.highest)
    if padding.value > padding.highest:
        is_other |= np.stack([objects_in(bright) for bright in pixels > padding.highest])
    return np.where(is_other, pixels, np.array(padding.lowest, pixels.dtype))


def box_of_others(pixels: np.ndarray, value: float) -> VolumeBox:
    """Return the smallest box of (Z, Y, X) outside which all have one value, that of padding."""
    boxes = scipy.ndimage.find_objects((pixels != value).astype(np.uint8))
    if not boxes:
        return slice(None), slice(None), slice(None)
    planes, rows, columns = boxes[0]
    return planes, rows, columns


def connected_to_border(mask: np.ndarray) -> np.ndarray:
    """Return the part of a mask (H, W) that is connected to the image's border."""
    # Imported here, because `import unet_helpers` must not load scikit-image.
    from skimage.segmentation import clear_border

    return mask & ~clear_border(mask)


def objects_in(bright: np.ndarray) -> np.ndarray:
    """Return which bright pixels (H, W) are objects and not padding around the image.

    Whole rows and columns at the border are padding. Inside them, what touches their border is,
    too, unless that is so little of it that it is objects at the rim.
    """
    objects = np.zeros_like(bright)
    if bright.all():
        return objects
    rows, columns = (np.flatnonzero(~bright.all(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    inside = bright[box]
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    are_objects = border.mean() < LEAST_SHARE_OF_INNER_BORDER
    objects[box] = inside if are_objects else inside & ~connected_to_border(inside)
    return objects


def notes_on_surroundings(
    padding: Padding | None, *, has_bars: bool, has_frame: bool
) -> tuple[str, ...]:
    """Say what is left out of an image before the network runs."""
    notes = []
    if padding is not None:
        is_missing = np.isnan(padding.value)
        what = f"the value {padding.value:g} is padding, far from all others"
        if is_missing:
            what = "what surrounds the image has no values (NaN or infinite)"
        notes.append(f"{what}: read as {padding.lowest:g}, the lowest of the others")
    if has_bars:
        notes.append("a scale bar, with its text, is left out")
    if has_frame:
        notes.append("a frame of one colour around the image is cut off; it is background")
    return tuple(notes)


def box_for(slices: np.ndarray, preprocessing: Preprocessing) -> Box:
    """Return the rows and columns of (N, H, W[, C]) that a card's network reads.

    Frames are cut off for cards that read slices one by one. A dark frame changes what is seen only
    where the whole image is resized to a square; elsewhere it may as well be dark background.
    """
    if preprocessing.method != "slices" or preprocessing.reads_volumes:
        return whole_box(slices)
    is_dark_by_nature = preprocessing.intensities in ("local", "head")
    dark_around = is_dark_by_nature or preprocessing.scale != "square"
    return content_box(slices, dark_around)


def content_box(slices: np.ndarray, dark_around: bool) -> Box:
    """Return the rows and columns of (N, H, W[, C]) inside a constant frame.

    A frame is on two opposite sides; a dark one on all four, because many X-rays are black on one
    or two, and the networks know that. With ``dark_around``, a dark frame is none: heads and eyes
    are dark around. Only rows and columns that are constant over all slices count.
    """
    height, width = slices.shape[1:3]
    whole = whole_box(slices)
    rows, columns = whole
    for _ in range(MOST_FRAMES):
        inner = inside_frame(slices[:, rows, columns], dark_around)
        if inner is None:
            break
        top, left = rows.start, columns.start
        rows = slice(top + inner[0].start, top + inner[0].stop)
        columns = slice(left + inner[1].start, left + inner[1].stop)

    is_too_small = (
        min((rows.stop - rows.start) / height, (columns.stop - columns.start) / width)
        < LEAST_CONTENT
    )
    return whole if is_too_small else (rows, columns)


def whole_box(slices: np.ndarray) -> Box:
    """Return all rows and columns of (N, H, W[, C])."""
    return slice(0, slices.shape[1]), slice(0, slices.shape[2])


def inside_frame(slices: np.ndarray, dark_around: bool) -> Box | None:
    """Return the rows and columns inside the outermost frame of (N, H, W[, C]), or None."""
    # Most images end here.
    edges = [slices[:, 0], slices[:, -1], slices[:, :, 0], slices[:, :, -1]]
    value_range = range_of(slices)
    tolerance = FRAME_TOLERANCE * value_range
    if value_range == 0 or not any(is_constant(edge, tolerance) for edge in edges):
        return None

    height, width = slices.shape[1:3]
    rows = without_ends(height, lambda i: is_constant(slices[:, i], tolerance))
    columns = without_ends(width, lambda i: is_constant(slices[:, :, i], tolerance))
    has_bands = [rows != slice(0, height), columns != slice(0, width)]
    if not any(has_bands):
        return None

    content = slices[:, rows, columns].astype(np.float32)
    if range_of(content) <= tolerance:
        return None
    step = max(1, round(np.sqrt(content.size / SAMPLE)))
    median = np.median(content[:, ::step, ::step].reshape(-1, *content.shape[3:]), axis=0)
    outermost = np.concatenate([np.ravel(edge) for edge in edges if is_constant(edge, tolerance)])
    colour = outermost.reshape(-1, *content.shape[3:]).mean(axis=0)
    if np.abs(colour - median).max() < FRAME_CONTRAST * value_range:
        return None
    if not all(has_bands) and np.max(colour) < np.max(median):
        return None
    if is_thin((rows, columns), (height, width)):
        is_light = bool(np.all(colour > median))
        if not all(has_bands) or not is_light:
            return None
    if dark_around and np.max(colour) < lowest_of(slices) + LIGHT_FRAME * value_range:
        return None
    return rows, columns


def range_of(pixels: np.ndarray) -> float:
    """Return the highest finite value - the lowest, without overflow."""
    sample = pixels.reshape(-1)[:: max(1, pixels.size // SAMPLE)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    return float(np.ptp(sample)) if sample.size else 0.0


def lowest_of(pixels: np.ndarray) -> float:
    """Return the lowest finite value of a sample of the pixels."""
    sample = pixels.reshape(-1)[:: max(1, pixels.size // SAMPLE)].astype(np.float64)
    return float(sample[np.isfinite(sample)].min())


def is_constant(line: np.ndarray, tolerance: float) -> bool:
    """Return whether the values of rows or columns (N, L[, C]) differ by at most ``tolerance``."""
    by_channel = line.reshape(-1, line.shape[-1]) if line.ndim == 3 else line.reshape(-1, 1)
    lowest = by_channel.min(axis=0).astype(np.float64)
    return bool((by_channel.max(axis=0) - lowest).max() <= tolerance)


def is_thin(box: Box, shape: tuple[int, int]) -> bool:
    """Return whether a frame around a box is thin on one of the sides where it is."""
    for inside, side in zip(box, shape, strict=True):
        bands = [band for band in (inside.start, side - inside.stop) if band]
        if bands and min(bands) < THINNEST_FRAME * side:
            return True
    return False


def without_ends(count: int, is_frame: Callable[[int], bool]) -> slice:
    """Return what lies between the frame's rows (or columns), of ``count``, at both ends.

    It is everything if the frame is too thin at one of the ends.
    """
    first = next((i for i in range(count) if not is_frame(i)), None)
    if first is None:
        return slice(0, count)
    last = next(i for i in range(count, 0, -1) if not is_frame(i - 1))
    if min(first, count - last) < THINNEST_FRAME_PX:
        return slice(0, count)
    return slice(first, last)
