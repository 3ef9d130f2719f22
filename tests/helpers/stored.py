"""Images on disk that can be read piece by piece, and the pixels that are read of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (150, 210), np.uint8)
COLOUR = RNG.integers(0, 255, (150, 210, 3), np.uint8)

# Half of each is darker: noise alone is nothing but background.
GREY[:, :105] //= 4
COLOUR[:, :105] //= 4

# px, side of the pieces in which they are stored.
SIDE = 64
TILE = (SIDE, SIDE)

# Two levels of a pyramid, of which the second is GREY.
LEVELS = [np.kron(GREY, np.ones((2, 2), np.uint8)), GREY]

# In colour with blue alone, and in colour with an opaque alpha channel.
BLUE = np.pad(GREY[..., None], ((0, 0), (0, 0), (2, 0)))
OPAQUE = np.pad(COLOUR, ((0, 0), (0, 0), (0, 1)), constant_values=255)

# A region (top, left, height, width) that begins inside a piece, and its pixels.
REGION = (37, 50, 101, 151)
GREY_REGION = GREY[37:138, 50:201]


def write_tiff(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """A TIFF; ``options`` are those of tifffile."""
    tifffile.imwrite(path, pixels, **options)
    return path


def write_tiles(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """A TIFF in tiles."""
    return write_tiff(path, pixels, tile=TILE, **options)


def write_pyramid(path: Path, levels: Sequence[np.ndarray], **options: Any) -> Path:
    """A TIFF with a pyramid, the finest level first."""
    with tifffile.TiffWriter(path) as file:
        file.write(levels[0], tile=TILE, subifds=len(levels) - 1, **options)
        for pixels in levels[1:]:
            file.write(pixels, tile=TILE, subfiletype=1, **options)
    return path


def write_zarr(path: Path, pixels: np.ndarray, chunks: tuple[int, ...] = TILE) -> Path:
    """A Zarr array."""
    import zarr

    zarr.create_array(path, data=pixels, chunks=chunks)
    return path


def write_zarr_group(path: Path, levels: Sequence[np.ndarray]) -> Path:
    """A Zarr group with an array (1, H, W) a level."""
    import zarr

    group = zarr.open_group(path, mode="w")
    for number, pixels in enumerate(levels):
        group.create_array(str(number), data=pixels[None], chunks=(1, *TILE))
    return path


@dataclass(frozen=True)
class Stored:
    """An image on disk."""

    id: str
    ending: str
    write: Callable[..., Path]

    # What is written, and how.
    content: Any
    written_with: dict[str, Any] = field(default_factory=dict)

    # What is read of it, and the options with which it is read.
    pixels: np.ndarray = field(default_factory=GREY.copy)
    read_with: dict[str, Any] = field(default_factory=dict)

    def write_to(self, folder: Path) -> Path:
        """The path of the image, written to a folder."""
        return self.write(folder / f"a{self.ending}", self.content, **self.written_with)


RGB = {"photometric": "rgb"}
STORED = [
    Stored("tiles", ".tif", write_tiles, GREY),
    Stored("one piece", ".tif", write_tiff, GREY),
    Stored("strips", ".tif", write_tiff, GREY, {"rowsperstrip": 7, "compression": "zlib"}),
    Stored("region", ".tif", write_tiles, GREY, pixels=GREY_REGION, read_with={"region": REGION}),
    Stored("colour", ".tif", write_tiles, COLOUR, RGB, pixels=COLOUR),
    Stored("alpha", ".tif", write_tiles, OPAQUE, {**RGB, "extrasamples": [2]}, pixels=COLOUR),
    Stored("one live colour", ".tif", write_tiles, BLUE, RGB),
    Stored(
        "big-endian",
        ".tif",
        write_tiles,
        GREY * np.uint16(9),
        {"byteorder": ">"},
        pixels=GREY * 9.0,
    ),
    Stored("level", ".tif", write_pyramid, LEVELS, read_with={"level": 1}),
    Stored("zarr", ".zarr", write_zarr, GREY),
    Stored("zarr in colour", ".zarr", write_zarr, COLOUR, {"chunks": (*TILE, 3)}, pixels=COLOUR),
    Stored(
        "zarr channel",
        ".zarr",
        write_zarr,
        np.stack([GREY[::-1], GREY]),
        {"chunks": (1, *TILE)},
        read_with={"channel": 1},
    ),
    Stored("zarr level", ".zarr", write_zarr_group, LEVELS, read_with={"level": 1}),
    Stored(
        "zarr region",
        ".zarr",
        write_zarr_group,
        LEVELS,
        pixels=GREY_REGION,
        read_with={"level": 1, "region": REGION},
    ),
]
