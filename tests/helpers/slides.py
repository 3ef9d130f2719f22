"""Slides with a known number of nuclei, written tile by tile, so that they may be larger than memory."""

from pathlib import Path

import cv2
import numpy as np
import tifffile

CLUSTER, TILE = 600, 512  # px


def cluster(count: int, random: np.random.Generator) -> np.ndarray:
    """(CLUSTER, CLUSTER) uint8: discs of 20 to 28 px that do not touch, softened, on a noisy ground."""
    light, centres = np.full((CLUSTER, CLUSTER), 14.0, np.float32), []
    while len(centres) < count:
        y, x = random.uniform(20, CLUSTER - 20, 2)
        if all((y - b) ** 2 + (x - a) ** 2 > 34**2 for b, a in centres):
            centres.append((y, x))
            cv2.circle(
                light,
                (round(x), round(y)),
                int(random.integers(10, 15)),
                float(random.uniform(90, 170)),
                -1,
            )
    return np.clip(random.poisson(cv2.GaussianBlur(light, (0, 0), 1.2)), 0, 255).astype(np.uint8)


def write_slide(path: Path, side: int, corners, count: int = 40, seed: int = 0, **options) -> int:
    """A tiled TIFF (side, side) with a cluster at each of the (top, left) corners, else 0; the number of nuclei."""
    random = np.random.default_rng(seed)
    clusters = [(top, left, cluster(count, random)) for top, left in corners]

    def tiles():
        for y in range(0, side, TILE):
            for x in range(0, side, TILE):
                tile = np.zeros((TILE, TILE), np.uint8)
                for top, left, pixels in clusters:
                    into, out = (
                        [
                            slice(max(0, a - b), max(0, a - b + CLUSTER))
                            for a, b in ((top, y), (left, x))
                        ],
                        [],
                    )
                    out = [
                        slice(max(0, b - a), max(0, b - a + TILE)) for a, b in ((top, y), (left, x))
                    ]
                    part = pixels[tuple(out)]
                    into = tuple(
                        slice(at.start, min(at.start + n, TILE)) for at, n in zip(into, part.shape)
                    )
                    if part.size and all(at.start < TILE for at in into):
                        tile[into] = part[tuple(slice(at.stop - at.start) for at in into)]
                yield tile[: side - y, : side - x]

    tifffile.imwrite(
        path,
        tiles(),
        shape=(side, side),
        dtype=np.uint8,
        tile=(TILE, TILE),
        bigtiff=True,
        compression="zlib",
        photometric="minisblack",
        **options,
    )
    return count * len(clusters)
