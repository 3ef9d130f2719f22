"""The central retinal artery and vein equivalents (CRAE, CRVE) and their ratio (AVR).

By the revised formulas of Knudtson et al. 2003 (Curr. Eye Res. 27:143): the six widest arteries
around the optic disc are joined in pairs, the widest with the narrowest, until one width is left;
so are the six widest veins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.measure import label, regionprops
from skimage.morphology import skeletonize

from .optic_disc import Disc, find_disc
from .units import PixelSize, pixel_size
from .vessels import line_length, neighbour_count

if TYPE_CHECKING:
    from .segmentation import Segmentation

# Width of a vessel as a share of sqrt(a² + b²), a and b the widths of its two branches.
ARTERY_COEFFICIENT = 0.88
VEIN_COEFFICIENT = 0.95

# So many of the widest vessels of each kind are measured.
MEASURED_VESSELS = 6

# The zone, as distances from the disc's centre in its radii: 0.5 to 1 diameters from the rim.
ZONE = (2.0, 3.0)

# An AVR beyond these is a mistake. Of healthy eyes it is about 0.65.
PLAUSIBLE_AVR = (0.35, 1.2)

# Radii of the disc: a shorter piece of a centre line is no vessel that crosses the zone.
SHORTEST_PIECE = 0.4


@dataclass(frozen=True)
class CentralVessels:
    """The equivalents of one photograph, in px of it."""

    crae: float
    crve: float
    disc: Disc

    @property
    def avr(self) -> float:
        """The ratio of the artery's width to the vein's."""
        return self.crae / self.crve


def reads_central_vessels(result: Segmentation) -> bool:
    """Return whether the result is of one photograph whose arteries and veins are known."""
    return {"artery", "vein"} <= set(result.card.classes) and result.image.is_single


def summary_of_central_vessels(result: Segmentation) -> dict[str, tuple[float, str]]:
    """Return CRAE, CRVE and AVR, each with its unit; nothing if they cannot be measured."""
    if not reads_central_vessels(result):
        return {}
    measured = central_vessels(result)
    if isinstance(measured, str):
        return {}

    pixel = pixel_size(result.image, 2) or PixelSize(1.0, unit="px", per_mm=1)
    step = pixel.size**0.5 * pixel.per_mm
    return {
        "CRAE": (measured.crae * step, pixel.unit),
        "CRVE": (measured.crve * step, pixel.unit),
        "AVR": (measured.avr, ""),
    }


def notes_on_central_vessels(result: Segmentation) -> tuple[str, ...]:
    """Return a note on why CRAE, CRVE and AVR are missing; none if they are not."""
    if not reads_central_vessels(result):
        return ()
    measured = central_vessels(result)
    return (measured,) if isinstance(measured, str) else ()


def central_vessels(result: Segmentation) -> CentralVessels | str:
    """Return the equivalents of a photograph, or why they cannot be measured."""
    disc = find_disc(result.image.pixels, result.view.field_of_view(0), result.labels > 0)
    if disc is None:
        return "the optic disc was not found, so that CRAE, CRVE and AVR are not measured"

    widths = {}
    for name in ("artery", "vein"):
        mask = result.labels == 1 + result.card.classes.index(name)
        widths[name] = widths_in_zone(mask, disc)
        if len(widths[name]) < MEASURED_VESSELS:
            return (
                f"around the optic disc there are {len(widths[name])} vessels of the kind {name!r},"
                f" and CRAE, CRVE and AVR need {MEASURED_VESSELS}: they are not measured"
            )

    measured = CentralVessels(
        crae=equivalent(widths["artery"], ARTERY_COEFFICIENT),
        crve=equivalent(widths["vein"], VEIN_COEFFICIENT),
        disc=disc,
    )
    least, most = PLAUSIBLE_AVR
    if not least <= measured.avr <= most:
        return (
            f"an AVR of {measured.avr:.2f} cannot be: vessels around the disc are taken for the"
            " other kind, or it is not the disc. CRAE, CRVE and AVR are not given"
        )
    return measured


def widths_in_zone(mask: np.ndarray, disc: Disc) -> list[float]:
    """Return the widths in px of the vessels of an (H, W) mask that cross the zone.

    The width of a vessel is its area in the zone divided by the length of its centre line there.
    """
    box = box_around(mask.shape, disc)
    mask = mask[box]
    rows, columns = np.ogrid[box]
    distance = np.hypot(rows - disc.row, columns - disc.column)
    in_zone = (distance >= ZONE[0] * disc.radius) & (distance <= ZONE[1] * disc.radius)

    line = skeletonize(mask) & in_zone
    if not line.any():
        return []
    pieces = label(line & (neighbour_count(line) <= 2), connectivity=2)
    nearest = distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    areas = np.bincount(pieces[tuple(nearest)][mask & in_zone], minlength=pieces.max() + 1)

    widths = []
    for piece in regionprops(pieces):
        # From the middle of the first px to that of the last one, and half a px at either end.
        length = line_length(piece.image) + 1
        if length >= SHORTEST_PIECE * disc.radius:
            widths.append(float(areas[piece.label] / length))
    return widths


def box_around(shape: tuple[int, ...], disc: Disc) -> tuple[slice, ...]:
    """Return the rows and columns of an (H, W) picture that hold the zone."""
    reach = int(np.ceil(ZONE[1] * disc.radius)) + 1
    centre = (round(disc.row), round(disc.column))
    return tuple(
        slice(max(0, middle - reach), min(length, middle + reach + 1))
        for middle, length in zip(centre, shape, strict=True)
    )


def equivalent(widths: Sequence[float], coefficient: float) -> float:
    """Return the width of the vessel from which the six widest of ``widths`` branch off.

    ``coefficient`` is ``ARTERY_COEFFICIENT`` or ``VEIN_COEFFICIENT``. Of an odd number of widths,
    the middle one is carried over to the next round.
    """
    remaining = sorted(widths, reverse=True)[:MEASURED_VESSELS]
    while len(remaining) > 1:
        pairs = len(remaining) // 2
        joined = [
            coefficient * float(np.hypot(remaining[i], remaining[-1 - i])) for i in range(pairs)
        ]
        middle = remaining[pairs : len(remaining) - pairs]
        remaining = sorted([*joined, *middle], reverse=True)
    return remaining[0]
