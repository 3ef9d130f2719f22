"""Does an image look like those a network learned from? A distance to statistics of its training images.

Each card keeps, in ``familiarity.json``, the mean and covariance of about 34 simple image statistics, for each of a few
clusters of its training images. The distance is that of Mahalanobis to the nearest cluster, as Lee et al. (2018,
arXiv:1807.03888) use it on features of a network; here it needs no network, so it costs milliseconds. An image that
is much nearer to another card's images than to this one's counts as less familiar still.
``python -m unet_helpers.familiarity_fit --data DIR`` fits it anew and prints how often it is right.
"""

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from .cards import MODELS, ModelCard
from .images import MedicalImage
from .prepare import field_of_view, resize
from .stacks import to_stack

SIDE = 256  # px, of what is looked at
SLICES = 5  # of a volume
STATISTICS = Path(__file__).with_suffix(".json")


def unfamiliarity(image: MedicalImage, card: ModelCard | str) -> float:
    """1 is the calibrated limit, larger is less alike; of a volume, the median of the slices around the middle.

    NaN for a card without statistics, as that of a network fine-tuned by a user.
    """
    return judge(image, card)[0]


def warn_unfamiliar(image: MedicalImage, card: ModelCard | str) -> str | None:
    """One sentence where an image is unlike the card's training images, else None."""
    card = MODELS[card] if isinstance(card, str) else card
    times, nearest = judge(image, card)
    if not times > 1:
        return None
    advice = f"It looks more like the images of the model {nearest!r}: try that." if nearest else "Is it the right one?"
    return (
        f"looks unlike what the network was trained on ({card.modality}), at {times:.1f} times the distance within "
        f"which such images lie; the answer may be meaningless. {advice}"
    )


def judge(image: MedicalImage, card: ModelCard | str) -> tuple[float, str | None]:
    """Unfamiliarity, and the name of another card to whose images this one is alike."""
    name = card if isinstance(card, str) else card.name
    if name not in statistics():
        return float("nan"), None
    slices = middle_slices(image)
    times = {other: float(np.median([distance(features(s, other), other) for s in slices])) for other in statistics()}
    nearest = min(times.keys() - {name}, key=times.get)
    return combined(times[name], times[nearest]), nearest if times[nearest] < min(1, times[name]) else None


def combined(own: np.ndarray | float, nearest: np.ndarray | float) -> np.ndarray | float:
    """The distance from the card's own images, longer where another card's are nearer."""
    return own * np.maximum(1, own / np.maximum(nearest, 1e-6))


def middle_slices(image: MedicalImage) -> list[np.ndarray]:
    """(H, W) or (H, W, C) slices from the middle 40 % of a volume, or the image itself."""
    pixels = to_stack(image).pixels
    if image.axes in ("YX", "YXC"):
        return [pixels]
    return [pixels[i] for i in np.unique(np.linspace(0.3 * len(pixels), 0.7 * len(pixels) - 0.5, SLICES).astype(int))]


@cache
def statistics() -> dict[str, dict]:
    """By card: threshold, and the clusters' centre (D,), whitening (D, D) and spread."""
    cards = json.loads(STATISTICS.read_text()) if STATISTICS.exists() else {}
    return {name: card | {"clusters": [as_arrays(c) for c in card["clusters"]]} for name, card in cards.items()}


def as_arrays(cluster: dict) -> tuple[np.ndarray, np.ndarray, float]:
    centre = np.array(cluster["centre"])
    whiten = np.zeros((len(centre),) * 2)
    whiten[np.tril_indices(len(centre))] = cluster["whiten"]
    return centre, whiten, cluster["spread"]


def distance(x: np.ndarray, card: str) -> np.ndarray:
    """(..., D) features to (...) distances from the card's training images, 1 is the limit."""
    return nearest_cluster(x, statistics()[card]["clusters"]) / statistics()[card]["threshold"]


def nearest_cluster(x: np.ndarray, clusters: list) -> np.ndarray:
    """(..., D) to (...): root of the mean square over D of the whitened difference; wide clusters pay for being so.

    A feature that is NaN does not count.
    """
    squares = [((np.nan_to_num(x - centre) @ whiten.T) ** 2).mean(-1) + spread for centre, whiten, spread in clusters]
    return np.sqrt(np.min(squares, axis=0))


def features(pixels: np.ndarray, card: ModelCard | str) -> np.ndarray:
    """(D,) statistics of a slice (H, W) or (H, W, C), at about the scale at which the card's network works."""
    card = MODELS[card] if isinstance(card, str) else card
    seen = view(np.asarray(pixels), card)
    if "MRI" not in card.modality:
        colour = chroma(seen) if seen.ndim == 3 else np.full(5, np.nan if card.reading.channels == "green" else 0.0)
        return np.array([*describe(seen if seen.ndim == 2 else seen @ np.float32([0.3, 0.59, 0.11])), *colour])
    values = describe(seen if seen.ndim == 2 else seen[..., 1])  # sequences stored as red, green and blue: not colours
    small = card.reading.planes == "three"  # small crops are the rule there
    return np.array([*values, np.log(max(pixels.shape[:2]))] if small else values)


def view(pixels: np.ndarray, card: ModelCard) -> np.ndarray:
    """At most SIDE x SIDE float32: the busiest window at native scale, or all of the image, shrunk."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]
    if card.reading.scale in ("native", "objects"):
        return as_floats(busiest_window(pixels))
    step = max(1, max(pixels.shape[:2]) // (3 * SIDE // 2))
    pixels = as_floats(pixels[::step, ::step])
    if card.reading.scale == "square":
        return resize(pixels, (SIDE, SIDE))
    inside = field_of_view(np.ascontiguousarray(pixels[::2, ::2]))
    rows, columns = 2 * np.flatnonzero(inside.any(1)), 2 * np.flatnonzero(inside.any(0))
    if rows.size:
        pixels = np.ascontiguousarray(pixels[rows[0] : rows[-1] + 2, columns[0] : columns[-1] + 2])
    return resize(pixels, tuple(max(1, round(n * SIDE / max(pixels.shape[:2]))) for n in pixels.shape[:2]))


def busiest_window(pixels: np.ndarray) -> np.ndarray:
    """The SIDE x SIDE of nine windows with the most contrast: much of a slide can be empty glass."""
    starts = [sorted({i * max(0, n - SIDE) // 2 for i in range(3)}) for n in pixels.shape[:2]]
    windows = [pixels[r : r + SIDE, c : c + SIDE] for r in starts[0] for c in starts[1]]
    return max(windows, key=lambda window: as_floats(window[::4, ::4]).std()) if len(windows) > 1 else pixels


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """float32 with NaN and infinities at the lowest finite value."""
    with np.errstate(over="ignore"):
        pixels = np.ascontiguousarray(pixels, np.float32)
    finite = np.isfinite(pixels)
    if not finite.all():
        pixels = np.where(finite, pixels, pixels[finite].min() if finite.any() else np.float32(0))
    return np.clip(pixels, -1e12, 1e12)


def describe(grey: np.ndarray) -> list[float]:
    """Histogram, texture by scale and layout of (H, W); nothing depends on the unit of the intensities."""
    low, *quantiles, high = np.percentile(grey[::2, ::2], [0.5, 5, 25, 50, 75, 95, 99.5])
    gain = 1 / (high - low) if high > low else 0.0
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
    """Horizontal against vertical contrast, symmetry, and how the middle differs from the rim and the corners."""
    across, down = (np.square(np.diff(grey, axis=a)).sum() / grey.size for a in (1, 0))
    tiny = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    radius = rows**2 + columns**2
    middle = tiny[4:12, 4:12].mean()
    rim = np.maximum(np.abs(rows), np.abs(columns)) == 1
    values = [np.log((across + 1e-5) / (down + 1e-5))]
    values += [correlation(tiny, tiny[:, ::-1]), correlation(tiny, tiny[::-1]), correlation(tiny, -radius)]
    return [*values, middle - tiny[rim].mean(), middle - tiny[radius > 1.35].mean(), tiny.std()]


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
