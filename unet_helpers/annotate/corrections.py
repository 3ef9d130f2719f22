"""Correct objects: remove, split, join or add one, or paint a class. No network runs.

Where a boundary has to be found, it is by a watershed from markers on the probabilities that exist
(Beucher and Meyer 1993, in Mathematical Morphology in Image Processing, p. 433).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.measure import label
from skimage.segmentation import watershed

from ..errors import ArgumentError
from .answer import CORNERS_TOO, Answer
from .strokes import Stroke

# px: a click on the background means an object that is at most this far away.
REACH = 5

# px^2: parts of an object that are smaller than this are no object of their own.
LEAST_PART = 4

# A ring follows the probabilities if they differ by more than this inside it; else it is taken as
# it was drawn.
LEAST_CONTRAST = 0.3

# The marker of a new object: pixels of a ring that are further from its rim than this share of the
# largest distance.
CORE = 0.6

# 3 x 3 px, corners included.
SQUARE = np.ones((3, 3), bool)


def object_at(answer: Answer, point: tuple[float, float]) -> int:
    """Return the id of the object at (row, column), or within REACH px of it.

    Raises ArgumentError if there is none.
    """
    rows, columns = np.indices(answer.shape)
    distances = np.hypot(rows - point[0], columns - point[1])
    distances[answer.objects == 0] = np.inf
    nearest = distances.argmin()
    if distances.flat[nearest] > REACH:
        row, column = point
        raise ArgumentError(f"There is no object at row {row:.0f}, column {column:.0f}.")
    return int(answer.objects.flat[nearest])


def remove(answer: Answer, stroke: Stroke) -> Answer:
    """Remove the object at the stroke's first point."""
    region = answer.objects == object_at(answer, stroke.points[0])
    if answer.class_between == 0:
        answer = answer.decide(region, 0)
    if answer.objects_are_components:
        return answer
    return answer.with_ids(np.where(region, 0, answer.objects))


def split(answer: Answer, stroke: Stroke) -> Answer:
    """Split the object that a stroke crosses, near the stroke, where the network is least sure.

    Raises ArgumentError if the stroke crosses no object, or does not divide it.
    """
    ids, counts = np.unique(answer.objects[stroke.mask(answer.shape)], return_counts=True)
    counts = np.where(ids > 0, counts, 0)
    if not counts.any():
        raise ArgumentError("The stroke crosses no object: draw it from rim to rim.")
    number = ids[counts.argmax()]
    region = answer.objects == number

    # Markers keep away from the stroke, so that the boundary is found near it.
    cut = thin_line(extended(stroke, region), answer.shape)
    markers = np.zeros(answer.shape, np.int32)
    for reach in (max(1, round(stroke.width / 2)), 0):
        near = binary_dilation(cut, SQUARE, iterations=reach) if reach else cut
        markers = large_parts(region & ~near)
        if markers.max() > 1:
            break
    if markers.max() < 2:
        raise ArgumentError("The stroke does not divide the object: draw it from rim to rim.")

    has_gap = answer.objects_are_components or answer.class_between != 0
    parts = watershed(
        -answer.certainty,
        markers,
        mask=region,
        connectivity=CORNERS_TOO,
        watershed_line=has_gap,
    )
    if has_gap:
        answer = answer.decide(region & (parts == 0), answer.class_between)
    if answer.objects_are_components:
        return answer

    # The first part keeps the id of the object.
    objects = np.where(region, 0, answer.objects)
    free_ids = range(answer.free_id, answer.free_id + int(parts.max()) - 1)
    new_ids = np.array([0, number, *free_ids])
    return answer.with_ids(objects + new_ids[parts])


def join(answer: Answer, stroke: Stroke) -> Answer:
    """Join all objects that a stroke touches; the gaps between them along the stroke are filled.

    Raises ArgumentError if it touches fewer than two.
    """
    along = stroke.mask(answer.shape)
    ids, counts = np.unique(answer.objects[along & (answer.objects > 0)], return_counts=True)
    if len(ids) < 2:
        raise ArgumentError(
            "The stroke touches fewer than two objects: draw it from one to another."
        )

    first = ids[counts.argmax()]
    class_id = most_common(answer.labels[answer.objects == first])
    if answer.class_between:
        class_id = answer.class_inside

    between = answer.objects == 0
    if answer.class_between:
        # Cells grow into the membranes, so that their ids meet in the middle of these.
        between = answer.labels == answer.class_between

    gap = np.zeros(answer.shape, bool)
    free = label(along & between, connectivity=CORNERS_TOO)
    for number in range(1, free.max() + 1):
        around = binary_dilation(free == number, SQUARE)
        if len(np.intersect1d(answer.objects[around], ids)) > 1:
            gap |= free == number

    touched = np.isin(answer.objects, ids)
    if answer.objects_are_components:
        # Objects of several classes touch without a gap: they become objects of one class.
        other = touched & (answer.labels != class_id)
        return answer.decide(gap | other, class_id)
    joined = answer.decide(gap, class_id)
    return joined.with_ids(np.where(touched | gap, first, answer.objects))


def add_ring(answer: Answer, stroke: Stroke, class_id: int) -> Answer:
    """Add an object inside a ring: its rim is found on the probabilities, if they have one there.

    Pixels of other objects stay theirs. Raises ArgumentError if nothing is left.
    """
    inside = stroke.mask(answer.shape)
    region = rim_found(answer, inside) & (answer.objects == 0)
    if answer.objects_are_components:
        region &= answer.labels == 0
    if region.sum() < LEAST_PART:
        raise ArgumentError("Inside the ring all pixels belong to other objects.")

    new_id = answer.free_id
    added = answer.decide(region, class_id)
    if answer.objects_are_components:
        return added
    return added.with_ids(np.where(region, new_id, answer.objects))


def rim_found(answer: Answer, inside: np.ndarray) -> np.ndarray:
    """Return the object inside a mask, by a watershed on the slope of the probabilities."""
    values = answer.certainty[inside]
    if not values.size:
        return inside
    low, high = np.percentile(values, [5, 95])
    if high - low < LEAST_CONTRAST:
        return inside

    depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    markers = np.zeros(answer.shape, np.int32)
    markers[~inside] = 1
    markers[depth > CORE * depth.max()] = 2
    slope = cv2.morphologyEx(answer.certainty, cv2.MORPH_GRADIENT, SQUARE.astype(np.uint8))
    return watershed(slope, markers) == 2


def paint(answer: Answer, stroke: Stroke, class_id: int) -> Answer:
    """Give the pixels of a stroke a class; objects grow, shrink or fall apart.

    Where objects have ids of their own, new pixels go to the object that they touch most; if they
    touch none, they are a new one.
    """
    mask = stroke.mask(answer.shape)
    painted = answer.decide(mask, class_id)
    if answer.objects_are_components:
        return painted

    is_inside = class_id == 0 if answer.class_between else class_id > 0
    if is_inside:
        return with_new_pixels(painted, mask & (answer.objects == 0))
    return without_pixels(painted, mask)


def with_new_pixels(answer: Answer, new: np.ndarray) -> Answer:
    """Give new pixels to the object that they touch most, or make them one."""
    if not new.any():
        return answer
    around = binary_dilation(new, SQUARE)
    touched = answer.objects[around]
    touched = touched[touched > 0]
    owner = most_common(touched) if touched.size else answer.free_id
    return answer.with_ids(np.where(new, owner, answer.objects))


def without_pixels(answer: Answer, mask: np.ndarray) -> Answer:
    """Take pixels from objects; one that falls apart becomes several."""
    objects = np.where(mask, 0, answer.objects)
    for number in np.unique(answer.objects[mask]):
        if number == 0:
            continue
        parts = label(objects == number, connectivity=CORNERS_TOO)
        for part in range(2, parts.max() + 1):
            objects[parts == part] = objects.max() + 1
    return answer.with_ids(objects)


def most_common(values: np.ndarray) -> int:
    """Return the value that is there most often."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def large_parts(mask: np.ndarray) -> np.ndarray:
    """Return ids 1, 2, ... of the connected parts of a mask, largest first, without specks."""
    parts = label(mask, connectivity=CORNERS_TOO)
    areas = np.bincount(parts.reshape(-1))
    areas[0] = 0
    order = [part for part in areas.argsort()[::-1] if areas[part] >= LEAST_PART]
    new_ids = np.zeros(len(areas), np.int32)
    new_ids[order] = range(1, len(order) + 1)
    return new_ids[parts]


def extended(stroke: Stroke, region: np.ndarray) -> np.ndarray:
    """Return the stroke's points (N, 2), with both ends carried on until they leave the region."""
    points = np.array(stroke.points, np.float64)
    first = carried_on(points[0], points[0] - points[1], region)
    last = carried_on(points[-1], points[-1] - points[-2], region)
    return np.vstack([first, points, last])


def carried_on(point: np.ndarray, direction: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Go from a point in a direction until the region is left; the point if it is outside."""
    length = np.linalg.norm(direction)
    if length == 0:
        return point
    step = direction / length
    while contains(region, point):
        point = point + step
    return point


def contains(region: np.ndarray, point: np.ndarray) -> bool:
    """Return whether a point lies on a pixel of a region (H, W)."""
    row, column = np.round(point).astype(int)
    height, width = region.shape
    return 0 <= row < height and 0 <= column < width and bool(region[row, column])


def thin_line(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Draw a line of 1 px through points (row, column): a mask of the ``shape`` (H, W).

    It parts even pixels that touch at their corners.
    """
    drawn = np.zeros(shape, np.uint8)
    corners = np.round(points[:, ::-1]).astype(np.int32)
    cv2.polylines(drawn, [corners], isClosed=False, color=1, thickness=1, lineType=cv2.LINE_4)
    return drawn > 0
