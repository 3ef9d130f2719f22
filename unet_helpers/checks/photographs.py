"""Recognises photographs of other things by their colours, for networks that read colours.

Dyes in a thin section absorb light: where there is more of them, it is both darker and more
strongly coloured. Dyes in fluorescence give light, each in its own channel, on a dark ground. In a
photograph all channels follow the light and the shadow, and black is as usual as white.

The limits were chosen on the images of ``python tests/benchmarks/photographs.py --data DIR``, of
which these count as photographs: 7 of 9 photographs, 19 of their 36 quarters, and 3 of 50 of the
skin; none of 976 images of nuclei and tissue, 2 of 356 of tissue with other dyes or another white
balance, and none of 432 coloured pictures made of fluorescence.
"""

import numpy as np

from ..doubt import Doubt
from ..networks.card import IN_COLOUR
from ..networks.cards import ModelCard
from ..preprocessing.intensities import LIGHT_BACKGROUND
from .image_statistics import correlation
from .mistaken import is_in_false_colours, small_colours
from .stains import TISSUE_DENSITY
from .view import View

# A pixel is coloured if its channels differ by more than this share of white; a picture, if so many
# of its pixels are.
LEAST_COLOUR = 0.1
LEAST_COLOURED = 0.02

# Stained tissue has at least one of three signs. Correlation of the density with the difference of
# the densities of the three channels: at least this, ...
LEAST_CORRELATION_OF_DYES = 0.8

# ... share of the tissue that absorbs green most, as haematoxylin and eosin do: at least this, ...
LEAST_SHARE_OF_GREEN = 0.6

# ... standard deviation of the densities, a mean over the channels: at most this.
LARGEST_SPREAD_OF_DENSITIES = 0.4

# Percentile of brightness from which pixels show the white of the light.
LIGHTEST = 95

# The ground of fluorescence is dark: the median of the brightest channel is at most this share of
# white, or fewer than a quarter of the pixels are lit in all channels, by the second share of the
# range of values. ...
DARK_GROUND = 0.2
LIT_IN_ALL = 0.2

# ... On a ground of medium brightness, such as phase contrast with fluorescence over it, the
# correlation of the brightest with the darkest channel is at most this.
LARGEST_CORRELATION_OF_LIGHT = 0.75


def check_photograph(view: View, card: ModelCard) -> list[str]:
    """Warn if a picture has the colours of a photograph, for a card of dyed nuclei."""
    reads_dyes = card.preprocessing.channels in IN_COLOUR and card.instance_method == "interiors"
    if not reads_dyes or not view.shows_something:
        return []
    colours = small_colours(view)
    if colours is None or not np.isfinite(colours).all():
        return []
    if not is_photograph(colours.reshape(-1, 3)):
        return []
    if is_in_false_colours(view, card):
        return []
    return [
        Doubt(
            f"its colours are those of a photograph of something else, neither of dyes on a light "
            f"ground nor of light on a dark one, but {card.name} reads {card.modality}: "
            "the answer means little."
        )
    ]


def is_photograph(colours: np.ndarray) -> bool:
    """Return whether pixels (N, 3), from 0 to 1, have the colours of a photograph."""
    brightest = colours.max(axis=1)
    darkest = colours.min(axis=1)
    is_coloured = brightest - darkest > LEAST_COLOUR
    if is_coloured.mean() < LEAST_COLOURED:
        return False

    ground = np.median(brightest)
    lowest = np.percentile(darkest, 1)
    highest = np.percentile(brightest, 99)
    lit = np.percentile(darkest, 75) - lowest
    is_lit = ground > DARK_GROUND and lit > LIT_IN_ALL * (highest - lowest)
    if not is_lit or has_colours_of_tissue(colours):
        return False

    is_light = ground > LIGHT_BACKGROUND
    return bool(is_light or correlation(brightest, darkest) > LARGEST_CORRELATION_OF_LIGHT)


def has_colours_of_tissue(colours: np.ndarray) -> bool:
    """Return whether pixels (N, 3), from 0 to 1, may be those of dyes on a light ground."""
    brightness = colours.mean(axis=1)
    is_light = brightness >= np.percentile(brightness, LIGHTEST)
    white = np.maximum(np.median(colours[is_light], axis=0), 1e-3)
    balanced = np.minimum(colours / white, 1)

    densities = -np.log((255 * balanced + 1) / 256)
    total = densities.sum(axis=1)
    tissue = densities[total > TISSUE_DENSITY]
    if not len(tissue):
        return True

    difference = densities.max(axis=1) - densities.min(axis=1)
    absorbs_green = tissue.argmax(axis=1) == 1
    return bool(
        correlation(total, difference) >= LEAST_CORRELATION_OF_DYES
        or absorbs_green.mean() >= LEAST_SHARE_OF_GREEN
        or tissue.std(axis=0).mean() <= LARGEST_SPREAD_OF_DENSITIES
    )
