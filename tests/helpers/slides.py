"""Slides with a known number of nuclei, written tile by tile: they may be larger than memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

# px: sides of a cluster of nuclei and of a tile of the file.
CLUSTER = 600
TILE = 512

# Grey of the ground and of nuclei, before noise.
GROUND = 14
NUCLEI = (90, 170)

# px: smallest and largest radius of nuclei, the latter not reached.
RADII = (10, 15)

# px: nuclei are so far from the rim of their cluster, and from each other, centre to centre.
RIM = 20
LEAST_DISTANCE = 34

# px: standard deviation of the Gaussian that softens nuclei.
SOFTNESS = 1.2


@dataclass(frozen=True, eq=False)
class Cluster:
    """Nuclei that lie together, and where on the slide."""

    top: int
    left: int
    # (CLUSTER, CLUSTER) uint8.
    pixels: np.ndarray


def draw_cluster(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw (CLUSTER, CLUSTER) uint8: discs that do not touch, softened, on a noisy ground."""
    light = np.full((CLUSTER, CLUSTER), GROUND, np.float32)
    centres: list[tuple[float, float]] = []
    while len(centres) < count:
        y, x = rng.uniform(RIM, CLUSTER - RIM, 2)
        if all((y - b) ** 2 + (x - a) ** 2 > LEAST_DISTANCE**2 for b, a in centres):
            centres.append((y, x))
            radius = int(rng.integers(*RADII))
            grey = float(rng.uniform(*NUCLEI))
            cv2.circle(light, (round(x), round(y)), radius, grey, cv2.FILLED)

    soft = cv2.GaussianBlur(light, (0, 0), SOFTNESS)
    return np.clip(rng.poisson(soft), 0, 255).astype(np.uint8)


def write_slide(
    path: Path,
    side: int,
    corners: Sequence[tuple[int, int]],
    count: int = 40,
    seed: int = 0,
    **options: Any,
) -> int:
    """Write a tiled TIFF (side, side), and return its number of nuclei.

    It has a cluster of ``count`` nuclei at each of the (top, left) corners, and is 0 elsewhere.
    ``options`` are those of tifffile.
    """
    rng = np.random.default_rng(seed)
    clusters = [Cluster(top, left, draw_cluster(count, rng)) for top, left in corners]
    tifffile.imwrite(
        path,
        tiles_of(side, clusters),
        shape=(side, side),
        dtype=np.uint8,
        tile=(TILE, TILE),
        bigtiff=True,
        compression="zlib",
        photometric="minisblack",
        **options,
    )
    return count * len(clusters)


def tiles_of(side: int, clusters: Sequence[Cluster]) -> Iterator[np.ndarray]:
    """Yield the tiles of a slide (side, side), row by row; the last ones are cut off."""
    for top in range(0, side, TILE):
        for left in range(0, side, TILE):
            tile = np.zeros((TILE, TILE), np.uint8)
            for cluster in clusters:
                paste(cluster, tile, top, left)
            yield tile[: side - top, : side - left]


def paste(cluster: Cluster, tile: np.ndarray, top: int, left: int) -> None:
    """Copy what of a cluster lies in the tile at (top, left), in place."""
    rows = overlap(cluster.top, top)
    columns = overlap(cluster.left, left)
    if rows and columns:
        in_tile = np.ix_(np.array(rows) - top, np.array(columns) - left)
        in_cluster = np.ix_(np.array(rows) - cluster.top, np.array(columns) - cluster.left)
        tile[in_tile] = cluster.pixels[in_cluster]


def overlap(start_of_cluster: int, start_of_tile: int) -> range:
    """Return the px of the slide, along one axis, that a cluster and a tile share."""
    start = max(start_of_cluster, start_of_tile)
    stop = min(start_of_cluster + CLUSTER, start_of_tile + TILE)
    return range(start, stop)
