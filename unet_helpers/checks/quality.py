"""Quality of photographs of the eye without a reference: focus, noise, contrast, compression.

All are measured in the green channel, in which vessels are seen best, inside the field of view.
The limits of the grades were chosen on seven eyes of the validation and test parts, of three
cameras, and on copies of them; the comments give what was measured there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

# px: side of the window in the middle of the field of view in which noise and blocks are measured.
WINDOW = 1024

# Focus: -0.67 to -0.19 in photographs as they are. Blurred by a Gaussian of width / 200, -1.72 to
# -1.37, with a Dice of vessels from 0.3 to 0.6 instead of 0.8.
SOFT_FOCUS = -0.85
LOST_FOCUS = -1.3

# Sharpness: 0.60 to 0.97 in 21 photographs as they are. Ten of them blurred along a line of width /
# 60, as by motion: 0.26 to 0.42, with a Dice of 0.55 in two instead of 0.8. Focus, which looks in
# all directions together, is then nearly as usual.
SOME_SHARPNESS = 0.5
LOST_SHARPNESS = 0.38

# Degrees: the directions in which sharpness is measured.
DIRECTIONS = range(0, 180, 30)

# Noise in grey levels: at most 0.8 as they are, and 1.3 if made smaller. With 15 and more, the
# Dice is below 0.7.
SOME_NOISE = 2.0
STRONG_NOISE = 14.0

# Contrast: 0.016 and more as they are. With half of the light from haze, 0.004 to 0.011.
LOW_CONTRAST = 0.014
LOST_CONTRAST = 0.007

# Blocks: at most 1.9 as they are and as JPEG of quality 85; 6.4 and more at a quality of 10.
SOME_BLOCKS = 2.3
STRONG_BLOCKS = 6.0

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

    # ln(standard deviation of steps of grey / that in the smoothed photograph), in the direction
    # where it is smallest.
    sharpness: float

    # Grey levels, 0 to 255: standard deviation of the noise.
    noise: float

    # Standard deviation of coarse detail / mean grey.
    contrast: float

    # Steps at the borders of JPEG's blocks / steps elsewhere; 1 without compression.
    blocks: float

    def is_moved(self, limit: float) -> bool:
        """Return whether one direction alone is blurred: the focus of all together is not lost."""
        return self.sharpness < limit and self.focus >= LOST_FOCUS

    @property
    def grade(self) -> Grade:
        """The grade: poor if anything is poor, usable if anything is worse than good."""
        lost = [
            (self.focus < LOST_FOCUS, "out of focus"),
            (self.is_moved(LOST_SHARPNESS), "blurred in one direction, as by motion"),
            (self.contrast < LOST_CONTRAST, "hardly any contrast, as through haze"),
            (self.noise > STRONG_NOISE, "strong noise"),
            (self.blocks > STRONG_BLOCKS, "compressed to blocks, as JPEG of a quality of 10"),
        ]
        reasons = [reason for is_lost, reason in lost if is_lost]
        if reasons:
            return Grade("poor", " and ".join(reasons))

        worse = [
            (self.focus < SOFT_FOCUS, "soft focus"),
            (self.is_moved(SOME_SHARPNESS), "blurred in one direction, as by motion"),
            (self.contrast < LOW_CONTRAST, "low contrast, as through haze"),
            (self.noise > SOME_NOISE, "noise"),
            (self.blocks > SOME_BLOCKS, "blocks of JPEG"),
        ]
        reasons = [reason for is_worse, reason in worse if is_worse]
        if reasons:
            return Grade("usable", " and ".join(reasons))
        return Grade("good", "")


@dataclass(frozen=True)
class Grade:
    """The quality of a photograph in a word, and why it is not good."""

    name: Literal["good", "usable", "poor"]
    reason: str

    def __str__(self) -> str:
        if not self.reason:
            return f"{self.name} quality"
        return f"{self.name} quality: {self.reason}"


def measure_quality(pixels: np.ndarray, inside: np.ndarray) -> Quality:
    """Measure a photograph (H, W[, C]) of any data type; ``inside`` is its field of view."""
    green = pixels if pixels.ndim == 2 else pixels[..., min(1, pixels.shape[-1] - 1)]
    if green.dtype != np.uint8:
        highest = float(np.nanmax(green, initial=1e-6))
        green = np.clip(np.nan_to_num(green.astype(np.float32)) * (255 / highest), 0, 255)
    return quality_of(green, inside)


def quality_of(green: np.ndarray, inside: np.ndarray) -> Quality:
    """Measure a green channel (H, W) of greys 0 to 255; ``inside`` is its field of view."""
    window = window_in_middle(inside)
    detail = np.asarray(green[window], np.float32)
    noise = noise_of(detail, inside[window])
    blocks = blocks_of(detail, inside[window])

    columns = inside.any(axis=0)
    zoom = WIDTH / max(1, int(np.count_nonzero(columns)))
    shape = (max(1, round(green.shape[0] * zoom)), max(1, round(green.shape[1] * zoom)))
    small = resize(np.ascontiguousarray(green), shape).astype(np.float32)
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
        sharpness=sharpness_of(small, middle),
        noise=noise,
        contrast=coarse / max(mean, 1.0),
        blocks=blocks,
    )


def sharpness_of(greys: np.ndarray, middle: np.ndarray) -> float:
    """Return ln(steepness of (H, W) greys / that of smoothed ones), in the softest direction."""
    sharp, smooth = (cv2.GaussianBlur(greys, (0, 0), sigma) for sigma in (FINE[0], COARSE[0]))
    ratios = []
    for degrees in DIRECTIONS:
        steep, flat = (
            float(steps_along(filtered, degrees)[middle].std()) for filtered in (sharp, smooth)
        )
        ratios.append((steep + LEAST_DETAIL) / (flat + LEAST_DETAIL))
    return float(np.log(min(ratios)))


def steps_along(greys: np.ndarray, degrees: float) -> np.ndarray:
    """Return the derivative (H, W) of greys along a direction, by the filters of Sobel."""
    across = cv2.Sobel(greys, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(greys, cv2.CV_32F, 0, 1)
    return np.cos(np.radians(degrees)) * across + np.sin(np.radians(degrees)) * down


def window_in_middle(inside: np.ndarray) -> tuple[slice, slice]:
    """Return the window in the middle of the field of view, from a border of JPEG blocks on."""
    slices = []
    for axis in (1, 0):
        present = np.flatnonzero(inside.any(axis=axis))
        middle = int(present.mean()) if present.size else inside.shape[1 - axis] // 2
        start = max(0, middle - WINDOW // 2) // BLOCK * BLOCK
        slices.append(slice(start, start + WINDOW))
    rows, columns = slices
    return rows, columns


def noise_of(green: np.ndarray, inside: np.ndarray) -> float:
    """Estimate the standard deviation of the noise of (H, W) greys, by Immerkaer (1996)."""
    response = cv2.filter2D(green, -1, NOISE_KERNEL)[inside]
    if not response.size:
        return 0.0

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
