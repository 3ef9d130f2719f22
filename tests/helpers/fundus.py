"""Drawn photographs of the fundus."""

import numpy as np


def photograph(radius: float = 150, side: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A disc with noise in a black surround, and its mask."""
    y, x = np.mgrid[:side, :side]
    inside = (y - side / 2) ** 2 + (x - side / 2) ** 2 <= radius**2
    pixels = np.random.default_rng(0).normal(120, 15, (side, side)) * inside
    return np.clip(pixels, 0, 255).astype(np.uint8), inside
