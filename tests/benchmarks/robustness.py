"""How steady are networks: ``python tests/benchmarks/robustness.py CARD --data DIR [--longest PX] WEIGHTS...``.

Mean scores on images as they are and made darker, brighter, flatter, noisier, softer and compressed, one column for
each file of weights (or card). Noise and softness are of the image's own pixels: ``--longest`` shrinks images first.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.preprocessing.resample import resize, resize_labels
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import (
    TASKS,
    read_cases,
)


def shrink(case: Case, longest: int) -> Case:
    """A 2D case whose longer side is ``longest`` px."""
    shape = tuple(round(n * longest / max(case.truth.shape)) for n in case.truth.shape)
    image = replace(case.image, pixels=resize(case.image.pixels, shape))
    return replace(case, image=image, truth=resize_labels(case.truth.astype(np.uint16), shape))


def looks(pixels: np.ndarray, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Name and uint8 pixels of each look; 0 to 1 is the range of the image, noise a share of it."""
    low, high = np.percentile(pixels, [0.1, 99.9])
    x = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1)
    as_bytes = lambda a: (np.clip(a, 0, 1) * 255).round().astype(np.uint8)
    yield "as it is", as_bytes(x)
    yield "gamma 0.5", as_bytes(x**0.5)
    yield "gamma 2", as_bytes(x**2)
    yield "flat", as_bytes(0.3 + 0.4 * x)
    yield "noise 3 %", as_bytes(x + random.normal(0, 0.03, x.shape))
    yield "noise 8 %", as_bytes(x + random.normal(0, 0.08, x.shape))
    if x.ndim == 2 or x.shape[-1] == 3:  # a picture, not a volume
        yield "blur 1.5 px", as_bytes(cv2.GaussianBlur(x, (0, 0), 1.5))
        yield (
            "JPEG 75",
            cv2.imdecode(cv2.imencode(".jpg", as_bytes(x), [cv2.IMWRITE_JPEG_QUALITY, 75])[1], -1),
        )


def main() -> None:
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="test")
    parser.add_argument(
        "--longest", type=int, help="px of an image's longer side, to which it is shrunk"
    )
    chosen = parser.parse_args()
    models = [load_model(path) for path in chosen.weights]
    rows, random, score = [], np.random.default_rng(0), TASKS[chosen.card].score
    for case in read_cases(chosen.card, chosen.data):
        if case.part != chosen.part:
            continue
        case = shrink(case, chosen.longest) if chosen.longest else case
        for look, pixels in looks(case.image.pixels, random):
            image = replace(case.image, pixels=pixels)
            for path, model in zip(chosen.weights, models):
                scores = score(
                    case, segment(image, model, progress=False)
                )  # inside the field of view of the original
                rows.append({"look": look, "weights": path, **scores})
    print(
        pd.DataFrame(rows)
        .groupby(["look", "weights"], sort=False)
        .mean()
        .unstack()
        .round(3)
        .to_string()
    )


if __name__ == "__main__":
    main()
