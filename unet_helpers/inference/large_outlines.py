"""Outlines of objects whose ids are on disk (Zarr), for QuPath."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import find_objects

from ..results.export_outlines import (
    Appearance,
    ObjectType,
    at_finest_level,
    feature,
    measurements_by_object,
    polygons_of,
    shifted,
    write_features,
)
from ..results.named_labels import rgb
from ..results.segmentation import Segmentation
from .large_objects import blocks_of


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of an object that lies in one block."""

    mask: np.ndarray  # (h, w) bool
    top: int  # its first row, in the image
    left: int  # its first column, in the image


def write_large_geojson(
    blank: Segmentation,
    objects: Any,
    numbers: np.ndarray,
    table: pd.DataFrame,
    path: Path,
    kind: ObjectType,
) -> None:
    """Write one feature per object with its measurements, as ``write_geojson`` does.

    ``objects`` (H, W) is a Zarr array of ids, ``numbers`` the object of each id, and ``table`` has
    a row for each object.
    """
    card = blank.card
    colours = [rgb(colour) for colour in card.colors]
    looks: dict[str | None, Appearance] = {None: Appearance(card.title, colours[0])}
    looks |= {name: Appearance(name, colour) for name, colour in zip(card.classes, colours)}
    classes = dict(zip(table["object"], table["class"])) if "class" in table else {}
    measurements = measurements_by_object(table)

    features = []
    for number, mask in masks_of_objects(objects, numbers):
        polygons = [shifted(piece, x=mask.left, y=mask.top) for piece in polygons_of(mask.mask)]
        features.append(
            feature(
                number,
                at_finest_level(polygons, blank.image.position),
                looks[classes.get(number)],
                measurements[number],
                kind=kind,
            )
        )
    write_features(features, path)


def masks_of_objects(objects: Any, numbers: np.ndarray) -> Iterator[tuple[int, Piece]]:
    """Yield each object's number and its mask, joined across blocks."""
    in_several: dict[int, list[Piece]] = defaultdict(list)
    for block in blocks_of(objects.shape, halo=0):
        rows, columns = block.core
        ids = numbers[objects[block.core]]
        present, inverse = np.unique(ids, return_inverse=True)
        # The background gets 0, so that objects are counted from 1.
        first = 0 if present[0] == 0 else 1
        local = inverse.reshape(ids.shape) + first

        for number, box in zip(present[present > 0].tolist(), find_objects(local), strict=True):
            mask = ids[box] == number
            piece = Piece(mask, top=rows.start + box[0].start, left=columns.start + box[1].start)
            stops = (box[0].stop, box[1].stop)
            if min(box[0].start, box[1].start) > 0 and np.less(stops, ids.shape).all():
                yield number, piece
            else:
                in_several[number].append(piece)

    for number, pieces in in_several.items():
        yield number, joined(pieces)


def joined(pieces: list[Piece]) -> Piece:
    """Join the pieces of an object."""
    top = min(piece.top for piece in pieces)
    left = min(piece.left for piece in pieces)
    height = max(piece.top + piece.mask.shape[0] for piece in pieces) - top
    width = max(piece.left + piece.mask.shape[1] for piece in pieces) - left
    mask = np.zeros((height, width), bool)
    for piece in pieces:
        row, column = piece.top - top, piece.left - left
        own_height, own_width = piece.mask.shape
        mask[row : row + own_height, column : column + own_width] |= piece.mask
    return Piece(mask, top, left)
