"""Explain in words why an answer is empty, full or unusual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .segmentation import Segmentation


def explain(result: Segmentation) -> str:
    """Return why the answer is empty, full or unusual, and what to try; '' if it is not."""
    share = np.count_nonzero(result.labels) / result.labels.size
    least, most = result.card.usual_share

    if least < share < most:
        return ""
    if 0 < share < 1:
        card = result.card
        found = card.title.lower() if card.overlapping else card.classes[0]
        return (
            f"{share:.1%} of it was found to be {found}, where {least:.0%} to"
            f" {most:.0%} are usual: another kind of image, or an inverted one?"
            " Try pixels.max() - pixels."
        )
    return explain_uniform(result, everything=share == 1)


def explain_uniform(result: Segmentation, everything: bool) -> str:
    """Return why everything or nothing was found."""
    card = result.card
    low = result.foreground.min()
    high = result.foreground.max()

    amount = "everything" if everything else "nothing"
    explanation = (
        f"{amount} reaches the threshold {result.threshold:g}:"
        f" probabilities go from {low:.3g} to {high:.3g}."
    )
    if result.warnings:
        return (
            f"{explanation} Perhaps this is not what {card.name} knows, which is {card.modality}."
        )

    if not everything and high > result.threshold / 2:
        explanation += f" threshold={0.9 * high:.2g} would show something."
    explanation += f" Is it a {card.modality}, with the whole structure in view?"
    if card.preprocessing.scale != "square" and card.preprocessing.method == "slices":
        explanation += " zoom=0.5 or zoom=2 may help."
    return explanation
