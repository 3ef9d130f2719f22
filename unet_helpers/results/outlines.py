"""Outlines of objects along the edges of their pixels: polygons with holes whose area is the number of pixels."""

from collections import defaultdict

import numpy as np
from scipy.ndimage import find_objects, label

Ring = list[tuple[int, int]]
# of a pixel: the neighbour (dy, dx) beyond a side, and that side from corner (x, y) to corner, clockwise on the screen
SIDES = ((-1, 0, (0, 0), (1, 0)), (0, 1, (1, 0), (1, 1)), (1, 0, (1, 1), (0, 1)), (0, -1, (0, 1), (0, 0)))


def polygons(mask: np.ndarray) -> list[list[Ring]]:
    """Polygons of an (H, W) mask, each its outer ring and then its holes: closed (x, y) corners, pixel (0, 0) being
    the square from (0, 0) to (1, 1). No ring touches itself, so that strict readers accept them.
    """
    pieces, _ = label(mask)  # that share sides: those that share just a corner are polygons of their own
    found = []
    for number, box in enumerate(find_objects(pieces), 1):
        y, x = (part.start for part in box)
        loops = sorted(rings(np.pad(pieces[box] == number, 1)), key=signed_area, reverse=True)  # holes are below 0
        found.append([[(a + x, b + y) for a, b in ring] for ring in loops])
    return found


def rings(mask: np.ndarray) -> list[Ring]:
    """Closed loops of the edges between a mask (with a border of False) and its background, the mask on one side."""
    after = defaultdict(list)
    for dy, dx, start, end in (
        (-1, 0, (0, 0), (1, 0)),
        (0, 1, (1, 0), (1, 1)),
        (1, 0, (1, 1), (0, 1)),
        (0, -1, (0, 1), (0, 0)),
    ):
        rows, columns = np.nonzero(mask & ~np.roll(mask, (-dy, -dx), (0, 1)))
        for y, x in zip((rows - 1).tolist(), (columns - 1).tolist()):
            after[x + start[0], y + start[1]].append((x + end[0], y + end[1]))
    found = []
    while after:
        corner = next(iter(after))
        path, place = [corner], {corner: 0}
        while True:
            corner = step(after, path[-1])
            if corner not in place:
                place[corner] = len(path)
                path.append(corner)
                continue
            first = place[corner]  # a loop is closed: a ring of its own
            found.append(without_straight_corners(path[first:]))
            for left in path[first + 1 :]:
                del place[left]
            path = path[: first + 1]
            if corner not in after:
                break
    return found


def step(after: dict, corner: tuple[int, int]) -> tuple[int, int]:
    following = after[corner].pop()
    if not after[corner]:
        del after[corner]
    return following


def without_straight_corners(path: Ring) -> Ring:
    points = np.array(path)
    before, behind = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    kept = points[before[:, 0] * behind[:, 1] != before[:, 1] * behind[:, 0]].tolist()
    return [tuple(point) for point in [*kept, kept[0]]]


def signed_area(ring: Ring) -> float:
    x, y = np.array(ring, float).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2
