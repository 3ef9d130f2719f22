"""Checks that the channels of a card's answer, and what it asks of them, fit its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .validation import require

if TYPE_CHECKING:
    from .cards import ModelCard

# The most classes that may overlap: as many as a training label has bits, see ``training.overlap``.
MOST_OVERLAPPING = 7

# The classes that the measures of a chest need.
OF_A_CHEST = {"right lung", "left lung", "heart"}


def check_channels(card: ModelCard) -> None:
    """Raise ModelError if the channels of the answer do not fit the classes of a card."""
    count = len(card.classes)
    if card.overlapping:
        check_overlapping(card)
        matching = card.out_channels == count
        needed = f"{count}, one for each class that may overlap,"
    elif count == 1:
        matching = card.out_channels in (1, 2)
        needed = "1 for one class, else background and classes,"
    else:
        matching = card.out_channels == count + 1
        needed = str(count + 1)
    require(matching, card, "out_channels", needed)

    has_chest = set(card.classes) >= OF_A_CHEST
    needed = f"'chest' for a card with the classes {', '.join(sorted(OF_A_CHEST))}; another"
    require(has_chest or card.measures != "chest", card, "measures", needed)
    is_upright = card.flips == 1 or not card.has_sided_classes
    require(is_upright, card, "flips", "1 for classes of the left and right side")


def check_overlapping(card: ModelCard) -> None:
    """Raise ModelError for what classes that overlap cannot have."""
    fits = len(card.classes) <= MOST_OVERLAPPING
    require(fits, card, "classes", f"at most {MOST_OVERLAPPING} that overlap")

    by_components = card.instance_method == "components"
    require(by_components, card, "instance_method", "'components' for classes that overlap")
    require(card.localise is None, card, "localise", "None for classes that overlap")
