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


# Greys of scalp, skull, fluid, grey and white matter.
GREYS = {
    "t1": (0.8, 0.1, 0.2, 0.6, 1.0),
    "t2": (0.7, 0.1, 1.7, 0.85, 0.55),
    "flair": (0.7, 0.1, 0.25, 0.95, 0.9),
}


def head(sequence: str, depth: int = 60) -> np.ndarray:
    """A head of 180 x 150 mm in voxels of 3 mm (Z, Y, X): shells, and ventricles in the middle."""
    scalp, skull, fluid, grey, white = GREYS[sequence]
    z, y, x = np.indices((depth, 76, 64), np.float32)
    z, y, x = (z - depth / 2) / (0.62 * depth), (y - 37.5) / 32, (x - 31.5) / 26
    radius = np.sqrt(x**2 + y**2 + z**2)
    pixels = np.full(radius.shape, 0.02, np.float32)
    for limit, value in ((1.0, scalp), (0.92, skull), (0.85, fluid), (0.8, grey)):
        pixels[radius < limit] = value

    # White matter reaches into the folds of the cortex.
    folds = np.sin(9 * x + 4 * z) + np.sin(9 * y - 4 * z)
    pixels[(radius < 0.75) & (folds > 0.2)] = white
    pixels[np.sqrt((x / 0.22) ** 2 + (y / 0.3) ** 2 + (z / 0.4) ** 2) < 1] = fluid

    noise = np.random.default_rng(0).normal(0, 0.02, pixels.shape)
    return ((pixels + noise).clip(0) * 500).astype(np.int16)
