"""Makes the README's pictures beside this file from sample_images/: run it when a card's weights change."""

import sys
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import unet_helpers as uh
from unet_helpers.figures.viewer import facing, view
from unet_helpers.results.overlay import picture


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """The middle of (H, W, 3), ``side`` px wide."""
    height, width = pixels.shape[:2]
    n = min(height, width)
    y, x = (height - n) // 2, (width - n) // 2
    return cv2.resize(
        np.ascontiguousarray(pixels[y : y + n, x : x + n]),
        (side, side),
        interpolation=cv2.INTER_AREA,
    )


def write(name: str, pixels: np.ndarray) -> None:
    cv2.imwrite(str(HERE / f"{name}.jpg"), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 83])


samples = {
    "fluorescence": "nuclei",
    "retina": "retinal_vessels",
    "he": "nuclei_he",
    "hippocampus_mni": "hippocampus",
}
results = {
    name: uh.segment(uh.sample(name), card, progress=False) for name, card in samples.items()
}
for result in results.values():
    painted = (
        result.overlay()
        if result.image.is_single
        else view(facing(result, 0), result.busiest_slice())
    )
    write(
        result.card.name, square(painted[:220] if result.card.name == "nuclei_he" else painted, 240)
    )
panels = []
for name, rim in (("retina", 150), ("fluorescence", 0)):
    for pixels in (picture(results[name].image), results[name].overlay()):
        panels += [
            square(pixels[rim : len(pixels) - rim], 400),
            np.full((400, 12, 3), 255, np.uint8),
        ]
write("overview", np.hstack(panels[:-1]))
