"""How the channels of a microscope show the specimen, and which of them a network reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from .nuclear_stains import Channel, words_of

DIC = "differential interference contrast"
PHASE = "phase contrast"
BRIGHT_FIELD = "bright field"
ELECTRONS = "electron microscopy"
FLUORESCENCE = "fluorescence"


@dataclass(frozen=True)
class ContrastMethod:
    """A contrast method, and the words by which names of channels mean it."""

    # As in the modality of a card.
    name: str

    # Whole words of a channel's name, in lower case.
    words: frozenset[str]

    # Parts of its name without spaces and hyphens, in lower case.
    parts: tuple[str, ...] = ()

    # Values of OME's attribute ContrastMethod, in lower case.
    in_ome: tuple[str, ...] = ()


# In the order in which they are looked for: 'TL DIC' and 'Trans Ph2' name two.
CONTRAST_METHODS = (
    ContrastMethod(
        DIC,
        frozenset(["dic", "dic1", "dic2", "dic3", "nomarski"]),
        ("interferencecontrast",),
        ("dic",),
    ),
    ContrastMethod(
        PHASE,
        frozenset(["phase", "ph", "ph1", "ph2", "ph3", "phl", "zernike"]),
        ("phasecontrast",),
        ("phase",),
    ),
    ContrastMethod(
        BRIGHT_FIELD,
        frozenset(["bf", "tl", "td", "trans", "transmitted", "transmission", "tpmt", "tld"]),
        ("brightfield", "transmittedlight", "tpmt"),
        ("brightfield", "obliqueillumination", "hoffmanmodulation"),
    ),
    ContrastMethod(ELECTRONS, frozenset(["em", "sem", "tem", "stem", "bse", "electrons"])),
    ContrastMethod(FLUORESCENCE, frozenset(), ("fluorescence",), ("fluorescence",)),
)

# Methods by light that passes the specimen: one of them is read where a card's own is missing.
BY_TRANSMITTED_LIGHT = (DIC, PHASE, BRIGHT_FIELD)


def contrast_of(channel: Channel) -> str:
    """Return the contrast method of a channel by its file's metadata or its name; '' if unknown."""
    declared = channel.contrast.lower()
    for method in CONTRAST_METHODS:
        if declared and declared in method.in_ome:
            return method.name

    words = words_of(channel.name)
    joined = "".join(words)
    for method in CONTRAST_METHODS:
        if method.words.intersection(words) or any(part in joined for part in method.parts):
            return method.name
    return ""


def channel_for(modality: str, contrasts: Sequence[str], taken: int) -> int:
    """Return the index of the channel that a network of a modality reads; ``taken`` if none fits.

    ``modality`` is that of its card, ``contrasts`` are those of the channels, '' if unknown. The
    first method that the modality names counts most. ``taken`` is the channel that the reader took
    without knowing the network, that of a nuclear stain if there is one.
    """
    named = [method.name for method in CONTRAST_METHODS if method.name in modality]
    if not named or not any(contrasts):
        return taken

    in_order = sorted(named, key=modality.index)
    if in_order[0] == FLUORESCENCE:
        # Channels of dyes have the names of dyes.
        of_dyes = [i for i, contrast in enumerate(contrasts) if contrast in ("", FLUORESCENCE)]
        return taken if taken in of_dyes or not of_dyes else of_dyes[0]

    similar = BY_TRANSMITTED_LIGHT if in_order[0] in BY_TRANSMITTED_LIGHT else ()
    for method in (*in_order, *similar):
        if contrasts[taken] == method:
            return taken
        if method in contrasts:
            return contrasts.index(method)
    return taken
