"""Answers of each card to images that its first training left out: as they are, degraded, wrong.

``python tests/benchmarks/observed_answers.py --data DIR --out DIR [--cards CARD...]`` writes a file
for each card, to which ``fit_expected_dice.py`` fits. They are of the validation and test parts;
most networks have learnt from their validation part since. Photographs of eyes and slices of
electron microscopy count as a whole and as their four quarters, brains as stacks and as single
slices, with and without a lesion.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from degraded_images import DegradedImage, degraded_pictures, degraded_volumes
from fit_expected_dice import FOREIGN
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.checks.checks import run_checks
from unet_helpers.checks.expected_dice import Signs, signs_of
from unet_helpers.checks.likeness import are_of_one_kind
from unet_helpers.checks.view import View
from unet_helpers.images.image import MedicalImage
from unet_helpers.inference.segment import segment
from unet_helpers.inference.working_size import zoom_of_width
from unet_helpers.networks.load import load_model
from unet_helpers.networks.unet import UNet
from unet_helpers.preprocessing.field_of_view import width_of
from unet_helpers.results.metrics import dice
from unet_helpers.results.segmentation import Segmentation
from unet_helpers.training.datasets import Case
from unet_helpers.training.examples import IGNORED
from unet_helpers.training.overlap import has_class, knows_class
from unet_helpers.training.tasks import read_cases

# Images of each source (camera, laboratory, scanner) at most.
MOST_OF_SOURCE = {
    "chest": 12,
    "lungs": 12,
    "nuclei": 4,
    "nuclei_he": 12,
    "brain_flair": 4,
    "hippocampus": 40,
    "dic_cells": 24,
}
MOST_OF_OTHERS = 8

# Data sets of other cards that show the card's structure, too, and the kind of images that does.
ALSO_SHOWN_IN = {"nuclei_he": ("nuclei", "stained")}

# px: longer sides are cut to this around the middle, to save time.
LONGEST_SIDE = {"nuclei": 400, "nuclei_he": 400, "em_membranes": 512}

# Cards whose truth leaves out some pixels.
PARTLY_KNOWN = ("em_membranes", "artery_vein", "dic_cells")

# Cards of photographs of eyes.
EYES = ("retinal_vessels", "artery_vein")

# Copies of each image beside itself, chosen by chance, to save time.
COPIES = {"retinal_vessels": 12, "artery_vein": 6, "em_membranes": 14, "brain_flair": 4}
OTHER_COPIES = 6
COPIES_OF_STACK = 2

# Images of other cards that each card is given.
FOREIGN_IMAGES = 2

# Photographs in scikit-image that show no structure of any card.
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "moon",
    "page",
    "rocket",
    "hubble_deep_field",
)

# Borders of the histogram of probabilities.
BINS = np.linspace(0, 1, 11)


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known of one answer."""

    case: str
    source: str  # camera, laboratory or scanner
    kind: str  # what was done to the image
    is_whole: bool  # False for a quarter of an answer
    dice: float
    signs: tuple[float, ...]
    score: float  # out of distribution
    is_warned: bool
    share: float  # of the image that the mask covers; 0 where nothing was found
    true_share: float
    histogram: tuple[float, ...]  # of the probabilities above 0.02


def source_of(card: str, case: Case) -> str:
    """Return the camera, laboratory or scanner that an image is from."""
    if case.kind == FOREIGN:
        return FOREIGN
    if card == "brain_flair":
        return "_".join(case.name.split("_")[:2])
    if card == "nuclei":
        height, width = case.image.spatial_shape
        return f"{case.kind} {height}x{width}"
    return case.kind


def pieces_of(card: str, case: Case) -> Iterator[Case]:
    """Yield the images that are made of a case: itself, a window, or some of its slices."""
    longest = LONGEST_SIDE.get(card)
    if longest is not None and case.image.axes.startswith("YX"):
        height, width = case.image.spatial_shape
        rows = slice((height - min(height, longest)) // 2, (height + min(height, longest)) // 2)
        columns = slice((width - min(width, longest)) // 2, (width + min(width, longest)) // 2)
        pixels = np.ascontiguousarray(case.image.pixels[rows, columns])
        image = replace(case.image, pixels=pixels)
        yield replace(case, image=image, truth=case.truth[rows, columns])
        return

    yield case
    if card != "brain_flair":
        return
    areas = case.truth.sum((1, 2))
    filled = np.flatnonzero(areas)
    empty = np.flatnonzero(areas == 0)
    chosen = [int(areas.argmax()), int(filled[len(filled) // 4]), int(empty[len(empty) // 4])]
    for index in dict.fromkeys(chosen):
        image = MedicalImage(case.image.pixels[index], "YX")
        name = f"{case.name} {index}"
        yield replace(case, name=name, image=image, truth=case.truth[index])


def copies_of(card: str, case: Case, rng: np.random.Generator) -> Iterator[DegradedImage]:
    """Yield an image or a volume, and some of its copies."""
    pixels = case.image.pixels
    is_picture = len(case.image.spatial_shape) == 2
    degraded = degraded_pictures if is_picture else degraded_volumes
    first, *others = degraded(pixels, case.truth, rng)
    yield first

    count = COPIES.get(card, OTHER_COPIES)
    if card == "brain_flair" and not is_picture:
        count = COPIES_OF_STACK
    for index in np.sort(rng.permutation(len(others))[:count]):
        yield others[index]


def unseen_cases(card: str, data: Path) -> Iterator[Case]:
    """Yield the cases of the validation and the test part that show the card's structure."""
    for case in read_cases(card, data / card):
        if case.part != "train":
            yield case

    other, kind = ALSO_SHOWN_IN.get(card, (None, None))
    if other is None:
        return
    for case in read_cases(other, data / other):
        if case.kind == kind and case.part != "train":
            yield case


def chosen_cases(card: str, data: Path) -> list[Case]:
    """Choose cases of the validation and the test part, evenly over the sources."""
    by_source: dict[str, list[Case]] = defaultdict(list)
    for case in unseen_cases(card, data):
        by_source[source_of(card, case)].append(case)

    chosen: list[Case] = []
    for cases in by_source.values():
        count = min(len(cases), MOST_OF_SOURCE.get(card, MOST_OF_OTHERS))
        indices = np.linspace(0, len(cases) - 1, count).round().astype(int)
        chosen += [cases[index] for index in indices]
    order = np.random.default_rng(0).permutation(len(chosen))
    return [chosen[index] for index in order]


def answers_to(card: str, model: UNet, case: Case, copy: DegradedImage) -> Iterator[Answer]:
    """Segment a copy, and yield what is known of the answer and of its quarters.

    Of degraded photographs of eyes only a quarter is segmented, at the scale of the whole, to save
    time.
    """
    same = copy.pixels is case.image.pixels
    image = case.image if same else replace(case.image, pixels=copy.pixels, path=None)
    source = source_of(card, case)
    view = View(image)
    score = view.likeness.score(card)

    if card in EYES and not same and copy.kind != FOREIGN:
        zoom = zoom_of_width(width_of(view.field_of_view(0)), model.card.preprocessing)
        rng = np.random.default_rng(zlib.crc32(f"{case.name} {copy.kind}".encode()))
        window = quarters(copy.truth.shape)[rng.integers(4)]
        part = replace(image, pixels=np.ascontiguousarray(image.pixels[window]))
        result = segment(part, model, zoom=zoom, progress=False)
        warned = bool(run_checks(view, model.card))
        result = replace(result, warnings=("warned",) if warned else ())
        cut = replace(copy, pixels=part.pixels, truth=copy.truth[window])
        whole = (slice(None),) * 2
        answer = answer_in(whole, result, cut, case.name, source, score)
        yield replace(answer, is_whole=False)
        return

    result = segment(image, model, progress=False)
    whole = (slice(None),) * result.labels.ndim
    windows = [whole]
    if card in (*EYES, "em_membranes") and copy.kind != "turned":
        windows += quarters(result.labels.shape)
    for window in windows:
        yield answer_in(window, result, copy, case.name, source, score)


def quarters(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return the four quarters of (H, W)."""
    height, width = (length // 2 for length in shape)
    rows = (slice(0, height), slice(height, None))
    columns = (slice(0, width), slice(width, None))
    return [(row, column) for row in rows for column in columns]


def answer_in(
    window: tuple[slice, ...],
    result: Segmentation,
    copy: DegradedImage,
    name: str,
    source: str,
    score: float,
) -> Answer:
    """Return what is known of the answer in a window of the image."""
    mask = result.labels[window] > 0
    foreground = result.foreground[window]

    signs: tuple[float, ...] = (np.nan,) * len(Signs.__dataclass_fields__)
    if mask.any():
        pixels = result.image.pixels[window]
        part = replace(result.image, pixels=pixels)
        signs = astuple(signs_of(part, foreground, mask, score))

    above = foreground[foreground > 0.02]
    histogram = np.histogram(above, BINS)[0] / max(1, above.size)
    return Answer(
        case=name,
        source=source,
        kind=copy.kind,
        is_whole=all(part == slice(None) for part in window),
        dice=dice_of(result, copy.truth, window),
        signs=signs,
        score=score,
        is_warned=bool(result.warnings),
        share=float(mask.mean()),
        true_share=float((copy.truth[window] > 0).mean()),
        histogram=tuple(histogram),
    )


def dice_of(result: Segmentation, truth: np.ndarray, window: tuple[slice, ...]) -> float:
    """Return the Dice of all classes together in a window, where they are known.

    Of classes that overlap, those count that are known in the whole image. Where segments of
    vessels have a class, it is the mean over the classes.
    """
    answer = result.labels > 0
    is_true = truth > 0
    known = np.ones(truth.shape, bool)
    if result.card.name in PARTLY_KNOWN:
        known = truth != IGNORED
    if result.card.overlapping:
        classes = [k for k in range(len(result.card.classes)) if knows_class(truth, k).all()]
        is_true = np.any([has_class(truth, k) for k in classes], axis=0)
        answer = np.any([result.mask(result.card.classes[k]) for k in classes], axis=0)
    known = known[window]
    if result.card.class_of == "segment":
        shown = result.labels[window][known]
        labels = range(1, len(result.card.classes) + 1)
        return float(np.mean([dice(truth[window][known] == k, shown == k) for k in labels]))
    return dice(is_true[window][known], answer[window][known])


def foreign_cases(card: str, data: Path, others: Sequence[str]) -> Iterator[Case]:
    """Yield images of other cards, in which there is nothing of this card's structure."""
    for other in others:
        if are_of_one_kind(card, other):
            continue
        if not (data / other).is_dir():
            continue
        found = 0
        for case in read_cases(other, data / other):
            if case.part == "train":
                continue
            pixels = case.image.pixels
            if len(case.image.spatial_shape) == 3:
                pixels = np.ascontiguousarray(pixels[len(pixels) // 2])
            image = MedicalImage(pixels, "YXC" if pixels.ndim == 3 else "YX")
            truth = np.zeros(image.spatial_shape, np.uint8)
            yield Case(f"{other} {case.name}", case.part, FOREIGN, image, truth)
            found += 1
            if found == FOREIGN_IMAGES:
                break


def photographs() -> Iterator[Case]:
    """Yield photographs of other things, those that scikit-image holds."""
    for name in PHOTOGRAPHS:
        pixels = np.ascontiguousarray(getattr(skimage.data, name)())
        image = MedicalImage(pixels, "YXC" if pixels.ndim == 3 else "YX")
        truth = np.zeros(image.spatial_shape, np.uint8)
        yield Case(f"photograph {name}", "test", FOREIGN, image, truth)


def observe(card: str, data: Path, out: Path) -> None:
    """Measure the answers of a card, and write them after each image."""
    model = load_model(card)
    path = out / f"doubt_{card}.npz"
    answers = read(path)
    done = {answer.case for answer in answers}
    others = [name for name in LISTED if name != "hippocampus"]
    if card != "hippocampus":
        for case in (*foreign_cases(card, data, others), *photographs()):
            if case.name in done:
                continue
            copy = DegradedImage(FOREIGN, case.image.pixels, case.truth)
            answers += list(answers_to(card, model, case, copy))[:1]
        write(answers, path)

    for case in tqdm(chosen_cases(card, data), desc=card, mininterval=10):
        if case.name in done:
            continue
        for piece in pieces_of(card, case):
            rng = np.random.default_rng(zlib.crc32(piece.name.encode()))
            for copy in copies_of(card, piece, rng):
                answers += answers_to(card, model, piece, copy)
        write(answers, path)


def write(answers: Sequence[Answer], path: Path) -> None:
    """Write answers as columns."""
    columns = {name: np.array([getattr(x, name) for x in answers]) for name in vars(answers[0])}
    np.savez_compressed(path, **columns)


def read(path: Path) -> list[Answer]:
    """Read answers that were written; none if there is no file."""
    if not path.exists():
        return []
    columns = dict(np.load(path))
    count = len(columns["case"])
    return [Answer(**{name: column[i] for name, column in columns.items()}) for i in range(count)]


# The order in which the cards are measured.
LISTED = (
    "retinal_vessels",
    "em_membranes",
    "brain_flair",
    "nuclei",
    "lungs",
    "chest",
    "nuclei_he",
    "dic_cells",
    "artery_vein",
    "hippocampus",
)


def main(arguments: list[str] | None = None) -> None:
    """Measure the answers of the cards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a card")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--cards", nargs="+", default=list(LISTED))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    for card in chosen.cards:
        observe(card, chosen.data, chosen.out)


if __name__ == "__main__":
    main()
