"""Undo and redo: what each action changed in some arrays, as small patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Patch:
    """The part of an array that an action changed."""

    name: str
    box: tuple[slice, ...]
    before: np.ndarray
    after: np.ndarray


class History:
    """Arrays (H, W) by name, and the way back through their earlier states.

    Parameters
    ----------
    arrays : dict
        The arrays at the beginning. They are copied.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = {name: array.copy() for name, array in arrays.items()}
        self.done: list[list[Patch]] = []
        self.undone: list[list[Patch]] = []

    def apply(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over new values as one action; what was undone before is forgotten."""
        patches = []
        for name, new in arrays.items():
            old = self.arrays[name]
            box = box_of_changes(old, new)
            patches.append(Patch(name, box, old[box].copy(), new[box].copy()))
            old[box] = new[box]
        self.done.append(patches)
        self.undone.clear()

    def undo(self) -> bool:
        """Go back by one action; False if there is none."""
        if not self.done:
            return False
        patches = self.done.pop()
        for patch in patches:
            self.arrays[patch.name][patch.box] = patch.before
        self.undone.append(patches)
        return True

    def redo(self) -> bool:
        """Do again what was undone last; False if there is nothing."""
        if not self.undone:
            return False
        patches = self.undone.pop()
        for patch in patches:
            self.arrays[patch.name][patch.box] = patch.after
        self.done.append(patches)
        return True


def box_of_changes(old: np.ndarray, new: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box (rows, columns) in which two arrays differ; empty if nowhere."""
    differs = old != new
    box = []
    for axis in range(differs.ndim):
        others = tuple(other for other in range(differs.ndim) if other != axis)
        places = np.flatnonzero(differs.any(axis=others))
        if not len(places):
            return (slice(0, 0),) * differs.ndim
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)
