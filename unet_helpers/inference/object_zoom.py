"""Find the zoom at which the objects of an image have the size that the network knows.

The network looks at a window at each of a few zooms. Each object that it finds counts by its area,
by how certain it is, and by how well its size suits the network; the zoom at which most is found
this way is refined by the typical object found there. Debris beside large nuclei counts for little,
because its area is small.

"Working px" are px after resizing. The constants were chosen on validation images of nuclei, as
they are, enlarged, and with drawn debris (``tests/benchmarks/object_zooms.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..checks.view import View
from ..networks.unet import UNet
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import highest_contrast_window, resize_channels
from .tiles import predict
from .working_size import MAX_ZOOM, working_size

# Working px per px, at least, for an image with large objects: below this too few pixels remain.
MIN_ZOOM_FOR_OBJECTS = 0.08

# Working px: side of the window in which objects are found at each zoom.
WINDOW = 512

# Working px per px: zooms at which objects are searched.
TRIED_ZOOMS = (2.0, 1.0, 0.5, 0.25, 0.125)

# Standard deviation of the logarithm of the diameters that suit the network, a Gaussian around the
# card's size.
SUITED_SIZES = 0.6

# What a mean probability inside objects that is higher by 1 adds to the score of a zoom.
CERTAINTY_WEIGHT = 24.0

# What each halving of an image takes from the score: of bright field, uneven light looks like large
# nuclei when it is shrunk.
COST_OF_OCTAVE = 0.7

# Ratio of the area-weighted median diameter to the plain median diameter. The former is measured,
# because small specks hardly change it; the card's size is the latter.
MEDIAN_BY_AREA = 1.08

# Ratio of the diameters found at two zooms above which a warning is given. Measured: 1.9 or less in
# images with objects of one size, 2.9 or more in images with mixed sizes.
DIFFERENT_SIZES = 2.4

# Zooms whose score is lower than the best one by more than this show debris, or nothing, and no
# other size.
LARGEST_LAG = 1.4

# Zooms are rounded to this number of steps an octave, so that processors that compute a little
# differently see an image at the same zoom. 1 is among them. On 53 test images of nuclei, 16 steps
# change mean AP by +0.0003, AP50 by -0.003 and Dice by -0.0001; 8 steps cost 0.004 of mean AP.
RUNGS_PER_OCTAVE = 16

# An image with small objects is enlarged by at most this factor, in steps of a quarter of an
# octave: 1, 1.19 and 1.41.
ENLARGED_AT_MOST = 2**0.5
STEPS_PER_OCTAVE = 4

# Frames of a movie, or slices of a stack, in which the objects are searched.
SEARCHED_SLICES = 5


@dataclass(frozen=True)
class TypicalObject:
    """The typical object that the network finds in a window at one zoom."""

    zoom: float  # working px per px
    diameter: float  # px of the image
    score: float  # how much is found that suits the network, see ``score_of``
    area: float = 0.0  # px of the image: that of all objects together


@dataclass(frozen=True)
class ObjectZoom:
    """The zoom at which the objects of an image have the size that the network knows."""

    zoom: float  # working px per px
    warnings: tuple[str, ...] = ()

    # The objects that it was found by; None if there are none.
    objects: TypicalObject | None = None

    def notes(self, size: float) -> tuple[str, ...]:
        """Return a note on how it was found, for a card whose objects are ``size`` px wide."""
        if self.objects is None:
            return ()
        return (
            f"zoom {self.zoom:.3g}: its objects are about {self.objects.diameter:.2g} px wide, and"
            f" the network learnt those of {size:g} px",
        )


def find_object_zoom(model: UNet, pixels: np.ndarray, aspect: float = 1.0) -> ObjectZoom:
    """Find the zoom at which the objects of (H, W) or (H, W, 3) have the card's size.

    ``TRIED_ZOOMS`` are tried on the window of highest contrast. ``aspect`` is the height / width of
    a pixel. A warning is returned if the sizes found at different zooms disagree.
    """
    size = model.card.preprocessing.size
    candidates = []
    for zoom in TRIED_ZOOMS:
        window = highest_contrast_window(pixels, round(WINDOW / zoom))
        objects = typical_object(model, window, zoom, aspect)
        if objects is not None:
            candidates.append(objects)
    if not candidates:
        return ObjectZoom(1.0)

    best = max(candidates, key=lambda objects: objects.score)
    least = best.score - LARGEST_LAG
    diameters = [objects.diameter for objects in candidates if objects.score >= least]
    warnings = check_sizes(max(diameters), min(diameters), size)
    return ObjectZoom(zoom_of_diameter(best.diameter, size), warnings, best)


def zoom_of_diameter(diameter: float, size: float) -> float:
    """Return the zoom, on the ladder, at which a diameter in px becomes about ``size`` px."""
    rung = np.rint(np.log2(size / diameter) * RUNGS_PER_OCTAVE)
    zoom = 2.0 ** (rung / RUNGS_PER_OCTAVE)
    return float(np.clip(zoom, MIN_ZOOM_FOR_OBJECTS, MAX_ZOOM))


def zoom_for_small_objects(
    model: UNet, pixels: np.ndarray, zoom: float, aspect: float = 1.0
) -> ObjectZoom:
    """Enlarge (H, W) or (H, W, 3), seen at ``zoom``, if its objects are small for the network.

    The typical object in the window of highest contrast decides, see ``smallest_objects`` of
    ``Preprocessing``. The steps are coarse, so that all processors take the same.
    """
    window = highest_contrast_window(pixels, round(WINDOW / zoom))
    objects = typical_object(model, window, zoom, aspect)
    if objects is None:
        return ObjectZoom(zoom)

    missing = model.card.preprocessing.smallest_objects / (objects.diameter * zoom)
    steps = np.rint(np.log2(missing) * STEPS_PER_OCTAVE)
    # A slide at 10x is seen at MAX_ZOOM already.
    most = min(ENLARGED_AT_MOST, max(1.0, MAX_ZOOM / zoom))
    factor = np.clip(2.0 ** (steps / STEPS_PER_OCTAVE), 1.0, most)
    return ObjectZoom(zoom * float(factor), objects=objects)


def zoom_of_view(model: UNet, view: View, aspect: float = 1.0) -> ObjectZoom:
    """Find one zoom for all frames of an image.

    A movie is searched in the middle slices of several frames, because the first may be dark or
    show only debris. A stack is searched in its middle slice and, if nothing is found there, in
    others.
    """
    stacks = [frame.pixels for frame in view.frames]
    if len(stacks) > 1:
        indices = spread_over(len(stacks))
        found = [find_object_zoom(model, middle(stacks[i]), aspect) for i in indices]
        return common_zoom(found)

    slices = stacks[0]
    found = [find_object_zoom(model, middle(slices), aspect)]
    if found[0].objects is None:
        others = [i for i in spread_over(len(slices)) if i != len(slices) // 2]
        found += [find_object_zoom(model, slices[i], aspect) for i in others]
    return common_zoom(found)


def middle(slices: np.ndarray) -> np.ndarray:
    """Return the middle slice of a stack."""
    return slices[len(slices) // 2]


def spread_over(count: int) -> list[int]:
    """Return up to ``SEARCHED_SLICES`` indices below ``count``, evenly spread, none at the ends."""
    wanted = min(count, SEARCHED_SLICES)
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def common_zoom(found: Sequence[ObjectZoom]) -> ObjectZoom:
    """Return one zoom for several images: the median of those in which objects were found.

    Each counts by the area of its objects, because debris is small and a dark frame shows little.
    """
    with_objects = [zoom for zoom in found if zoom.objects is not None]
    if not with_objects:
        return found[0]

    ordered = sorted(with_objects, key=lambda zoom: zoom.zoom)
    areas = np.cumsum([zoom.objects.area for zoom in ordered if zoom.objects])
    return ordered[int(np.searchsorted(areas, areas[-1] / 2))]


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


def typical_object(
    model: UNet, window: np.ndarray, zoom: float, aspect: float = 1.0
) -> TypicalObject | None:
    """Measure the typical object found in a window (H, W[, 3]) at a zoom; None without objects.

    It is the median by weight. The weight of an object is its area, times its mean probability,
    times a Gaussian of the logarithm of its diameter around the card's size.
    """
    # Loads scikit-image, which `import unet_helpers` must not.
    from ..results.objects import split_interiors

    shape = working_size(window, zoom, aspect)

    # `predict` returns probabilities at the window's own size. They are then resized to working px,
    # because the sizes in `split_interiors` are in working px. Logits are not shifted, because the
    # shift is one for the size of the objects, which is searched for here.
    preprocessing = replace(model.card.preprocessing, logit_shifts=())
    answer = np.zeros((model.out_channels, *window.shape[:2]), np.float32)
    predict(model, prepare(window[None], preprocessing, shape)[0], answer)
    answer = resize_channels(answer, shape)

    foreground = 1 - answer[0]
    ids = split_interiors(answer, model.card.threshold, 1.0, model.card.object_diameter).reshape(-1)
    areas = np.bincount(ids)
    sums = np.bincount(ids, weights=foreground.reshape(-1))
    found = np.flatnonzero(areas)  # ids have gaps
    found = found[found > 0]
    if not found.size:
        return None

    areas = areas[found]
    diameters = 2 * np.sqrt(areas / np.pi)
    misfits = np.log(diameters / model.card.preprocessing.size) / SUITED_SIZES
    weights = sums[found] * np.exp(-0.5 * misfits**2)

    # Half of the weight lies below the median. It is interpolated between two objects, so that it
    # hardly moves with the rounding of probabilities.
    order = np.argsort(diameters)
    cumulated = weights[order].cumsum() - weights[order] / 2
    median = np.interp(weights.sum() / 2, cumulated, diameters[order])

    # CERTAINTY_WEIGHT was chosen with this 0.5, so the card's threshold is not used.
    certainty = float(foreground[foreground > 0.5].mean())
    return TypicalObject(
        zoom=zoom,
        diameter=float(median) / MEDIAN_BY_AREA / zoom,
        score=score_of(weights.sum() / ids.size, certainty, zoom),
        area=float(areas.sum()) / zoom**2,
    )


def score_of(suited_share: float, certainty: float, zoom: float) -> float:
    """Return the score of a zoom, at which suited objects cover this share of the window."""
    halvings = max(0.0, -np.log2(zoom))
    return float(np.log(suited_share) + CERTAINTY_WEIGHT * certainty - COST_OF_OCTAVE * halvings)
