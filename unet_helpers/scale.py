"""How large are the objects? The zoom that brings an image's nuclei to the size the network was trained on."""

from itertools import product

import cv2
import numpy as np

from .prepare import prepare_slice, select_channels
from .tiles import predict
from .unet import UNet

LOOK = 512  # working px: side of the window that is looked at, at each scale
# chosen on training and validation images: the zooms that are tried, what certainty weighs against a fitting size, and
# how much larger the median over the area of all objects is than the plain one (but specks hardly move it)
LOOKS, TRUST, OVER_AREA = (0.5, 1.0, 2.0), 4.0, 1.08


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
    """(typical diameter of the objects in image px, mean certainty inside them) as seen at that zoom."""
    from .objects import split_interiors  # loads scikit-image, which `import unet_helpers` must not

    shape = tuple(max(1, round(n * zoom)) for n in window.shape[:2])
    answer = predict(model, prepare_slice(window, model.card.reading, shape), shape)
    foreground = 1 - answer[0]
    areas = np.bincount(split_interiors(answer, model.card.threshold, 1.0).reshape(-1))[1:]
    areas = np.sort(areas[areas > 0])  # ids have gaps
    if not areas.size:
        return 0.0, 0.0
    middle = areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)]
    return 2 * float(np.sqrt(middle / np.pi)) / OVER_AREA / zoom, float(foreground[foreground > 0.5].mean())


def liveliest(pixels: np.ndarray, side: int) -> np.ndarray:
    """The window of at most ``side`` x ``side`` px with the largest standard deviation."""
    height, width = pixels.shape[:2]
    starts = [range(0, max(1, length - side // 2), side) for length in (height, width)]
    windows = [pixels[y : y + side, x : x + side] for y, x in product(*starts)]
    return max(windows, key=lambda part: float(cv2.meanStdDev(part)[1].max()))
