"""``Settings`` of a segmentation, checked before anything is computed."""

from dataclasses import dataclass
from inspect import signature
from typing import Any

from ..errors import ArgumentError
from ..images.lengths import length_of
from ..images.read import read_image
from ..networks.cards import ModelCard
from ..number_types import is_number, is_whole_number
from .tiles import AUGMENTATIONS

# Allowed numbers of augmentations: the first 1, 2, 4 and 8 are groups of symmetries (unchanged,
# then with mirror images, half turns and quarter turns).
NUMBERS_OF_FLIPS = (1, 2, 4, len(AUGMENTATIONS))

# Working px per image px: larger zooms are refused as mistakes.
ZOOM_LIMIT = 100

# px of the image: larger diameters of objects are refused as mistakes.
DIAMETER_LIMIT = 100_000


@dataclass(frozen=True)
class Settings:
    """The settings of a segmentation; their defaults are those of the card."""

    threshold: float  # pixels of this probability of foreground, or more, are foreground
    flips: int  # number of augmentations averaged: 1, 2, 4 or 8
    zoom: float | None = None  # working px per image px; None: found from the image

    # Typical width of an object, which sets the zoom: px of the image, or a length such as '8 µm'.
    diameter: float | str | None = None


def check_settings(
    card: ModelCard,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    diameter: float | str | None = None,
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

    if not is_number(threshold) or not 0 <= threshold <= 1:
        raise ArgumentError(
            f"threshold={threshold!r} is no probability: give a number from 0 to 1."
        )
    if not is_whole_number(flips) or flips not in NUMBERS_OF_FLIPS:
        raise ArgumentError(
            f"flips={flips!r} is not among 1, 2, 4 and 8, the numbers of copies that are averaged."
        )
    if flips > 1 and card.has_sided_classes:
        raise ArgumentError(
            f"flips={flips}: {card.name} tells the left side from the right one, which a mirrored "
            "copy would swap. Give flips=1."
        )
    if zoom is not None and not is_zoom(zoom):
        raise ArgumentError(
            f"zoom={zoom!r} is no scale: give working px per image px, for example 0.5 or 2."
        )
    if diameter is not None:
        check_diameter(card, diameter, zoom)
    return Settings(threshold, flips, zoom, diameter)


def check_diameter(card: ModelCard, diameter: object, zoom: float | None) -> None:
    """Raise ArgumentError for a diameter that is none, or that the card cannot use."""
    is_length = isinstance(diameter, str) and length_of(diameter) is not None
    if not is_length and not is_zoom(diameter, DIAMETER_LIMIT):
        raise ArgumentError(
            f"diameter={diameter!r} is no width: give px of the image, for example 30, or a length"
            " with its unit, for example '8 µm'."
        )
    if zoom is not None:
        raise ArgumentError("zoom and diameter both set the scale: give one of them.")
    if not card.object_diameter:
        raise ArgumentError(
            f"diameter={diameter!r}: {card.name} has no objects of a typical width. Give zoom."
        )


def is_zoom(zoom: object, limit: float = ZOOM_LIMIT) -> bool:
    """Return whether this is a number between 0 and a limit, both excluded."""
    return is_number(zoom) and 0 < zoom < limit


def check_reading_options(reading: dict[str, Any]) -> None:
    """Raise ArgumentError for an option that ``read_image`` does not have."""
    unknown = reading.keys() - signature(read_image).parameters.keys()
    if unknown:
        raise ArgumentError(f"There is no option {', '.join(sorted(unknown))}.")
