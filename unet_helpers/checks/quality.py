"""Quality of photographs of the eye without a reference: focus, noise, contrast, compression.

All are measured in the green channel, inside the field of view, in which vessels are seen best.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ..preprocessing.resample import resize

# px: width of the field of view at which focus and contrast are measured, whatever the camera.
WIDTH = 500

# px at WIDTH: standard deviations of Gaussian filters. The band between the first two holds thin
# vessels and edges, that between the last two wide vessels.
FINE = (0.7, 1.4)
COARSE = (2.8, 5.6)

# px: side of JPEG's blocks.
BLOCK = 8

# px at WIDTH: the rim of the field of view is left out.
RIM = 12

# Grey levels, 0 to 255: avoids divisions by 0 in images without detail.
LEAST_DETAIL = 0.05

# The convolution kernel of Immerkaer (1996, Comput. Vis. Image Underst. 64:300): it is blind to
# constant and linear greys.
NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True)
class Quality:
    """What was measured of a photograph of the eye."""

    # ln(standard deviation of fine detail / that of coarse detail), without the noise's share.
    focus: float

    # Grey levels, 0 to 255: standard deviation of the noise.
    noise: float

    # Standard deviation of coarse detail / mean grey.
    contrast: float

    # Steps at the borders of JPEG's blocks / steps elsewhere; 1 without compression.
    blocks: float


def quality_of(green: np.ndarray, inside: np.ndarray) -> Quality:
    """Measure a green channel (H, W) of greys 0 to 255; ``inside`` is its field of view."""
    green = np.asarray(green, np.float32)
    noise = noise_of(green, inside)
    blocks = blocks_of(green, inside)

    columns = inside.any(axis=0)
    zoom = WIDTH / max(1, np.count_nonzero(columns))
    shape = (max(1, round(green.shape[0] * zoom)), max(1, round(green.shape[1] * zoom)))
    small = resize(green, shape)
    field = resize(inside.astype(np.float32), shape) > 0.5
    kernel = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    middle = cv2.erode(field.astype(np.uint8), kernel, borderValue=0) > 0
    if not middle.any():
        middle = field

    fine = deviation_of_band(small, middle, FINE)
    coarse = deviation_of_band(small, middle, COARSE)
    mean = float(small[middle].mean())
    return Quality(
        focus=float(np.log((fine + LEAST_DETAIL) / (coarse + LEAST_DETAIL))),
        noise=noise,
        contrast=coarse / max(mean, 1.0),
        blocks=blocks,
    )


def noise_of(green: np.ndarray, inside: np.ndarray) -> float:
    """Estimate the standard deviation of the noise of (H, W) greys, by Immerkaer (1996)."""
    response = cv2.filter2D(green, -1, NOISE_KERNEL)[inside]
    # The median instead of the mean, because vessels and the rim are no noise: for normal noise,
    # the standard deviation is the median of absolute values / 0.6745.
    return float(np.median(np.abs(response)) / 0.6745 / 6)


def blocks_of(green: np.ndarray, inside: np.ndarray) -> float:
    """Return how much larger steps between neighbours are at the borders of JPEG's blocks."""
    ratios = []
    for image, field in ((green, inside), (green.T, inside.T)):
        steps = np.abs(np.diff(image, axis=1))
        known = field[:, 1:] & field[:, :-1]
        at_border = np.arange(1, image.shape[1]) % BLOCK == 0
        border = steps[:, at_border][known[:, at_border]]
        other = steps[:, ~at_border][known[:, ~at_border]]
        if border.size and other.size:
            ratios.append((border.mean() + LEAST_DETAIL) / (other.mean() + LEAST_DETAIL))
    return float(np.mean(ratios)) if ratios else 1.0


def deviation_of_band(greys: np.ndarray, middle: np.ndarray, band: tuple[float, float]) -> float:
    """Return the standard deviation of (H, W) greys between two Gaussian filters."""
    finer = cv2.GaussianBlur(greys, (0, 0), band[0])
    coarser = cv2.GaussianBlur(greys, (0, 0), band[1])
    return float((finer - coarser)[middle].std())
