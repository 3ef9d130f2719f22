"""Finds how a stack lies if its file does not say so, by what the network finds in turned copies.

A network that learnt slices with the front up finds little in slices that are upside down or on
their side, and its answers along three axes contradict each other. Left and right need not be told
apart: the network learnt with both exchanged, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from ..checks.view import View
from ..doubt import Doubt
from ..images.stack import Stack
from ..networks.cards import ModelCard

# Agreement of the answers along three axes from which a stack is read as it is given. Measured on
# crops of the hippocampus left out of the training: at least 0.91 in the true orientation, at most
# 0.74 in all others.
CLEAR_AGREEMENT = 0.83

# Otherwise a turned stack must be this many times as likely as the stack as it is given. The true
# orientation was at least 1.6 times as likely as any other.
CLEARLY_LIKELIER = 1.2

# The same with slices along one axis alone, of which another orientation is doubted, but not taken:
# it is at least twice as likely as the true one in 5 to 9 of 100 slices.
CLEARLY_LIKELIER_ALONG_ONE_AXIS = 2.0

# px at the card's scale: larger stacks are no crops, and are not turned, as that would take long.
MOST_PIXELS = 2**20

# px at the card's scale: along an axis whose slices are narrower, a volume is not read. Measured
# on crops of the hippocampus: with slices along all axes, 2 to 12 axial, coronal or sagittal slices
# have a Dice of 0.27 to 0.88; with slices along that axis alone 0.86 to 0.92.
NARROWEST_SLICE = 24


@dataclass(frozen=True)
class Turn:
    """A rotation of a stack by right angles, or the mirror image of one."""

    # The axis of the stack that becomes each axis (z, y, x) of the turned stack.
    axes: tuple[int, int, int] = (0, 1, 2)

    # The axes of the turned stack along which the order is reversed.
    reversed_axes: tuple[int, ...] = ()

    def of(self, stack: Stack) -> Stack:
        """Turn a stack; its pixels are a view."""
        pixels = np.moveaxis(stack.pixels, self.axes, (0, 1, 2))
        turned = np.flip(pixels, self.reversed_axes)
        return replace(stack, pixels=turned, spacing=self.of_spacing(stack.spacing))

    def of_spacing(self, spacing: tuple[float, ...] | None) -> tuple[float, ...] | None:
        """Turn a spacing (Z, Y, X), or (Y, X): None if that along z is needed, but unknown."""
        if spacing is None:
            return None
        if len(spacing) == 3:
            return tuple(spacing[axis] for axis in self.axes)
        if self.axes[0] == 0:
            return tuple(spacing[axis - 1] for axis in self.axes[1:])
        return None

    def of_view(self, view: View) -> View:
        """Return a view of the first frame as it is turned."""
        if self == AS_GIVEN:
            return view
        return View(self.of(view.frames[0]).as_image(), view.shows_eye)

    def back(self, answers: np.ndarray) -> np.ndarray:
        """Turn answers (K, Z, Y, X) for the turned stack back; a view."""
        flipped = np.flip(answers, tuple(axis + 1 for axis in self.reversed_axes))
        return np.moveaxis(flipped, (1, 2, 3), [axis + 1 for axis in self.axes])

    @property
    def in_words(self) -> tuple[str, str, str]:
        """The axes of the stack in the order in which they are read, such as '-x', 'y', 'z'."""
        names = ["zyx"[axis] for axis in self.axes]
        for axis in self.reversed_axes:
            names[axis] = "-" + names[axis]
        z, y, x = names
        return z, y, x


AS_GIVEN = Turn()


@dataclass(frozen=True)
class Orientation:
    """How a stack is read."""

    turn: Turn
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...] = ()


# Computes the probabilities (K, Z, Y, X) of the structure's classes, in the order of the stack,
# from the slices along the first axis of the turned stack.
See = Callable[[Turn], np.ndarray]


def is_to_be_found(stack: Stack, card: ModelCard) -> bool:
    """Return whether the file does not say how a crop lies in which a structure is expected.

    Whole heads are registered instead, in all orientations.
    """
    if card.localise is None or card.localise.wanted(stack):
        return False
    reads_slices_along_axes = len(card.preprocessing.axes) > 1
    is_known = stack.image.lies_in_space and stack.image.orientation_known
    return reads_slices_along_axes and not is_known


def axes_to_read(
    shape: tuple[int, ...], axes: tuple[int, ...], zoom: float | None = None
) -> tuple[int, ...]:
    """Return those of the card's axes along which slices are wide enough to show a structure.

    ``shape`` is (Z, Y, X), and ``zoom`` the px at the card's scale per px, if it is not 1. If no
    slices are so wide, the widest are read; a single slice is read as it is.
    """
    if shape[0] == 1:
        return (0,)
    widths = {axis: np.delete(shape, axis).min() * (zoom or 1) for axis in axes}
    wide_enough = min(NARROWEST_SLICE, max(widths.values()))
    return tuple(axis for axis in axes if widths[axis] >= wide_enough)


def find_orientation(read: tuple[int, ...], see: See) -> Orientation:
    """Find the turn in which the answers along all axes agree on the structure, with certainty.

    ``read`` are the axes along which the slices of the stack are read.
    """
    seen: dict[Turn, np.ndarray] = {}
    likelihoods: dict[Turn, float] = {}
    for turn in all_turns():
        views = [view for view in views_of(turn) if view.axes[0] in read]
        for view in views:
            if view not in seen:
                seen[view] = see(view)
        answers = [seen[view] for view in views]
        if turn == AS_GIVEN and len(read) > 1 and agreement(answers) > CLEAR_AGREEMENT:
            return Orientation(AS_GIVEN)
        likelihoods[turn] = certainty(answers)

    best = max(likelihoods, key=lambda turn: likelihoods[turn])
    if len(read) == 1:
        is_doubtful = likelihoods[best] > CLEARLY_LIKELIER_ALONG_ONE_AXIS * likelihoods[AS_GIVEN]
        return orientation_as_given(best if is_doubtful else AS_GIVEN, read[0])
    if likelihoods[best] <= CLEARLY_LIKELIER * likelihoods[AS_GIVEN]:
        doubt = Doubt(
            "orientation unknown: its axes are read as they are given, although the answers along "
            "them contradict each other, because no other order is clearly likelier."
        )
        return Orientation(AS_GIVEN, doubts=(doubt,))
    order = ", ".join(best.in_words)
    note = (
        f"orientation unknown: its axes as displayed are read as ({order}), so that most is found"
    )
    return Orientation(best, notes=(note,))


def orientation_as_given(likeliest: Turn, across: int) -> Orientation:
    """Say how slices across one axis are read, whose likeliest turn is not certain enough."""
    learnt = "axial slices with the front up, or coronal or sagittal ones with the feet up"
    if likeliest == AS_GIVEN:
        return Orientation(AS_GIVEN, notes=(f"read as {learnt}",))

    view = next(view for view in views_of(likeliest) if view.axes[0] == across)
    _, rows, columns = view.in_words
    doubt = Doubt(
        f"it may lie otherwise: far more is found with {rows} down and {columns} to the right, and "
        f"the network learnt {learnt}."
    )
    return Orientation(AS_GIVEN, doubts=(doubt,))


def agreement(answers: list[np.ndarray]) -> float:
    """Return (certainty of the mean answer) / (mean certainty of the answers): 1 if all agree."""
    mean_certainty = np.mean([certainty([answer]) for answer in answers])
    if mean_certainty == 0:
        return 0.0
    return certainty(answers) / float(mean_certainty)


def certainty(answers: list[np.ndarray]) -> float:
    """Return the sum of the squares of mean probabilities: largest if all agree and are certain."""
    return float(np.square(np.mean(answers, axis=0)).sum())


def all_turns() -> list[Turn]:
    """Return the 24 turns that are not mirror images of each other, the unchanged stack first."""
    turns = []
    for z, y, x in permutations(range(3)):
        turns += [Turn((z, y, x), reversed_axes) for reversed_axes in ((), (1,), (0,), (0, 1))]
    return turns


def views_of(turn: Turn) -> Iterator[Turn]:
    """Yield the turns whose first axis is an axis of a turned stack, across whose slices it runs.

    The others are (y, x) of axial slices, (z, x) of coronal ones and (z, y) of sagittal ones.
    """
    for across, down, along in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        shown = (across, down, along)
        reversed_axes = [i for i in (1, 2) if shown[i] in turn.reversed_axes]
        yield Turn((turn.axes[across], turn.axes[down], turn.axes[along]), tuple(reversed_axes))
