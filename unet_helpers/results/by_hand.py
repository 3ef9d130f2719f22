"""What a person decided by hand about a result: it stands, whatever a network says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Value of pixels that nobody decided about.
UNDECIDED = 255


@dataclass(frozen=True, eq=False)
class ByHand:
    """The part of an answer that was drawn or corrected by hand.

    Parameters
    ----------
    decided : numpy.ndarray
        (*spatial) uint8: the class that a person decided, UNDECIDED elsewhere.
    objects : numpy.ndarray or None
        (*spatial) int32: all ids after objects were split, joined, added or removed; None: objects
        are found from the labels.
    actions : dict
        How often each tool was used.
    """

    decided: np.ndarray
    objects: np.ndarray | None
    actions: Mapping[str, int]

    def over(self, labels: np.ndarray) -> np.ndarray:
        """Return labels with what a person decided on top."""
        return np.where(self.decided == UNDECIDED, labels, self.decided)

    def record(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Say for the manifest what was done by hand, and how much of the image it is."""
        pixels = {
            name: int(np.count_nonzero(self.decided == label))
            for label, name in enumerate(("background", *classes))
        }
        share = np.count_nonzero(self.decided != UNDECIDED) / max(1, self.decided.size)
        return {"actions": dict(self.actions), "pixels": pixels, "share": round(share, 6)}

    def sha256(self) -> str:
        """Return a sum over all that was decided, by which two results are told apart."""
        total = hashlib.sha256(self.decided.tobytes())
        if self.objects is not None:
            total.update(self.objects.tobytes())
        return total.hexdigest()
