"""Which of several channels shows nuclei, by their names and wavelengths."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# Names of dyes and markers of DNA, in lower case without spaces and hyphens. No other word contains
# them.
NUCLEAR_DYES = (
    "dapi",
    "hoechst",
    "draq5",
    "draq7",
    "draq",
    "nucblue",
    "nucspot",
    "nucred",
    "nucgreen",
    "nuclight",
    "nuclearblue",
    "nuclearred",
    "nucleargreen",
    "nuclearmask",
    "reddot",
    "sytox",
    "topro",
    "toto3",
    "yoyo1",
    "bobo1",
    "popo3",
    "propidium",
    "sirdna",
    "sirhoechst",
    "spydna",
    "7aad",
    "dyecycle",
    "bisbenzimid",
    "feulgen",
)

# Proteins of chromatin that are marked in living cells. Antibodies to them are not counted.
NUCLEAR_PROTEINS = ("h2b", "histone")

# Dyes whose number is part of the name: SYTO13, SYTO 60, SPY505-DNA, H33342.
NUMBERED_DYES = re.compile(r"syto\d|spy\d{3}dna|h33342|h33258")

# Whole words that mean nuclei. 'Nucleolin', 'nucleoporin' and 'perinuclear' are other words.
NUCLEAR_WORDS = frozenset(
    ["nuclei", "nucleus", "nuclear", "nucleic", "nuc", "nucs", "nls", "dna", "chromatin", "pi"]
)

# The same in other languages, as ``plain`` writes them: German and Dutch, Romance, Slavic, Nordic,
# Turkish, Hungarian, Greek, Chinese, Japanese and Korean.
NUCLEAR_WORDS_ABROAD = (
    *("kern", "kerne", "kernen", "zellkern", "zellkerne", "celkern", "celkernen", "kernfärbung"),
    *("noyau", "noyaux", "nucléaire", "núcleo", "núcleos", "nucleu"),
    *("jądro", "jądra", "jádro", "jádra", "ядро", "ядра", "ядер"),
    *("kärna", "kärnor", "cellkärna", "cellkärnor", "kerner", "cellekerne", "cellekerner"),
    *("tuma", "tumat", "çekirdek", "çekirdekler", "sejtmag", "sejtmagok", "πυρήνας", "πυρήνες"),
    *("细胞核", "細胞核", "核", "核染色", "细胞核染色", "細胞核染色", "핵", "세포핵"),
)

# Words that make another structure of 'nuclear', or say that the stain is missing.
OTHER_WORDS = frozenset(
    [
        *("non", "not", "without", "envelope", "pore", "membrane", "speckles"),
        *("nicht", "ohne", "sans", "sin", "senza", "zonder", "bez", "без"),
    ]
)

# Beginnings of words that mean light without a dye.
NO_DYE = "autofluor"

# The beginning of the names of antibodies: 'anti-Nucleolin', 'Anti-DNA'.
ANTIBODY = "anti"

# nm: light that excites DAPI, Hoechst and NucBlue: lasers and lamps of 350 to 410 nm.
ULTRAVIOLET = (340.0, 410.0)

# A name that is a line of light alone, such as '405' or 'Ex 405 nm', not 'Alexa 405'.
VIOLET_LINE = re.compile(r"(?:^|[^0-9])(?:355|358|365|375|385|395|405)(?:[^0-9]|$)")
CONJUGATES = re.compile(r"alexa|\baf|cf|atto|dylight|fluor|opal|bv|brilliant|pacific", re.I)


@dataclass(frozen=True)
class Channel:
    """What a file says about one of its channels."""

    # '' without a name.
    name: str = ""

    # nm: the wavelength of the light that excites it; None if it is not in the file.
    excitation: float | None = None

    # OME's contrast method, such as 'DIC' or 'Phase'; '' if it is not in the file.
    contrast: str = ""


def nuclear_channel(channels: Sequence[Channel]) -> int:
    """Return the index of the channel that shows nuclei, else 0.

    Names of dyes count before words such as 'nuclei', these before the wavelength in the file, and
    this before a wavelength in the name. A wavelength only counts where one channel alone has it.
    """
    names = [channel.name for channel in channels]
    for is_nuclear in (names_dye, names_nuclei):
        for index, name in enumerate(names):
            if is_nuclear(name):
                return index

    low, high = ULTRAVIOLET
    excited = [
        index
        for index, channel in enumerate(channels)
        if channel.excitation is not None and low <= channel.excitation <= high
    ]
    named = [index for index, name in enumerate(names) if names_violet_line(name)]
    for indices in (excited, named):
        if len(indices) == 1:
            return indices[0]
    return 0


def plain(text: str) -> str:
    """Write a text in lower case without accents, in which letters of all widths are alike."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def words_of(name: str) -> list[str]:
    """Split a name into words, written ``plain``; 'H2B-mCherry' and 'wDapi' have two."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W_]+", plain(spaced))


def is_other(words: list[str]) -> bool:
    """Return whether words name another structure, a missing stain, or light without a dye."""
    return any(word in OTHER_WORDS or word.startswith(NO_DYE) for word in words)


def is_antibody(words: list[str]) -> bool:
    """Return whether words name an antibody."""
    return any(word.startswith(ANTIBODY) for word in words)


def names_dye(name: str) -> bool:
    """Return whether a name contains that of a nuclear dye or of a marked histone."""
    words = words_of(name)
    if is_other(words):
        return False

    joined = "".join(words)
    has_dye = any(dye in joined for dye in NUCLEAR_DYES)
    has_protein = any(protein in joined for protein in NUCLEAR_PROTEINS)
    is_numbered = NUMBERED_DYES.search(joined) is not None
    return has_dye or is_numbered or (has_protein and not is_antibody(words))


@cache
def known_nuclear_words() -> frozenset[str]:
    """Return the words of all languages that mean nuclei, written ``plain``."""
    return NUCLEAR_WORDS | {plain(word) for word in NUCLEAR_WORDS_ABROAD}


def names_nuclei(name: str) -> bool:
    """Return whether one of a name's words means nuclei or DNA."""
    words = words_of(name)
    has_word = any(word in known_nuclear_words() for word in words)
    return has_word and not is_other(words) and not is_antibody(words)


def names_violet_line(name: str) -> bool:
    """Return whether a name is a line of light that excites nuclear dyes, not a conjugate."""
    words = words_of(name)
    is_line = VIOLET_LINE.search(name) is not None and CONJUGATES.search(name) is None
    return is_line and not is_other(words) and not is_antibody(words)
