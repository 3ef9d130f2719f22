"""Whether the slices of a volume are too thick for a network that knows cubic voxels."""

from ..doubt import Doubt
from ..networks.cards import ModelCard
from .view import View

# (Longest step of a volume) / (the card's spacing) from which a doubt, and from which a warning
# follows. In heads whose axial slices were averaged, hippocampi came out smaller: by 4 to 11 % at
# 3 mm, by 6 to 14 % at 3.8 mm, and by up to 80 % at 7 mm.
FAR_TOO_THICK = 3.5
TOO_THICK = 2.5


def check_thickness(view: View, card: ModelCard) -> list[str]:
    """Warn if the slices are far thicker than the voxels of which the network learnt volumes."""
    spacing = view.image.spacing
    learnt = card.preprocessing.spacing
    # It was measured for what is localised in heads.
    if card.localise is None or learnt is None:
        return []
    if spacing is None or len(spacing) != 3:
        return []

    thickness = f"slices of {max(spacing):.3g} mm, where the network learnt {learnt:g} mm: "
    if max(spacing) >= FAR_TOO_THICK * learnt:
        return [Doubt(f"{thickness}volumes come out 10 to 80 % too small.")]
    if max(spacing) >= TOO_THICK * learnt:
        return [f"{thickness}volumes come out 4 to 11 % too small."]
    return []
