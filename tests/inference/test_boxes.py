"""What is found in a box, and whether it can be the structure."""

from dataclasses import replace

import numpy as np
import pytest

from unet_helpers.inference.boxes import Box, reason_to_refuse
from unet_helpers.preprocessing.resample import Grid

SHAPE = (12, 12, 12)


def box(structure: tuple[slice, ...] = (slice(4, 8),) * 3, grey: float = 0.55) -> Box:
    """A box in which half is fluid (0), half white matter (1), and the structure has this grey."""
    pixels = np.zeros(SHAPE, np.float32)
    pixels[:, :, 6:] = 1
    found = np.zeros(SHAPE, bool)
    found[structure] = True
    pixels[found] = grey
    answer = np.stack([np.where(found, 0.1, 1.0), np.where(found, 0.9, 0.0)]).astype(np.float32)
    grid = Grid.around(np.array([5.5, 5.5, 5.5]), SHAPE, np.eye(3))
    return Box(grid=grid, pixels=pixels, answer=answer, structure=found)


def test_a_structure_as_bright_and_certain_as_usual_is_given():
    assert reason_to_refuse(box(), moved=10.0, volume=3.0, largest=7.0) == ""


def test_the_signs_of_a_structure():
    found = box()
    assert found.size == 64
    assert found.brightness == pytest.approx(0.55)
    assert found.certainty == pytest.approx(0.9)
    assert found.share_on_border == 0


@pytest.mark.parametrize(
    ("found", "changes", "words"),
    [
        (box((slice(0, 0),) * 3), {}, "finds nothing"),
        (box(grey=0.2), {}, "as dark as fluid"),
        (box(), {"volume": 10.6}, "10.6 mL that the network finds are implausible"),
        (box((slice(0, 8), slice(4, 8), slice(4, 8))), {}, "has no border"),
        (replace(box(), answer=box().answer * 0 + 0.3), {}, "mean probability 0.70"),
        (box(), {"moved": 26.0}, "lies 26 mm from where the template has it"),
    ],
)
def test_what_cannot_be_the_structure_is_refused_with_the_reason(found, changes, words):
    assert words in reason_to_refuse(found, **{"moved": 0, "volume": 3, "largest": 7} | changes)


def test_a_volume_that_is_just_implausible_is_given_and_said_elsewhere():
    assert reason_to_refuse(box(), moved=0, volume=10.4, largest=7.0) == ""


def test_a_box_without_contrast_has_no_brightness():
    flat = replace(box(), pixels=np.ones(SHAPE, np.float32))
    assert flat.brightness == 0


def test_the_share_of_a_grid_in_a_volume():
    grid = Grid.around(np.array([-0.5, 5.5, 5.5]), SHAPE, np.eye(3))
    assert grid.share_inside((12, 12, 12)) == 0.5
    assert grid.share_inside((12, 6, 12)) == 0.25
    inner = Grid.around(np.array([5.5, 5.5, 5.5]), (4, 4, 4), np.eye(3))
    assert inner.share_inside(SHAPE) == 1
