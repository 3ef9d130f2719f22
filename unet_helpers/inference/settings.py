"""``Settings`` of a segmentation, checked before anything is computed."""

from dataclasses import dataclass
from inspect import signature
from typing import Any

from ..errors import ArgumentError
from ..images.read import read_image
from ..networks.cards import ModelCard
from .tiles import AUGMENTATIONS

# Allowed numbers of augmentations: the first 1, 2, 4 and 8 are groups of symmetries (unchanged,
# then with mirror images, half turns and quarter turns).
NUMBERS_OF_FLIPS = (1, 2, 4, len(AUGMENTATIONS))

# Working px per image px: larger zooms are refused as mistakes.
ZOOM_LIMIT = 100


@dataclass(frozen=True)
class Settings:
    """The settings of a segmentation; their defaults are those of the card."""

    threshold: float  # pixels of this probability of foreground, or more, are foreground
    flips: int  # number of augmentations averaged: 1, 2, 4 or 8
    zoom: float | None = None  # working px per image px; None: found from the image


def check_settings(
    card: ModelCard,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    **reading: Any,
) -> Settings:
    """Return the settings, completed from the card; ArgumentError if one makes no sense.

    ``reading`` are options of ``read_image``; only their names are checked.
    """
    check_reading_options(reading)
    if threshold is None:
        threshold = card.threshold
    if flips is None:
        flips = card.flips

    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ArgumentError(
            f"threshold={threshold!r} is no probability: give a number from 0 to 1."
        )
    if flips not in NUMBERS_OF_FLIPS:
        raise ArgumentError(
            f"flips={flips!r} is not among 1, 2, 4 and 8, the numbers of copies that are averaged."
        )
    if zoom is not None and not is_zoom(zoom):
        raise ArgumentError(
            f"zoom={zoom!r} is no scale: give working px per image px, for example 0.5 or 2."
        )
    return Settings(threshold, flips, zoom)


def is_zoom(zoom: object) -> bool:
    """Return whether this is a number between 0 and ZOOM_LIMIT, both excluded."""
    return isinstance(zoom, int | float) and 0 < zoom < ZOOM_LIMIT


def check_reading_options(reading: dict[str, Any]) -> None:
    """Raise ArgumentError for an option that ``read_image`` does not have."""
    unknown = reading.keys() - signature(read_image).parameters.keys()
    if unknown:
        raise ArgumentError(f"There is no option {', '.join(sorted(unknown))}.")
