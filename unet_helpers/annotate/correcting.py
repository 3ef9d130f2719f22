"""Correct a segmentation: each action changes its labels and objects; nothing is predicted anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import ArgumentError
from ..images.image import MedicalImage
from ..results.by_hand import UNDECIDED, ByHand
from ..results.segmentation import Segmentation
from . import corrections
from .answer import Answer, components, nothing_decided
from .history import History
from .strokes import BACKGROUND, Stroke


class Correcting:
    """A segmentation of a single image, and what a person changed in it.

    Parameters
    ----------
    result : Segmentation
        It is not changed.
    """

    def __init__(self, result: Segmentation) -> None:
        if result.card.overlapping:
            raise ArgumentError(
                f"{result.card.name}: its classes overlap, and corrections of one would be lost in"
                " the masks of the others. Paint on the image instead."
            )
        self.start = result
        self.card = result.card
        self.classes = (BACKGROUND, *result.card.classes)
        # Components that the card dropped as too small stay dropped, and what a person adds is
        # never dropped.
        self.probabilities = without_dropped(result)

        decided = nothing_decided(result.labels.shape)
        actions: Counter[str] = Counter()
        if result.by_hand is not None:
            decided = result.by_hand.decided
            actions.update(result.by_hand.actions)
        self.actions_before = actions
        self.history = History(
            {"labels": result.labels, "objects": result.objects, "decided": decided}
        )

    @property
    def image(self) -> MedicalImage:
        """The image."""
        return self.start.image

    @property
    def painted_on(self) -> str:
        """What the strokes are painted on, beside the image."""
        return f"{self.card.name} {self.start.weights_sha256} {self.start.threshold}"

    def mask(self) -> np.ndarray:
        """Return the labels, (H, W) uint8."""
        return self.history.arrays["labels"].copy()

    def forget_fit(self) -> None:
        """Do nothing: nothing is fitted here."""

    def answer(self) -> Answer:
        """Return the labels and objects as they are now."""
        arrays = self.history.arrays
        return Answer(
            labels=arrays["labels"],
            objects=arrays["objects"],
            decided=arrays["decided"],
            certainty=certainty_of(self.start),
            card=self.card,
        )

    def do(self, stroke: Stroke) -> None:
        """Carry out an action."""
        if stroke.tool == "erase":
            changed = self.erased(stroke.mask(self.start.labels.shape))
        else:
            changed = corrected(self.answer(), stroke, self.classes)
        self.history.apply(
            {"labels": changed.labels, "objects": changed.objects, "decided": changed.decided}
        )

    def erased(self, mask: np.ndarray) -> Answer:
        """Take back what was painted on the pixels of a mask: the answer of the network again."""
        answer = self.answer()
        decided = np.where(mask, np.uint8(UNDECIDED), answer.decided)
        labels = np.where(mask, self.start.labels, answer.labels)
        if answer.objects_are_components:
            return replace(answer, labels=labels, decided=decided, objects=components(labels))
        objects = np.where(mask, self.start.objects, answer.objects)
        return replace(answer, labels=labels, decided=decided, objects=objects)

    def result(self, strokes: Sequence[Stroke]) -> Segmentation:
        """Return the corrected segmentation."""
        if not strokes and self.start.by_hand is None:
            return self.start

        answer = self.answer()
        objects = None if answer.objects_are_components else answer.objects.copy()
        actions = self.actions_before + Counter(stroke.tool for stroke in strokes)
        return replace(
            self.start,
            card=replace(self.card, min_component_share=0.0),
            probabilities=with_decided(self.probabilities, answer.decided),
            by_hand=ByHand(answer.decided.copy(), objects, dict(actions)),
        )


def certainty_of(result: Segmentation) -> np.ndarray:
    """Return the probability (H, W) of being inside an object."""
    if result.card.instance_method == "interiors":
        return result.probabilities[1]
    if result.card.instance_method == "membranes":
        return 1 - result.probabilities[0]
    return result.foreground


def without_dropped(result: Segmentation) -> np.ndarray:
    """Return the probabilities, those of background where the card dropped a small component."""
    dropped = (result.foreground >= result.threshold) & (result.labels == 0)
    if not dropped.any() or result.card.instance_method == "membranes":
        return result.probabilities
    return with_decided(result.probabilities, np.where(dropped, 0, UNDECIDED).astype(np.uint8))


def with_decided(probabilities: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Return probabilities (K, H, W) that are 1 for the class that was decided, where one was."""
    changed = probabilities.copy()
    is_decided = decided != UNDECIDED
    if len(changed) == 1:
        changed[0, is_decided] = decided[is_decided] > 0
        return changed
    for class_id, channel in enumerate(changed):
        channel[is_decided] = decided[is_decided] == class_id
    return changed


def corrected(answer: Answer, stroke: Stroke, classes: Sequence[str]) -> Answer:
    """Carry out an action, other than erasing, on an answer.

    Raises ArgumentError if it is not possible there.
    """
    if stroke.tool == "remove":
        return corrections.remove(answer, stroke)
    if stroke.tool == "split":
        return corrections.split(answer, stroke)
    if stroke.tool == "join":
        return corrections.join(answer, stroke)
    if stroke.tool == "ring":
        name = stroke.name or classes[answer.class_inside]
        return corrections.add_ring(answer, stroke, class_id_of(name, classes))
    return corrections.paint(answer, stroke, class_id_of(stroke.name, classes))


def class_id_of(name: str, classes: Sequence[str]) -> int:
    """Return the number of a class; ArgumentError if there is no such class."""
    if name not in classes:
        raise ArgumentError(f"There is no class {name!r}: choose from {', '.join(classes)}.")
    return list(classes).index(name)
