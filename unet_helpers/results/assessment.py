"""How good an answer probably is: one sentence, one colour, and one number with its interval.

Wherever an answer appears (in its representation, figures, reports, tables and files), the words
are those of ``assess``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from ..checks.expected_dice import usual_dice
from ..doubt import Doubt
from ..palette import TEXT_DOUBTFUL, TEXT_LOWER, TEXT_UNKNOWN, TEXT_USUAL

if TYPE_CHECKING:
    from .segmentation import Segmentation

# An expected Dice is as usual if it is at most this much below what is usual for the card.
AS_USUAL = 0.05

# An answer is doubtful if its expected Dice is below this share of what is usual for the card.
DOUBTFUL_SHARE = 0.75


class Level(Enum):
    """How good an answer probably is, with the colour of the words that say so."""

    USUAL = TEXT_USUAL
    LOWER = TEXT_LOWER
    DOUBTFUL = TEXT_DOUBTFUL
    UNKNOWN = TEXT_UNKNOWN


@dataclass(frozen=True)
class Assessment:
    """How good an answer probably is, in words.

    Parameters
    ----------
    level : Level
        As usual, lower, doubtful or unknown; its name in small letters is that of its colour.
    number : str
        'expected Dice 0.87 (0.78 to 0.92)', or 'expected Dice withheld'.
    comment : str
        What the number means, or why there is none.
    """

    level: Level
    number: str
    comment: str

    @property
    def colour(self) -> str:
        """The colour of the words, '#RRGGBB', dark enough to be read on white."""
        return self.level.value

    @property
    def sentence(self) -> str:
        """The number and the comment in one sentence."""
        return f"{self.number}: {self.comment}"


def has_doubt(result: Segmentation) -> bool:
    """Return whether a warning says that the answer may mean little."""
    return any(isinstance(text, Doubt) for text in result.warnings)


def reason_for_no_estimate(result: Segmentation) -> str:
    """Return why the expected Dice of an answer is withheld; '' if it is not.

    It is the first ``Doubt`` among the warnings, or else that the answer is empty or unusual, or
    that nothing is known about the answers of the card.
    """
    doubts = [text for text in result.warnings if isinstance(text, Doubt)]
    if doubts:
        return doubts[0]
    if not np.any(result.labels):
        return "nothing was found"
    if result.by_hand is not None:
        return "a part of it was drawn by hand"

    explanation = result.explain()
    if explanation:
        return explanation
    if usual_dice(result.card) is None:
        return f"how good answers of {result.card.name!r} are was not measured"
    return ""


def assess(result: Segmentation) -> Assessment:
    """Say how good an answer probably is, or why that is not known."""
    expected = result.expected_dice
    usual = usual_dice(result.card)
    if expected is None or usual is None:
        reason = reason_for_no_estimate(result)
        if usual is None and not has_doubt(result):
            return Assessment(Level.UNKNOWN, "expected Dice unknown", reason)
        return Assessment(Level.DOUBTFUL, "expected Dice withheld", reason)

    value, low, high = expected
    end = quality_in_words(result)
    number = f"expected Dice {value:.2f} ({low:.2f} to {high:.2f})"
    if value >= usual - AS_USUAL:
        return Assessment(Level.USUAL, number, f"as is usual for {result.card.name}{end}")

    comment = f"lower than is usual for {result.card.name}, {usual:.2f}{end}"
    if value >= DOUBTFUL_SHARE * usual:
        return Assessment(Level.LOWER, number, comment)
    return Assessment(Level.DOUBTFUL, number, f"look at it with doubt, far {comment}")


def quality_in_words(result: Segmentation) -> str:
    """Return '; good quality' or the like for photographs of the eye, else ''."""
    if result.card.preprocessing.scale != "field of view":
        return ""
    return f"; {result.view.quality.grade}"
