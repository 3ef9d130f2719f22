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
    ),
    "chest": (
        *("chest", "thora", "torac", "torax", "thx", "lung", "pulm", "poumon", "mediast"),
        *("ribs", "heart", "brustkorb", "lunge"),
    ),
    "spine": ("spine", "spinal", "vertebr", "lumbar", "sacrum", "coccyx", "wirbel", "columna"),
    "neck": ("neck", "larynx", "thyroid", "carotid", "hals"),
    "breast": ("breast", "mamm"),
    "abdomen": (
        *("abdom", "liver", "hepat", "kidney", "renal", "pancrea", "spleen", "stomach", "colon"),
        *("bowel", "adrenal", "gallbladder", "bauch", "leber", "niere"),
    ),
    "pelvis": ("pelvi", "hip", "prostat", "uterus", "bladder", "becken", "hufte"),
    "shoulder": ("shoulder", "clavic", "scapula", "sternum", "schulter", "epaule", "hombro"),
    "arm": ("arm", "forearm", "elbow", "humerus", "radius", "ulna", "ellbogen", "coude", "codo"),
    "hand": ("hand", "wrist", "finger", "thumb", "poignet", "mano"),
    "leg": ("leg", "femur", "thigh", "tibia", "fibula", "calf", "extremity", "jambe", "pierna"),
    "knee": ("knee", "patella", "knie", "genou", "rodilla", "joelho", "ginocchio"),
    "foot": ("foot", "feet", "ankle", "toe", "heel", "calcan", "fuss", "pied", "cheville"),
    "jaw": ("jaw", "mandib", "maxill", "tooth", "teeth", "dental"),
    "eye": ("eye", "retina", "fundus", "ocul", "orbit", "auge"),
}

# Letters: words shorter than this are not taken as beginnings of others (arm, army).
SHORTEST_BEGINNING = 4

# Words for the direction of an X-ray image: in ViewPosition (PS3.3, C.8.1.1.1), or in general.
VIEW_WORDS = {
    "lateral": {"lateral", "lat", "llat", "rlat", "ll", "rl", "seitlich", "profil", "profile"},
    "oblique": {"oblique", "obl", "lao", "rao", "lpo", "rpo", "llo", "rlo"},
    "frontal": {"pa", "ap", "frontal", "postero", "posteroanterior", "antero", "anteroposterior"},
}

# Words of a description that name a direction; the short ones of ViewPosition have other meanings.
DESCRIBED_VIEWS = {"lateral", "lat", "oblique", "pa", "ap", "seitlich", "frontal"}

# With this word the patient lies on the side, but the view is often frontal.
LYING = "decubitus"

# Parts of a complex MR image that look unlike the magnitude, which networks are trained on.
NOT_LIKE_MAGNITUDE = ("phase", "imaginary")


def check_body_part(view: View, card: ModelCard) -> list[str]:
    """Warn if the file names a part of the body that the card does not read."""
    image = view.image
    named = body_parts_in(image.body_part)
    source = f"its body part is {image.body_part}"
    if not image.body_part:
        named = body_parts_in(image.description) if image.modality else set()
        source = f"described as {image.description!r}"

    # The thoracic spine is no chest.
    is_spine = "spine" in named and "spine" not in card.body_parts
    fits = bool(named & set(card.body_parts)) and not is_spine
    if not card.body_parts or not named or fits:
        return []
    return [Doubt(f"{source}, but {card.name} reads {card.modality}: the answer means little.")]


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
    named = view.image.view or view.image.description
    return [
        Doubt(
            f"a view from another direction ({named}), but {card.name} reads {card.modality}: "
            "the answer means little."
        )
    ]


def direction_of(image: MedicalImage) -> str:
    """Return 'frontal', 'lateral' or 'oblique', as the file says; '' if it says none or several."""
    words = set(words_in(image.view))
    if not words and image.modality:
        words = set(words_in(image.description)) & DESCRIBED_VIEWS
    if LYING in words:
        return ""

    named = [direction for direction, names in VIEW_WORDS.items() if words & names]
    if image.view and named:
        # 'Left lateral oblique' and 'antero-posterior oblique' are oblique.
        return "oblique" if "oblique" in named else named[0]
    return named[0] if len(named) == 1 else ""


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
