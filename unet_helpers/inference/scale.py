"""The working scale: the size to which an image is resized before the network sees it.

It is computed from the card and from the image's spacing, its field of view, or the objects in it.
"Working px" are px after resizing. The constants of the search for objects were chosen on training
and validation images of nuclei: TRIED_ZOOMS, CERTAINTY_WEIGHT and MEDIAN_BY_AREA.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..networks.unet import UNet
from ..preprocessing.field_of_view import FieldsOfView, width_of
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import SPACING_TOLERANCE, highest_contrast_window, resize_channels
from .tiles import predict

# Working px per px, at most: further enlargement adds no detail. An image whose spacing is smaller
# than the card's is shrunk by at most the same factor (zoom 1 / MAX_ZOOM).
MAX_ZOOM = 4.0

# Working px per px, at least, for an image with large objects: below this too few pixels remain.
MIN_ZOOM_FOR_OBJECTS = 0.2

# Working px: side of the window in which objects are found at each zoom.
WINDOW = 512

# Working px per px: zooms at which objects are searched.
TRIED_ZOOMS = (0.5, 1.0, 2.0)

# The cost of a zoom is |ln(object size / card's size)| - CERTAINTY_WEIGHT * mean probability inside
# objects; the zoom of lowest cost is chosen.
CERTAINTY_WEIGHT = 4.0

# Ratio of the area-weighted median diameter to the plain median diameter. The former is measured,
# because small specks hardly change it; the card's size is the latter.
MEDIAN_BY_AREA = 1.08

# Ratio of the diameters found at two zooms above which a warning is given. Measured: 1.9 or less in
# images with objects of one size, 2.9 or more in images with mixed sizes.
DIFFERENT_SIZES = 2.4


@dataclass(frozen=True)
class WorkingScale:
    """The size to which a slice is resized before the network sees it."""

    shape: tuple[int, int]  # (h, w) in working px
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObjectZoom:
    """The zoom at which the objects of an image have the size that the network knows."""

    zoom: float  # working px per px
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TypicalObject:
    """The typical object that the network finds in a window at one zoom."""

    zoom: float  # working px per px
    diameter: float  # px of the image
    certainty: float  # mean probability inside objects

    def cost(self, size: float) -> float:
        """Return the cost of this zoom if the card's objects are ``size`` working px wide."""
        misfit = abs(np.log(self.diameter * self.zoom / size))
        return float(misfit - CERTAINTY_WEIGHT * self.certainty)


def working_shape(
    model: UNet,
    pixels: np.ndarray,
    zoom: float | None = None,
    spacing: Sequence[float] | None = None,
) -> tuple[int, int]:
    """Return the (h, w) in working px of a slice (H, W) or (H, W, 3), see ``working_scale``."""
    return working_scale(model, pixels[None], 0, zoom=zoom, spacing=spacing).shape


def working_scale(
    model: UNet,
    slices: np.ndarray,
    index: int,
    *,
    zoom: float | None = None,
    spacing: Sequence[float] | None = None,
    fields_of_view: FieldsOfView | None = None,
) -> WorkingScale:
    """Find the working size of slice ``index`` of (N, H, W) or (N, H, W, 3).

    ``zoom``, in working px per px, replaces the zoom that would be found, except for cards of
    'square' scale, which ignore it. ``spacing`` is in mm along rows and columns; it is used if the
    card has a spacing. ``fields_of_view`` are those of the slices, if they are known.
    """
    preprocessing = model.card.preprocessing
    if preprocessing.scale == "square":
        return WorkingScale((preprocessing.size, preprocessing.size))

    pixels = slices[index]
    if zoom is not None:
        return scale_at(pixels, zoom, zoom)

    if preprocessing.spacing and spacing is not None and len(spacing) > 1:
        zooms = zooms_of_spacing(spacing, preprocessing.spacing)
        return scale_at(pixels, *zooms)

    if preprocessing.scale == "field of view":
        if fields_of_view is None:
            fields_of_view = FieldsOfView(slices)
        zoom_of_field = min(preprocessing.size / width_of(fields_of_view[index]), MAX_ZOOM)
        return scale_at(pixels, zoom_of_field, zoom_of_field)

    if preprocessing.scale == "objects":
        found = find_object_zoom(model, pixels)
        return scale_at(pixels, found.zoom, found.zoom, found.warnings)

    return scale_at(pixels, 1.0, 1.0)


def scale_at(
    pixels: np.ndarray, zoom_of_rows: float, zoom_of_columns: float, warnings: tuple[str, ...] = ()
) -> WorkingScale:
    """Return the size of a slice at a zoom, rounded to whole working px, at least 1."""
    height, width = pixels.shape[:2]
    shape = (max(1, round(height * zoom_of_rows)), max(1, round(width * zoom_of_columns)))
    return WorkingScale(shape, warnings)


def zooms_of_spacing(spacing: Sequence[float], working_spacing: float) -> tuple[float, float]:
    """Return the zooms of rows and columns that give the card's spacing, in mm per px."""
    zooms = np.clip(np.array(spacing[-2:]) / working_spacing, 1 / MAX_ZOOM, MAX_ZOOM)
    is_close = abs(zooms - 1) < SPACING_TOLERANCE
    rows, columns = np.where(is_close, 1, zooms)
    return float(rows), float(columns)


def zoom_for_objects(model: UNet, pixels: np.ndarray) -> float:
    """Return the zoom at which the objects of (H, W) or (H, W, 3) have the card's size."""
    return find_object_zoom(model, pixels).zoom


def find_object_zoom(model: UNet, pixels: np.ndarray) -> ObjectZoom:
    """Find the zoom at which the objects of (H, W) or (H, W, 3) have the card's size.

    ``TRIED_ZOOMS`` are tried on the window of highest contrast. A warning is returned if the sizes
    found at different zooms disagree.
    """
    size = model.card.preprocessing.size
    candidates = []
    for zoom in TRIED_ZOOMS:
        window = highest_contrast_window(pixels, round(WINDOW / zoom))
        objects = typical_object(model, window, zoom)
        if objects is not None:
            candidates.append(objects)
    if not candidates:
        return ObjectZoom(1.0)

    # Of zooms with the same cost, the one with the smaller objects is taken.
    best = min(candidates, key=lambda objects: (objects.cost(size), objects.diameter))
    zoom = float(np.clip(size / best.diameter, MIN_ZOOM_FOR_OBJECTS, MAX_ZOOM))
    diameters = [objects.diameter for objects in candidates]
    return ObjectZoom(zoom, check_sizes(max(diameters), min(diameters), size))


def check_sizes(largest: float, smallest: float, size: float) -> tuple[str, ...]:
    """Return a warning if typical objects at one zoom are much wider than at another.

    ``largest`` and ``smallest``: diameters in px; ``size``: the card's, in working px.
    """
    if largest <= DIFFERENT_SIZES * smallest:
        return ()
    diameters = f"{largest:.2g} and {smallest:.2g}"
    zooms = f"{size / largest:.2g} and {size / smallest:.2g}"
    return (
        f"objects of very different sizes, about {diameters} px wide: some may be missed. "
        f"Try zoom={zooms} in turn.",
    )


def typical_object(model: UNet, window: np.ndarray, zoom: float) -> TypicalObject | None:
    """Measure the typical object found in a window (H, W[, 3]) at a zoom; None without objects."""
    # Loads scikit-image, which `import unet_helpers` must not.
    from ..results.objects import split_interiors

    shape = scale_at(window, zoom, zoom).shape

    # `predict` returns probabilities at the window's own size. They are then resized to working px,
    # because the sizes in `split_interiors` are in working px.
    answer = np.zeros((model.out_channels, *window.shape[:2]), np.float32)
    predict(model, prepare(window[None], model.card.preprocessing, shape)[0], answer)
    answer = resize_channels(answer, shape)

    objects = split_interiors(answer, model.card.threshold, 1.0)
    areas = np.sort(np.bincount(objects.reshape(-1))[1:])
    areas = areas[areas > 0]  # ids have gaps
    if not areas.size:
        return None

    # Half of the area of all objects lies in objects up to this one.
    median_by_area = areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)]
    diameter = 2 * float(np.sqrt(median_by_area / np.pi)) / MEDIAN_BY_AREA / zoom

    # CERTAINTY_WEIGHT was chosen with this 0.5, so the card's threshold is not used.
    foreground = 1 - answer[0]
    certainty = float(foreground[foreground > 0.5].mean())
    return TypicalObject(zoom=zoom, diameter=diameter, certainty=certainty)
