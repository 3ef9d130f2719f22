"""Finds objects in a prediction on disk (Zarr) that is too large for memory.

They are found block by block, each block with a halo, and joined across blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import relabel_sequential

from ..images.image import MedicalImage
from ..results.intensities import IntensitySums
from ..results.measurements import in_physical_units
from ..results.objects import split_interiors
from ..results.proportions import proportions_of
from ..results.segmentation import Segmentation
from .large_shapes import ShapeSums

# px: side of the blocks in which objects are found, which bounds the memory.
BLOCK = 1024

# px at the network's resolution: width of the halo around a block, so that objects at the block's
# border are seen whole.
HALO = 256

# An object is the same as one of an earlier block if it holds more than this share of the earlier
# one's pixels that are visible in this block or its halo.
MIN_MATCHED_SHARE = 0.5


@dataclass(frozen=True)
class Block:
    """A block of an image and its halo, as slices of rows and of columns."""

    core: tuple[slice, slice]  # the block, in the image
    around: tuple[slice, slice]  # the block with its halo, in the image
    inner: tuple[slice, slice]  # the block, in ``around``


@dataclass(frozen=True, eq=False)
class ObjectSums:
    """Sums over the pixels of each object, (N,) floats in the order of the objects' ids."""

    area: np.ndarray  # number of pixels
    rows: np.ndarray  # sum of the rows of the pixels, in the image
    columns: np.ndarray  # sum of the columns of the pixels, in the image
    classes: np.ndarray  # sum of the labels of the pixels
    intensities: IntensitySums  # of each channel

    @classmethod
    def of_block(
        cls,
        ids: np.ndarray,
        labels: np.ndarray,
        first_id: int,
        core: tuple[slice, slice],
        channels: Sequence[np.ndarray] = (),
    ) -> "ObjectSums":
        """Sum over the pixels of a block with (h, w) ids and labels, and of each channel.

        The ids must be contiguous from ``first_id``; 0 is background.
        """
        rows, columns = np.nonzero(ids)
        index = ids[rows, columns] - first_id
        values = np.zeros((len(index), len(channels)))
        for number, channel in enumerate(channels):
            values[:, number] = channel[rows, columns]
        count = max(0, int(ids.max(initial=0)) - first_id + 1)
        return cls(
            area=np.bincount(index, np.ones(len(index))),
            rows=np.bincount(index, rows + core[0].start),
            columns=np.bincount(index, columns + core[1].start),
            classes=np.bincount(index, labels[rows, columns]),
            intensities=IntensitySums.of_pixels(index, values, count),
        )

    @classmethod
    def of_all_blocks(cls, parts: Sequence["ObjectSums"], channels: int) -> "ObjectSums":
        """Concatenate the objects of all blocks, in the order of the blocks."""
        nothing = np.zeros(0)
        return cls(
            area=np.concatenate([nothing, *(part.area for part in parts)]),
            rows=np.concatenate([nothing, *(part.rows for part in parts)]),
            columns=np.concatenate([nothing, *(part.columns for part in parts)]),
            classes=np.concatenate([nothing, *(part.classes for part in parts)]),
            intensities=IntensitySums.concatenated([part.intensities for part in parts], channels),
        )

    def joined(self, groups: np.ndarray, count: int) -> "ObjectSums":
        """Add up the objects in each of ``count`` groups; ``groups`` (N,) counts from 0."""
        return ObjectSums(
            area=np.bincount(groups, self.area, count),
            rows=np.bincount(groups, self.rows, count),
            columns=np.bincount(groups, self.columns, count),
            classes=np.bincount(groups, self.classes, count),
            intensities=self.intensities.joined(groups, count),
        )


def find_objects_by_blocks(
    blank: Segmentation,
    answer: Any,
    labels: Any,
    objects: Any,
    channels: Mapping[str, Any] | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Fill ``labels`` and ``objects`` (H, W) from the probabilities ``answer`` (K, H, W).

    All three are Zarr arrays; the first two are changed in place. ``blank`` is the result without
    probabilities: its card, threshold, zoom and spacing are used. ``channels`` are the (H, W)
    arrays whose intensities are measured, by the end of the names of their columns.

    An object that extends over several blocks gets an id in each of them. Returns the number of the
    object for each id in ``objects``, and a table with a row for each object.
    """
    method = blank.card.instance_method
    certainty = None
    if method == "interiors":
        certainty = mean_certainty(answer, blank.threshold)

    count = 0  # ids so far
    matches: list[np.ndarray] = []
    channels = channels or {}
    sums: list[ObjectSums] = []
    shapes: list[ShapeSums] = []
    for block in blocks_of(objects.shape, halo=int(HALO / blank.zoom)):
        probabilities = answer[(slice(None), *block.around)]
        part = replace(
            blank, image=MedicalImage(probabilities[0], "YX"), probabilities=probabilities
        )

        # ``part.labels`` covers the block and its halo. Between membranes, an empty block is still
        # (part of) a cell, so it is not skipped.
        if method != "membranes" and not part.labels.any():
            continue

        ids = numbered(objects_in(part, certainty), block.inner, first_id=count + 1)
        matches.append(same_objects(objects[block.around], ids, method))
        labels[block.core] = part.labels[block.inner]
        objects[block.core] = ids[block.inner]
        measured = [np.asarray(channel[block.core]) for channel in channels.values()]
        sums.append(
            ObjectSums.of_block(
                ids[block.inner], part.labels[block.inner], count + 1, block.core, measured
            )
        )
        shapes.append(ShapeSums.of_block(ids, count + 1, block.inner, block.core))
        count = max(count, int(ids.max()))

    groups, total = groups_of(matches, count)
    joined = ObjectSums.of_all_blocks(sums, len(channels)).joined(groups, total)
    shaped = ShapeSums.of_all_blocks(shapes, groups, total)
    columns = shaped.columns_of_table(objects.shape, proportions_of(blank.image))
    table = table_of(joined, blank, list(channels), columns)
    numbers = np.append(0, groups + 1).astype(np.int32)
    return numbers, table


def blocks_of(shape: tuple[int, int], halo: int) -> Iterator[Block]:
    """Cut an image (H, W) into blocks, each with a halo of ``halo`` px."""
    from dask.array.core import normalize_chunks, slices_from_chunks

    for rows, columns in slices_from_chunks(normalize_chunks(BLOCK, shape)):
        top = max(0, rows.start - halo)
        left = max(0, columns.start - halo)
        yield Block(
            core=(rows, columns),
            around=(slice(top, rows.stop + halo), slice(left, columns.stop + halo)),
            inner=(
                slice(rows.start - top, rows.stop - top),
                slice(columns.start - left, columns.stop - left),
            ),
        )


def mean_certainty(answer: Any, threshold: float) -> float:
    """Return the mean probability of foreground, of the pixels above the threshold, (K, H, W)."""
    from dask.array.core import from_zarr

    foreground = 1 - from_zarr(answer)[0]
    return float(foreground[foreground > threshold].mean())


def objects_in(part: Segmentation, certainty: float | None) -> np.ndarray:
    """Find the objects of a block and its halo: (h, w) ids.

    ``certainty`` is the mean probability of foreground in the whole image: doubtful nuclei are
    dropped relative to it (see `results.objects.drop_doubtful`).
    """
    if part.card.instance_method == "interiors":
        size = part.card.object_diameter
        return split_interiors(part.probabilities, part.threshold, part.zoom, size, certainty)
    return part.objects


def numbered(ids: np.ndarray, inner: tuple[slice, slice], first_id: int) -> np.ndarray:
    """Keep the objects (h, w) that reach into the block; int32 ids start at ``first_id``."""
    in_block = np.isin(ids, ids[inner])
    kept = np.where(in_block, ids, 0)
    return relabel_sequential(kept, first_id)[0].astype(np.int32)


def same_objects(earlier: np.ndarray, ids: np.ndarray, method: str) -> np.ndarray:
    """Find the pairs (2, N) of an earlier id and a new one that are the same object.

    ``earlier`` are the ids of earlier blocks and ``ids`` those of this block, both (h, w) in the
    block and its halo. Two parts of connected components are the same object if they overlap.
    """
    both = np.stack([earlier, ids])
    overlapping = both[:, both.all(axis=0)]
    pairs, overlap = np.unique(overlapping, axis=1, return_counts=True)
    if method == "components":
        return pairs

    sizes = np.bincount(earlier.reshape(-1))
    return pairs[:, overlap > MIN_MATCHED_SHARE * sizes[pairs[0]]]


def groups_of(matches: list[np.ndarray], count: int) -> tuple[np.ndarray, int]:
    """Group the ids 1 to ``count``: each of ``matches`` (2, N) holds pairs of the same object.

    Returns the group of each id, (count,) from 0, and the number of groups.
    """
    pairs = np.concatenate([np.zeros((2, 0), int), *matches], axis=1)
    first, second = pairs - 1
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    total, groups = connected_components(graph, directed=False)
    return groups, total


def table_of(
    sums: ObjectSums,
    blank: Segmentation,
    channels: Sequence[str],
    shapes: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Return a table with one row per object: size, position in px, intensities, and shapes."""
    table = pd.DataFrame(
        {
            "object": range(1, len(sums.area) + 1),
            "area_px": sums.area.astype(int),
            "diameter_px": np.sqrt(4 / np.pi * sums.area),
            "centroid_y_px": sums.rows / sums.area,
            "centroid_x_px": sums.columns / sums.area,
            **sums.intensities.columns(channels),
            **(shapes or {}),
        }
    )
    if blank.card.instance_method == "components":
        label = np.rint(sums.classes / sums.area).astype(int)
        table.insert(1, "class", np.array(blank.card.classes)[label - 1])
    return in_physical_units(table, blank.image, "area")
