"""From pixels as stored to what a network reads: channels, working scale, field of view, intensities.

The same functions prepare training images and a user's own, so that both look alike to the network.
Arrays are (H, W) or (H, W, 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

FAINT = 3.0  # how much more than its brighter slices one of a volume is brightened; air above the head stays dark
RESIZABLE = ("uint8", "uint16", "int16", "float32", "float64")  # what cv2.resize accepts


@dataclass(frozen=True)
class Prepared:
    """A slice ready to be cut into tiles; the network reads ``(pixels - offset) * gain`` at working scale."""

    pixels: np.ndarray  # (h, w) or (h, w, C): colours, or a slice between its neighbours
    offset: float = 0.0
    gain: float = 1.0
    zoom: tuple[float, float] = (1.0, 1.0)  # working px per px, still to be applied to a tile
    inside: np.ndarray | None = None  # (h, w) bool: the field of view, where the card has one
    brown: bool = False  # is the brown dye to be taken out?

    def tile(self, rows: slice, columns: slice, in_channels: int) -> np.ndarray:
        """(in_channels, rows * zoom, columns * zoom) float32, about 0 to 1; a lone grey plane is repeated."""
        cut = self.pixels[rows, columns]
        cut = resize(cut, tuple(max(1, round(n * z)) for n, z in zip(cut.shape, self.zoom, strict=False)))
        cut = remove_brown(cut) if self.brown else cut
        cut = (np.nan_to_num(cut.astype(np.float32), posinf=0, neginf=0) - self.offset) * self.gain
        planes = np.clip(cut[None] if cut.ndim == 2 else np.moveaxis(cut, -1, 0), -1, 2)
        return np.array(np.broadcast_to(planes, (in_channels, *planes.shape[1:])), order="C")


def select_channels(pixels: np.ndarray, channels: str) -> np.ndarray:
    """'green' and 'grey' give (H, W); 'rgb' and 'stain' leave (H, W) or (H, W, 3) as it is."""
    pixels = pixels if pixels.dtype.name in RESIZABLE else pixels.astype(np.float32)
    if pixels.ndim == 2 or channels in ("rgb", "stain"):
        return pixels
    if channels == "green":
        return np.ascontiguousarray(pixels[..., 1])
    return pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 luma


def is_bright_field(pixels: np.ndarray) -> bool:
    """A colour image on a light ground: dyed tissue, and not something that glows in the dark."""
    if pixels.ndim != 3:
        return False
    light = pixels[:: max(1, len(pixels) // 256), :: max(1, pixels.shape[1] // 256)].max(-1)
    return float(np.nanmedian(light)) > 0.45 * white(pixels)


def white(pixels: np.ndarray) -> float:
    return float(np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else max(np.nanmax(pixels), 1e-6))


def remove_brown(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) colours with the brown of DAB taken out, so that the nuclei's blue haematoxylin is left.

    By colour deconvolution (Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23:291); tissue that was
    dyed without DAB hardly changes.
    """
    from skimage.color import hed2rgb, rgb2hed  # `import unet_helpers` must not load scikit-image

    dyes = rgb2hed(np.clip(np.nan_to_num(pixels.astype(np.float32)) / white(pixels), 0, 1))
    dyes[..., 2] = np.minimum(dyes[..., 2], 0)
    return (hed2rgb(dyes) * white(pixels)).astype(np.float32)


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (h, w): averages when shrinking, so that thin structures fade and do not flicker."""
    if pixels.shape[:2] == tuple(shape):
        return pixels
    shrinks = shape[0] * shape[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, tuple(shape[::-1]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (h, w), each pixel the label that lies at its centre; cv2's INTER_NEAREST would shift all by half a pixel."""
    return cv2.resize(labels, tuple(shape[::-1]), interpolation=cv2.INTER_NEAREST_EXACT)


def field_of_view(pixels: np.ndarray) -> np.ndarray:
    """The lit disc of a fundus photograph, (H, W) bool; all True where there is no dark surround."""
    light = np.nan_to_num((pixels.max(-1) if pixels.ndim == 3 else pixels).astype(np.float32))
    thumbnail = resize(light, tuple(max(1, round(n * min(1, 512 / max(light.shape)))) for n in light.shape))
    lit = (thumbnail > 0.12 * np.percentile(thumbnail, 95)).astype(np.uint8)
    lit = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))  # the label in a corner is not the eye
    count, parts, stats, _ = cv2.connectedComponentsWithStats(lit)
    if count < 2:
        return np.ones(light.shape, bool)
    disc = (parts == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(np.uint8)
    edges, _ = cv2.findContours(disc, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(disc), edges, -1, 1, thickness=cv2.FILLED)  # dark vessels are inside too
    filled = cv2.erode(filled, np.ones((5, 5), np.uint8), borderValue=1)  # the rim's own shadow looks like a vessel
    return resize_labels(filled, light.shape) > 0


def width_of(inside: np.ndarray) -> int:
    """The larger side of the region's bounding box in pixels: the diameter of a field of view, even a cropped one."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return max(np.ptp(rows), np.ptp(columns)) + 1 if rows.size else 1


def flatten_illumination(pixels: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """Local z-score inside the field of view, brought to about 0 to 1; cameras and exposures then look alike."""
    region = inside.astype(np.float32)
    blur = lambda a: cv2.GaussianBlur(a, (0, 0), sigma)  # noqa: E731
    weight = np.maximum(blur(region), 1e-3)
    light = np.nan_to_num(pixels.astype(np.float32))
    mean = blur(light * region) / weight
    deviation = (light - mean) * region
    spread = np.sqrt(blur(deviation**2) / weight)
    floor = 0.25 * float(np.median(spread[inside])) if inside.any() else 0.0  # do not turn noise into vessels
    return np.clip(0.5 + deviation / (6 * np.maximum(spread, floor) + 1e-6), 0, 1)


def intensity_range(pixels: np.ndarray, low: float, high: float, inside: np.ndarray | None = None) -> tuple:
    """(offset, gain) that bring the ``low`` to ``high`` percentile onto 0 to 1; a constant image becomes 0."""
    values = pixels[inside] if inside is not None and inside.any() else pixels.reshape(-1)
    values = values[:: max(1, values.size // 2_000_000)].astype(np.float32)  # a sample is enough, and fast
    values = values[np.isfinite(values)]
    bottom, top = np.percentile(values, [low, high]) if values.size else (0.0, 0.0)
    return float(bottom), float(1 / (top - bottom)) if top > bottom else 0.0


def intensity_levels(pixels: np.ndarray, reading) -> tuple[float, float]:
    """(offset, gain) of an image or a whole volume, as the card's ``Reading`` says."""
    if reading.intensities == "local":
        return 0.0, 1.0
    head = pixels > pixels.min() + 0.05 * np.ptp(pixels) if reading.intensities == "head" else None
    return intensity_range(pixels, *reading.percentiles, inside=head)


def slice_levels(slices: np.ndarray, reading) -> list[tuple[float, float]]:
    """(offset, gain) of each slice of a volume (N, H, W[, C]): the volume's, or with 'head' each slice's own.

    A slice beyond the head would then be stretched until its noise is as bright as a brain: gains are bounded.
    """
    if reading.intensities != "head":
        return [intensity_levels(slices, reading)] * len(slices)
    levels = [intensity_levels(select_channels(pixels, reading.channels), reading) for pixels in slices]
    highest = FAINT * float(np.percentile([gain for _, gain in levels if gain] or [0], 25))
    return [(offset, min(gain, highest)) for offset, gain in levels]


def neighbours(slices: np.ndarray, index: int, reading) -> list[np.ndarray]:
    """The slices around slice ``index`` of (N, H, W[, C]) that the card reads along; at an end, the last one again."""
    around = [index + i for i in range(-reading.context, reading.context + 1) if i]
    return [slices[min(max(i, 0), len(slices) - 1)] for i in around]


def prepare_slice(
    pixels: np.ndarray, reading, shape: tuple[int, int], levels: tuple | None = None, around: Sequence[np.ndarray] = ()
) -> Prepared:
    """One slice for the network, at the working ``shape``.

    Of a volume, ``levels`` is the slice's of ``slice_levels`` and ``around`` its ``neighbours``.
    """
    pixels = select_channels(pixels, reading.channels)
    if reading.intensities == "local":
        inside = resize(field_of_view(pixels).astype(np.uint8), shape) > 0
        return Prepared(flatten_illumination(resize(pixels, shape), inside, sigma=reading.sigma), inside=inside)
    zoom = (shape[0] / pixels.shape[0], shape[1] / pixels.shape[1])
    brown = reading.channels == "stain" and is_bright_field(pixels)
    if brown:
        sample = pixels.reshape(-1, 3)[:: max(1, pixels.size // 2_000_000)]
        levels = intensity_levels(remove_brown(sample), reading)
    levels = levels or intensity_levels(pixels, reading)
    if around:
        below, above = np.split(np.stack([select_channels(other, reading.channels) for other in around], -1), 2, -1)
        pixels = np.concatenate((below, pixels[..., None], above), -1)
    return Prepared(pixels, *levels, zoom=zoom, brown=brown)
