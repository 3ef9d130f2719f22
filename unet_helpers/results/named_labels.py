"""The labels of a result with a name and colour each, for other programs.

Where structures were localised, such as the left and right hippocampus, each side has labels of its
own: 'left anterior', 'left posterior', 'right anterior', 'right posterior'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageColor

from .measurements import sides_of
from .occupied import occupied_box

if TYPE_CHECKING:
    from .segmentation import Segmentation

# Share of white in the colours of every second side, by which sides are told apart.
WHITE_OF_SECOND_SIDE = 0.5


@dataclass(frozen=True, eq=False)
class NamedLabels:
    """Labels, and what each stands for."""

    values: np.ndarray  # uint8, (*spatial); 0 is background
    names: tuple[str, ...]  # of the labels 1, 2, ...
    colours: tuple[tuple[int, int, int], ...]  # red, green, blue, 0 to 255, of the labels 1, 2, ...


def named_labels(result: Segmentation) -> NamedLabels:
    """Return the labels of a result, those of each side apart if it has sides."""
    classes = result.card.classes
    colours = [rgb(colour) for colour in result.card.colors]
    if not result.places:
        return NamedLabels(result.labels, tuple(classes), tuple(colours))

    sides = list(result.places)
    values = result.labels.copy()
    box = occupied_box(result.objects)
    sides_of_objects = [sides.index(side) for side in sides_of(result)]
    shift_of_objects = len(classes) * np.array([0, *sides_of_objects])
    part = values[box]
    shift = shift_of_objects[result.objects[box]]
    part += np.where(part > 0, shift, 0).astype(np.uint8)

    names = [f"{side} {name}" for side in sides for name in classes]
    shown = [
        lighter(colour) if number % 2 else colour
        for number in range(len(sides))
        for colour in colours
    ]
    return NamedLabels(values, tuple(names), tuple(shown))


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour's name or hexadecimal code."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue


def lighter(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Mix a colour with white."""
    mixed = [
        round((1 - WHITE_OF_SECOND_SIDE) * value + WHITE_OF_SECOND_SIDE * 255) for value in colour
    ]
    return mixed[0], mixed[1], mixed[2]
