"""Outlines of objects, for QuPath and ImageJ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import shapely
from scipy.ndimage import find_objects

from ..images.image import Position
from ..images.stack import as_displayed
from .measurements import classes_of, slices_per_frame
from .named_labels import rgb

if TYPE_CHECKING:
    import pandas as pd
    from roifile import ImagejRoi

    from .segmentation import Segmentation

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255

# A closed line of (x, y) corners of pixels: pixel (0, 0) is the square from (0, 0) to (1, 1).
Ring = list[tuple[int, int]]

# Detections are many and fixed, annotations few and changed by hand.
ObjectType = Literal["detection", "annotation"]

# The outer ring of an area, then those of its holes.
Polygon = list[Ring]


@dataclass(frozen=True)
class Outline:
    """One object in one displayed slice."""

    number: int  # its id
    frame: int  # point in time, from 0
    slice_index: int  # of the frame, from 0
    polygons: list[Polygon]  # one for each piece of the object in this slice


@dataclass(frozen=True)
class Appearance:
    """The name and colour with which another program shows an object."""

    name: str
    colour: Colour


def outlines(result: Segmentation) -> Iterator[Outline]:
    """Yield the outline of each object in each displayed slice."""
    for layer in result._layers:
        stack = as_displayed(result.image, layer)
        depth = slices_per_frame(result.image, len(stack))
        for i, ids in enumerate(stack):
            yield from outlines_of_slice(ids, frame=i // depth, slice_index=i % depth)


def outlines_of_slice(ids: np.ndarray, frame: int, slice_index: int) -> Iterator[Outline]:
    """Yield the outline of each object in ids (H, W) of a displayed slice."""
    for number, box in enumerate(find_objects(ids), 1):
        if box is None:
            continue
        rows, columns = box
        pieces = polygons_of(ids[box] == number)
        yield Outline(
            number=number,
            frame=frame,
            slice_index=slice_index,
            polygons=[shifted(piece, x=columns.start, y=rows.start) for piece in pieces],
        )


def shifted(polygon: Polygon, x: int, y: int) -> Polygon:
    """Return a polygon moved by ``x`` px to the right and ``y`` px down."""
    return [[(corner_x + x, corner_y + y) for corner_x, corner_y in ring] for ring in polygon]


def polygons_of(mask: np.ndarray) -> list[Polygon]:
    """Return the polygons of an (H, W) mask; their area is the number of its pixels."""
    polygon = traced(mask)
    if polygon is not None:
        return [polygon]

    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)

    # Each run of pixels in a row is a box, and the mask is the union of these boxes.
    runs = shapely.box(starts, rows, stops, rows + 1)
    pieces = shapely.get_parts(shapely.union_all(runs))
    return [rings_of(piece) for piece in shapely.simplify(pieces, tolerance=0)]


def traced(mask: np.ndarray) -> Polygon | None:
    """Trace the outline of an (H, W) mask in one piece without holes, which most objects are.

    Returns None for other masks, whose outline would touch itself.
    """
    # In a mask of twice the size, an outline through the middles of pixels is one along the sides
    # of the pixels of the mask.
    doubled = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) != 1:
        return None

    corners = (contours[0].reshape(-1, 2) + 1) // 2
    steps = np.roll(corners, -1, axis=0) - corners
    corners = corners[steps.any(axis=1)]
    turns = np.sign(np.roll(corners, -1, axis=0) - corners)
    corners = corners[(turns != np.roll(turns, 1, axis=0)).any(axis=1)]

    following = np.roll(corners, -1, axis=0)
    is_straight = (corners == following).any(axis=1).all()
    visits_once = len(np.unique(corners, axis=0)) == len(corners)
    x, y = corners.T
    area = abs(int((x * following[:, 1] - following[:, 0] * y).sum())) // 2
    if not is_straight or not visits_once or area != np.count_nonzero(mask):
        return None
    ring = [(int(x), int(y)) for x, y in corners]
    return [[*ring, ring[0]]]


def rings_of(piece: shapely.Polygon) -> Polygon:
    """Return the corners of a shapely polygon as integers."""
    rings = [piece.exterior, *piece.interiors]
    return [[(int(x), int(y)) for x, y in ring.coords] for ring in rings]


def appearances(result: Segmentation) -> list[Appearance]:
    """Return the name and colour of each object's class, by the object's id.

    If objects have no class, these are the card's title and first colour. The entry for id 0 is
    unused.
    """
    card = result.card
    colours = [rgb(colour) for colour in card.colors]

    classes = classes_of(result)
    if classes is None:
        count = int(result.objects.max()) + 1
        return [Appearance(card.title, colours[0])] * count

    by_class = [Appearance(*pair) for pair in zip(card.classes, colours, strict=True)]
    return [by_class[max(int(label), 1) - 1] for label in classes]


def write_geojson(result: Segmentation, path: Path) -> None:
    """Write one detection per object and slice in QuPath's GeoJSON, with its measurements."""
    write_objects_of_qupath(result, path, "detection")


def write_annotations(result: Segmentation, path: Path) -> None:
    """Write the same as annotations, which can be changed by hand in QuPath, one by one."""
    write_objects_of_qupath(result, path, "annotation")


def write_objects_of_qupath(result: Segmentation, path: Path, kind: ObjectType) -> None:
    """Write one feature per object and slice; x and y are in px of the displayed slice.

    Of an image pyramid they are those of the finest level. Areas have holes.
    """
    looks = appearances(result)
    measurements = measurements_by_object(result.measure())

    features = []
    for outline in outlines(result):
        plane = None
        if not result.image.is_single:
            plane = {"c": -1, "z": outline.slice_index, "t": outline.frame}
        features.append(
            feature(
                outline.number,
                at_finest_level(outline.polygons, result.image.position),
                looks[outline.number],
                measurements.get(outline.number, {}),
                kind=kind,
                plane=plane,
            )
        )
    write_features(features, path)


def write_features(features: list[dict[str, Any]], path: Path) -> None:
    """Write a collection of features as GeoJSON."""
    # Not json.dump, which is written in Python and takes ten times as long as json.dumps.
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def feature(
    number: int,
    polygons: list[Polygon],
    look: Appearance,
    measurements: dict[str, float],
    *,
    kind: ObjectType,
    plane: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Return one object as a feature of GeoJSON, with the properties that QuPath reads."""
    geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": polygons}
    if len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": polygons[0]}
    if plane is not None:
        geometry["plane"] = plane
    properties = {
        "objectType": kind,
        "name": f"Object {number}",
        "object": number,
        "classification": {"name": look.name, "color": look.colour},
        "measurements": measurements,
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def measurements_by_object(table: pd.DataFrame) -> dict[int, dict[str, float]]:
    """Return the numbers in a table of objects by object and column; not finite ones are left out.

    Of an object in several rows, as in a movie, the first counts.
    """
    numbers = table.select_dtypes("number").drop(
        columns=["object", "frame", "slice"], errors="ignore"
    )
    names = list(map(str, numbers))
    found: dict[int, dict[str, float]] = {}
    for number, row in zip(table["object"].tolist(), numbers.to_numpy(float).tolist(), strict=True):
        finite = {name: value for name, value in zip(names, row) if math.isfinite(value)}
        found.setdefault(number, finite)
    return found


def at_finest_level(polygons: list[Polygon], position: Position) -> list[Polygon]:
    """Return polygons of an image in px of the finest level of its pyramid."""
    if position == Position():
        return polygons
    (row_step, column_step), (top, left) = position.step, position.start
    return [
        [
            [(round(left + x * column_step), round(top + y * row_step)) for x, y in ring]
            for ring in polygon
        ]
        for polygon in polygons
    ]


def write_rois(result: Segmentation, path: Path) -> None:
    """Write a .zip of ImageJ ROIs, one per object and slice.

    Objects with holes or in several pieces are composite ROIs. x and y are in px of the finest
    level of an image pyramid.
    """
    from roifile import roiwrite

    looks = appearances(result)

    rois = []
    for outline in outlines(result):
        roi = roi_of(at_finest_level(outline.polygons, result.image.position))
        roi.name = f"{outline.number:05d}"
        roi.stroke_color = bytes((255, *looks[outline.number].colour))  # alpha, red, green, blue
        if not result.image.is_single:
            # ImageJ counts slices and frames from 1.
            roi.position = outline.slice_index + 1
            roi.z_position = outline.slice_index + 1
            roi.t_position = outline.frame + 1
            roi.name += f"-{roi.t_position:04d}-{roi.z_position:04d}"
        rois.append(roi)

    # roifile appends to an existing file, and writes no file if there are no objects.
    path.unlink(missing_ok=True)
    roiwrite(path, rois, mode="w")


def roi_of(polygons: list[Polygon]) -> ImagejRoi:
    """Return the ImageJ ROI of an object's polygons in one slice."""
    from roifile import ImagejRoi

    rings = [np.array(ring[:-1], np.int32) for polygon in polygons for ring in polygon]
    if len(rings) > 1:
        return composite_roi(rings)

    roi = ImagejRoi.frompoints(rings[0])
    # roifile takes the corners as pixels, so its box is one px too large.
    roi.right -= 1
    roi.bottom -= 1
    return roi


def composite_roi(rings: list[np.ndarray]) -> ImagejRoi:
    """Return an ImageJ ROI of several rings, each (corners, 2) of x and y."""
    from roifile import ROI_TYPE, ImagejRoi

    corners = np.concatenate(rings)
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    path = np.concatenate([shape_path(ring) for ring in rings]).astype(np.float32)
    return ImagejRoi(
        roitype=ROI_TYPE.RECT,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        shape_roi_size=len(path),
        multi_coordinates=path,
    )


def shape_path(ring: np.ndarray) -> np.ndarray:
    """Return a ring as ImageJ's shape path: 0 x y moves, 1 x y draws a line, 4 closes."""
    draws = np.ones(len(ring), ring.dtype)
    draws[0] = 0
    steps = np.column_stack([draws, ring])
    return np.append(steps, 4)
