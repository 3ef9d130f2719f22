"""An answer that a person corrects: labels, objects, and the pixels that were decided by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from skimage.measure import label

from ..networks.cards import ModelCard
from ..results.by_hand import UNDECIDED

# Neighbours of a pixel in the search for connected parts: those at its corners, too.
CORNERS_TOO = 2


@dataclass(frozen=True, eq=False)
class Answer:
    """Labels and objects of a single image while they are corrected; no array is changed in place.

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) uint8 class ids.
    objects : numpy.ndarray
        (H, W) int32 ids.
    decided : numpy.ndarray
        (H, W) uint8: the class that a person decided, UNDECIDED elsewhere.
    certainty : numpy.ndarray
        (H, W) float32: the probability of being inside an object.
    card : ModelCard
        It says what an object is.
    """

    labels: np.ndarray
    objects: np.ndarray
    decided: np.ndarray
    certainty: np.ndarray
    card: ModelCard

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.labels.shape
        return height, width

    @property
    def objects_are_components(self) -> bool:
        """Whether objects are connected regions of the labels; else they have ids of their own."""
        return self.card.instance_method == "components"

    @property
    def class_between(self) -> int:
        """The class of pixels between objects: membrane where objects are the cells."""
        return 1 if self.card.instance_method == "membranes" else 0

    @property
    def class_inside(self) -> int:
        """The class of a pixel of an object, if there is no other reason."""
        return 0 if self.card.instance_method == "membranes" else 1

    def decide(self, mask: np.ndarray, class_id: int) -> Answer:
        """Give the pixels of a mask a class; objects that are components follow."""
        labels = np.where(mask, np.uint8(class_id), self.labels)
        decided = np.where(mask, np.uint8(class_id), self.decided)
        changed = replace(self, labels=labels, decided=decided)
        if self.objects_are_components:
            return replace(changed, objects=components(labels))
        return changed

    def with_ids(self, objects: np.ndarray) -> Answer:
        """Return the answer with other ids."""
        return replace(self, objects=objects.astype(np.int32))

    @property
    def free_id(self) -> int:
        """An id that no object has."""
        return int(self.objects.max()) + 1


def components(labels: np.ndarray) -> np.ndarray:
    """Return int32 ids of connected regions of one class."""
    return label(labels, connectivity=CORNERS_TOO).astype(np.int32)


def nothing_decided(shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) uint8, UNDECIDED everywhere."""
    return np.full(shape, UNDECIDED, np.uint8)
