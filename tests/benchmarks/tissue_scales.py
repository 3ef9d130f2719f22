"""Print how large what stained tissue shows is, in the measure by which its scale is doubted.

Run ``python tests/benchmarks/tissue_scales.py --data DIR``, with the data of ``nuclei_he``: a crop
of 512 px of each field of MoNuSeg and CoNSeP at 40x, and those of MoNuSeg at half and twice their
size. ``usual_grain`` of the card is chosen from this (``inference.object_size``).
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.inference.object_size import FEWEST_OBJECTS, grain, typical_diameter
from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import read_cases

CARD = "nuclei_he"
SIDE = 512
FACTORS = (0.5, 1.0, 2.0)


def fields(folder: Path) -> list[Case]:
    """Return the first image of each field in which enough nuclei were drawn."""
    first: dict[str, Case] = {}
    for case in read_cases(CARD, folder):
        is_enough = len(np.unique(case.truth)) > FEWEST_OBJECTS
        if case.kind in ("monuseg", "consep") and is_enough:
            first.setdefault(case.group_or_name, case)
    return list(first.values())


def at_scale(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Return a crop (H, W, 3) of at most SIDE px, enlarged or shrunk by a factor."""
    kept = SIDE if factor <= 1 else round(SIDE / factor)
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    crop = np.ascontiguousarray(pixels[:kept, :kept])
    return cv2.resize(crop, None, fx=factor, fy=factor, interpolation=interpolation)


def main() -> None:
    """Print the sorted sizes, (diameter in px) * 2**grain, by source and factor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    cases = fields(parser.parse_args().data)

    model = load_model(CARD)
    rows = []
    for case in cases:
        for factor in FACTORS:
            if factor != 1 and case.kind != "monuseg":
                continue
            pixels = at_scale(case.image.pixels, factor)
            result = segment(pixels, model, progress=False)
            diameter = typical_diameter(result.probabilities, result.zoom)
            if diameter is not None:
                size = diameter * 2 ** grain(pixels)
                rows.append({"source": case.kind, "factor": factor, "size": size})

    for name, rows_of_kind in pd.DataFrame(rows).groupby(["source", "factor"]):
        print(*name, *np.sort(rows_of_kind["size"].round().astype(int)))


if __name__ == "__main__":
    main()
