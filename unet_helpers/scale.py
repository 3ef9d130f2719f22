"""How large are the objects? The zoom that brings an image's nuclei to the size the network was trained on."""

from itertools import product

import cv2
import numpy as np

from .prepare import prepare_slice, select_channels
from .tiles import predict
from .unet import UNet

LOOK = 512  # working px: side of the window that is looked at, at each scale
LOOKS = (0.35, 0.7, 1.4, 2.8)  # zooms that are tried; these and the next were chosen on validation images
TRUST = 2.0  # what certainty weighs against a fitting size


def zoom_for_objects(model: UNet, pixels: np.ndarray) -> float:
    """Working px per px. Tries some scales on the liveliest window and keeps the one whose objects fit best."""
    size, found = model.card.reading.size, []
    for zoom in LOOKS:
        window = liveliest(select_channels(pixels, model.card.reading.channels), round(LOOK / zoom))
        diameter, trust = look(model, window, zoom)
        if diameter:
            found.append((abs(np.log(diameter * zoom / size)) - TRUST * trust, diameter))
    if not found:
        return 1.0
    return float(np.clip(size / min(found)[1], 0.2, 4))


def look(model: UNet, window: np.ndarray, zoom: float) -> tuple[float, float]:
    """(median diameter of the objects in image px, mean certainty inside them) as seen at that zoom."""
    from .objects import split_interiors  # loads scikit-image, which `import unet_helpers` must not

    shape = tuple(max(1, round(n * zoom)) for n in window.shape[:2])
    answer = predict(model, prepare_slice(window, model.card.reading, shape), shape)
    foreground = 1 - answer[0]
    areas = np.bincount(split_interiors(answer, model.card.threshold, 1.0).reshape(-1))[1:]
    if not areas.size:
        return 0.0, 0.0
    return 2 * float(np.sqrt(np.median(areas) / np.pi)) / zoom, float(foreground[foreground > 0.5].mean())


def liveliest(pixels: np.ndarray, side: int) -> np.ndarray:
    """The window of at most ``side`` x ``side`` px with the largest standard deviation."""
    height, width = pixels.shape[:2]
    starts = [range(0, max(1, length - side // 2), side) for length in (height, width)]
    windows = [pixels[y : y + side, x : x + side] for y, x in product(*starts)]
    return max(windows, key=lambda part: float(cv2.meanStdDev(part)[1].max()))
