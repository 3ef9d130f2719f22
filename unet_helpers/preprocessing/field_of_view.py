"""The field of view of a fundus photograph, and flat illumination inside it."""

import cv2
import numpy as np

from .resize import resize, resize_labels


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
