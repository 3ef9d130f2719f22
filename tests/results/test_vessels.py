"""Vessels: lines whose length, width and tortuosity are known."""

import numpy as np
import pytest
from helpers.results import result_of_mask

from unet_helpers.results.measurements import in_words
from unet_helpers.results.vessels import (
    Branch,
    centre_line,
    line_length,
    long_branches,
    mean_tortuosity,
    neighbour_count,
)


def picture(*rows: str) -> np.ndarray:
    """(H, W) bool of rows in which # is true."""
    return np.array([[sign == "#" for sign in row] for row in rows])


@pytest.mark.parametrize(
    ("line", "length"),
    [
        (picture("....", ".##.", "...."), 1),
        (picture("#", "#", "#"), 2),
        (picture("#..", ".#.", "..#"), 2 * 2**0.5),
        (picture("..#", ".#.", "#.."), 2 * 2**0.5),
        # Two straight steps lead round the corner, so that the diagonal one does not count.
        (picture("#..", "##.", "..."), 2),
        (picture(".#.", "##.", "..."), 2),
        (picture("##.", ".#.", "..."), 2),
        (picture("##.", "#..", "..."), 2),
        (picture("##..", "..##"), 2 + 2**0.5),
        (picture("..##", "##.."), 2 + 2**0.5),
        (picture("...", ".#.", "..."), 0),
    ],
)
def test_length_counts_straight_steps_as_one_and_diagonal_ones_as_root_two(line, length):
    assert line_length(line) == pytest.approx(length)


def test_neighbours_are_counted_in_all_eight_directions_on_the_line_alone():
    line = picture("#.#", ".#.", "#..")
    assert neighbour_count(line).tolist() == [[1, 0, 1], [0, 3, 0], [1, 0, 0]]


def cross() -> np.ndarray:
    """(31, 41) bool: a horizontal and a vertical line."""
    line = np.zeros((31, 41), bool)
    line[15, :] = True
    line[:, 12] = True
    return line


def test_a_crossing_parts_branches():
    lengths = sorted(branch.length for branch in long_branches(cross()))
    # The crossing and its four neighbours belong to no branch.
    assert lengths == [10, 13, 13, 26]
    assert all(branch.chord == branch.length for branch in long_branches(cross()))


@pytest.mark.parametrize(("pixels", "count"), [(9, 0), (10, 1)])
def test_branches_of_less_than_ten_pixels_are_left_out(pixels, count):
    line = np.zeros((3, 20), bool)
    line[1, 2 : 2 + pixels] = True
    assert len(long_branches(line)) == count


def test_a_ring_has_no_ends_and_no_tortuosity():
    ring = np.zeros((20, 20), bool)
    ring[5, 5:15] = True
    ring[14, 5:15] = True
    ring[5:15, 5] = True
    ring[5:15, 14] = True
    assert long_branches(ring) == []


def test_tortuosity_is_the_mean_weighted_by_length():
    branches = [Branch(length=30, chord=10), Branch(length=10, chord=10)]
    assert mean_tortuosity(branches) == pytest.approx((3 * 30 + 1 * 10) / 40)


def test_the_chord_of_a_closed_branch_counts_as_one_pixel():
    assert mean_tortuosity([Branch(length=12, chord=0)]) == 12


def test_width_is_twice_the_distance_to_the_background_also_at_the_edge_of_the_image():
    mask = np.ones((5, 40), bool)
    line = centre_line(mask)
    assert line.widths.max() == 6
    assert line.length == pytest.approx(39, abs=5)


def bar() -> np.ndarray:
    """(80, 120) bool: a vessel of 5 x 100 px."""
    mask = np.zeros((80, 120), bool)
    mask[38:43, 10:110] = True
    return mask


def test_a_straight_vessel_has_its_length_and_width_and_no_tortuosity():
    values = result_of_mask(bar(), measures="tree").summary()
    assert list(values) == ["of the field", "length", "mean width", "tortuosity", "density"]
    length, unit = values["length"]
    assert unit == "px"
    assert length == pytest.approx(100, abs=6)
    assert values["mean width"] == (pytest.approx(5, abs=1.1), "px")
    assert values["tortuosity"] == (pytest.approx(1, abs=0.02), "")
    assert values["of the field"] == (pytest.approx(100 * 500 / 9600), "%")
    assert values["density"] == (pytest.approx(length / 9600), "px per px²")


def test_lengths_are_in_mm_and_density_is_a_length_per_area():
    plain = result_of_mask(bar(), measures="tree").summary()
    in_mm = result_of_mask(bar(), measures="tree", spacing=(0.5, 0.5)).summary()
    assert in_mm["length"] == (pytest.approx(plain["length"][0] * 0.5), "mm")
    assert in_mm["mean width"] == (pytest.approx(plain["mean width"][0] * 0.5), "mm")
    assert in_mm["density"] == (pytest.approx(plain["density"][0] / 0.5), "mm per mm²")
    assert in_mm["tortuosity"] == plain["tortuosity"]


def test_small_steps_are_in_micrometres():
    plain = result_of_mask(bar(), measures="tree").summary()
    small = result_of_mask(bar(), measures="tree", spacing=(0.002, 0.002)).summary()
    assert small["length"] == (pytest.approx(plain["length"][0] * 2), "µm")
    assert small["density"] == (pytest.approx(plain["density"][0] / 2), "µm per µm²")


def test_slices_are_summed():
    single = result_of_mask(bar(), measures="tree").summary()
    stack = result_of_mask(np.stack([bar(), bar()]), measures="tree").summary()
    assert stack["length"][0] == pytest.approx(2 * single["length"][0])
    for name in ("of the field", "mean width", "tortuosity", "density"):
        assert stack[name][0] == pytest.approx(single[name][0])


def test_without_vessels_there_is_neither_width_nor_tortuosity():
    values = result_of_mask(np.zeros((40, 50), bool), measures="tree").summary()
    assert values == {
        "of the field": (0, "%"),
        "length": (0, "px"),
        "density": (0, "px per px²"),
    }


def test_a_summary_in_words_begins_with_the_share_of_the_field():
    values = result_of_mask(bar(), measures="tree").summary()
    assert in_words(values).startswith("5.21 % of the field, length 9")
