"""How steady networks are when images look otherwise.

``python tests/benchmarks/robustness.py CARD --data DIR [--longest PX] WEIGHTS...``

Prints mean scores on images as they are and made darker, brighter, flatter, noisier, softer and
compressed, one column for each file of weights (or card). Noise and softness are of the image's own
pixels: ``--longest`` shrinks images first.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.preprocessing.resample import resize, resize_labels
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import TASKS, read_cases

# Quality of the JPEG files, of 100.
JPEG_QUALITY = 75


def shrink(case: Case, longest: int) -> Case:
    """Resize a single image and its truth, so that the longer side has ``longest`` px."""
    longer_side = max(case.truth.shape)
    height, width = (round(length * longest / longer_side) for length in case.truth.shape)
    shape = (height, width)
    image = replace(case.image, pixels=resize(case.image.pixels, shape))
    truth = resize_labels(case.truth.astype(np.uint16), shape)
    return replace(case, image=image, truth=truth)


def degraded(pixels: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and uint8 pixels of each look of an image.

    0 to 1 is the range of the image, and noise a share of it.
    """
    low, high = np.percentile(pixels, [0.1, 99.9])
    x = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1)
    yield "as it is", as_bytes(x)
    yield "gamma 0.5", as_bytes(x**0.5)
    yield "gamma 2", as_bytes(x**2)
    yield "flat", as_bytes(0.3 + 0.4 * x)
    yield "noise 3 %", as_bytes(x + rng.normal(0, 0.03, x.shape))
    yield "noise 8 %", as_bytes(x + rng.normal(0, 0.08, x.shape))

    is_volume = x.ndim == 3 and x.shape[-1] != 3
    if not is_volume:
        yield "blur 1.5 px", as_bytes(cv2.GaussianBlur(x, (0, 0), 1.5))
        yield f"JPEG {JPEG_QUALITY}", compressed(as_bytes(x))


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Turn 0 to 1 into uint8."""
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


def compressed(pixels: np.ndarray) -> np.ndarray:
    """Write uint8 pixels as JPEG and read them again."""
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def score_all(chosen: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield the scores of each network on each look of each image."""
    models = {path: load_model(path) for path in chosen.weights}
    rng = np.random.default_rng(0)
    for case in read_cases(chosen.card, chosen.data):
        if case.part != chosen.part:
            continue
        if chosen.longest:
            case = shrink(case, chosen.longest)

        for look, pixels in degraded(case.image.pixels, rng):
            image = replace(case.image, pixels=pixels)
            for path, model in models.items():
                result = segment(image, model, progress=False)
                # Inside the field of view of the image as it is.
                scores = TASKS[chosen.card].score(case, result)
                yield {"look": look, "weights": path, **scores}


def main(arguments: list[str] | None = None) -> None:
    """Print the table of mean scores."""
    import pandas as pd

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="test")
    longest_help = "px of an image's longer side, to which it is shrunk"
    parser.add_argument("--longest", type=int, help=longest_help)
    chosen = parser.parse_args(arguments)

    rows = pd.DataFrame(score_all(chosen))
    means = rows.groupby(["look", "weights"], sort=False).mean()
    print(means.unstack().round(3).to_string())


if __name__ == "__main__":
    main()
