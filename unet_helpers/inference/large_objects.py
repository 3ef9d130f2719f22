"""Objects of an answer on disk: found block by block, each with its surroundings, and joined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import relabel_sequential

from ..images.image import MedicalImage
from ..results.measurements import in_physical_units
from ..results.objects import split_interiors
from ..results.segmentation import Segmentation

# px, side of the blocks in which objects are found: bounds the memory.
BLOCK = 1024

# Working px that are seen around a block, so that objects at its rim are seen whole.
HALO = 256

# An object of a block is one of an earlier block where more than this share of the earlier one, as
# far as both blocks see it, lies in it.
SHARE_SEEN_AGAIN = 0.5


@dataclass(frozen=True)
class Block:
    """A block of an image and its surroundings, as slices of rows and of columns."""

    core: tuple[slice, slice]  # of the image: the block
    around: tuple[slice, slice]  # of the image: the block and its surroundings
    inner: tuple[slice, slice]  # of ``around``: the block


@dataclass(frozen=True, eq=False)
class ObjectSums:
    """Sums over the pixels of each object, (N,) floats in the order of the objects' ids."""

    area: np.ndarray  # px
    rows: np.ndarray  # px, of the rows of the image
    columns: np.ndarray  # px, of the columns of the image
    classes: np.ndarray  # of the labels

    @classmethod
    def of_block(
        cls, ids: np.ndarray, labels: np.ndarray, first_id: int, core: tuple[slice, slice]
    ) -> "ObjectSums":
        """Sum over (h, w) ids, of which each from ``first_id`` on occurs, and labels of a block."""
        rows, columns = np.nonzero(ids)
        index = ids[rows, columns] - first_id
        return cls(
            area=np.bincount(index, np.ones(len(index))),
            rows=np.bincount(index, rows + core[0].start),
            columns=np.bincount(index, columns + core[1].start),
            classes=np.bincount(index, labels[rows, columns]),
        )

    @classmethod
    def of_all_blocks(cls, parts: Sequence["ObjectSums"]) -> "ObjectSums":
        """Put the objects of blocks behind one another, in the order of the blocks."""
        nothing = np.zeros(0)
        return cls(
            area=np.concatenate([nothing, *(part.area for part in parts)]),
            rows=np.concatenate([nothing, *(part.rows for part in parts)]),
            columns=np.concatenate([nothing, *(part.columns for part in parts)]),
            classes=np.concatenate([nothing, *(part.classes for part in parts)]),
        )

    def joined(self, groups: np.ndarray, count: int) -> "ObjectSums":
        """Add up objects that belong to the same of ``count`` groups; ``groups``: (N,) from 0."""
        return ObjectSums(
            area=np.bincount(groups, self.area, count),
            rows=np.bincount(groups, self.rows, count),
            columns=np.bincount(groups, self.columns, count),
            classes=np.bincount(groups, self.classes, count),
        )


def find_objects_by_blocks(
    blank: Segmentation, answer: Any, labels: Any, objects: Any
) -> tuple[np.ndarray, pd.DataFrame]:
    """Fill the labels and objects (H, W) that an answer (K, H, W) has; all three are Zarr arrays.

    ``blank`` is the result without its answer: its card, threshold, zoom and spacing count.

    Returns the number of the object that each id in ``objects`` belongs to, and a table with a row
    for each object.
    """
    method = blank.card.instance_method
    certainty = None
    if method == "interiors":
        certainty = mean_certainty(answer, blank.threshold)

    count = 0  # ids so far
    same: list[np.ndarray] = []
    sums: list[ObjectSums] = []
    for block in blocks_of(objects.shape, halo=int(HALO / blank.zoom)):
        probabilities = answer[(slice(None), *block.around)]
        part = replace(
            blank, image=MedicalImage(probabilities[0], "YX"), probabilities=probabilities
        )

        # Where there are no membranes, all of the block is a cell.
        if method != "membranes" and not part.labels.any():
            continue

        ids = numbered(objects_in(part, certainty), block.inner, first_id=count + 1)
        same.append(same_objects(objects[block.around], ids, method))
        labels[block.core] = part.labels[block.inner]
        objects[block.core] = ids[block.inner]
        sums.append(
            ObjectSums.of_block(ids[block.inner], part.labels[block.inner], count + 1, block.core)
        )
        count = max(count, int(ids.max()))

    groups, total = groups_of(same, count)
    table = table_of(ObjectSums.of_all_blocks(sums).joined(groups, total), blank)
    numbers = np.append(0, groups + 1).astype(np.int32)
    return numbers, table


def blocks_of(shape: tuple[int, int], halo: int) -> Iterator[Block]:
    """Cut an image (H, W) into blocks, each seen with ``halo`` px around it."""
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
    """Give the mean probability of the foreground of a (K, H, W) Zarr array, of all blocks."""
    from dask.array.core import from_zarr

    foreground = 1 - from_zarr(answer)[0]
    return float(foreground[foreground > threshold].mean())


def objects_in(part: Segmentation, certainty: float | None) -> np.ndarray:
    """Find the objects of a block and its surroundings: (h, w) ids.

    ``certainty``: that of the whole image, with which evidence for a nucleus is compared.
    """
    if part.card.instance_method == "interiors":
        return split_interiors(part.probabilities, part.threshold, part.zoom, certainty)
    return part.objects


def numbered(ids: np.ndarray, inner: tuple[slice, slice], first_id: int) -> np.ndarray:
    """Keep the objects (h, w) that reach into the block, with ids from ``first_id`` on, int32."""
    in_block = np.isin(ids, ids[inner])
    kept = np.where(in_block, ids, 0)
    return relabel_sequential(kept, first_id)[0].astype(np.int32)


def same_objects(earlier: np.ndarray, ids: np.ndarray, method: str) -> np.ndarray:
    """Find the pairs (2, N) of an earlier id and a new one that are the same object.

    ``earlier`` are the ids of earlier blocks and ``ids`` those of this block, both (h, w) where the
    block and its surroundings lie. Parts of a connected component are one wherever they overlap.
    """
    both = np.stack([earlier, ids])
    overlapping = both[:, both.all(axis=0)]
    pairs, overlap = np.unique(overlapping, axis=1, return_counts=True)
    if method == "components":
        return pairs

    sizes = np.bincount(earlier.reshape(-1))
    return pairs[:, overlap > SHARE_SEEN_AGAIN * sizes[pairs[0]]]


def groups_of(same: list[np.ndarray], count: int) -> tuple[np.ndarray, int]:
    """Join the ids 1 to ``count`` by pairs of them (2, N) that are the same object.

    Returns the group of each id, (count,) from 0 on, and the number of groups.
    """
    pairs = np.concatenate([np.zeros((2, 0), int), *same], axis=1)
    first, second = pairs - 1
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    total, groups = connected_components(graph, False)
    return groups, total


def table_of(sums: ObjectSums, blank: Segmentation) -> pd.DataFrame:
    """Make a table with a row for each object: its size and position, in px and physical units."""
    table = pd.DataFrame(
        {
            "object": range(1, len(sums.area) + 1),
            "area_px": sums.area.astype(int),
            "diameter_px": np.sqrt(4 / np.pi * sums.area),
            "centroid_y_px": sums.rows / sums.area,
            "centroid_x_px": sums.columns / sums.area,
        }
    )
    if blank.card.instance_method == "components":
        label = np.rint(sums.classes / sums.area).astype(int)
        table.insert(1, "class", np.array(blank.card.classes)[label - 1])
    return in_physical_units(table, blank.image, "area")
