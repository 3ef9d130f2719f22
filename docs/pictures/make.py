"""Makes the README's pictures beside this file from sample_images/.

Run it when a card's weights change, in the repository's folder: python -m docs.pictures.make
"""

from pathlib import Path

import cv2
import numpy as np

import unet_helpers as uh
from unet_helpers.figures.volumes import render, reslice
from unet_helpers.results.overlay import picture

HERE = Path(__file__).parent

# The samples that are shown, and the network for each.
SAMPLES = {
    "fluorescence": "nuclei",
    "retina": "retinal_vessels",
    "he": "nuclei_he",
    "hippocampus_mni": "hippocampus",
}

# px: sides of the pictures in the README's table, and of the panels above it.
THUMBNAIL = 240
PANEL = 400
WHITE_BETWEEN_PANELS = 12

# px: rows of the stained tissue that are shown, so that its nuclei are large enough to be seen.
TISSUE_ROWS = 220

# px: black rim of the photograph of the retina, above and below.
RETINA_RIM = 150


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle out of (H, W, 3), and shrink it to ``side`` px."""
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    top = (height - shorter) // 2
    left = (width - shorter) // 2
    middle = np.ascontiguousarray(pixels[top : top + shorter, left : left + shorter])
    return cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA)


def write(name: str, pixels: np.ndarray) -> None:
    """Write a JPEG file beside this one."""
    path = HERE / f"{name}.jpg"
    cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 83])


def thumbnail(result: uh.Segmentation) -> np.ndarray:
    """Draw the square overlay of a result."""
    if not result.image.is_single:
        return square(render(reslice(result, axis=0), result.busiest_slice()), THUMBNAIL)

    painted = result.overlay()
    if result.card.name == "nuclei_he":
        painted = painted[:TISSUE_ROWS]
    return square(painted, THUMBNAIL)


def before_and_after(result: uh.Segmentation, rim: int) -> list[np.ndarray]:
    """Draw image and overlay, without so many rows above and below."""
    inner = slice(rim, result.image.pixels.shape[0] - rim)
    image = picture(result.image)[inner]
    overlay = result.overlay()[inner]
    return [square(image, PANEL), square(overlay, PANEL)]


def main() -> None:
    """Write all pictures."""
    results = {
        name: uh.segment(uh.sample(name), card, progress=False) for name, card in SAMPLES.items()
    }
    for result in results.values():
        write(result.card.name, thumbnail(result))

    panels = before_and_after(results["retina"], RETINA_RIM)
    panels += before_and_after(results["fluorescence"], rim=0)
    white = np.full((PANEL, WHITE_BETWEEN_PANELS, 3), 255, np.uint8)
    row = [panels[0]]
    for panel in panels[1:]:
        row += [white, panel]
    write("overview", np.hstack(row))


if __name__ == "__main__":
    main()
