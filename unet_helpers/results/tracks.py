"""Ids that follow the objects of a movie from frame to frame, and split where one divides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from skimage.segmentation import relabel_sequential

from .metrics import object_overlaps

# An object continues one of the frame before if their overlap is above this share of the smaller.
LEAST_OVERLAP = 0.3

# Two objects that continue the same one are its daughters if the smaller has at least this share of
# the area of the larger. A smaller one is a fragment.
LEAST_DAUGHTER = 0.3

# Frames for which an object that is missed keeps its place and its id.
REMEMBERED_FRAMES = 3


@dataclass(frozen=True, eq=False)
class Tracks:
    """The objects of a movie."""

    # (T, *spatial) int32: ids 1, 2, ... without gaps, which follow the objects through time.
    ids: np.ndarray
    # The id of the object that divided, by the ids of its daughters.
    parents: dict[int, int]


def link_frames(frames: Sequence[np.ndarray]) -> Tracks:
    """Link the objects of each frame to those of the frame before that they overlap most.

    This is the rule of the overlap tracker of TrackMate (Ershov et al. 2022, Nat. Methods 19:829):
    of all objects of the frame before, an object continues the one of highest IoU. Where several
    continue one, it has divided, and its daughters get new ids, as in the Cell Tracking Challenge
    (Maska et al. 2014). An object that is missed for up to ``REMEMBERED_FRAMES`` frames keeps its
    id.

    Parameters
    ----------
    frames : sequence of numpy.ndarray
        T arrays of one shape with the ids of a frame's objects; 0 is background.

    Returns
    -------
    Tracks
        The ids of all frames, and which objects divided.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = np.array([[1, 1, 1, 0]]), np.array([[0, 7, 7, 7]])
    >>> link_frames([first, second]).ids[:, 0].tolist()
    [[1, 1, 1, 0], [0, 1, 1, 1]]
    """
    numbered = [relabel_sequential(frame)[0].astype(np.int32) for frame in frames]
    ids = np.stack(numbered)
    parents: dict[int, int] = {}
    highest = int(ids[0].max(initial=0))

    for frame in range(1, len(ids)):
        before = with_missed_objects(ids[:frame], parents)
        # A view: the next frame is compared with the ids that are written here.
        after = ids[frame]
        continued = objects_continued(before, after)
        new_ids = np.zeros(int(after.max(initial=0)) + 1, np.int32)
        for number in range(1, len(new_ids)):
            new_ids[number] = continued.id_of.get(number, 0)
            if not new_ids[number]:
                highest += 1
                new_ids[number] = highest
            if number in continued.mother_of:
                parents[int(new_ids[number])] = continued.mother_of[number]
        after[:] = new_ids[after]

    return Tracks(ids, parents)


def with_missed_objects(ids: np.ndarray, parents: dict[int, int]) -> np.ndarray:
    """Return the last frame of (T, *spatial) ids, with objects that were seen shortly before.

    They are where they were last seen, except where there is another object now. Those that divided
    are not missed.
    """
    last = ids[-1].copy()
    for earlier in ids[-2 : -2 - REMEMBERED_FRAMES : -1]:
        is_gone = ~np.isin(earlier, [*np.unique(last), *parents.values()])
        last = np.where((last == 0) & is_gone, earlier, last)
    return last


@dataclass(frozen=True)
class Continued:
    """Which objects of a frame continue those of the frame before."""

    id_of: dict[int, int]  # the id that it carries on
    mother_of: dict[int, int]  # the id of the object of which it is a daughter


def objects_continued(before: np.ndarray, after: np.ndarray) -> Continued:
    """Return which objects of ``after``, with ids 1, 2, ... without gaps, continue which before."""
    continued = Continued(id_of={}, mother_of={})
    overlaps = object_overlaps(before, after)
    if not overlaps.shared.size:
        return continued

    ids_before = np.unique(before[before > 0])
    smaller = np.minimum(overlaps.true_areas[:, None], overlaps.found_areas)
    enough = overlaps.shared > LEAST_OVERLAP * smaller
    closeness = np.where(enough, overlaps.iou, 0)
    source = closeness.argmax(axis=0)
    has_source = closeness.max(axis=0) > 0

    for row, known_id in enumerate(ids_before.tolist()):
        followers = np.flatnonzero(has_source & (source == row))
        if not followers.size:
            continue

        areas = overlaps.found_areas[followers]
        daughters = followers[areas >= LEAST_DAUGHTER * areas.max()]
        if len(daughters) > 1:
            continued.mother_of.update({int(column) + 1: known_id for column in daughters})
        else:
            closest = followers[closeness[row, followers].argmax()]
            continued.id_of[int(closest) + 1] = known_id
    return continued
