"""How good an answer is after so many strokes, and how fast it comes.

``python tests/benchmarks/strokes.py {glands,skin,membranes,nuclei,stained,speed} --data DIR``

A simulated person paints where the answer is wrong, in the middle of the largest wrong regions,
along them, at most a quarter of the image long and 5 px wide; first one stroke on the structure and
one on the background. Printed is the mean Dice over seeds (and images) on the painted image and on
an image not painted on. ``--full-masks STEPS`` fine-tunes on the full masks of the same images.

glands: the tissue of the notebook; its left half is painted, its right half is not.
skin: the forty test images of skin_lesions, each painted on its own.
membranes: slice 03 of em_membranes is painted, slice 20 is not.
nuclei: MoNuSeg fields in haematoxylin-eosin, which the card ``nuclei`` has not learnt from.
stained: the test images of stained tissue of ``nuclei``, each painted on its own; the card has
  learnt from other images of this kind.
speed: seconds from a stroke to the picture, and memory, at 512 and 2048 px.
"""

import argparse
import resource
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from skimage.graph import MCP_Geometric
from skimage.measure import label

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.annotate.desk import Desk
from unet_helpers.annotate.strokes import UNKNOWN
from unet_helpers.annotate.teaching import FILTERS
from unet_helpers.training.datasets import part_by_number

# Numbers of strokes after which the Dice is measured.
MARKS = (2, 4, 5, 10, 20)

# px: width of a stroke.
WIDTH = 5

# A stroke is at most this share of the image's shorter side long.
LENGTH = 0.25

# A stroke is painted in one of the largest wrong regions, of at least this share of the largest.
LARGE = 0.5

# A stroke begins where its region is at least this share of its greatest depth deep.
DEEP = 0.8


@dataclass(frozen=True, eq=False)
class Case:
    """An image to paint, its truth, and one that is not painted."""

    pixels: np.ndarray
    truth: np.ndarray  # (H, W) bool
    other_pixels: np.ndarray | None = None
    other_truth: np.ndarray | None = None


def read(path: Path) -> np.ndarray:
    """Read the pixels of a file."""
    return uh.read_image(path).pixels


def glands(data: Path) -> Iterator[Case]:
    """The tissue of the notebook, whose glands took up a brown dye."""
    from skimage.color import rgb2hed
    from skimage.filters import gaussian

    pixels = read(uh.sample("ihc"))
    truth = gaussian(rgb2hed(pixels)[..., 2], sigma=8) > 0.05
    left, right = np.s_[:, :256], np.s_[:, 256:]
    yield Case(pixels[left], truth[left], pixels[right], truth[right])


def skin(data: Path) -> Iterator[Case]:
    """The test images of skin lesions."""
    folder = data / "skin_lesions/test"
    for path in sorted((folder / "images").iterdir()):
        yield Case(read(path), read(folder / "masks" / f"{path.stem}.png") > 0)


def membranes(data: Path) -> Iterator[Case]:
    """Two slices of the ISBI 2012 stack; the second is among those held back for validation."""
    folder = data / "em_membranes"
    painted, other = ("03", "20")
    yield Case(
        read(folder / f"images/{painted}.png"),
        read(folder / f"masks/{painted}.png") > 0,
        read(folder / f"images/{other}.png"),
        read(folder / f"masks/{other}.png") > 0,
    )


def nuclei(data: Path) -> Iterator[Case]:
    """Crops of two MoNuSeg fields, in haematoxylin-eosin."""
    folder = data / "nuclei_he"
    first, second = sorted((folder / "images").glob("monuseg*"))[:2]
    crop = np.s_[:512, :512]
    truths = [read(folder / "labels" / f"{path.stem}.png") > 0 for path in (first, second)]
    yield Case(read(first)[crop], truths[0][crop], read(second)[crop], truths[1][crop])


def stained(data: Path) -> Iterator[Case]:
    """The stained images in the test part of the 2018 Data Science Bowl."""
    folder = data / "nuclei"
    for number, path in enumerate(sorted((folder / "images/stained").iterdir())):
        if part_by_number(number) == "test":
            yield Case(read(path), read(folder / "labels/stained" / path.name) > 0)


CASES = {
    "glands": glands,
    "skin": skin,
    "membranes": membranes,
    "nuclei": nuclei,
    "stained": stained,
}


def next_stroke(wrong: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Return the points (N, 2) of a stroke inside one of the largest wrong regions."""
    regions = label(wrong, connectivity=2)
    areas = np.bincount(regions.reshape(-1))[1:]
    if not len(areas):
        return None
    large = np.flatnonzero(areas >= LARGE * areas.max())[:3]
    region = regions == 1 + rng.choice(large)

    depth = cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    middle = np.argwhere(depth >= DEEP * depth.max())
    start = tuple(middle[rng.integers(len(middle))])
    costs = np.where(region, 1 + 4 * (1 - depth / depth.max()), -1)
    length = LENGTH * min(wrong.shape)
    there = farthest_path(costs, start, length)
    return farthest_path(costs, tuple(there[-1]), 2 * length)[: int(length)]


def farthest_path(costs: np.ndarray, start: tuple[int, ...], limit: float) -> np.ndarray:
    """Return the cheapest path (N, 2) to the pixel that is farthest within a limit of cost."""
    paths = MCP_Geometric(costs)
    distances, _ = paths.find_costs([start])
    reachable = np.where(np.isfinite(distances) & (distances <= limit), distances, -1)
    end = np.unravel_index(reachable.argmax(), reachable.shape)
    return np.array(paths.traceback(end))


def paint(case: Case, model: str | None, count: int, seed: int) -> dict[int, list[float]]:
    """Paint where the answer is wrong; returns the Dice scores by the number of strokes."""
    rng = np.random.default_rng(seed)
    painter = uh.Painter(case.pixels, model, classes=["structure"])
    scores: dict[int, list[float]] = {}
    for number in range(1, count + 1):
        painted = painter.mask()
        if number <= 2:
            wrong = case.truth if number == 1 else ~case.truth
        else:
            answer = painter.result().labels > 0
            wrong = (answer != case.truth) & (painted == UNKNOWN)
        points = next_stroke(wrong, rng)
        if points is None:
            break
        middle = tuple(points[len(points) // 2])
        paint_inside(painter, points, case.truth, bool(case.truth[middle]))
        if number in MARKS:
            scores[number] = measure(painter, case)
    return scores


def paint_inside(
    painter: uh.Painter, points: np.ndarray, truth: np.ndarray, is_structure: bool
) -> None:
    """Paint a stroke, thinner where it would cross the rim of the structure."""
    from unet_helpers.annotate.strokes import Stroke

    name = "structure" if is_structure else "background"
    for width in (WIDTH, 3, 1):
        mask = Stroke("stroke", tuple(map(tuple, points)), name, width).mask(truth.shape)
        if (truth[mask] == is_structure).all() or width == 1:
            painter.stroke(points, name, width)
            return


def measure(painter: uh.Painter, case: Case) -> list[float]:
    """Return the Dice on the painted image, and on the other one if there is one."""
    scores = [uh.dice(case.truth, painter.result().labels > 0)]
    if case.other_pixels is not None and painter._taught().classifier() is not None:
        network = painter._taught().fitted_or_error()
        answer = uh.segment(case.other_pixels, network, progress=False)
        scores.append(uh.dice(case.other_truth, answer.labels > 0))
    return scores


def print_scores(name: str, all_scores: Sequence[dict[int, list[float]]]) -> None:
    """Print the mean Dice by the number of strokes."""
    by_mark: dict[int, list[list[float]]] = defaultdict(list)
    for scores in all_scores:
        for mark, values in scores.items():
            by_mark[mark].append(values)
    for mark, values in sorted(by_mark.items()):
        means = " ".join(f"{value:.3f}" for value in np.mean(values, axis=0))
        worst = " ".join(f"{value:.3f}" for value in np.min(values, axis=0))
        text = f"{name}, {mark:2} strokes: Dice {means} (worst {worst}, n {len(values)})"
        print(text, flush=True)


def full_masks(cases: Sequence[Case], start: str, steps: int) -> None:
    """Fine-tune on the full masks of the painted images, and score the others."""
    images = [case.pixels for case in cases]
    masks = [case.truth.astype(np.uint8) for case in cases]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = uh.fine_tune(start, images, masks, classes=["structure"], size=256, steps=steps)
    for case in cases:
        answer = uh.segment(case.other_pixels, network, progress=False)
        score = uh.dice(case.other_truth, answer.labels > 0)
        text = f"fine_tune from {start}, {steps} steps on the full mask: Dice {score:.3f}"
        print(text, flush=True)


def speed() -> None:
    """Time from a stroke to the picture, and the memory of the maps."""
    pixels = read(uh.sample("ihc"))
    for side in (512, 2048):
        large = np.tile(pixels, (side // 512, side // 512, 1))
        for model in (FILTERS, "nuclei_he"):
            started = time.monotonic()
            painter = uh.Painter(large, model)
            begun = time.monotonic() - started
            with TemporaryDirectory() as folder:
                seconds = list(time_strokes(Desk(painter, Path(folder) / "strokes.json"), side))
            memory = painter._taught().features.nbytes / 2**20
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            wall = statistics.median(one for one, _ in seconds)
            cpu = statistics.median(one for _, one in seconds)
            print(
                f"{side} px, {model}: begins in {begun:.1f} s; from a stroke to the picture "
                f"{wall:.2f} s (of the processor {cpu:.2f} s), median of {len(seconds)}; "
                f"maps {memory:.0f} MB, whole process at most {peak:.0f} MB",
                flush=True,
            )


def time_strokes(desk: Desk, side: int) -> Iterator[tuple[float, float]]:
    """Yield seconds on the clock and of the processor from a stroke to the picture, 20 times."""
    rng = np.random.default_rng(0)
    for number in range(21):
        points = rng.uniform(0, side, (2, 2)).tolist()
        name = "gland" if number % 2 else "background"
        stroke = {"tool": "stroke", "points": points, "name": name, "width": 5}
        clock, processor = time.monotonic(), time.process_time()
        desk.handle({"id": number, "action": "stroke", "stroke": stroke})
        # With the first stroke there is nothing to learn yet.
        if number:
            yield time.monotonic() - clock, time.process_time() - processor


def main(arguments: list[str] | None = None) -> None:
    """Measure one of the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=(*CASES, "speed"))
    add("--data", type=Path, default=Path("../shared/data"))
    add("--model", default=None, help="the network that is read; 'filters'; default: chosen")
    add("--strokes", type=int, default=20)
    add("--seeds", type=int, default=3)
    add("--full-masks", type=int, default=0, metavar="STEPS", help="fine-tune, do not paint")
    chosen = parser.parse_args(arguments)
    if chosen.what == "speed":
        speed()
        return

    cases = list(CASES[chosen.what](chosen.data))
    if chosen.full_masks and cases[0].other_pixels is None:
        parser.error("full masks are scored on an image not painted on; see finetuning.py skin")
    if chosen.full_masks:
        full_masks(cases, chosen.model or "nuclei", chosen.full_masks)
        return
    scores = [
        paint(case, chosen.model, chosen.strokes, seed)
        for case in cases
        for seed in range(chosen.seeds)
    ]
    print_scores(f"{chosen.what}, {chosen.model or 'chosen'}", scores)


if __name__ == "__main__":
    main()
