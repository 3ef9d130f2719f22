"""How a network is to be asked: ``Settings``, checked before anything is computed."""

from dataclasses import dataclass
from inspect import signature
from typing import Any

from ..errors import ArgumentError
from ..images.read import read_image
from ..networks.cards import ModelCard
from .tiles import AUGMENTATIONS

# Numbers of augmentations that are groups: as it is, mirrored, with half and with quarter turns.
NUMBERS_OF_FLIPS = (1, 2, 4, len(AUGMENTATIONS))

# Working px per image px: no image is enlarged as much.
ZOOM_LIMIT = 100


@dataclass(frozen=True)
class Settings:
    """What may be set of a segmentation; the defaults are those of the card."""

    threshold: float  # foreground is where its probability reaches this
    flips: int  # answers averaged: 1, 2, 4 or 8
    zoom: float | None = None  # working px per image px; None: found from the image


def check_settings(
    card: ModelCard,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    **reading: Any,
) -> Settings:
    """Complete the settings from the card; ArgumentError for what makes no sense.

    ``reading``: options of ``read_image``, of which the names are checked.
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
    """Tell whether this is a sensible number of working px per image px."""
    return isinstance(zoom, int | float) and 0 < zoom < ZOOM_LIMIT


def check_reading_options(reading: dict[str, Any]) -> None:
    """Raise ArgumentError for an option that ``read_image`` does not have."""
    unknown = reading.keys() - signature(read_image).parameters.keys()
    if unknown:
        raise ArgumentError(f"There is no option {', '.join(sorted(unknown))}.")
