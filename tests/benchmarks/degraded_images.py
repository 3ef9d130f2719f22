"""Copies of images as poor cameras, files and mistakes give them, with the truth that fits each.

``observed_answers.py`` segments them, so that the expected Dice knows poor answers, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from unet_helpers.preprocessing.resample import resize, resize_labels

# JPEG qualities; 5 to 10 show blocks everywhere.
JPEG_QUALITIES = (5, 8, 10, 15, 25, 40)

# px: standard deviation of the smooth fields of uneven light and haze, as a share of the width.
SMOOTH = 0.08


@dataclass(frozen=True, eq=False)
class DegradedImage:
    """A copy of an image with its truth, and what was done to it."""

    kind: str
    pixels: np.ndarray
    truth: np.ndarray


def degraded_pictures(
    pixels: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> Iterator[DegradedImage]:
    """Yield (H, W) or (H, W, 3) as it is, degraded, and as given by mistake; copies are uint8."""
    yield DegradedImage("as it is", pixels, truth)

    low, high = np.percentile(pixels, [0.05, 99.95])
    x = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    for kind, copy in same_place(x, rng):
        yield DegradedImage(kind, to_8_bits(copy), truth)

    shrink = rng.uniform(1.8, 4)
    yield resized("small", x, truth, 1 / shrink)
    yield resized("enlarged", x, truth, rng.uniform(1.4, 2.2))

    turns = int(rng.integers(1, 4))
    turned = np.ascontiguousarray(np.rot90(x, turns))
    yield DegradedImage("turned", to_8_bits(turned), np.ascontiguousarray(np.rot90(truth, turns)))


def same_place(x: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the pixels, 0 to 1, of copies whose truth is that of the image."""
    width = x.shape[1]

    yield "dark", x ** rng.uniform(2, 4)
    yield "flat", 0.45 + rng.uniform(0.05, 0.2) * x + rng.normal(0, 0.01, x.shape)
    yield "slight noise", x + rng.normal(0, log_uniform(rng, 0.01, 0.05), x.shape)
    yield "noise", x + rng.normal(0, log_uniform(rng, 0.05, 0.4), x.shape)
    yield "slight blur", cv2.GaussianBlur(x, (0, 0), log_uniform(rng, 0.7, 2.0))
    yield "blur", cv2.GaussianBlur(x, (0, 0), log_uniform(rng, 0.003, 0.012) * width)
    yield "uneven", x + 0.8 * smooth_field(x, rng)

    veil = np.clip(0.5 + smooth_field(x, rng), 0, 1) * rng.uniform(0.5, 1)
    grey = 0.75 * np.ones_like(x)
    soft = cv2.GaussianBlur(x, (0, 0), 0.002 * width)
    yield "haze", soft * (1 - veil) + grey * veil

    quality = int(rng.choice(JPEG_QUALITIES))
    yield "JPEG", through_jpeg(x, quality)
    yield "inverted", 1 - x
    if x.ndim == 3:
        yield "BGR", x[..., ::-1]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is evenly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_field(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth field of x's shape, with a mean of 0 and a standard deviation of 0.3."""
    sigma = max(2.0, SMOOTH * x.shape[1])
    noise = rng.normal(0, 1, x.shape[:2]).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), sigma)
    field = 0.3 * (field - field.mean()) / field.std()
    return field if x.ndim == 2 else field[..., None]


def through_jpeg(x: np.ndarray, quality: int) -> np.ndarray:
    """Write (H, W) or (H, W, 3) of 0 to 1 as JPEG, and read it again."""
    _, code = cv2.imencode(".jpg", to_8_bits(x), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(code, cv2.IMREAD_UNCHANGED).astype(np.float32) / 255


def resized(kind: str, x: np.ndarray, truth: np.ndarray, zoom: float) -> DegradedImage:
    """Return the image and its truth at another size."""
    shape = (max(24, round(x.shape[0] * zoom)), max(24, round(x.shape[1] * zoom)))
    smaller = resize(x, shape)
    return DegradedImage(kind, to_8_bits(smaller), resize_labels(truth.astype(np.uint16), shape))


def to_8_bits(x: np.ndarray) -> np.ndarray:
    """Return 0 to 1 as uint8."""
    return np.ascontiguousarray(np.clip(255 * x + 0.5, 0, 255).astype(np.uint8))


def degraded_volumes(
    pixels: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> Iterator[DegradedImage]:
    """Yield a volume (Z, Y, X) as it is, degraded, and as given by mistake; copies are float32."""
    yield DegradedImage("as it is", pixels, truth)

    low, high = np.percentile(pixels, [0.1, 99.9])
    x = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    changed = {
        "dark": x ** rng.uniform(2, 4),
        "flat": 0.45 + 0.1 * x + rng.normal(0, 0.01, x.shape),
        "slight noise": x + rng.normal(0, log_uniform(rng, 0.01, 0.05), x.shape),
        "noise": x + rng.normal(0, log_uniform(rng, 0.05, 0.4), x.shape),
        "inverted": 1 - x,
        "uneven": x * np.linspace(rng.uniform(0, 0.6), 1.2, x.shape[-1], dtype=np.float32),
        "slices of other strength": x + 0.5 * rng.normal(0, 1, (*x.shape[:-1], 1)) * x,
        "blur": np.stack([cv2.GaussianBlur(s, (0, 0), log_uniform(rng, 0.8, 3)) for s in x]),
    }
    for kind, copy in changed.items():
        yield DegradedImage(kind, np.ascontiguousarray(copy, np.float32), truth)

    upside_down = np.ascontiguousarray(x[:, ::-1])
    yield DegradedImage("upside down", upside_down, np.ascontiguousarray(truth[:, ::-1]))
