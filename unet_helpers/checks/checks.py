"""The input check: how well an image suits the network that is to read it.

A check is a function of a ``View`` and a card that returns warnings, one sentence each; a new one
is such a function and a line in the table ``CHECKS``.
"""

import re
from collections.abc import Callable

import cv2
import numpy as np

from ..images.image import MedicalImage
from ..images.pixel_checks import check_pixels, sides
from ..networks.cards import MODELS, ModelCard
from ..preprocessing.buda2019 import check_volume
from ..preprocessing.field_of_view import field_of_view
from ..preprocessing.intensities import is_bright_field, select_channels
from .image_statistics import viewpoint_of
from .likeness import known_groups
from .view import View

Check = Callable[[View, ModelCard], list[str]]

# Words by which file names and series descriptions call the sequences of MRI.
SEQUENCES = {
    "flair": {"flair"},
    "t1": {"t1", "t1w", "t1c", "t1ce", "t1gd", "mprage", "spgr", "bravo"},
    "t2": {"t2", "t2w"},
    "proton density": {"pd", "pdw"},
    "diffusion": {"dwi", "adc", "dti"},
    "susceptibility": {"swi", "t2star"},
}

# Values in which colours are looked for, evenly spread: enough, and fast.
COLOUR_VALUES = 4_000_000

# px: side of the square in which lines are told from their surroundings, wider than a vessel.
LINE_WINDOW = 7

# Strength of dark lines over that of bright ones below which vessels count as bright: above 0.95 in
# 60 photographs, up to 0.87 in 57 as angiograms.
DARK_OVER_BRIGHT = 0.92

# A network works at so many times the size of an image that shows too little detail for it.
TOO_SMALL = 4

# Voxels: the side of a volume that is too wide for a network that knows small crops.
WIDEST_CROP = 128

# The lowest out-of-distribution score that a warning gives, also where it is hardly above 1.
LOWEST_SCORE_SHOWN = 1.1


def run_checks(view: View, card: ModelCard) -> list[str]:
    """Run all checks on an image and the network that is to read it, before the network runs."""
    warnings: list[str] = []
    for check in CHECKS:
        warnings += check(view, card)
    return warnings


def check_values(view: View, card: ModelCard) -> list[str]:
    """Warn about pixels that show little or nothing."""
    return check_pixels(view.image.pixels, view.image.spatial_shape)


def check_named(view: View, card: ModelCard) -> list[str]:
    """Warn about what the file itself says that it shows."""
    image = view.image
    if image.modality and card.dicom and image.modality not in card.dicom:
        return [
            f"its DICOM modality is {image.modality}, but {card.name} reads {card.modality} "
            f"({card.dicom[0]})."
        ]

    sequences = sequences_named(image)
    if card.sequence and sequences and card.sequence not in sequences:
        named = " and ".join(sequences).upper()
        return [f"called {named}, but {card.name} reads {card.modality}: the answer means little."]
    return []


def sequences_named(image: MedicalImage) -> list[str]:
    """Name the MRI sequences that the file's name and DICOM's description speak of.

    FLAIR is weighted like T2, or T1, and often called so, too; it is FLAIR all the same.
    """
    file_name = image.path.name if image.path else ""
    text = f"{image.description} {file_name}".lower()
    if "flair" in text:
        return ["flair"]

    words_of_text = set(re.split("[^a-z0-9]+", text))
    return [name for name, words in SEQUENCES.items() if words & words_of_text]


def check_channels(view: View, card: ModelCard) -> list[str]:
    """Warn about channels that the card's network was not trained on."""
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
            f"no colours on a light ground, but {card.name} reads {card.modality}: "
            "the answer means little."
        ]

    if channels in ("grey", "flair") and has_colours(image):
        used = "its brightness"
        if channels == "flair":
            used = "the second of its three channels (the FLAIR of TCGA files)"
        return [f"a colour image, but {card.name} reads grey ones: {used} is used."]
    return []


def has_light_ground(view: View) -> bool:
    """Tell whether the image has colours on a light ground, as stained tissue."""
    return view.image.channels >= 3 and is_bright_field(view.stack.pixels)


def has_colours(image: MedicalImage) -> bool:
    """Tell whether some pixels of an image with three channels are not grey."""
    if image.channels != 3:
        return False
    step = max(1, image.pixels.size // COLOUR_VALUES)
    sample = image.pixels.reshape(-1, 3)[::step]
    return bool((sample != sample[:, :1]).any())


def check_vessels(view: View, card: ModelCard) -> list[str]:
    """Warn about bright vessels, as in an angiogram, for a network that knows dark ones."""
    if card.measures != "tree" or not view.shows_something:
        return []

    overview = view.overviews[viewpoint_of(card)][0]
    green = select_channels(overview, "green", overview.ndim == 3)
    window = np.ones((LINE_WINDOW, LINE_WINDOW))
    field = field_of_view(green).astype(np.uint8)
    inside = cv2.erode(field, window, borderValue=0) > 0
    if not inside.any():
        return []

    dark = np.percentile(cv2.morphologyEx(green, cv2.MORPH_BLACKHAT, window)[inside], 95)
    bright = np.percentile(cv2.morphologyEx(green, cv2.MORPH_TOPHAT, window)[inside], 95)
    if dark < DARK_OVER_BRIGHT * bright:
        return [
            f"its lines are bright, as in an angiogram, but {card.name} knows dark vessels: "
            "try pixels.max() - pixels."
        ]
    return []


def check_gaps(view: View, card: ModelCard) -> list[str]:
    """Warn about empty slices inside a volume, as where files of a series are missing."""
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
    """Tell whether the network sees boxes of the image, which are looked at later, one by one."""
    return card.localise is not None and card.localise.wanted(view.frames[0])


def check_scale(view: View, card: ModelCard) -> list[str]:
    """Warn about an image far smaller or larger than the card's working scale."""
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
    knows_crops = preprocessing.scale == "native" and len(preprocessing.axes) > 1
    if knows_crops and side > WIDEST_CROP:
        return [
            f"{side} voxels wide; the network knows small crops around the structure. "
            "Cut one out first."
        ]
    return []


def check_distribution(view: View, card: ModelCard) -> list[str]:
    """Warn about an image unlike those that the card's network learnt from."""
    if is_localised(view, card):
        return []

    # Where the file names the sequence, scanners differ more than what is known of them.
    is_named = card.sequence and card.sequence in sequences_named(view.image)
    if is_named or not view.shows_something:
        return []

    warning = distribution_warning(view, card)
    if warning is None:
        return []
    return [warning]


def distribution_warning(view: View, card: ModelCard) -> str | None:
    """Say where an image is unlike the card's training images, and what it looks like, if it is."""
    if card.name not in known_groups():
        return None

    likeness = view.likeness
    score = likeness.score(card.name)
    if score > 1:
        return (
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


def advice_on_kind(view: View, card: ModelCard) -> str:
    """Say what the image looks like instead, and what to try; '' where neither is known."""
    advice = ""
    nearest = view.likeness.nearest_kind(card)
    if nearest != card.name and view.likeness.distances[nearest] < 1:
        description = view.likeness.groups[nearest].description
        if description:
            advice = f" It looks like {description}."
        else:
            advice = f" It looks more like those of the model {nearest!r}."

    if card.in_channels == view.image.channels == 3:
        advice += " Of several dyes, take one: channel='blue'."
    return advice


def check_published(view: View, card: ModelCard) -> list[str]:
    """Warn about what the published method of a card does not do."""
    if card.preprocessing.method != "buda2019":
        return []
    return check_volume(view.image)


# Every check, in the order of its warnings.
CHECKS: tuple[Check, ...] = (
    check_values,
    check_named,
    check_channels,
    check_vessels,
    check_gaps,
    check_scale,
    check_distribution,
    check_published,
)
