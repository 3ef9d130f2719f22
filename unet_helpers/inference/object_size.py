"""Doubt the scale of an answer, by the size of what was found and of what the image shows.

An image without a spacing may be at half or twice the scale that the network knows, and a spacing
in a file may be a mistake. Both are seen in the answer:

- in physical units, the typical object is far smaller or larger than is plausible;
- in px, (diameter of the typical object) * 2**(grain of the image) is far from the usual. The
  network merges nuclei that are too small and splits those that are too large, so that the diameter
  alone tells little.

The limits of ``nuclei_he`` (``usual_grain``, 64 to 360) were chosen on crops of at most 512 x 512
px of MoNuSeg and CoNSeP, one a field, with ten nuclei or more
(``tests/benchmarks/tissue_scales.py``): at 40x one crop of 36 lies outside; of MoNuSeg at 20x, made
by halving, 12 of 13 do, and at 80x 12 of 13.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..doubt import Doubt
from ..networks.cards import ModelCard
from .working_size import in_words

# px: the middle of a larger slice is measured.
MEASURED_SIDE = 1024

# Objects are measured from this number of them.
FEWEST_OBJECTS = 10

# px: interiors with a smaller area are specks.
SPECK = 8

# Working px: what the border adds to the diameter of an interior (2 px on each side).
BORDERS = 4

# Levels of the pyramid in which the grain is measured, and the shortest side of a level in px.
PYRAMID_LEVELS = 6
SHORTEST_SIDE = 8


def grain(pixels: np.ndarray) -> float:
    """Return the mean level of a Laplacian pyramid at which (H, W[, C]) varies, finest is 0.

    Levels are weighted by their variance (Burt and Adelson 1983, IEEE Trans. Commun. 31:532). An
    image at half the size has a grain that is about 0.7 smaller. Of colours, the first is used: red
    shows haematoxylin best.
    """
    plane = pixels if pixels.ndim == 2 else pixels[..., 0]
    level = np.nan_to_num(middle_of(plane).astype(np.float32), posinf=0, neginf=0)
    variances: list[float] = []
    while len(variances) < PYRAMID_LEVELS and min(level.shape) >= SHORTEST_SIDE:
        coarser = np.asarray(cv2.pyrDown(level), np.float32)
        detail = level - cv2.pyrUp(coarser, dstsize=level.shape[::-1])
        variances.append(float(detail.var()))
        level = coarser
    if not sum(variances):
        return 0.0
    return float(np.average(np.arange(len(variances)), weights=variances))


def middle_of(values: np.ndarray) -> np.ndarray:
    """Return the middle of (..., H, W), at most ``MEASURED_SIDE`` px high and wide."""
    height, width = values.shape[-2:]
    top = max(0, (height - MEASURED_SIDE) // 2)
    left = max(0, (width - MEASURED_SIDE) // 2)
    return values[..., top : top + MEASURED_SIDE, left : left + MEASURED_SIDE]


def typical_diameter(probabilities: np.ndarray, zoom: float) -> float | None:
    """Return the diameter in px of the typical nucleus in (3, H, W); None if there are too few.

    Half of the area of all nuclei lies in nuclei up to this one.
    """
    interior = (middle_of(probabilities[1]) > 0.5).astype(np.uint8)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(interior, connectivity=4)
    areas = np.sort(statistics[1:, cv2.CC_STAT_AREA])
    areas = areas[areas >= SPECK]
    if len(areas) < FEWEST_OBJECTS:
        return None
    diameters = 2 * np.sqrt(areas / np.pi) + BORDERS / zoom
    cumulated = areas.cumsum()
    return float(diameters[np.searchsorted(cumulated, cumulated[-1] / 2)])


def check_scale_of_answer(
    card: ModelCard,
    pixels: np.ndarray,
    probabilities: np.ndarray,
    zoom: float,
    spacing: Sequence[float] | None,
    is_given: bool = False,
) -> tuple[str, ...]:
    """Return doubts about the scale of a slice (H, W[, C]) with probabilities (K, H, W).

    ``spacing`` is in mm along rows and columns. ``is_given``: the user set the scale.
    """
    if card.instance_method != "interiors" or len(probabilities) < 2:
        return ()
    diameter = typical_diameter(probabilities, zoom)
    if diameter is None:
        return ()
    if spacing is not None and len(spacing) > 1:
        return check_physical_size(card, diameter, spacing)
    if card.preprocessing.scale == "native" and not is_given:
        return check_size_in_pixels(card, diameter, grain(pixels))
    return ()


def check_physical_size(
    card: ModelCard, diameter: float, spacing: Sequence[float]
) -> tuple[str, ...]:
    """Return a doubt if a typical object of this diameter in px cannot have its physical size."""
    low, high = card.plausible_diameter
    length = diameter * float(np.sqrt(spacing[-2] * spacing[-1]))
    if not high or low <= length <= high:
        return ()
    return (
        Doubt(
            f"its {card.title.lower()} would be {1e3 * length:.3g} µm wide, where {1e3 * low:g} to"
            f" {1e3 * high:g} µm are plausible: the pixel size in the file,"
            f" {in_words(*spacing[-2:])}, cannot be right. Give the true one by spacing= (mm)."
        ),
    )


def check_size_in_pixels(
    card: ModelCard, diameter: float, grain_of_image: float
) -> tuple[str, ...]:
    """Return a doubt if what the image shows is far smaller or larger than the card knows."""
    low, high = card.usual_grain
    size = diameter * 2**grain_of_image
    if not high or low <= size <= high:
        return ()
    known = card.preprocessing.spacing
    kind, zoom = ("small", 2) if size < low else ("large", 0.5)
    scale = f" ({in_words(known)} a pixel)" if known else ""
    return (
        Doubt(
            f"what it shows is {kind} for {card.name}{scale}, and the file does not hold the size"
            f" of a pixel: give it by spacing= (mm), or try zoom={zoom}, or diameter= of an object"
            " in px."
        ),
    )


def looks_like_full_scale(card: ModelCard, pixels: np.ndarray) -> bool:
    """Return whether (H, W[, C]) shows structures as large as the card knows them, as it is."""
    low, high = card.usual_grain
    return bool(high) and card.object_diameter * 2 ** grain(pixels) > low
