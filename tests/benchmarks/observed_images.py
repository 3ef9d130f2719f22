"""The statistics of images of all cards, as they are, varied, and as given by mistake.

``fit_ood.py`` fits what images of a card look like to these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm
from varied_images import MISTAKES, copies_of, vary

from unet_helpers.checks.image_statistics import Overviews, viewpoint_of
from unet_helpers.checks.likeness import are_of_one_kind, middle_slices
from unet_helpers.images.read import read_image
from unet_helpers.images.stack import to_stack
from unet_helpers.networks.cards import MODELS
from unet_helpers.training.tasks import TASKS, read_cases

# Cards that have statistics of their own.
OBSERVED = tuple(name for name in TASKS if not MODELS[name].images_of)

# The folder of photographs of other things, and the name of their group.
PHOTOGRAPHS = "photographs"

# Varied copies of each photograph.
COPIES_OF_PHOTOGRAPH = 4


@dataclass(frozen=True, eq=False)
class Observation:
    """The statistics of one image or volume, as it is or varied."""

    # Whose data it is from, which mistake it is, or PHOTOGRAPHS.
    group: str
    part: str
    is_varied: bool
    # (slices, D) by the card that looks at them.
    features: dict[str, np.ndarray]


def features_of(slices: Sequence[np.ndarray], cards: Sequence[str]) -> dict[str, np.ndarray]:
    """Describe slices as each of the cards looks at them: (slices, D)."""
    overviews = Overviews(slices)
    return {card: overviews.features(viewpoint_of(MODELS[card])) for card in cards}


def observe_card(name: str, folder: Path, fitted: Sequence[str]) -> Iterator[Observation]:
    """Observe the images of a card, varied copies of them, and what is given by mistake.

    The test part is observed as all cards look at it, the others as those that are ``fitted``.
    """
    card = MODELS[name]
    for number, case in enumerate(tqdm(read_cases(name, folder / name), desc=name)):
        cards = [*OBSERVED] if case.part == "test" else fitted
        rng = np.random.default_rng(number)
        # Varied images of the training part describe their own kind alone, which cards of the same
        # classes share: of others they are not made.
        is_described = case.part != "train" or is_of_same_kind(name, fitted)
        copies = islice(copies_of(case.image, card, rng), None if is_described else 1)
        for copy, slices in enumerate(copies):
            is_varied = copy > 0
            looking = cards
            if is_varied and case.part == "train":
                looking = [name]
            if looking:
                yield Observation(name, case.part, is_varied, features_of(slices, looking))

        for mistake_name, mistake in MISTAKES.items():
            if mistake.card == name:
                slices = middle_slices(to_stack(case.image).pixels)
                changed = [np.ascontiguousarray(mistake.change(pixels)) for pixels in slices]
                yield Observation(mistake_name, case.part, False, features_of(changed, cards))


def is_of_same_kind(name: str, fitted: Sequence[str]) -> bool:
    """Tell whether a card is for the same kind of images as one that is fitted."""
    return any(are_of_one_kind(name, card) for card in fitted)


def observe_photographs(folder: Path, fitted: Sequence[str]) -> Iterator[Observation]:
    """Observe photographs of other things, and copies varied as X-rays and nuclei are."""
    paths = sorted((folder / PHOTOGRAPHS).glob("*/*.*"))
    for number, path in enumerate(tqdm(paths, desc=PHOTOGRAPHS)):
        pixels = read_image(path).pixels
        part = path.parent.name
        cards = [*OBSERVED] if part == "test" else fitted
        yield Observation(PHOTOGRAPHS, part, False, features_of([pixels], cards))

        rng = np.random.default_rng(number)
        for copy in range(COPIES_OF_PHOTOGRAPH):
            card = MODELS["nuclei" if copy % 2 else "lungs"]
            varied = vary(pixels, card, rng)
            yield Observation(PHOTOGRAPHS, part, True, features_of([varied], cards))


def is_there(card: str, folder: Path) -> bool:
    """Tell whether the data set of a card is in the folder."""
    return (folder / card).is_dir()


def observe(folder: Path, fitted: Sequence[str]) -> list[Observation]:
    """Observe all that is in the folder."""
    observations: list[Observation] = []
    for name in OBSERVED:
        if is_there(name, folder):
            observations.extend(observe_card(name, folder, fitted))
    observations.extend(observe_photographs(folder, fitted))
    return observations
