"""How much the measurements of vessels change if a photograph is saved again as JPEG.

``python tests/benchmarks/repeatability.py --data DIR [--quality 85]``

Segments the eyes of the test part of DIR/retinal_vessels as they are and saved again, and prints
the change of each measurement in percent.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.training.tasks import read_cases

CARD = "retinal_vessels"
MEASUREMENTS = ("length", "of the field", "mean width")


def saved_again(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Write (H, W, 3) uint8, red first, as JPEG, and read it again."""
    _, code = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]


def main() -> None:
    """Print a row for each eye, and the range of each measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quality", type=int, default=85)
    chosen = parser.parse_args()

    model = uh.load_model(CARD)
    rows = {}
    for case in read_cases(CARD, chosen.data / CARD):
        if case.part != "test":
            continue
        pixels = saved_again(case.image.pixels, chosen.quality)
        again = replace(case.image, pixels=np.ascontiguousarray(pixels), path=None)
        before = uh.segment(case.image, model, progress=False).summary()
        after = uh.segment(again, model, progress=False).summary()
        rows[case.name] = {
            name: 100 * (after[name][0] / before[name][0] - 1) for name in MEASUREMENTS
        }

    table = pd.DataFrame(rows).T
    print(table.round(1).to_string())
    print(table.agg(["min", "max"]).round(1).to_string())


if __name__ == "__main__":
    main()
