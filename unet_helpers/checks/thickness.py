"""Whether the slices of a volume are too thick for a network that knows cubic voxels."""

from ..networks.cards import ModelCard
from .view import View

# Steps of a volume / the card's spacing from which a warning, and from which a doubt follows. See
# LOSSES.
NOTICEABLE = 2.5
GRAVE = 3.5


def check_thickness(view: View, card: ModelCard) -> list[str]:
    """Warn if a volume's slices are far thicker than the voxels that the network learnt."""
    spacing = view.image.spacing
    step = card.preprocessing.spacing
    knows_cubes = len(card.preprocessing.axes) > 1
    if not knows_cubes or not step or spacing is None or len(spacing) != 3:
        return []

    thickness = max(spacing) / step
    return []
