"""Checks whether an image suits a network, before the network runs.

A check is a function that takes a ``View`` and a card and returns a list of warnings, one sentence
each. To add a check, write such a function and add it to the table ``CHECKS``.
"""

import re
from collections.abc import Callable

import cv2
import numpy as np

from ..doubt import Doubt, OtherKind, Unlikeness
from ..images.image import MedicalImage
from ..images.pixel_checks import check_pixels, sides
from ..networks.cards import MODELS, ModelCard
from ..preprocessing.buda2019 import check_volume
from ..preprocessing.field_of_view import field_of_view
from ..preprocessing.intensities import is_bright_field, select_channels
from .anatomy import check_body_part, check_component, check_sides, check_view
from .image_statistics import viewpoint_of
from .likeness import known_groups, with_statistics
from .mistaken import BRIGHT_MEMBRANES, check_mistakes, has_bright_membranes
from .photographs import check_photograph
from .thickness import check_thickness
from .view import View

Check = Callable[[View, ModelCard], list[str]]

# MRI sequences, and a regular expression for the words of each, whole ones in lower case, in file
# names and in DICOM descriptions. A plane may stand before a word, and more after T1 or T2: AxT2,
# 3DT1, T1POST. Siemens calls FLAIR 'dark fluid'.
PLANE = "(?:ax|sag|cor|tra|2d|3d)?"
SEQUENCES = {
    "flair": r"[a-z0-9]*flair[a-z0-9]*|dark[^a-z0-9]?fluid",
    "t1": rf"{PLANE}t1[a-z]*|mp2?rage|spgr|bravo",
    "t2": rf"{PLANE}t2(?!star|\*)[a-z]*",
    "proton density": r"pdw?|proton[^a-z0-9]density",
    "diffusion": r"dwi|adc|dti|diff(?:usion)?",
    "susceptibility": r"swi|swan|t2star|t2\*",
    "perfusion": r"perf(?:usion)?|pwi|asl",
    "angiography": r"tof|mra",
}

# Colours are searched for in about this many values, evenly spaced, because all would take long.
COLOUR_VALUES = 4_000_000

# px: side of the square that separates lines from their surroundings, wider than a vessel.
LINE_WINDOW = 7

# Vessels count as bright if (strength of dark lines) / (strength of bright lines) is below this.
# The ratio was above 0.95 in 60 photographs, and at most 0.87 in 57 made to look like angiograms.
DARK_OVER_BRIGHT = 0.92

# An image is too small if its longer side is below (working size of the network) / TOO_SMALL.
TOO_SMALL = 4

# Voxels, at the working spacing if the image's spacing is known: a network trained on small crops
# warns if a side is longer than this.
WIDEST_CROP = 128

# Warnings show at least this out-of-distribution score: 1.04 would be rounded to 1.0, the limit.
LOWEST_SCORE_SHOWN = 1.1


def run_checks(view: View, card: ModelCard) -> list[str]:
    """Return the warnings of all checks for an image and a network, before the network runs."""
    warnings: list[str] = []
    for check in CHECKS:
        warnings += check(view, card)
    return warnings


def check_values(view: View, card: ModelCard) -> list[str]:
    """Warn if the pixels show little or nothing: constant, clipped, tiny, or a mask."""
    pixels = view.cleaned.pixels
    if view.padding is not None:
        is_padding = (pixels != view.image.pixels) & np.isfinite(pixels)
        pixels = pixels[~is_padding]
    return check_pixels(pixels, view.image.spatial_shape)


def check_background(view: View, card: ModelCard) -> list[str]:
    """Warn if an image, or some frames of it, show nothing but background."""
    empty = view.empty_frames
    if not empty:
        return []
    if len(empty) == len(view.frames):
        # In a small inverted micrograph, bright membranes are as skewed as the noise of photons.
        if has_bright_membranes(view, card):
            return [Doubt(BRIGHT_MEMBRANES)]
        return [
            Doubt(
                "nothing but background: nothing stands out from its noise, so there is nothing to "
                "segment."
            )
        ]
    return [f"{len(empty)} of {len(view.frames)} frames show nothing but background."]


def check_named(view: View, card: ModelCard) -> list[str]:
    """Warn if the file's own modality or sequence is not the one that the card expects."""
    image = view.image
    if image.modality and card.dicom and image.modality not in card.dicom:
        return [
            Doubt(
                f"its DICOM modality is {image.modality}, but {card.name} reads {card.modality} "
                f"({card.dicom[0]})."
            )
        ]

    sequences = sequences_named(image)
    if card.sequence and sequences and card.sequence not in sequences:
        named = " and ".join(sequences).upper()
        words = f"called {named}, but {card.name} reads {card.modality}: the answer means little."
        return [Doubt(words)]
    return []


def sequences_named(image: MedicalImage) -> list[str]:
    """List the MRI sequences named in the file name and in the DICOM series description.

    Only "flair" is listed if it is named: FLAIR is often also called T2 or T1 for its weighting.
    """
    file_name = image.path.name if image.path else ""
    text = f"{image.description} {file_name}".lower()
    named = [
        name
        for name, pattern in SEQUENCES.items()
        if re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", text)
    ]
    return ["flair"] if "flair" in named else named


def check_channels(view: View, card: ModelCard) -> list[str]:
    """Warn if the image has other channels than the images that the network was trained on."""
    image = view.image
    channels = card.preprocessing.channels
    if channels == "green" and image.channels == 1:
        return [
            "a grey image, but the network reads the green channel of a colour photograph: "
            "used as it is."
        ]

    reads_stained_tissue = channels == "rgb" and card.instance_method == "interiors"
    if reads_stained_tissue and not has_light_ground(view):
        return [
            Doubt(
                f"no colours on a light ground, but {card.name} reads {card.modality}: "
                "the answer means little."
            )
        ]

    if channels in ("grey", "flair") and has_colours(image):
        used = "its brightness"
        if channels == "flair":
            used = "the second of its three channels (the FLAIR of TCGA files)"
        return [f"a colour image, but {card.name} reads grey ones: {used} is used."]
    return []


def has_light_ground(view: View) -> bool:
    """Return whether the image has colours on a light ground, like stained tissue."""
    return view.image.channels >= 3 and is_bright_field(view.stack.pixels)


def has_colours(image: MedicalImage) -> bool:
    """Return whether any sampled pixel of an image with three channels is not grey."""
    if image.channels != 3:
        return False
    step = max(1, image.pixels.size // COLOUR_VALUES)
    sample = image.pixels.reshape(-1, 3)[::step]
    return bool((sample != sample[:, :1]).any())


def check_vessels(view: View, card: ModelCard) -> list[str]:
    """Warn if vessels are bright, as in an angiogram: the network was trained on dark ones."""
    if card.measures != "tree" or not view.shows_something:
        return []

    overview = view.overviews[viewpoint_of(card)][0]
    green = select_channels(overview, "green", overview.ndim == 3)
    window = np.ones((LINE_WINDOW, LINE_WINDOW))
    field = field_of_view(green).astype(np.uint8)
    inside = cv2.erode(field, window, borderValue=0) > 0
    if not inside.any():
        return []

    # Lines narrower than the window: black hat finds dark ones, top hat finds bright ones.
    dark = np.percentile(cv2.morphologyEx(green, cv2.MORPH_BLACKHAT, window)[inside], 95)
    bright = np.percentile(cv2.morphologyEx(green, cv2.MORPH_TOPHAT, window)[inside], 95)
    if dark < DARK_OVER_BRIGHT * bright:
        return [
            Doubt(
                f"its lines are bright, as in an angiogram, but {card.name} knows dark vessels: "
                "try pixels.max() - pixels."
            )
        ]
    return []


def check_quality(view: View, card: ModelCard) -> list[str]:
    """Warn if a photograph of the eye is not sharp, clear and free of noise and blocks."""
    if card.preprocessing.scale != "field of view" or not view.shows_something:
        return []

    grade = view.quality.grade
    if grade.name == "poor":
        return [Doubt(f"{grade}: vessels are missed or invented.")]
    if grade.name == "usable":
        return [f"{grade}: thin vessels may be missed, and widths be changed."]
    return []


def check_gaps(view: View, card: ModelCard) -> list[str]:
    """Warn about constant slices between others, for example if files of a series are missing."""
    if not view.image.lies_in_space:
        return []

    volume = view.frames[0].pixels
    is_filled = [(pixels != pixels.flat[0]).any() for pixels in volume]
    filled = np.flatnonzero(is_filled)
    if not len(filled):
        return []

    gaps = np.ptp(filled) + 1 - len(filled)
    if not gaps:
        return []
    return [f"{gaps} empty slices between others: objects are cut there, and volumes too small."]


def is_localised(view: View, card: ModelCard) -> bool:
    """Return whether the network gets boxes cut from the image, which are checked later."""
    return card.localise is not None and card.localise.wanted(view.frames[0])


def check_scale(view: View, card: ModelCard) -> list[str]:
    """Warn if the image is far smaller or larger than the card's working size."""
    if is_localised(view, card):
        return []

    shape = view.image.spatial_shape
    spacing = view.image.spacing
    preprocessing = card.preprocessing

    side = max(sides(shape))
    has_fixed_size = preprocessing.scale in ("square", "field of view")
    if has_fixed_size and side < preprocessing.size / TOO_SMALL:
        return [
            f"only {side} px wide, while the network works at {preprocessing.size} px: "
            "enlarged, it shows no more detail."
        ]

    if preprocessing.spacing and spacing:
        lengths = np.array(shape[-len(spacing) :]) * spacing
        side = round(max(lengths) / preprocessing.spacing)
    # What a card localises in whole heads it learnt from crops.
    knows_crops = card.localise is not None
    if knows_crops and side > WIDEST_CROP:
        text = f"{side} voxels wide; the network knows small crops around the structure. "
        return [Doubt(f"{text}Cut one out first.")]
    return []


def check_distribution(view: View, card: ModelCard) -> list[str]:
    """Warn if the image is unlike the training images of the card's network."""
    if is_localised(view, card):
        return []

    # The name of the sequence is more reliable than the statistics: scanners differ more than the
    # training images do.
    is_named = card.sequence and card.sequence in sequences_named(view.image)
    if is_named or not view.shows_something:
        return []

    warning = distribution_warning(view, card)
    if warning is None:
        return []
    return [warning]


def distribution_warning(view: View, card: ModelCard) -> str | None:
    """Return the warning for an image that is unlike the card's training images, or None."""
    if with_statistics(card.name) not in known_groups():
        return None

    likeness = view.likeness
    score = likeness.score(card.name)
    if score > 1:
        kind = kind_of_unlikeness(view, card)
        return kind(
            "looks unlike the images that the network learnt from "
            f"({card.modality}), so the answer may be meaningless "
            f"(out-of-distribution score {max(score, LOWEST_SCORE_SHOWN):.1f}; up to 1 is usual)."
            f"{advice_on_kind(view, card)}"
        )

    better = likeness.better_card(card)
    if better is None:
        return None
    modality = MODELS[better].modality
    return f"more like the images of {better!r}, which finds the same in {modality}: try it."


def kind_of_unlikeness(view: View, card: ModelCard) -> type[Doubt]:
    """Return the class of the doubt about an image with unusual statistics."""
    if is_of_no_known_kind(view, card):
        return Unlikeness
    if card.preprocessing.scale == "objects":
        # What is unusual at the image's own scale may be usual at the network's.
        return OtherKind
    return Doubt


def is_of_no_known_kind(view: View, card: ModelCard) -> bool:
    """Return whether no group claims the image, but the photographs of other things perhaps.

    Then its statistics alone do not say whether it is of another kind, or from another laboratory.
    """
    likeness = view.likeness
    return all(likeness.distances[name] >= 1 for name in likeness.other_kinds(card.name))


def advice_on_kind(view: View, card: ModelCard) -> str:
    """Say what the image looks like instead, and what to try; '' if neither is known."""
    advice = ""
    nearest = view.likeness.nearest_kind(card)
    if nearest != with_statistics(card.name) and view.likeness.distances[nearest] < 1:
        description = view.likeness.groups[nearest].description
        if description:
            advice = f" It looks like {description}."
        else:
            advice = f" It looks more like those of the model {nearest!r}."

    if card.in_channels == view.image.channels == 3:
        advice += " Of several dyes, take one: channel='blue'."
    return advice


def check_published(view: View, card: ModelCard) -> list[str]:
    """Warn about the limits of the method ``buda2019``, for the card that uses it."""
    if card.preprocessing.method != "buda2019":
        return []
    return check_volume(view.image)


# All checks, in the order of the warnings.
CHECKS: tuple[Check, ...] = (
    check_values,
    check_background,
    check_named,
    check_body_part,
    check_view,
    check_component,
    check_sides,
    check_channels,
    check_mistakes,
    check_photograph,
    check_vessels,
    check_quality,
    check_gaps,
    check_thickness,
    check_scale,
    check_distribution,
    check_published,
)
