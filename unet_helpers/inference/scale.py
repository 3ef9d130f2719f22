"""The working scale: how many px the network is to see of an image, from its card or from the objects in it."""

from collections.abc import Callable

import numpy as np

from ..networks.unet import UNet
from ..preprocessing.field_of_view import field_of_view, width_of
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import TOLERANCE, highest_contrast_window, resize_channels
from .tiles import predict

MAX_ZOOM = 4.0  # enlarged further, an image shows no more detail
LOOK = 512  # working px: side of the window that is looked at, at each scale
# chosen on training and validation images: the zooms that are tried, what certainty weighs against a fitting size, and
# how much larger the median over the area of all objects is than the plain one (but specks hardly move it)
LOOKS, TRUST, OVER_AREA = (0.5, 1.0, 2.0), 4.0, 1.08
DIFFER = 2.4  # times as wide at one zoom as at another: 1.9 at most in images of one size, 2.9 or more in mixed ones


def working_shape(
    model: UNet, pixels: np.ndarray, zoom=None, spacing=None, tell: Callable = str
) -> tuple[int, int]:
    """(h, w) in working px of an (H, W) or (H, W, 3) slice: the scale at which the network was trained.
    ``spacing``: mm along its rows and columns, for a card that has one too; ``tell`` is called with warnings.
    """
    preprocessing, shape = model.card.preprocessing, pixels.shape[:2]
    if preprocessing.scale == "square":
        return preprocessing.size, preprocessing.size
    zooms = (zoom or 1.0,) * 2
    if zoom is None and preprocessing.spacing and spacing is not None and len(spacing) > 1:
        zooms = np.clip(np.array(spacing[-2:]) / preprocessing.spacing, 1 / MAX_ZOOM, MAX_ZOOM)
        zooms = np.where(abs(zooms - 1) < TOLERANCE, 1, zooms)
    elif zoom is None and preprocessing.scale == "field of view":
        zooms = (min(preprocessing.size / width_of(field_of_view(pixels)), MAX_ZOOM),) * 2
    elif zoom is None and preprocessing.scale == "objects":
        zooms = (zoom_for_objects(model, pixels, tell),) * 2
    return tuple(max(1, round(n * z)) for n, z in zip(shape, zooms, strict=True))


def zoom_for_objects(model: UNet, pixels: np.ndarray, tell: Callable[[str], object] = str) -> float:
    """Working px per px: of some scales, tried on the window of highest contrast, the one whose objects fit best.
    ``tell`` is called with a warning where objects of one size are seen at one, and of another size at another.
    """
    size = model.card.preprocessing.size
    seen = [
        (zoom, *typical_object(model, highest_contrast_window(pixels, round(LOOK / zoom)), zoom))
        for zoom in LOOKS
    ]
    fits = [
        (abs(np.log(width * zoom / size)) - TRUST * certainty, width)
        for zoom, width, certainty in seen
        if width
    ]
    ends = [end(width for _, width in fits) for end in (max, min)] if fits else [1, 1]
    if ends[0] > DIFFER * ends[1]:
        sizes, zooms = (
            " and ".join(f"{v:.2g}" for v in part) for part in (ends, [size / end for end in ends])
        )
        tell(
            f"objects of very different sizes, about {sizes} px wide: some may be missed. Try zoom={zooms} in turn."
        )
    return float(np.clip(size / min(fits)[1], 0.2, MAX_ZOOM)) if fits else 1.0


def typical_object(model: UNet, window: np.ndarray, zoom: float) -> tuple[float, float]:
    """(typical diameter of the objects in image px, mean probability inside them) as seen at that zoom."""
    from ..results.objects import (
        split_interiors,
    )  # loads scikit-image, which `import unet_helpers` must not

    shape = tuple(max(1, round(n * zoom)) for n in window.shape[:2])
    answer = np.zeros((model.out_channels, *window.shape[:2]), np.float32)
    predict(model, prepare(window[None], model.card.preprocessing, shape)[0], answer)
    answer = resize_channels(answer, shape)
    foreground = 1 - answer[0]
    areas = np.sort(np.bincount(split_interiors(answer, model.card.threshold, 1.0).reshape(-1))[1:])
    areas = areas[areas > 0]  # ids have gaps
    if not areas.size:
        return 0.0, 0.0
    middle = areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)]
    return 2 * float(np.sqrt(middle / np.pi)) / OVER_AREA / zoom, float(
        foreground[foreground > 0.5].mean()
    )
