"""Checks of what a file says about the body: its part, the direction of view, and its sides."""

from __future__ import annotations

import re
import unicodedata

from ..doubt import Doubt
from ..images.dicom_choice import BEFORE_KIND, component_in
from ..images.image import MedicalImage
from ..networks.cards import ModelCard
from .view import View

# Parts of the body, and how words for them begin or end in BodyPartExamined and in descriptions:
# the terms of DICOM (PS3.16, annex L), and those of other languages that differ from them.
BODY_PARTS = {
    "head": (
        *("head", "brain", "skull", "crani", "cereb", "neuro", "enceph", "encef", "hippocamp"),
        *("kopf", "schadel", "hirn", "tete", "cabeza", "cabeca", "testa", "cervello", "sella"),
        *("crane", "cerveau", "sinus"),
    ),
    "chest": (
        *("chest", "thora", "torac", "torax", "thx", "lung", "pulm", "poumon", "mediast"),
        *("ribs", "heart", "brustkorb", "lunge", "rippen", "costal", "polmon"),
    ),
    "spine": (
        *("spine", "spinal", "vertebr", "lumbar", "sacrum", "coccyx", "wirbel", "columna"),
        *("rachis", "lombaire", "colonna", "coluna", "hws", "bws", "lws"),
    ),
    "neck": ("neck", "larynx", "thyroid", "carotid", "hals"),
    "breast": ("breast", "mamm"),
    "abdomen": (
        *("abdom", "liver", "hepat", "kidney", "renal", "pancrea", "spleen", "stomach", "colon"),
        *("bowel", "adrenal", "gallbladder", "bauch", "leber", "niere", "addome", "kub"),
    ),
    "pelvis": (
        *("pelvi", "hip", "prostat", "uterus", "bladder", "becken", "hufte"),
        *("bassin", "bacino", "hanche", "cadera"),
    ),
    "shoulder": (
        *("shoulder", "clavic", "scapula", "sternum", "schulter", "epaule", "hombro"),
        *("spalla", "ombro"),
    ),
    "arm": (
        *("arm", "forearm", "elbow", "humerus", "radius", "ulna", "ellbogen", "coude", "codo"),
        *("oberarm", "unterarm", "gomito", "cotovelo"),
    ),
    "hand": (
        *("hand", "wrist", "finger", "thumb", "poignet", "mano", "metacarp", "scaphoid"),
        *("muneca", "polso", "punho"),
    ),
    "leg": (
        *("leg", "femur", "thigh", "tibia", "fibula", "calf", "extremity", "jambe", "pierna"),
        *("limb", "schenkel", "cuisse", "gamba", "perna"),
    ),
    "knee": ("knee", "patella", "knie", "genou", "rodilla", "joelho", "ginocchio"),
    "foot": (
        *("foot", "feet", "ankle", "toe", "heel", "calcan", "fuss", "pied", "cheville"),
        *("sprunggelenk", "metatars", "tobillo", "caviglia", "tornozelo"),
    ),
    "jaw": ("jaw", "mandib", "maxill", "tooth", "teeth", "dental"),
    "eye": ("eye", "retina", "fundus", "ocul", "orbit", "auge"),
}

# Letters: words shorter than this are not taken as beginnings of others (arm, army).
SHORTEST_BEGINNING = 4

# Words for the direction of an X-ray image: in ViewPosition (PS3.3, C.8.1.1.1), or in general.
VIEW_WORDS = {
    "lateral": {
        *("lateral", "lat", "llat", "rlat", "ll", "rl"),
        *("seitlich", "seitl", "profil", "profile", "laterale", "lateralis", "perfil", "profilo"),
    },
    "oblique": {"oblique", "obl", "lao", "rao", "lpo", "rpo", "llo", "rlo"},
    "frontal": {
        *("pa", "ap", "frontal", "face"),
        *("postero", "posteroanterior", "antero", "anteroposterior"),
    },
}

# Words of ViewPosition that have other meanings in a description.
AMBIGUOUS_IN_DESCRIPTIONS = {"ll", "rl", "obl", "lao", "rao", "lpo", "rpo", "llo", "rlo"}

# With this word the patient lies on the side, but the view is often frontal.
LYING = "decubitus"

# Parts of a complex MR image that look unlike the magnitude, which networks are trained on.
NOT_LIKE_MAGNITUDE = ("phase", "imaginary")


def check_body_part(view: View, card: ModelCard) -> list[str]:
    """Warn if the file names a part of the body that the card does not read."""
    named, source = named_body_parts(view.image)

    # The thoracic spine is no chest.
    is_spine = "spine" in named and "spine" not in card.body_parts
    fits = bool(named & set(card.body_parts)) and not is_spine
    if not card.body_parts or not named or fits:
        return []
    return [Doubt(f"{source}, but {card.name} reads {card.modality}: the answer means little.")]


def named_body_parts(image: MedicalImage) -> tuple[set[str], str]:
    """Return the parts of the body that a file names, and its words for them; empty if none.

    The first of its texts that names a known part counts: the part itself, then the series, then
    the study, which may show several parts.
    """
    sources = [(image.body_part, f"its body part is {image.body_part}")]
    if image.modality:
        sources += [
            (image.description, f"described as {image.description!r}"),
            (image.study, f"of the study {image.study!r}"),
        ]
    for text, source in sources:
        named = body_parts_in(text)
        if named:
            return named, source
    return set(), ""


def body_parts_in(text: str) -> set[str]:
    """Return the parts of the body that a text names, in any spelling that is known here."""
    words = words_in(text)
    return {
        part
        for part, names in BODY_PARTS.items()
        if any(is_form_of(word, name) for word in words for name in names)
    }


def words_in(text: str) -> list[str]:
    """Split a text into words of lower-case letters without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return [word for word in re.split("[^a-z]+", plain) if word]


def is_form_of(word: str, name: str) -> bool:
    """Return whether a word is a name, or begins or ends with one that is not too short."""
    if word in (name, f"{name}s"):
        return True
    is_long = len(name) >= SHORTEST_BEGINNING
    return is_long and (word.startswith(name) or word.endswith(name))


def check_view(view: View, card: ModelCard) -> list[str]:
    """Warn if an X-ray image was taken from a direction that the card does not read."""
    if not card.views:
        return []
    direction = direction_of(view.image)
    if not direction or direction in card.views:
        return []
    image = view.image
    is_in_view = directions_in(set(words_in(image.view)))
    named = image.view if is_in_view else image.description
    return [
        Doubt(
            f"a view from another direction ({named}), but {card.name} reads {card.modality}: "
            "the answer means little."
        )
    ]


def direction_of(image: MedicalImage) -> str:
    """Return 'frontal', 'lateral' or 'oblique', as the file says; '' if it says none or several."""
    words = set(words_in(image.view))
    if LYING in words:
        return ""

    named = directions_in(words)
    if named:
        # 'Left lateral oblique' and 'antero-posterior oblique' are oblique.
        return "oblique" if "oblique" in named else named[0]
    if not image.modality:
        return ""

    words = set(words_in(image.description)) - AMBIGUOUS_IN_DESCRIPTIONS
    if LYING in words:
        return ""

    # A description may name the views of all images of an examination.
    described = directions_in(words)
    return described[0] if len(described) == 1 else ""


def directions_in(words: set[str]) -> list[str]:
    """List the directions that some words name."""
    return [direction for direction, names in VIEW_WORDS.items() if words & names]


def check_component(view: View, card: ModelCard) -> list[str]:
    """Warn if an MR image is that of the phase, not of the magnitude."""
    image = view.image
    if image.modality != "MR" or "MR" not in card.dicom:
        return []
    component = component_in(image.image_type.split("/")[BEFORE_KIND:])
    if component not in NOT_LIKE_MAGNITUDE:
        return []
    return [
        Doubt(
            f"an image of the {component} (ImageType {image.image_type}), but {card.name} reads "
            "the magnitude: the answer means little."
        )
    ]


def check_sides(view: View, card: ModelCard) -> list[str]:
    """Warn if the card names left and right, but the file does not say which side is which."""
    image = view.image
    if not card.names_sides or image.is_single or image.orientation_known:
        return []

    # A crop that is no file of a scanner, such as an array, gets no names of sides.
    assert card.localise is not None
    has_sides = card.localise.wanted(view.frames[0])
    if not has_sides and not image.lies_in_space:
        return []
    return [
        "its orientation is unknown, so left and right may be exchanged: "
        "check the side at a structure that you know."
    ]
