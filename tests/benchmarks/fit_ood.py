"""How ``out_of_distribution.json`` is made: ``python tests/benchmarks/fit_ood.py --data DIR``.

Clusters are fitted to the training part of each card's data and varied copies of it, and to copies as they are given by
mistake; photographs of other things (DIR/photographs/train, validation and test; any images, none of one scene in two
of these) are told from each card's images by a logistic regression. Limits are set on the validation part, and what is
printed is measured on the test part. FLOOR and ROOM were chosen so that X-ray machines and fundus cameras left out of
the training part stay in distribution; with LIKELY a seventh of one machine's left-out X-rays look like photographs.
Needs scikit-learn.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from scipy.cluster.vq import kmeans2
from skimage.color import hed2rgb, rgb2hed
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from unet_helpers.images.image import MedicalImage
from unet_helpers.images.read import read_image
from unet_helpers.networks.cards import MODELS, ModelCard
from unet_helpers.preprocessing.image_statistics import features
from unet_helpers.preprocessing.intensities import is_bright_field
from unet_helpers.preprocessing.out_of_distribution import (
    STATISTICS,
    distance,
    middle_slices,
    score,
)
from unet_helpers.preprocessing.resample import resize
from unet_helpers.training.tasks import TASKS, read_cases

FLOOR = 0.45  # of the deviation over all kinds of images: other cameras differ that much, all else alike
CLUSTERS = {"retinal_vessels": 2, "nuclei": 8, "nuclei_he": 3, "lungs": 2, "brain_flair": 6}
ROOM = {
    "retinal_vessels": 1.7,
    "nuclei": 1.7,
}  # how far what is far from all may be; of the others 2.4
COPIES = {
    "retinal_vessels": 20,
    "em_membranes": 40,
    "nuclei": 4,
    "nuclei_he": 3,
    "lungs": 3,
    "brain_flair": 6,
    "hippocampus": 2,
}
FALSE_ALARMS = 2  # %: what each kind of mistake may take of a card's own validation images


def inverted(pixels: np.ndarray) -> np.ndarray:
    return pixels.max() - pixels


# what is given by mistake: of which card's images, what it is (and the way out), and how it is made of them
MISTAKES = {
    "lungs inverted": ("lungs", "an inverted chest X-ray: give pixels.max() - pixels", inverted),
    "lungs turned left": (
        "lungs",
        "a chest X-ray lying on its side: give numpy.rot90(pixels, 3)",
        np.rot90,
    ),
    "lungs turned right": (
        "lungs",
        "a chest X-ray lying on its side: give numpy.rot90(pixels)",
        partial(np.rot90, k=3),
    ),
    "lungs upside down": (
        "lungs",
        "a chest X-ray upside down: give numpy.rot90(pixels, 2)",
        partial(np.rot90, k=2),
    ),
    "lungs turned and inverted": (
        "lungs",
        "an inverted chest X-ray lying on its side",
        lambda pixels: inverted(np.rot90(pixels)),
    ),
    "vessels inverted": (
        "retinal_vessels",
        "an angiogram or an inverted photograph: give pixels.max() - pixels",
        inverted,
    ),
}
# probability of a photograph of something else from which no network is suggested: where stains differ, they get room
LIKELY = {"nuclei": 0.87, "nuclei_he": 0.87}
PENALTY = 0.3  # C of the logistic regression


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of one image or volume, as it is or varied."""

    group: str  # whose data it is from, or what kind of mistake it is
    part: str
    kind: str
    varied: bool
    features: dict[str, np.ndarray]  # (slices, D) as each card looks at it


def look_at_all(folder: Path) -> Iterator[Look]:
    """Every image of every card, varied copies, and what is given by mistake."""
    for name, card in MODELS.items():
        if name in COPIES:
            for number, case in enumerate(tqdm(read_cases(name, folder / name), desc=name)):
                rng = np.random.default_rng(number)
                for copy, slices in enumerate(copies(case.image, card, rng)):
                    only = {name} if copy and case.part == "train" else TASKS
                    yield Look(name, case.part, case.kind, copy > 0, look(slices, only))
                for mistake, (view, _, change) in MISTAKES.items():
                    if view == name:
                        slices = [
                            np.ascontiguousarray(change(pixels))
                            for pixels in middle_slices(case.image)
                        ]
                        yield Look(mistake, case.part, case.kind, False, look(slices, TASKS))
    for number, path in enumerate(
        tqdm(sorted((folder / "photographs").glob("*/*.*")), desc="photographs")
    ):
        pixels, part = read_image(path).pixels, path.parent.name
        yield Look("photographs", part, "", False, look([pixels], TASKS))
        rng = np.random.default_rng(number)
        for copy in range(4):
            like = MODELS["nuclei" if copy % 2 else "lungs"]
            yield Look("photographs", part, "", True, look([vary(pixels, like, rng)], TASKS))


def copies(
    image: MedicalImage, card: ModelCard, rng: np.random.Generator
) -> Iterator[list[np.ndarray]]:
    """The slices as they are, then varied, then one by one from near the bottom to near the top."""
    slices = middle_slices(image)
    yield slices
    for _ in range(COPIES[card.name]):
        yield [vary(s, card, rng) for s in slices]
    if len(image.spatial_shape) == 3:
        yield from ([s] for s in middle_slices(image, 0.1, 0.9))


def look(slices: list[np.ndarray], cards: Iterable[str]) -> dict[str, np.ndarray]:
    return {card: np.stack([features(s, card) for s in slices]) for card in cards}


def vary(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """A slice as another camera, stain, exposure or crop would have given it: all of them in distribution."""
    pixels = cut_and_zoom(pixels, card, rng)
    pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    pixels = (
        np.rot90(pixels, rng.integers(4))
        if card.name in ("nuclei", "nuclei_he", "em_membranes")
        else pixels
    )
    low, high = np.percentile(pixels, [0, 99.9])
    pixels = np.clip((pixels - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    pixels = pixels ** np.float32(np.exp(0.25 * rng.standard_normal()))
    pixels = recolour(pixels, card, rng) if pixels.ndim == 3 else pixels
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 + 0.8 * rng.random())
    if rng.random() < 0.3:
        pixels = pixels + 0.03 * rng.random() * rng.standard_normal(pixels.shape)
    return np.ascontiguousarray(np.maximum(pixels, 0), np.float32)


def cut_and_zoom(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """Up to a fifth less on each side (or half a retina); at half to double the size where none is fixed."""
    shape, least = (
        pixels.shape[:2],
        0.65 if card.preprocessing.scale == "field of view" and rng.random() < 0.15 else 0.8,
    )
    cut = [
        max(1, int(n * (rng.uniform(least, 1) if rng.random() < 0.5 or least < 0.8 else 1)))
        for n in shape
    ]
    row, column = (int(rng.integers(n - m + 1)) for n, m in zip(shape, cut, strict=True))
    zoom = 2 ** np.clip(
        (0.15 if len(card.preprocessing.axes) > 1 else 0.5) * rng.standard_normal(), -1, 1
    )
    zoom = (
        min(zoom, 512 / min(shape))
        if card.preprocessing.scale in ("square", "field of view")
        else zoom
    )
    pixels = np.ascontiguousarray(pixels[row : row + cut[0], column : column + cut[1]], np.float32)
    return resize(pixels, tuple(max(1, round(n * zoom)) for n in cut))


def recolour(pixels: np.ndarray, card: ModelCard, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) in 0 to 1 with another white balance; for nuclei other dyes too, or none."""
    if card.name in ("nuclei", "nuclei_he") and is_bright_field(pixels) and rng.random() < 0.4:
        dyes = rgb2hed(
            np.clip(pixels, 0, 1)
        )  # as in immunohistochemistry: less eosin, and DAB in places
        places = cv2.GaussianBlur(
            rng.standard_normal(pixels.shape[:2]).astype(np.float32), (0, 0), 8
        )
        dyes[..., 1] *= rng.random()
        dyes[..., 2] += 0.1 * rng.random() * np.clip(places / places.std(), 0, 2)
        pixels = hed2rgb(dyes).astype(np.float32)
    pixels = pixels * np.exp(0.1 * rng.standard_normal(3)).astype(np.float32)
    if card.name != "nuclei":
        return pixels
    mix = (
        np.eye(3)[rng.permutation(3)]
        if rng.random() < 0.3
        else np.eye(3) + 0.12 * rng.standard_normal((3, 3))
    )
    pixels = np.maximum(pixels @ mix.astype(np.float32), 0)
    grey = pixels.mean(-1, keepdims=True)
    if rng.random() < 0.15:
        return grey[..., 0]
    return grey + (pixels - grey) * np.float32(np.exp(0.4 * rng.standard_normal()))


def fit(x: np.ndarray, clusters: int, scale: np.ndarray) -> list:
    """(N, D) features to clusters (centre, whitening, spread): k-means, and covariances shrunk to what they share.

    ``scale`` (D,) is each feature's deviation over all kinds of images; a part of it is added to the covariances.
    """
    x = np.where(np.isnan(x), np.nanmean(x, 0), x)
    _, labels = kmeans2(x / np.maximum(x.std(0), 0.1 * scale), clusters, minit="++", seed=2015)
    groups = [x[labels == i] for i in range(clusters) if (labels == i).sum() > 2]
    shared = sum(np.cov(g.T) * len(g) for g in groups) / len(x)
    prior, found = np.diag((FLOOR * scale + 1e-6) ** 2), []
    for g in groups:
        own = len(g) / (len(g) + 40)
        whiten = np.linalg.inv(np.linalg.cholesky(own * np.cov(g.T) + (1 - own) * shared + prior))
        found.append(
            [g.mean(0), whiten, float(-2 * np.log(np.diag(whiten)).mean())]
        )  # log det, per dimension
    narrowest = min(spread for _, _, spread in found)
    return [(centre, whiten, spread - narrowest) for centre, whiten, spread in found]


def fit_all(looks: list[Look]) -> dict[str, dict]:
    """What ``out_of_distribution.json`` holds, from the training and validation parts."""
    groups = {
        name: (name, name, "") for name in TASKS
    }  # whose looks, in which card's view, what it is
    groups |= {name: (name, view, what) for name, (view, what, _) in MISTAKES.items()}
    train, validation = ([x for x in looks if x.part == part] for part in ("train", "validation"))
    found: dict[str, dict] = {}
    for name, (source, view, what) in groups.items():
        own = np.vstack([x.features[view] for x in train if x.group == source])
        every = np.vstack([x.features[view] for x in train if x.group in TASKS and not x.varied])
        clusters = fit(
            own, CLUSTERS.get(source, 1 if source in TASKS else 2), np.nanstd(every, axis=0)
        )
        found[name] = {
            "view": view,
            "what": what,
            "clusters": clusters,
            "room": ROOM.get(name, 2.4),
        }
        if name in TASKS:
            found[name]["limit"] = limit(name, clusters, validation)
        else:
            right = [x for x in validation if x.group == view and not x.varied]
            times = [
                away(x, found[view]) / found[view]["limit"] / away(x, found[name]) for x in right
            ]
            usual = np.percentile(
                [away(x, found[name]) for x in looks if x.group == source and x.part != "test"], 95
            )
            found[name]["limit"] = float(min(usual, 1 / np.percentile(times, 100 - FALSE_ALARMS)))
    return found | {f"photographs, {card}": fit_photographs(card, looks) for card in TASKS}


def fit_photographs(card: str, looks: list[Look]) -> dict:
    """What tells photographs from the card's images (and those of cards with the same classes) in its view: logistic
    regression on the statistics and their squares. The photographs of the validation part are fitted to as well."""
    alike = [
        name for name in TASKS if MODELS[name].classes == MODELS[card].classes
    ]  # these have one view, too
    own = [
        x.features.get(card, x.features.get(x.group))
        for x in looks
        if x.part == "train" and x.group in alike
    ]
    other = [x.features[card] for x in looks if x.part != "test" and x.group == "photographs"]
    x, y = np.vstack(own + other), np.repeat([0, 1], [len(np.vstack(own)), len(np.vstack(other))])
    centre, scale = np.nanmean(x, 0), np.maximum(np.nanstd(x, 0), 1e-6)
    z = np.clip(np.nan_to_num((x - centre) / scale), -4, 4)
    model = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=3000).fit(
        np.hstack([z, z * z]), y
    )
    what, weights = "a photograph of something else", [centre, scale, *np.split(model.coef_[0], 2)]
    found = {"view": card, "what": what, "weights": weights, "bias": float(model.intercept_[0])}
    return found | {"limit": 1 / LIKELY.get(card, 0.8)}


def limit(name: str, clusters: list, looks: list[Look]) -> float:
    """Beyond 19 of 20 of the card's own images and copies; half-way to other kinds of images where they are far."""
    group, classes = {"view": name, "clusters": clusters}, MODELS[name].classes
    far = {card: [away(x, group) for x in looks if x.group == card] for card in TASKS}
    own = np.percentile(far.pop(name), 95)
    others = min(np.percentile(far[card], 2) for card in far if MODELS[card].classes != classes)
    return float(max(own, np.sqrt(own * others)))


def away(seen: Look, group: dict) -> float:
    return float(np.median(distance(seen.features[group["view"]], group)))


def table(looks: list[Look], groups: dict[str, dict]) -> str:
    """Share of each kind's images that each card flags and that no card fits, in percent; and which fits first."""
    lines = [
        f"{'images of, flagged by':26}"
        + "".join(f"{name[:13]:>15}" for name in TASKS)
        + "   none   images, first"
    ]
    for kind in dict.fromkeys(x.group for x in looks):
        seen = [
            {name: away(x, g) / g["limit"] for name, g in groups.items()}
            for x in looks
            if x.group == kind
        ]
        flags, unfit = (
            np.array([[score(found, card, groups, strict) > 1 for card in TASKS] for found in seen])
            for strict in (False, True)
        )
        best = [
            min((found[c], c) for c, bad in zip(TASKS, row, strict=True) if not bad)[1]
            for found, row in zip(seen, unfit, strict=True)
            if not row.all()
        ]
        lines.append(
            f"{kind:26}"
            + "".join(f"{share:15.1%}" for share in flags.mean(0))
            + f"{unfit.all(1).mean():7.1%} {len(seen):8}, {dict(Counter(best).most_common(3))}"
        )
    return "\n".join(lines)


def save(groups: dict[str, dict], path: Path) -> None:
    """As JSON with five digits; of the whitening matrices only the lower triangle, which is all there is."""
    digits = lambda values: [float(f"{v:.5g}") for v in np.ravel(values)]
    plain = {}
    for name, group in groups.items():
        clusters = [
            {
                "centre": digits(centre),
                "whiten": digits(whiten[np.tril_indices(len(centre))]),
                "spread": digits(s)[0],
            }
            for centre, whiten, s in group.get("clusters", [])
        ]
        numbers = {
            key: digits(value)[0] for key, value in group.items() if isinstance(value, float)
        }
        rows = (
            {"clusters": clusters}
            if clusters
            else {"weights": [digits(row) for row in group["weights"]]}
        )
        plain[name] = group | numbers | rows
    path.write_text(
        json.dumps(plain, separators=(",", ":")).replace('{"centre"', '\n{"centre"') + "\n"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    help_ = "folder with one folder a card, as docs/training/data.md says, and photographs"
    parser.add_argument("--data", type=Path, required=True, help=help_)
    parser.add_argument("--out", type=Path, default=STATISTICS)
    chosen = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    looks = list(look_at_all(chosen.data))
    groups = fit_all(looks)
    save(groups, chosen.out)
    test = [x for x in looks if x.part == "test"]
    print("test part, as it is\n" + table([x for x in test if not x.varied], groups))
    print("\nvaried copies of it\n" + table([x for x in test if x.varied], groups))


if __name__ == "__main__":
    main()
