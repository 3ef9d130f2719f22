"""Which networks were trained on images like this one, and how different the image is.

A network is suggested by what the file says, then by what the pixels show, in this order of trust:
words in the file's name and in its DICOM description, the DICOM modality, the pixels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError
from ..images.read import read_image
from ..networks.cards import MODELS, ModelCard
from ..networks.unet import UNet
from .checks import has_colours
from .heads import head_sequence, is_thin_head
from .hints import hints_by_name, is_readable
from .likeness import known_groups, with_statistics
from .view import View

# The reason of a suggestion that no name gave.
BY_PIXELS = "by its pixels"

# The network for slices of heads. Slices of other sequences than its own resemble its images, too.
HEAD_CARD = "brain_flair"

# Of the networks for the same images, those that are suggested first.
FIRST_OF_KIND = ("lungs",)

# The network that finds its structure in whole heads, in T1.
WHOLE_HEAD_CARD = "hippocampus"


@dataclass(frozen=True)
class Fitting:
    """The networks that fit an image, and by what."""

    # Names of cards, the nearest first; empty if no network fits.
    cards: tuple[str, ...]

    # What it was decided by, as in a sentence; empty if no network fits.
    reason: str = ""


@dataclass(frozen=True)
class Suggestion:
    """The network that is used if the user names none."""

    # The name of the card.
    model: str

    # By what it was chosen: words in the name, or the pixels.
    reason: str

    # Says that it was chosen and by what, and which other networks would fit.
    note: str


def ood_score(image: Any, card: ModelCard | UNet | str) -> float:
    """Score how different an image is from a network's training images (out of distribution).

    Parameters
    ----------
    image : path, numpy.ndarray or MedicalImage
        What ``read_image`` takes. Of a volume, five slices around the middle are measured.
    card : str, ModelCard or UNet
        The network.

    Returns
    -------
    float
        1 is the calibrated limit; a larger score means less similar. NaN for a card without
        statistics, such as the card of a fine-tuned network.

    Raises
    ------
    ImageError
        The image cannot be read.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> cells = uh.sample("fluorescence")
    >>> uh.ood_score(cells, "nuclei") < 1 < uh.ood_score(cells, "lungs")
    True
    """
    if isinstance(card, UNet):
        card = card.card
    name = card if isinstance(card, str) else card.name
    if with_statistics(name) not in known_groups():
        return float("nan")
    view = View(read_image(image)).for_card(MODELS[name])
    return view.likeness.score(name)


def suggest_model(image: Any) -> list[str]:
    """List the networks for an image, the nearest first.

    They are found by what the file says, then by what the pixels show: words in the file's name and
    in its DICOM description, the DICOM modality, similarity to the training images.

    Parameters
    ----------
    image : path, numpy.ndarray or MedicalImage
        What ``read_image`` takes.

    Returns
    -------
    list of str
        Names of cards. The list is empty if no network fits. Cards without statistics, such as
        those of fine-tuned networks, are never in it.

    Raises
    ------
    ImageError
        The image cannot be read.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.suggest_model(uh.sample("fluorescence"))
    ['nuclei']
    """
    return list(fitting_networks(View(read_image(image))).cards)


def fitting_networks(view: View) -> Fitting:
    """Find the networks that fit an image; none for an empty image."""
    if not view.shows_something:
        return Fitting(())

    readable = [name for name in MODELS if is_readable(view, name)]
    hints = hints_by_name(view.image)
    if any(not hint.cards for hint in hints):
        return Fitting(())

    distances = view.likeness.distances
    titles = []
    named = set()
    for hint in hints:
        cards = set(hint.cards).intersection(readable)
        if cards:
            titles.append(hint.title)
            named |= cards
    if named:
        return Fitting(nearest_first(named, distances), f"as its name says {' and '.join(titles)}")

    return fitting_by_pixels(view, readable)


def nearest_first(names: Collection[str], distances: Mapping[str, float]) -> tuple[str, ...]:
    """Sort cards by their distances; of cards for the same images, ``FIRST_OF_KIND`` comes first.

    Which of them is nearer only tells from which of their machines an image may be.
    """

    def distance_of(name: str) -> float:
        # A card without statistics comes last.
        return distances.get(name, np.inf)

    nearest: dict[str, float] = {}
    for name in names:
        modality = MODELS[name].modality
        nearest[modality] = min(distance_of(name), nearest.get(modality, np.inf))

    def key(name: str) -> tuple[float, bool, float]:
        return nearest[MODELS[name].modality], name not in FIRST_OF_KIND, distance_of(name)

    return tuple(sorted(names, key=key))


def fitting_by_pixels(view: View, readable: list[str]) -> Fitting:
    """Find the networks, of those that read the image, whose training images look like it."""
    alike = [name for name in view.likeness.fitting_cards() if name in readable]
    fitting = list(nearest_first(alike, view.likeness.distances))
    if not view.likeness.fits(HEAD_CARD):
        return Fitting(tuple(fitting), BY_PIXELS)

    # Heads in all sequences resemble the training images of the network for FLAIR.
    sequence = head_sequence(view)
    is_flair = sequence == "flair" and not has_colours(view.image)
    if HEAD_CARD in fitting and not is_flair:
        fitting.remove(HEAD_CARD)

    is_whole_head_in_t1 = sequence == "t1" and is_thin_head(view.frames[0])
    if is_whole_head_in_t1 and WHOLE_HEAD_CARD in readable:
        reason = f"{BY_PIXELS}: a whole head in T1, with bright white matter and dark fluid"
        return Fitting((WHOLE_HEAD_CARD,), reason)
    return Fitting(tuple(fitting), BY_PIXELS)


def suggest(view: View) -> Suggestion:
    """Choose the network for an image; raise ModelError if no network fits."""
    fitting = fitting_networks(view)
    if not fitting.cards:
        known = "; ".join(f"{card.name} ({card.modality})" for card in MODELS.values())
        raise ModelError(
            f"{view.image.name}: like no images that the networks know. "
            f"Name one to use it all the same: {known}."
        )

    first, *others = fitting.cards
    note = f"no network was named: {first} knows images like this one, {fitting.reason}"
    if others:
        note += f" (would fit, too: {', '.join(others)})"
    return Suggestion(first, fitting.reason, note)
