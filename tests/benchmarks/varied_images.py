"""Images as other cameras, stains, exposures and crops would give them, and as given by mistake.

``fit_ood.py`` learns from them what images of a card look like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from skimage.color import hed2rgb, rgb2hed

from unet_helpers.checks.likeness import middle_slices
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.stack import to_stack
from unet_helpers.networks.cards import ModelCard
from unet_helpers.preprocessing.intensities import is_bright_field
from unet_helpers.preprocessing.resample import resize

# Shares of the depth of a volume between which single slices are looked at, too.
ALMOST_ALL_OF_VOLUME = (0.1, 0.9)

# px: images whose size is fixed anyway are not enlarged beyond this.
LONGEST_SIDE = 512


@dataclass(frozen=True)
class Variation:
    """How the images of a card are varied and described; a new card has these defaults."""

    # Varied copies of each image.
    copies: int = 6
    # Normal distributions that the images are described by.
    clusters: int = 1
    # How many limits away an image may be that is far from all kinds of images.
    room: float = 2.4
    # Probability of a photograph of something else from which the network is not suggested; where
    # stains differ, they get room.
    likely_photograph: float = 0.8
    # Have the images no top?
    quarter_turns: bool = False
    # May tissue be dyed otherwise?
    other_dyes: bool = False
    # Do colours mean nothing?
    any_colours: bool = False


VARIATIONS = {
    "retinal_vessels": Variation(copies=20, clusters=2, room=1.7),
    "em_membranes": Variation(copies=40, quarter_turns=True),
    "dic_cells": Variation(copies=5, room=1.4, quarter_turns=True),
    "nuclei": Variation(
        copies=4,
        clusters=8,
        room=1.7,
        likely_photograph=0.87,
        quarter_turns=True,
        other_dyes=True,
        any_colours=True,
    ),
    "nuclei_he": Variation(
        copies=3, clusters=3, likely_photograph=0.87, quarter_turns=True, other_dyes=True
    ),
    "lungs": Variation(copies=3, clusters=2),
    "chest": Variation(copies=3, clusters=3),
    "brain_flair": Variation(copies=6, clusters=6),
    "hippocampus": Variation(copies=2),
}


def variation_of(card: str) -> Variation:
    """Tell how the images of a card are varied."""
    return VARIATIONS.get(card, Variation())


@dataclass(frozen=True)
class Mistake:
    """A way in which images of a card are given by mistake."""

    card: str
    # What the image is, and the way out.
    description: str
    change: Callable[[np.ndarray], np.ndarray]


def inverted(pixels: np.ndarray) -> np.ndarray:
    """Make dark what is bright."""
    return pixels.max() - pixels


def inverted_and_turned(pixels: np.ndarray) -> np.ndarray:
    """Make dark what is bright, a quarter turn to the left."""
    return inverted(np.rot90(pixels))


MISTAKES = {
    "lungs inverted": Mistake(
        "lungs", "an inverted chest X-ray: give pixels.max() - pixels", inverted
    ),
    "lungs turned left": Mistake(
        "lungs", "a chest X-ray lying on its side: give numpy.rot90(pixels, 3)", np.rot90
    ),
    "lungs turned right": Mistake(
        "lungs",
        "a chest X-ray lying on its side: give numpy.rot90(pixels)",
        partial(np.rot90, k=3),
    ),
    "lungs upside down": Mistake(
        "lungs",
        "a chest X-ray upside down: give numpy.rot90(pixels, 2)",
        partial(np.rot90, k=2),
    ),
    "lungs turned and inverted": Mistake(
        "lungs", "an inverted chest X-ray lying on its side", inverted_and_turned
    ),
    "vessels inverted": Mistake(
        "retinal_vessels",
        "an angiogram or an inverted photograph: give pixels.max() - pixels",
        inverted,
    ),
}


def copies_of(
    image: MedicalImage, card: ModelCard, rng: np.random.Generator
) -> Iterator[list[np.ndarray]]:
    """Yield the slices as they are, then varied, then each by itself from bottom to top."""
    stack = to_stack(image).pixels
    slices = middle_slices(stack)
    yield slices

    for _ in range(variation_of(card.name).copies):
        yield [vary(pixels, card, rng) for pixels in slices]

    if len(image.spatial_shape) == 3:
        for pixels in middle_slices(stack, *ALMOST_ALL_OF_VOLUME):
            yield [pixels]


def vary(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """Vary a slice as another camera, stain, exposure or crop would: all in distribution."""
    pixels = cut_and_zoom(pixels, card, rng)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if variation_of(card.name).quarter_turns:
        pixels = np.rot90(pixels, rng.integers(4))

    low, high = np.percentile(pixels, [0, 99.9])
    pixels = np.clip((pixels - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    gamma = np.exp(0.25 * rng.standard_normal())
    pixels = pixels ** np.float32(gamma)
    if pixels.ndim == 3:
        pixels = recolour(pixels, card, rng)

    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 + 0.8 * rng.random())
    if rng.random() < 0.3:
        strength = 0.03 * rng.random()
        pixels = pixels + strength * rng.standard_normal(pixels.shape)
    return np.ascontiguousarray(np.maximum(pixels, 0), np.float32)


def cut_and_zoom(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """Cut off up to a fifth of each side (or a third of a retina), and change the size.

    To half to double the size, less where it is fixed by the structure.
    """
    scale = card.preprocessing.scale
    height, width = pixels.shape[:2]

    cuts_retina = scale == "field of view" and rng.random() < 0.15
    least = 0.65 if cuts_retina else 0.8
    lengths = []
    for length in (height, width):
        share = 1.0
        if rng.random() < 0.5 or cuts_retina:
            share = rng.uniform(least, 1)
        lengths.append(max(1, int(length * share)))
    cut_height, cut_width = lengths

    row = int(rng.integers(height - cut_height + 1))
    column = int(rng.integers(width - cut_width + 1))
    is_crop_of_volume = card.preprocessing.reads_volumes
    spread = 0.15 if is_crop_of_volume else 0.5
    zoom = 2 ** np.clip(spread * rng.standard_normal(), -1, 1)
    if scale in ("square", "field of view"):
        zoom = min(zoom, LONGEST_SIDE / min(height, width))

    cut = pixels[row : row + cut_height, column : column + cut_width]
    shape = (max(1, round(cut_height * zoom)), max(1, round(cut_width * zoom)))
    return resize(np.ascontiguousarray(cut, np.float32), shape)


def recolour(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """Give (H, W, 3) in 0 to 1 another white balance, and other dyes or colours, or none."""
    variation = variation_of(card.name)
    if variation.other_dyes and is_bright_field(pixels) and rng.random() < 0.4:
        pixels = dye_otherwise(pixels, rng)

    pixels = pixels * np.exp(0.1 * rng.standard_normal(3)).astype(np.float32)
    if not variation.any_colours:
        return pixels

    if rng.random() < 0.3:
        mix = np.eye(3)[rng.permutation(3)]
    else:
        mix = np.eye(3) + 0.12 * rng.standard_normal((3, 3))
    pixels = np.maximum(pixels @ mix.astype(np.float32), 0)

    grey = pixels.mean(-1, keepdims=True)
    if rng.random() < 0.15:
        return grey[..., 0]
    saturation = np.float32(np.exp(0.4 * rng.standard_normal()))
    return grey + (pixels - grey) * saturation


def dye_otherwise(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dye tissue as in immunohistochemistry: less eosin, and DAB in places."""
    dyes = rgb2hed(np.clip(pixels, 0, 1))
    noise = rng.standard_normal(pixels.shape[:2]).astype(np.float32)
    places = cv2.GaussianBlur(noise, (0, 0), 8)
    dyes[..., 1] *= rng.random()
    dyes[..., 2] += 0.1 * rng.random() * np.clip(places / places.std(), 0, 2)
    return hed2rgb(dyes).astype(np.float32)
