"""The optic disc of a fundus photograph: where bright tissue and many vessels meet.

Measured on the 70 photographs of CHASE_DB1, DRIVE (21-40) and HRF (01-10), by eye: the centre lies
in the disc in 69; in one, with a pale area around the disc, it does not. The diameter is right to
about a quarter in 61.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..preprocessing.field_of_view import width_of
from ..preprocessing.resample import resize

# px: width of the field of view at which the disc is searched. All lengths below are shares of it.
SEARCHED_WIDTH = 400

# Standard deviations of the Gaussians: of a spot of the disc's size, of its surroundings, and of
# the window in which vessels are counted.
SPOT = 0.03
SURROUNDINGS = 0.12
VESSELS = 0.05

# Sum of the standard scores of brightness and of vessels at the disc, at least. At the 70 discs it
# is 5.6 or more; where a circle of 0.4 widths around them is cut away, it is higher in 5 of 70.
LEAST_SCORE = 5.55

# The rim: farthest offset of its centre from the brightest spot, its radii, and their step.
FARTHEST = 0.06
RADII = (0.045, 0.12)
OFFSET_STEP = 0.01
RADIUS_STEP = 0.005
DIRECTIONS = 48

# A larger radius gains this times its share of the width, because the rim is fainter than the cup.
GAIN_OF_RADIUS = 2.0

# Percentile of the slopes above which an edge counts no more, and the smoothing before.
STEEP = 80
SMOOTHING = 0.012

# A pixel of which more than this share is vessel is left out where the rim is searched.
VESSEL_SHARE = 0.2


@dataclass(frozen=True)
class Disc:
    """The disc as a circle, in px of the photograph."""

    row: float
    column: float
    radius: float


def find_disc(pixels: np.ndarray, inside: np.ndarray, vessels: np.ndarray) -> Disc | None:
    """Find the optic disc of a photograph (H, W, 3), or None if there is no clear one.

    ``inside`` and ``vessels`` are (H, W) bool: the field of view and all vessels.
    """
    if pixels.ndim != 3 or not inside.any() or not vessels.any():
        return None

    zoom = SEARCHED_WIDTH / width_of(inside)
    height, width = (max(1, round(length * zoom)) for length in inside.shape)
    colours = resize(pixels[..., :3].astype(np.float32), (height, width))
    small_inside = resize(inside.astype(np.uint8), (height, width)) > 0
    vessel_shares = resize(vessels.astype(np.float32), (height, width))

    score = disc_score(colours[..., 1], small_inside, vessel_shares)
    row, column = np.unravel_index(score.argmax(), score.shape)
    if score[row, column] < LEAST_SCORE:
        return None

    found = fit_rim(colours, small_inside, vessel_shares, int(row), int(column))
    return Disc(
        row=(found.row + 0.5) / zoom - 0.5,
        column=(found.column + 0.5) / zoom - 0.5,
        radius=found.radius / zoom,
    )


def disc_score(green: np.ndarray, inside: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """Return (h, w): how bright a spot is and how many vessels it has, as standard scores."""
    spot = mean_around(green, inside, SPOT * SEARCHED_WIDTH)
    surroundings = mean_around(green, inside, SURROUNDINGS * SEARCHED_WIDTH)
    density = mean_around(vessels, inside, VESSELS * SEARCHED_WIDTH)

    score = standard_score(spot - surroundings, inside) + standard_score(density, inside)
    return np.where(inside, score, -np.inf)


def fit_rim(
    colours: np.ndarray, inside: np.ndarray, vessels: np.ndarray, row: int, column: int
) -> Disc:
    """Return the circle near a spot at whose rim red and green get darker in most directions."""
    near_vessel = cv2.dilate((vessels > VESSEL_SHARE).astype(np.uint8), np.ones((5, 5), np.uint8))
    known = inside & (near_vessel == 0)
    light = contrast_stretched(colours[..., 0], known) + contrast_stretched(colours[..., 1], known)
    slope_rows, slope_columns = np.gradient(mean_around(light, known, SMOOTHING * SEARCHED_WIDTH))

    offsets = np.arange(-FARTHEST, FARTHEST + OFFSET_STEP / 2, OFFSET_STEP) * SEARCHED_WIDTH
    radii = np.arange(RADII[0], RADII[1] + RADIUS_STEP / 2, RADIUS_STEP) * SEARCHED_WIDTH
    down, right, radius = np.meshgrid(offsets, offsets, radii, indexing="ij")

    # The last axis: the directions from the centre to the rim.
    angles = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    rows = row + down[..., None] + radius[..., None] * np.sin(angles)
    columns = column + right[..., None] + radius[..., None] * np.cos(angles)
    height, width = inside.shape
    rows = np.clip(np.rint(rows).astype(int), 0, height - 1)
    columns = np.clip(np.rint(columns).astype(int), 0, width - 1)

    fall = -slope_rows[rows, columns] * np.sin(angles) - slope_columns[rows, columns] * np.cos(
        angles
    )
    counted = known[rows, columns]
    steep = np.percentile(np.abs(fall[counted]), STEEP) if counted.any() else 1.0
    edges = np.clip(fall / max(steep, 1e-9), -1, 1) * counted
    clarity = edges.sum(-1) / np.maximum(counted.sum(-1), DIRECTIONS // 4)
    clarity += GAIN_OF_RADIUS * radius / SEARCHED_WIDTH

    best = np.unravel_index(clarity.argmax(), clarity.shape)
    return Disc(row + float(down[best]), column + float(right[best]), float(radius[best]))


def mean_around(values: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    """Return the Gaussian mean (h, w) of the values of known pixels around each pixel."""
    weight = known.astype(np.float32)
    total = cv2.GaussianBlur((values * weight).astype(np.float32), (0, 0), sigma)
    return total / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)


def standard_score(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return how many standard deviations (h, w) values are above their mean."""
    within = values[inside]
    return (values - within.mean()) / max(float(within.std()), 1e-6)


def contrast_stretched(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return values divided by the range that 90 % of them have."""
    if not known.any():
        return values
    low, high = np.percentile(values[known], [5, 95])
    return values / max(1.0, float(high - low))
