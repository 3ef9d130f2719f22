"""The size of a slice in working px: from the zoom, and from pixels that are not square."""

from collections.abc import Sequence

import numpy as np

from ..doubt import Doubt
from ..networks.cards import Preprocessing
from ..preprocessing.resample import SPACING_TOLERANCE

# Working px per px, at most: further enlargement adds no detail. An image whose spacing is smaller
# than the card's is shrunk by at most the same factor (zoom 1 / MAX_ZOOM).
MAX_ZOOM = 4.0

# Height / width of a pixel, or the inverse, up to which it is corrected. Beyond this one of the two
# is a mistake, or the image a section through a stack of few thick slices.
MAX_ASPECT = 16.0

# Steps of a volume, which are limited, may differ by this factor from those that a network learnt.
FAR_FROM_KNOWN = 2.0

# mm: spacings are told in nm below the first, and in µm below the second.
NM_BELOW = 1e-4
UM_BELOW = 0.1


def aspect_of(spacing: Sequence[float] | None) -> float:
    """Return the height / width of a pixel of this spacing (..., rows, columns); 1 if unknown."""
    if spacing is None or len(spacing) < 2:
        return 1.0
    rows, columns = spacing[-2:]
    aspect = float(rows / columns)
    if abs(aspect - 1) < SPACING_TOLERANCE or not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        return 1.0
    return aspect


def zoom_of_width(width: float, preprocessing: Preprocessing) -> float:
    """Return the zoom at which a field of view ``width`` px wide has the width that a card says.

    Large photographs keep more of their detail than small ones have, see ``largest_size``.
    """
    largest = max(preprocessing.size, preprocessing.largest_size)
    seen = np.clip(width, preprocessing.size, largest)
    return float(min(seen / width, MAX_ZOOM))


def working_size(pixels: np.ndarray, zoom: float, aspect: float = 1.0) -> tuple[int, int]:
    """Return (h, w) in working px, at least 1, of (H, W[, C]) at a zoom, with square pixels.

    ``aspect`` is the height / width of a pixel. A pixel covers zoom**2 working px whatever its
    aspect, so that areas and the diameters of discs in px times zoom are those in working px.
    """
    zoom_of_rows = zoom * np.sqrt(aspect)
    zoom_of_columns = zoom / np.sqrt(aspect)
    return rounded_size(pixels, float(zoom_of_rows), float(zoom_of_columns))


def rounded_size(
    pixels: np.ndarray, zoom_of_rows: float, zoom_of_columns: float
) -> tuple[int, int]:
    """Return (h, w) in whole working px, at least 1, of (H, W[, C])."""
    height, width = pixels.shape[:2]
    return max(1, round(height * zoom_of_rows)), max(1, round(width * zoom_of_columns))


def note_on_step(seen: np.ndarray, known: float) -> str:
    """Say at which steps (3,) in mm the network saw a volume, where it learnt ``known`` mm."""
    if np.allclose(seen, known, rtol=SPACING_TOLERANCE):
        return f"the network saw it at {in_words(known)} a step, as it learnt it"
    return f"the network saw it at {in_words(*seen)} a step, and learnt {in_words(known)}"


def doubts_on_step(seen: np.ndarray, known: float) -> tuple[str, ...]:
    """Doubt a volume whose voxels are too large or too small to be brought near ``known`` mm."""
    factor = max(seen.max() / known, known / seen.min())
    if factor <= FAR_FROM_KNOWN:
        return ()
    return (
        Doubt(
            f"its voxels are far from what the network learnt ({in_words(known)}), and were seen "
            f"at {in_words(*seen)}: check the spacing, or give the true one by spacing= (mm)."
        ),
    )


def in_words(*steps: float) -> str:
    """Write a spacing in mm, of one or more axes, in nm, µm or mm."""
    first = steps[0]
    shown = steps[:1] if all(step == first for step in steps) else steps
    if max(steps) < NM_BELOW:
        return " × ".join(f"{1e6 * step:.3g}" for step in shown) + " nm"
    if max(steps) < UM_BELOW:
        return " × ".join(f"{1e3 * step:.3g}" for step in shown) + " µm"
    return " × ".join(f"{step:.3g}" for step in shown) + " mm"
