"""Images drawn by the computer, with their truth."""

import cv2
import numpy as np

# Grey level of a place without nuclei.
GROUND = 14.0

# Share of a nucleus that must not lie on others: they touch, but do not lie on top of one another.
LEAST_FREE = 0.75


def draw_nuclei(count: int = 60, side: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A phantom: glowing nuclei as in fluorescence microscopy, the same for a seed.

    Pixels (side, side) uint8 and their instance ids int32: ellipses of 20 to 36 px, some touching,
    with uneven brightness, blur and camera noise.
    """
    rng = np.random.default_rng(seed)
    light = np.full((side, side), GROUND, np.float32)
    truth = np.zeros((side, side), np.int32)

    for number in range(1, count + 1):
        centre = rng.integers(12, side - 12, 2).tolist()
        half_axes = rng.integers(10, 19, 2).tolist()
        angle = float(rng.uniform(0, 180))
        mask = np.zeros((side, side), np.uint8)
        cv2.ellipse(mask, centre, half_axes, angle, 0, 360, color=1, thickness=-1)

        free = (mask > 0) & (truth == 0)
        if free.sum() > LEAST_FREE * mask.sum():
            truth[free] = number
            light[free] += rng.uniform(40, 190)

    noise = rng.normal(1, 1.2, (side, side)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 3)
    light = cv2.GaussianBlur(light * np.clip(texture, 0.5, 1.5), (0, 0), 1.0)
    return np.clip(rng.poisson(light), 0, 255).astype(np.uint8), truth
