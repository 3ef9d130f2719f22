"""How many images of tissue are noticed with red and blue exchanged, and how many wrongly.

``python tests/benchmarks/exchanged_stains.py --data DIR``

Prints, for each source of images and each part: the number of images, how many are noticed with red
and blue exchanged, and how many are taken for exchanged as they are. Fields of CoNSeP are put
together of their 16 tiles; fields of MoNuSeg are also cut into quarters. Then the same for copies
with other dyes and another white balance (of every sixth image), as they are: false alarms. At last
the weights of ``checks/stains.py`` fitted to all, and the counts with those that were fitted to the
other sources.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from photographs import dyed_otherwise, quarters
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.checks.mistaken import are_stains_exchanged, small_colours
from unet_helpers.checks.stains import EXCHANGED_STAINS, signs_of_stains
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.preprocessing.intensities import is_bright_field
from unet_helpers.training.tasks.nuclei import read_nuclei
from unet_helpers.training.tasks.nuclei_he import kind_and_field, part_of_field

CARD = uh.MODELS["nuclei_he"]

# A field of CoNSeP is a square of so many tiles a side.
TILES_OF_SIDE = 4

# Strength of the penalty on the squares of the standardised weights.
RIDGE = 0.01


@dataclass(frozen=True, eq=False)
class Tissue:
    """Pixels (H, W, 3) of one source, and what they are."""

    # 'MoNuSeg', 'CoNSeP' or 'stained'.
    source: str
    # The source, and how much of a field is seen.
    kind: str
    part: str
    pixels: np.ndarray


def tissues(folder: Path) -> Iterator[Tissue]:
    """Yield fields, tiles and quarters of both folders of tissue."""
    tiles = defaultdict(list)
    for path in sorted((folder / "nuclei_he/images").glob("*")):
        kind, field = kind_and_field(path.stem)
        pixels = uh.read_image(path).pixels
        if kind == "consep":
            yield Tissue("CoNSeP", "CoNSeP, tiles", part_of_field(field), pixels)
            tiles[field].append(pixels)
            continue
        yield Tissue("MoNuSeg", "MoNuSeg, fields", part_of_field(field), pixels)
        for quarter in quarters(pixels):
            yield Tissue("MoNuSeg", "MoNuSeg, quarters", part_of_field(field), quarter)

    for field, parts in tiles.items():
        rows = [np.hstack(parts[i : i + TILES_OF_SIDE]) for i in range(0, 16, TILES_OF_SIDE)]
        yield Tissue("CoNSeP", "CoNSeP, fields", part_of_field(field), np.vstack(rows))

    for case in read_nuclei(folder / "nuclei"):
        if case.kind == "stained":
            yield Tissue("stained", "stained", case.part, case.image.pixels[..., :3])


def is_noticed(pixels: np.ndarray) -> bool:
    """Return whether an image is taken for one with red and blue exchanged."""
    return are_stains_exchanged(View(from_array(np.ascontiguousarray(pixels))), CARD)


def signs_of(pixels: np.ndarray) -> list[float] | None:
    """Return the three signs of an image; None if the check does not look at them."""
    view = View(from_array(np.ascontiguousarray(pixels)))
    colours = small_colours(view) if is_bright_field(view.stack.pixels) else None
    signs = None if colours is None else signs_of_stains(colours)
    if signs is None:
        return None
    return [signs.correlation, signs.difference, signs.of_nuclei]


def fitted(signs: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    """Fit a logistic regression without intercept; each source has the same weight together.

    The same images with red and blue exchanged have the negative of all signs, so that images as
    they are suffice.
    """
    sizes = Counter(sources)
    shares = np.array([1 / sizes[source] for source in sources])
    scale = np.sqrt((signs**2).mean(axis=0))

    def loss(weights: np.ndarray) -> float:
        errors = np.logaddexp(0, -(signs / scale) @ weights)
        return float(shares @ errors / shares.sum() + RIDGE * weights @ weights)

    return minimize(loss, np.zeros(signs.shape[1])).x / scale


def main(arguments: list[str] | None = None) -> None:
    """Print the counts and the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args(arguments).data

    counts: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(3, int))
    rows: list[list[float]] = []
    sources: list[str] = []
    kinds: list[str] = []
    for tissue in tissues(folder):
        exchanged = is_noticed(tissue.pixels[..., ::-1])
        counts[tissue.kind, tissue.part] += [1, exchanged, is_noticed(tissue.pixels)]
        signs = signs_of(tissue.pixels)
        if signs is not None:
            rows.append(signs)
            sources.append(tissue.source)
            kinds.append(tissue.kind)
    for (kind, part), (images, noticed, wrongly) in sorted(counts.items()):
        print(f"{kind}, {part}: {noticed} of {images} noticed, {wrongly} wrongly")

    others = [is_noticed(pixels) for pixels in dyed_otherwise(folder, np.random.default_rng(0))]
    print(f"dyed otherwise, and with another white balance: {sum(others)} of {len(others)} wrongly")

    table = np.array(rows)
    print("weights fitted to all:", fitted(table, sources).round(1))
    scores = np.zeros(len(table))
    for source in set(sources):
        is_other = np.array([other != source for other in sources])
        weights = fitted(table[is_other], [other for other in sources if other != source])
        scores[~is_other] = table[~is_other] @ weights
    for kind in dict.fromkeys(kinds):
        of_kind = scores[[other == kind for other in kinds]]
        noticed = (of_kind > -EXCHANGED_STAINS).sum()
        wrongly = (of_kind < EXCHANGED_STAINS).sum()
        print(f"fitted to other sources, {kind}: {noticed} of {len(of_kind)}, {wrongly} wrongly")


if __name__ == "__main__":
    main()
