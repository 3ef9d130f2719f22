"""Recognises images that were given in another form by mistake.

They are inverted, red and blue are exchanged, they are in false colours, or two in one picture.

Each is a line of ``MISTAKES``: to which cards it applies, how it is recognised, and the way out.
The limits were chosen on training and validation images, as they are and changed by mistake.
Inverted and turned X-rays, and angiograms, are groups of ``likeness``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..doubt import Doubt
from ..networks.cards import ModelCard
from ..preprocessing.intensities import is_bright_field, white_of
from ..preprocessing.resample import READABLE
from .false_colours import colour_map_of
from .image_statistics import Overviews, as_floats, describe, viewpoint_of
from .likeness import Group, known_groups
from .stains import signs_of_stains
from .view import View

# Distance of the image from the card's images / distance of its inverse, from which it counts as
# inverted: at most 1.09 in 217 images of nuclei; above it in 95 % of the inverted ones of
# fluorescence, whose median is 2.2.
TIMES_NEARER = 1.2

# (99.9th percentile - median) / range of greys above which something is lighter than the ground, as
# the halos in bright field: at most 0.115 in 72 inverted images of fluorescence.
LIGHTER_THAN_GROUND = 0.15

# Skewness of fine structure (differences of Gaussians of 1 and 4 px) above which membranes are
# bright, and log(strength of dark lines / of bright lines) below which they are. In 32 electron
# micrographs they are -0.33 to -0.19 and 0.15 to 0.25, and the opposite in their inverses.
BRIGHT_SKEWNESS = 0.1
BRIGHT_LINES = -0.08
FINE_SIGMAS = (1.0, 4.0)
MEASURED_SIDE = 1024  # px
LINE_WINDOW = np.ones((9, 9), np.uint8)
LINE_SIGMA = 1.5

# px: longer side of the image in which colours are measured.
COLOUR_SIDE = 512

# A pixel of an eye is lit above this share of the 99th percentile of brightness.
LIT = 0.2

# (Red - blue) / (red + green + blue) of a fundus photograph with red and blue exchanged is below
# this; in 63 photographs it is 0.23 or more.
EXCHANGED_EYE = -0.1

# Two films in one image: longer / shorter side is at least this, each half is within this share of
# the distance of the whole, and in distribution (1 limit).
LENGTH_OF_TWO = 1.5
NEARER_HALF = 0.8


# What is said of an electron micrograph that is inverted.
BRIGHT_MEMBRANES = (
    "looks inverted: its membranes are bright, but the network learnt dark ones. "
    "Give pixels.max() - pixels."
)


@dataclass(frozen=True)
class Mistake:
    """A form in which images are given by mistake."""

    # Whether a view of an image, for a card, is in that form.
    is_made: Callable[[View, ModelCard], bool]

    # What the image looks like, and the way out.
    words: str

    # Whether false colours look like it, too.
    is_of_colours: bool = False


def check_mistakes(view: View, card: ModelCard) -> list[str]:
    """Warn if the image is in another form than the card's images, and name the way out."""
    if not view.shows_something:
        return []
    made = [mistake for mistake in MISTAKES if mistake.is_made(view, card)]
    if any(mistake.is_made is is_in_false_colours for mistake in made):
        made = [mistake for mistake in made if not mistake.is_of_colours]
    return [Doubt(mistake.words) for mistake in made]


def is_grey(view: View) -> bool:
    """Return whether the image has no colours."""
    if view.image.channels == 1:
        return True
    middle = middle_slice(view)
    step = max(1, max(middle.shape) // COLOUR_SIDE)
    sample = middle[::step, ::step]
    return bool((sample == sample[..., :1]).all())


def middle_of(pixels: np.ndarray) -> np.ndarray:
    """Return the middle of (H, W[, C]), at most ``MEASURED_SIDE`` px high and wide."""
    height, width = pixels.shape[:2]
    top = max(0, (height - MEASURED_SIDE) // 2)
    left = max(0, (width - MEASURED_SIDE) // 2)
    return pixels[top : top + MEASURED_SIDE, left : left + MEASURED_SIDE]


def middle_slice(view: View) -> np.ndarray:
    """Return the middle slice (H, W) or (H, W, C) of the stack."""
    pixels = view.stack.pixels
    return np.asarray(pixels[len(pixels) // 2])


def is_inverted_fluorescence(view: View, card: ModelCard) -> bool:
    """Return whether the inverse of grey nuclei on a light ground is far more usual."""
    group = known_groups().get(card.name)
    if card.preprocessing.channels != "stain" or not isinstance(group, Group) or not is_grey(view):
        return False

    viewpoint = viewpoint_of(card)
    features = []
    for overview, pixels in zip(view.overviews[viewpoint], view.overviews.slices, strict=True):
        brightest = overview.max()
        low, ground, high = np.percentile(overview, [0.1, 50, 99.9])
        is_dark = np.median(overview) < (brightest + overview.min()) / 2
        if is_dark or high - ground > LIGHTER_THAN_GROUND * (high - low):
            return False
        inverse = brightest - overview
        features.append(describe(inverse, viewpoint, longer_side=max(pixels.shape[:2])))
    distance = float(np.median(group.distance(np.array(features)))) / group.limit
    return view.likeness.distances[card.name] > TIMES_NEARER * distance


def has_bright_membranes(view: View, card: ModelCard) -> bool:
    """Return whether the fine lines of an electron micrograph are bright."""
    if card.name != "em_membranes" or not is_grey(view):
        return False

    # Much of a slice, because myelin or an organelle fills a small window.
    pixels = middle_of(middle_slice(view))
    grey = as_floats(pixels[..., 0] if pixels.ndim == 3 else pixels)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in FINE_SIGMAS)
    detail = fine - coarse
    deviation = detail.std()
    if deviation == 0:
        return False
    skewness = float(((detail - detail.mean()) ** 3).mean() / deviation**3)

    smooth = cv2.GaussianBlur(grey, (0, 0), LINE_SIGMA)
    dark = cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, LINE_WINDOW).mean()
    bright = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, LINE_WINDOW).mean()
    lines = float(np.log(max(dark, 1e-12) / max(bright, 1e-12)))
    return skewness > BRIGHT_SKEWNESS and lines < BRIGHT_LINES


def small_colours(view: View) -> np.ndarray | None:
    """Return the colours (h, w, 3) of the middle slice, made smaller, from 0 to 1; None if grey."""
    if view.image.channels != 3 or is_grey(view):
        return None
    pixels = middle_slice(view)
    shrink = min(1.0, COLOUR_SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
    if pixels.dtype.name not in READABLE:
        pixels = pixels.astype(np.float32)
    colours = cv2.resize(np.nan_to_num(pixels), size, interpolation=cv2.INTER_AREA)
    return colours.astype(np.float32) / np.float32(white_of(pixels))


def are_stains_exchanged(view: View, card: ModelCard) -> bool:
    """Return whether the nuclei of H&E are redder than the tissue around them."""
    reads_stains = card.preprocessing.channels in ("stain", "rgb") and card.measures == "objects"
    if not reads_stains or not is_bright_field(view.stack.pixels[..., :3]):
        return False
    colours = small_colours(view)
    if colours is None:
        return False
    signs = signs_of_stains(colours)
    return signs is not None and signs.are_exchanged


def is_eye_exchanged(view: View, card: ModelCard) -> bool:
    """Return whether a fundus photograph is bluer than red."""
    if card.preprocessing.scale != "field of view":
        return False
    colours = small_colours(view)
    if colours is None:
        return False
    pixels = colours.reshape(-1, 3)
    light = pixels.sum(axis=1)
    lit = pixels[light > LIT * np.percentile(light, 99)]
    if not len(lit):
        return False
    red, _, blue = lit.mean(axis=0)
    return bool((red - blue) / lit.mean(axis=0).sum() < EXCHANGED_EYE)


def is_in_false_colours(view: View, card: ModelCard) -> bool:
    """Return whether the colours are those of a colour map."""
    reads_brightness = card.preprocessing.channels in ("stain", "grey", "flair")
    if view.image.channels != 3 or not reads_brightness:
        return False
    return colour_map_of(middle_slice(view)) is not None


def shows_two_films(view: View, card: ModelCard) -> bool:
    """Return whether each half of a long image is far more like the card's images than all."""
    group = known_groups().get(card.name)
    viewpoint = viewpoint_of(card)
    pixels = middle_slice(view)
    shorter, longer = sorted(pixels.shape[:2])
    if not isinstance(group, Group) or viewpoint.scale != "square" or not viewpoint.clips_markers:
        return False
    if longer < LENGTH_OF_TWO * shorter:
        return False

    # Halves of the same size: of an odd number of rows or columns, the middle one is in none.
    half = longer // 2
    halves = [pixels[:half], pixels[-half:]]
    if pixels.shape[1] == longer:
        halves = [pixels[:, :half], pixels[:, -half:]]
    distances = group.distance(Overviews(halves).features(viewpoint)) / group.limit
    whole = view.likeness.distances[card.name]
    return bool(max(distances) < min(1.0, NEARER_HALF * whole))


# All mistakes, in the order of the warnings.
MISTAKES = (
    Mistake(
        is_inverted_fluorescence,
        "looks inverted: the same image with dark and light exchanged is far more usual. "
        "Give pixels.max() - pixels.",
    ),
    Mistake(
        has_bright_membranes,
        BRIGHT_MEMBRANES,
    ),
    Mistake(
        are_stains_exchanged,
        "red and blue look exchanged, as in arrays of OpenCV (BGR): its nuclei are redder than the "
        "tissue around them. Give pixels[..., ::-1].",
        is_of_colours=True,
    ),
    Mistake(
        is_eye_exchanged,
        "red and blue look exchanged, as in arrays of OpenCV (BGR): the eye is blue. "
        "Give pixels[..., ::-1].",
        is_of_colours=True,
    ),
    Mistake(
        is_in_false_colours,
        "a picture in false colours, which are those of a colour map and not of the specimen. "
        "Give the original, grey image.",
    ),
    Mistake(
        shows_two_films,
        "looks like two films, side by side or one above the other. Give each half by itself.",
    ),
)
