"""Does an image look like those a network learned from? A distance to statistics of its training images.

Each card keeps, in ``familiarity.json``, the mean and covariance of 34 simple image statistics, for each of a few
clusters of its training images. The distance is that of Mahalanobis to the nearest cluster, as Lee et al. (2018,
arXiv:1807.03888) use it on features of a network; here it needs no network, so it costs milliseconds. An image that
is much nearer to another card's images than to this one's counts as less familiar still.
``python -m unet_helpers.familiarity --data DIR`` fits it anew and prints how often it is right.
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
    own = times.pop(name)
    nearest = min(times, key=times.get)
    return own * max(1.0, own / max(times[nearest], 1e-6)), nearest if times[nearest] < min(1, own) else None


def middle_slices(image: MedicalImage) -> list[np.ndarray]:
    """(H, W) or (H, W, C) slices from the middle 40 % of a volume, or the image itself."""
    pixels = to_stack(image).pixels
    if image.axes in ("YX", "YXC"):
        return [pixels]
    return [pixels[i] for i in np.unique(np.linspace(0.3 * len(pixels), 0.7 * len(pixels) - 0.5, SLICES).astype(int))]


@cache
def statistics() -> dict[str, dict]:
    """By card: n, threshold, and the clusters' centre (D,), whitening (D, D) and spread."""
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
    """(..., D) to (...): root of the mean square over D of the whitened difference; wide clusters pay for being so."""
    squares = [(((x - centre) @ whiten.T) ** 2).mean(-1) + spread for centre, whiten, spread in clusters]
    return np.sqrt(np.maximum(np.min(squares, axis=0), 0))


def features(pixels2d: np.ndarray, card: ModelCard | str) -> np.ndarray:
    """(34,) statistics of a slice (H, W) or (H, W, C), at about the scale at which the card's network works."""
    card = MODELS[card] if isinstance(card, str) else card
    size = np.log(max(pixels2d.shape[:2])) if card.reading.planes == "three" else 0.0  # small crops are the rule there
    return describe(view(np.asarray(pixels2d), card), card, size)


def view(pixels: np.ndarray, card: ModelCard) -> np.ndarray:
    """At most SIDE x SIDE float32: the busiest window at native scale, or all of the image, shrunk."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]
    if card.reading.scale in ("native", "objects"):
        return as_floats(busiest_window(pixels))
    step = max(1, max(pixels.shape[:2]) // (2 * SIDE))
    pixels = as_floats(pixels[::step, ::step])
    if card.reading.scale == "square":
        return resize(pixels, (SIDE, SIDE))
    inside = field_of_view(pixels)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if rows.size:
        pixels = np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return resize(pixels, tuple(max(1, round(n * SIDE / max(pixels.shape[:2]))) for n in pixels.shape[:2]))


def busiest_window(pixels: np.ndarray) -> np.ndarray:
    """The SIDE x SIDE of nine windows with the most contrast: much of a slide can be empty glass."""
    starts = [sorted({i * max(0, n - SIDE) // 2 for i in range(3)}) for n in pixels.shape[:2]]
    windows = [pixels[r : r + SIDE, c : c + SIDE] for r in starts[0] for c in starts[1]]
    return max(windows, key=lambda window: as_floats(window[::4, ::4]).std())


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """float32 with NaN and infinities at the lowest finite value."""
    with np.errstate(over="ignore"):
        pixels = np.ascontiguousarray(pixels, np.float32)
    finite = np.isfinite(pixels)
    if not finite.all():
        pixels = np.where(finite, pixels, pixels[finite].min() if finite.any() else np.float32(0))
    return np.clip(pixels, -1e12, 1e12)


def describe(pixels: np.ndarray, card: ModelCard, size: float) -> np.ndarray:
    """Histogram, texture by scale, layout, colour and size; nothing depends on the unit of the intensities."""
    magnetic = "MRI" in card.modality  # sequences are at times stored as red, green and blue: no colour is meant
    grey = pixels if pixels.ndim == 2 else pixels[..., 1] if magnetic else pixels @ np.float32([0.3, 0.59, 0.11])
    low, *quantiles, high = np.percentile(grey[::2, ::2], [0.5, 5, 25, 50, 75, 95, 99.5])
    gain = 1 / (high - low) if high > low else 0.0
    grey = np.clip((grey - np.float32(low)) * np.float32(gain), 0, 1)
    values = [*((np.array(quantiles) - low) * gain), grey.std()]
    level = grey
    for octave in range(5):  # a Laplacian pyramid (Burt and Adelson 1983)
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
    across, down = (np.square(np.diff(grey, axis=a)).sum() / grey.size for a in (1, 0))
    values.append(np.log((across + 1e-5) / (down + 1e-5)))
    tiny = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    radius = rows**2 + columns**2
    middle = tiny[4:12, 4:12].mean()
    rim = np.maximum(np.abs(rows), np.abs(columns)) == 1
    values += [correlation(tiny, tiny[:, ::-1]), correlation(tiny, tiny[::-1]), correlation(tiny, -radius)]
    values += [middle - tiny[rim].mean(), middle - tiny[radius > 1.35].mean(), tiny.std()]
    return np.array([*values, *(np.zeros(5) if magnetic else chroma(pixels)), size], np.float32)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def chroma(pixels: np.ndarray) -> np.ndarray:
    """(5,) mean and deviation of red - green and green - blue where there is light, as shares of it; the strength."""
    if pixels.ndim == 2:
        return np.zeros(5)
    pixels = np.maximum(pixels[::2, ::2], 0).reshape(-1, 3)
    light = pixels.sum(-1)
    lit = light > 0.15 * np.percentile(light, 99.5)
    if not lit.any():
        return np.zeros(5)
    shares = np.diff(-pixels[lit] / light[lit, None], axis=1)
    return np.array([*shares.mean(0), *shares.std(0), np.hypot(*shares.T).mean()])


# From here on: how the statistics were made. Nobody needs it to segment an image.

CLUSTERS = {"retinal_vessels": 2, "nuclei": 8, "lungs": 2, "brain_flair": 6}
COPIES = {"retinal_vessels": 20, "em_membranes": 40, "nuclei": 4, "lungs": 3, "brain_flair": 1, "hippocampus": 1}


def vary(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """A view as another camera, stain, exposure or crop would have given it: what should count as familiar, too."""
    reading, normal, n = card.reading, rng.standard_normal, pixels.shape[:2]
    if reading.scale != "field of view" or rng.random() < 0.3:
        cut = [max(1, int(k * (1 - 0.15 * rng.random()))) for k in n]
        r, c = (int(rng.integers(k - m + 1)) for k, m in zip(n, cut, strict=True))
        zoom = np.exp(0.15 * normal()) if reading.scale in ("native", "objects") else 1
        shape = tuple(max(1, int(k * zoom)) for k in (n if reading.scale == "square" else cut))
        pixels = resize(np.ascontiguousarray(pixels[r : r + cut[0], c : c + cut[1]]), shape)
    pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    pixels = np.rot90(pixels, rng.integers(4)) if card.name in ("nuclei", "em_membranes") else pixels
    pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-6)
    pixels = pixels ** np.exp(0.2 * normal())
    if pixels.ndim == 3:
        pixels = pixels * np.exp(0.12 * normal(3))
    if pixels.ndim == 3 and card.name == "nuclei":  # other stains
        mix = np.eye(3)[rng.permutation(3)] if rng.random() < 0.3 else np.eye(3) + 0.12 * normal((3, 3))
        pixels = np.maximum(pixels @ mix, 0)
        mean = pixels.mean(-1, keepdims=True)
        pixels = mean + (pixels - mean) * np.exp(0.4 * normal())
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 + 0.8 * rng.random())
    noise = 0.02 * abs(normal()) * normal(pixels.shape) if rng.random() < 0.3 else 0
    return np.ascontiguousarray(np.maximum(pixels + noise, 0), np.float32)


def fit(x: np.ndarray, clusters: int, few: bool, scale: np.ndarray) -> list:
    """(N, D) features to clusters (centre, whitening, spread): k-means, and covariances shrunk to what they share.

    ``scale`` (D,) is each feature's deviation over all kinds of images; a part of it is added to the covariances,
    more where there are ``few`` images: those of a camera not seen would lie as far apart.
    """
    labels = k_means(x / np.maximum(x.std(0), 0.1 * scale), clusters)
    groups = [x[labels == i] for i in range(clusters) if (labels == i).sum() > 2]
    shared = sum(np.cov(g.T) * len(g) for g in groups) / len(x)
    prior, out = np.diag(((0.2 if few else 0.1) * scale + 1e-6) ** 2), []
    for g in groups:
        own = len(g) / (len(g) + 40)
        covariance = own * np.cov(g.T) + (1 - own) * shared + prior
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        out.append([g.mean(0), whiten, float(-2 * np.log(np.diag(whiten)).mean())])  # log det, per dimension
    narrowest = min(spread for _, _, spread in out)
    return [(centre, whiten, spread - narrowest) for centre, whiten, spread in out]


def k_means(x: np.ndarray, k: int) -> np.ndarray:
    """(N,) cluster ids of (N, D); starts as k-means++ does (Arthur and Vassilvitskii 2007), always the same way."""
    rng, centres = np.random.default_rng(2015), x[[np.argmin(((x - x.mean(0)) ** 2).sum(1))]]
    while len(centres) < k:
        squares = ((x[:, None] - centres) ** 2).sum(-1).min(1)
        centres = np.vstack([centres, x[rng.choice(len(x), p=squares / squares.sum())]])
    for _ in range(40):
        labels = ((x[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack([x[labels == i].mean(0) if (labels == i).any() else centres[i] for i in range(k)])
    return labels
