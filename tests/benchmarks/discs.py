"""Where the optic disc is found: ``python tests/benchmarks/discs.py --data DIR --out SHEET.png``.

DIR is the folder of ``retinal_vessels``. The disc is searched with the true vessels of each
photograph, and again without the surroundings of where it was found, where there is none. The
circles are drawn into one picture, to be looked at: whether a disc is right is judged by a person.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.preprocessing.field_of_view import field_of_view, width_of
from unet_helpers.results.optic_disc import Disc, find_disc

# px: side of a tile of the sheet; tiles in a row; width that a tile shows, in radii of the disc.
TILE = 180
COLUMNS = 10
SHOWN_RADII = 5

# Share of the field of view's width that is cut away around the disc, to each side.
CUT_AWAY = 0.2


def tile_of(pixels: np.ndarray, disc: Disc | None, name: str) -> np.ndarray:
    """Return the surroundings of the disc, with its circle; of the whole photograph without one."""
    if disc is None:
        shown = cv2.resize(pixels, (TILE, TILE))
    else:
        zoom = TILE / (SHOWN_RADII * disc.radius)
        to_tile = np.array(
            [
                [zoom, 0, TILE / 2 - zoom * disc.column],
                [0, zoom, TILE / 2 - zoom * disc.row],
            ]
        )
        shown = cv2.warpAffine(pixels, to_tile, (TILE, TILE))
        cv2.circle(shown, (TILE // 2, TILE // 2), round(zoom * disc.radius), (0, 255, 0), 1)
    cv2.putText(shown, name, (3, TILE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0))
    return shown


def main(arguments: list[str] | None = None) -> None:
    """Print how often something is found, with the disc and without, and draw the circles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of retinal_vessels")
    parser.add_argument("--out", type=Path, required=True, help="the picture to draw")
    chosen = parser.parse_args(arguments)

    tiles = []
    found = 0
    found_elsewhere = 0
    for path in sorted((chosen.data / "images").glob("*.jpg")):
        pixels = uh.read_image(path).pixels
        vessels = uh.read_image(chosen.data / "masks" / f"{path.stem}.png").pixels > 0
        inside = field_of_view(pixels)
        disc = find_disc(pixels, inside, vessels)
        tiles.append(tile_of(pixels.copy(), disc, path.stem))
        if disc is None:
            continue

        found += 1
        rows, columns = np.indices(inside.shape, sparse=True)
        distance = np.hypot(rows - disc.row, columns - disc.column)
        elsewhere = inside & (distance > CUT_AWAY * width_of(inside))
        found_elsewhere += find_disc(pixels, elsewhere, vessels) is not None

    print(f"a disc in {found} of {len(tiles)}; where it was cut away, in {found_elsewhere}")
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows_of_sheet = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(chosen.out), np.vstack(rows_of_sheet)[..., ::-1])


if __name__ == "__main__":
    main()
