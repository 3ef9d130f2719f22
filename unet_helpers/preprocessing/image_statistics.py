"""What an image looks like, in about 36 numbers: histogram, texture, layout and colour, at the scale of a card.

Nothing depends on the unit of the intensities, so that 8 and 16 bits, or 0 to 1, look the same.
"""

import cv2
import numpy as np

from ..networks.cards import MODELS, ModelCard
from .field_of_view import box_of, field_of_view
from .intensities import intensity_range
from .resample import highest_contrast_window, resize

SIDE = 256  # px, of what is looked at


def features(pixels: np.ndarray, card: ModelCard | str) -> np.ndarray:
    """(D,) statistics of a slice (H, W) or (H, W, C), at about the scale at which the card's network works."""
    card = MODELS[card] if isinstance(card, str) else card
    if (
        card.preprocessing.channels == "flair"
    ):  # three sequences stored as red, green and blue: not colours
        return np.array(
            describe(
                view(pixels[..., 1] if pixels.ndim == 3 and pixels.shape[-1] >= 3 else pixels, card)
            )
        )
    seen = view(np.asarray(pixels), card)
    size = (
        [np.log(max(pixels.shape[:2]))] if len(card.preprocessing.axes) > 1 else []
    )  # small crops are the rule there
    colour = (
        chroma(seen)
        if seen.ndim == 3
        else np.full(5, np.nan if card.preprocessing.channels == "green" else 0.0)
    )
    return np.array(
        [
            *describe(seen if seen.ndim == 2 else seen @ np.float32([0.3, 0.59, 0.11])),
            *colour,
            *size,
        ]
    )


def look(card: ModelCard) -> tuple:
    """Cards of the same look have the same ``features``: what these depend on."""
    known = card.preprocessing
    way = "native" if known.scale in ("native", "objects") else (known.scale, known.intensities)
    return way, known.channels if known.channels in ("green", "flair") else "", len(known.axes) > 1


def view(pixels: np.ndarray, card: ModelCard) -> np.ndarray:
    """At most SIDE x SIDE float32: the window of highest contrast at native scale, or all of the image, shrunk."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]
    if card.preprocessing.scale in ("native", "objects"):
        return as_floats(highest_contrast_window(pixels, SIDE))
    step = max(1, max(pixels.shape[:2]) // (3 * SIDE // 2))
    pixels = as_floats(pixels[::step, ::step])
    if card.preprocessing.scale == "square":
        low, gain = intensity_range(pixels[::4, ::4], 0.5, 99.5, marker=True)
        clipped = gain and card.preprocessing.intensities == "percentile"
        return resize(np.minimum(pixels, low + 1.25 / gain) if clipped else pixels, (SIDE, SIDE))
    rows, columns = box_of(field_of_view(np.ascontiguousarray(pixels[::2, ::2])))
    pixels = np.ascontiguousarray(
        pixels[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
    )
    return resize(
        pixels, tuple(max(1, round(n * SIDE / max(pixels.shape[:2]))) for n in pixels.shape[:2])
    )


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """float32 with NaN and infinities at the lowest finite value."""
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(pixels, np.float32)
    if pixels.dtype.kind in "bui" and pixels.dtype.itemsize < 8:
        return floats
    lowest = np.min(floats, where=np.isfinite(floats), initial=np.inf)
    lowest = lowest if np.isfinite(lowest) else 0
    return np.clip(np.nan_to_num(floats, nan=lowest, posinf=lowest, neginf=lowest), -1e12, 1e12)


def describe(grey: np.ndarray) -> list[float]:
    """Histogram, texture by scale and layout of (H, W); nothing depends on the unit of the intensities."""
    low, *quantiles, high = np.percentile(grey[::2, ::2], [0.5, 5, 25, 50, 75, 95, 99.5])
    gain = 1 / (high - low) if high - low > 1e-30 else 0.0
    grey = np.clip((grey - np.float32(low)) * np.float32(gain), 0, 1)
    return [*((np.array(quantiles) - low) * gain), grey.std(), *texture(grey), *layout(grey)]


def texture(grey: np.ndarray) -> list[float]:
    """Strength, skewness and kurtosis of the octaves of a Laplacian pyramid (Burt and Adelson 1983)."""
    values, level = [], grey
    for octave in range(5):
        below = cv2.pyrDown(level)
        band = level - cv2.resize(below, level.shape[::-1])
        level = below
        if octave == 1:
            values.append((np.abs(band) < 0.02).mean())  # flat areas
        square = (band := band - band.mean()) ** 2
        variance = square.mean()
        values.append(np.log10(np.sqrt(variance) + 1e-3))
        if octave < 4:  # bright spots or dark lines? few strong ones or many weak ones?
            values.append(np.arcsinh((square * band).mean() / (variance**1.5 + 1e-9)))
            values.append(np.log((square * square).mean() / (variance**2 + 1e-9) + 1))
    return values


def layout(grey: np.ndarray) -> list[float]:
    """Horizontal against vertical contrast, symmetry, how the middle differs from the rim and corners; top and left."""
    across, down = (np.square(np.diff(grey, axis=a)).sum() / grey.size for a in (1, 0))
    tiny = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    radius = rows**2 + columns**2
    middle, rim = tiny[4:12, 4:12].mean(), np.maximum(np.abs(rows), np.abs(columns)) == 1
    values = [np.log((across + 1e-5) / (down + 1e-5))]
    values += [correlation(tiny, other) for other in (tiny[:, ::-1], tiny[::-1], -radius)]
    values += [middle - tiny[rim].mean(), middle - tiny[radius > 1.35].mean(), tiny.std()]
    for a in (tiny, tiny.T):  # which side is up, and which is left
        ends = (part[:, 5:11].mean() - part.mean() for part in (a[:5], a[11:]))
        values += [a[:8].mean() - a[8:].mean(), np.subtract(*ends)]
    return values


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def chroma(pixels: np.ndarray) -> np.ndarray:
    """(5,) mean and deviation of red - green and green - blue where there is light, as shares of it; the strength."""
    pixels = np.maximum(pixels[::2, ::2], 0).reshape(-1, 3)
    light = pixels.sum(-1)
    lit = light > 0.15 * np.percentile(light, 99.5)
    if not lit.any():
        return np.zeros(5)
    shares = np.diff(-pixels[lit] / light[lit, None], axis=1)
    return np.array([*shares.mean(0), *shares.std(0), np.hypot(*shares.T).mean()])
