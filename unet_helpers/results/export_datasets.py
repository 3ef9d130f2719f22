"""Objects as data sets to train other networks with: COCO and YOLO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import find_objects

from ..errors import SaveError
from ..version import __version__
from .export_outlines import Polygon, outlines
from .measurements import classes_of

if TYPE_CHECKING:
    from .segmentation import Segmentation


def write_coco(result: Segmentation, path: Path) -> None:
    """Write COCO's instance annotations of a single image.

    Areas without holes are polygons; others are uncompressed run lengths, which have holes.
    """
    refuse_stack(result, path)
    height, width = result.objects.shape
    categories = category_names(result)
    category_of = categories_of_objects(result)
    boxes = find_objects(result.objects)

    annotations = []
    for outline in outlines(result):
        number = outline.number
        rows, columns = boxes[number - 1]
        mask = result.objects[rows, columns] == number
        annotation = {
            "id": number,
            "image_id": 1,
            "category_id": int(category_of[number]) + 1,
            "segmentation": segmentation_of(result.objects == number, outline.polygons),
            "area": int(np.count_nonzero(mask)),
            "bbox": [columns.start, rows.start, mask.shape[1], mask.shape[0]],
            "iscrowd": 0,
        }
        annotations.append(annotation)

    data = {
        "info": {
            "description": f"{result.card.title}, found by {result.card.name}",
            "version": __version__,
        },
        "images": [{"id": 1, "file_name": file_name(result), "width": width, "height": height}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories, 1)],
        "annotations": annotations,
    }
    path.write_text(json.dumps(data))


def segmentation_of(mask: np.ndarray, polygons: list[Polygon]) -> Any:
    """Return COCO's segmentation of one object: polygons or, if it has holes, run lengths."""
    has_holes = any(len(polygon) > 1 for polygon in polygons)
    if not has_holes:
        return [[value for corner in ring[:-1] for value in corner] for (ring,) in polygons]

    # Column by column, beginning with a run of background, which may be empty.
    values = np.concatenate([[False], mask.ravel(order="F")])
    starts = np.flatnonzero(np.diff(values)) + 1
    counts = np.diff([1, *starts, len(values)])
    return {"size": list(mask.shape), "counts": counts.tolist()}


def write_yolo(result: Segmentation, path: Path) -> None:
    """Write YOLO's labels of a single image: a line ``class x1 y1 x2 y2 ...`` for each area.

    x and y are shares of the width and height. Holes are left out, because the format has none, and
    an object in several pieces has a line for each. ``NAME.yolo_classes.txt`` names the classes,
    one a line, from 0.
    """
    refuse_stack(result, path)
    height, width = result.objects.shape
    category_of = categories_of_objects(result)
    lines = []
    for outline in outlines(result):
        for outer, *_ in outline.polygons:
            corners = [f"{x / width:.6f} {y / height:.6f}" for x, y in outer[:-1]]
            lines.append(f"{category_of[outline.number]} {' '.join(corners)}\n")
    path.write_text("".join(lines))

    stem = path.name[: -len(".yolo.txt")]
    names = "".join(f"{name}\n" for name in category_names(result))
    path.with_name(f"{stem}.yolo_classes.txt").write_text(names, encoding="utf-8")


def refuse_stack(result: Segmentation, path: Path) -> None:
    """Raise SaveError for a stack or a movie, which these formats do not have."""
    if result.objects.ndim != 2:
        raise SaveError(
            f"{path.name}: this format holds single images. Segment one slice or frame "
            "(page=, frame=), or export the stack as .nii.gz or .ome.zarr."
        )


def category_names(result: Segmentation) -> list[str]:
    """Return what objects are: the classes or, if objects have none, the title of the card."""
    if result.card.instance_method == "components":
        return list(result.card.classes)
    return [result.card.title]


def categories_of_objects(result: Segmentation) -> np.ndarray:
    """Return the category, from 0, of each object by its id; the entry of id 0 is unused."""
    classes = classes_of(result)
    if classes is None:
        return np.zeros(int(result.objects.max(initial=0)) + 1, int)
    return np.maximum(classes.astype(int), 1) - 1


def file_name(result: Segmentation) -> str:
    """Return the name of the file that was segmented."""
    if result.image.path is None:
        return result.image.name
    return result.image.path.name
