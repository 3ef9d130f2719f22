"""Which networks were trained on images like this one, and how different the image is."""

from dataclasses import dataclass
from typing import Any

from ..errors import ModelError
from ..images.read import read_image
from ..networks.cards import MODELS, ModelCard
from ..networks.unet import UNet
from .likeness import known_groups
from .view import View


@dataclass(frozen=True)
class Suggestion:
    """The network that is used if the user names none."""

    model: str  # name of the card
    note: str  # says that it was chosen, and which other networks would fit


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
    if name not in known_groups():
        return float("nan")
    return View(read_image(image)).likeness.score(name)


def suggest_model(image: Any) -> list[str]:
    """List the networks whose training images are similar to an image, the nearest first.

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
    return fitting_cards(View(read_image(image)))


def fitting_cards(view: View) -> list[str]:
    """List the cards that fit the image, the nearest first; none for an empty image."""
    if not view.shows_something:
        return []
    return view.likeness.fitting_cards()


def suggest(view: View) -> Suggestion:
    """Choose the network for an image; raise ModelError if no network fits."""
    names = fitting_cards(view)
    if not names:
        known = "; ".join(f"{card.name} ({card.modality})" for card in MODELS.values())
        raise ModelError(
            f"{view.image.name}: like no images that the networks know. "
            f"Name one to use it all the same: {known}."
        )

    first, *others = names
    note = f"no network was named: {first} knows images like this one"
    if others:
        note += f" (would fit, too: {', '.join(others)})"
    return Suggestion(first, note)
