"""What the name and the tags of a file say about the kind of image, and which networks read it."""

import re
from dataclasses import dataclass

from ..images.image import MedicalImage
from ..networks.cards import MODELS
from .anatomy import check_body_part, check_view
from .checks import check_named, has_colours, has_light_ground, sequences_named
from .photographs import check_photograph
from .view import View


@dataclass(frozen=True)
class Kind:
    """A kind of image that is told by words in a name."""

    # As it is called in a note.
    title: str

    # Lower-case words or regular expressions. Digits may follow a word: dapi2, fundus_01.
    words: tuple[str, ...]

    # The networks for it; none if no network reads this kind.
    cards: tuple[str, ...]


# Kinds of images with the words that name them in file names and DICOM descriptions. The words of
# MRI sequences are in ``checks.SEQUENCES``.
KINDS = (
    Kind("nuclei dyed for fluorescence", ("dapi", "hoechst", "draq"), ("nuclei",)),
    Kind(
        "tissue stained with haematoxylin and eosin",
        ("he", "h&e", "hne", "ha?ematoxylin", "eosin"),
        ("nuclei_he",),
    ),
    Kind("a fundus photograph", ("fundus", "fundi", "retinal?", "cfp"), ("retinal_vessels",)),
    Kind("an X-ray of the chest", ("cxr", "chest", "thorax"), ("lungs", "chest")),
    Kind(
        "electron microscopy",
        ("em", "tem", "sem", "s[st]tem", "sbf-?sem", "fib-?sem", "membranes?"),
        ("em_membranes",),
    ),
    Kind("differential interference contrast", ("dic", "nomarski"), ("dic_cells",)),
    Kind("the hippocampus", ("hippocamp(?:us|i|al)", "hippo"), ("hippocampus",)),
    Kind("a CT", ("ct", "cbct", "hrct"), ()),
    # Names in the collection TCGA-LGG of FLAIR slices, which are stored in three channels. Those of
    # TCGA's tissue have hyphens.
    Kind("FLAIR (TCGA-LGG)", (r"tcga_(?:cs|du|ez|fg|ht)_[a-z0-9]{4}",), ("brain_flair",)),
)

# Kinds that are MRI sequences, with the networks that read them.
CARDS_OF_SEQUENCES = {"flair": ("brain_flair",), "t1": ("hippocampus",)}

# DICOM's codes of the modality, with the networks for it. The networks of other modalities, such as
# CT or ultrasound, are not known here.
CARDS_OF_MODALITIES = {
    # Ophthalmic photography, also of several fields.
    "OP": ("retinal_vessels",),
    "OPM": ("retinal_vessels",),
    # Slide and general microscopy, photographs, and images of any other origin.
    "SM": ("nuclei_he", "nuclei"),
    "GM": ("nuclei_he", "nuclei", "em_membranes", "dic_cells"),
    "XC": tuple(MODELS),
    "OT": tuple(MODELS),
    "SC": tuple(MODELS),
}

# Checks of what a file says about itself. A network that one of them warns of is not suggested.
CHECKS_OF_NAMES = (check_named, check_body_part, check_view)


@dataclass(frozen=True)
class Hint:
    """A kind of image that a name tells of, with the networks for it."""

    # As it is called in a note.
    title: str
    cards: tuple[str, ...]


def name_of_kind(image: MedicalImage) -> str:
    """Join the texts by which a file names its kind: description, part of the body, file name."""
    file_name = image.path.name if image.path else ""
    return f"{image.description} {image.body_part} {file_name}".lower()


def hints_by_name(image: MedicalImage) -> list[Hint]:
    """List the kinds of images that the file's name and description tell of."""
    text = name_of_kind(image)
    hints = []
    for kind in KINDS:
        pattern = "|".join(kind.words)
        # Letters beside it would make it another word. Digits may follow.
        if re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z])", text):
            hints.append(Hint(kind.title, kind.cards))

    for sequence in sequences_named(image):
        is_credible = sequence == "flair" or image.lies_in_space or image.modality == "MR"
        # In microscopy, T1 and T2 are often points in time.
        if is_credible and sequence in CARDS_OF_SEQUENCES:
            hints.append(Hint(f"{sequence.upper()} MRI", CARDS_OF_SEQUENCES[sequence]))
    return hints


def cards_of_modality(modality: str) -> tuple[str, ...]:
    """List the networks for a DICOM modality; all of them if the file has none."""
    if not modality:
        return tuple(MODELS)
    named = CARDS_OF_MODALITIES.get(modality, ())
    listed = tuple(name for name, card in MODELS.items() if modality in card.dicom)
    return (*listed, *named)


def is_readable(view: View, name: str) -> bool:
    """Return whether a network reads the kind of pixels and the modality of the image.

    Networks for grey images are not for coloured ones, networks for stained tissue only for colours
    on a light ground, and those for dyed nuclei not for photographs of other things. A file that
    names another modality or sequence is not for the network either.
    """
    card = MODELS[name]
    channels = card.preprocessing.channels

    if channels == "grey" and has_colours(view.image):
        return False
    if channels == "rgb" and card.instance_method == "interiors" and not has_light_ground(view):
        return False
    if check_photograph(view, card):
        return False

    is_volume = len(view.image.spatial_shape) == 3 and not view.image.axes.startswith("T")
    if card.objects == "volumes" and card.sequence == "t1" and not is_volume:
        return False

    if name not in cards_of_modality(view.image.modality):
        return False
    return not any(check(view, card) for check in CHECKS_OF_NAMES)
