"""Images drawn by the computer, with their truth."""

import cv2
import numpy as np


def draw_nuclei(count: int = 60, side: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A phantom: glowing nuclei as in fluorescence microscopy, pixels (side, side) uint8 and their instance ids int32.

    Ellipses of 20 to 36 px, some touching, with uneven brightness, blur and camera noise; the same for a seed.
    """
    random = np.random.default_rng(seed)
    light, truth = np.full((side, side), 14.0, np.float32), np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        centre, axes = (
            random.integers(12, side - 12, 2).tolist(),
            random.integers(10, 19, 2).tolist(),
        )
        mask = cv2.ellipse(
            np.zeros((side, side), np.uint8),
            centre,
            axes,
            float(random.uniform(0, 180)),
            0,
            360,
            1,
            -1,
        )
        fresh = (mask > 0) & (truth == 0)
        if fresh.sum() > 0.75 * mask.sum():  # nuclei touch, but do not lie on top of one another
            truth[fresh] = number
            light[fresh] += random.uniform(40, 190)
    texture = cv2.GaussianBlur(random.normal(1, 1.2, (side, side)).astype(np.float32), (0, 0), 3)
    light = cv2.GaussianBlur(light * np.clip(texture, 0.5, 1.5), (0, 0), 1.0)
    return np.clip(random.poisson(light), 0, 255).astype(np.uint8), truth
