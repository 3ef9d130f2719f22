"""Ids that follow objects through a movie: discs that move, divide, vanish and come back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import disc, result_of_mask
from skimage.io import imread

from unet_helpers.results.tracks import REMEMBERED_FRAMES, link_frames

SILVER = Path(__file__).parents[3] / "shared" / "data" / "dic_cells" / "silver"


def frame(*discs: tuple[int, float, float, float]) -> np.ndarray:
    """(80, 120) ids of discs, each (id, row, column, radius)."""
    ids = np.zeros((80, 120), int)
    for number, row, column, radius in discs:
        ids[disc(row, column, radius)] = number
    return ids


def test_ids_follow_objects_that_move_whatever_their_ids_in_a_frame():
    frames = [
        frame((1, 20, 20, 10), (2, 60, 80, 10)),
        frame((9, 60, 84, 10), (4, 24, 22, 10)),
    ]
    ids = link_frames(frames).ids
    assert ids.dtype == np.int32
    assert ids[0, 20, 20] == ids[1, 24, 22] == 1
    assert ids[0, 60, 80] == ids[1, 60, 84] == 2
    assert ids.max() == 2


def test_of_two_objects_that_overlap_one_before_the_closer_keeps_its_id():
    # The second is a fragment, too small to be a daughter.
    frames = [frame((1, 40, 40, 20)), frame((1, 40, 42, 18), (2, 40, 22, 4))]
    tracks = link_frames(frames)
    assert tracks.ids[1, 40, 42] == 1
    assert tracks.ids[1, 40, 22] == 2
    assert tracks.parents == {}


def test_daughters_of_an_object_that_divides_get_new_ids_and_know_their_mother():
    frames = [
        frame((1, 40, 40, 20), (2, 20, 100, 9)),
        frame((1, 40, 28, 11), (2, 40, 52, 11), (3, 20, 100, 9)),
    ]
    tracks = link_frames(frames)
    daughters = {int(tracks.ids[1, 40, 28]), int(tracks.ids[1, 40, 52])}
    assert daughters == {3, 4}
    assert tracks.parents == {3: 1, 4: 1}
    assert tracks.ids[1, 20, 100] == 2


@pytest.mark.parametrize("missed", range(REMEMBERED_FRAMES + 2))
def test_an_object_that_is_missed_shortly_keeps_its_id(missed):
    other = (1, 60, 90, 10)
    there = frame((2, 20, 20, 10), other)
    ids = link_frames([there, *[frame(other)] * missed, there]).ids
    assert (ids[-1, 20, 20] == ids[0, 20, 20]) == (missed <= REMEMBERED_FRAMES)
    assert ids[-1, 60, 90] == ids[0, 60, 90]


def test_an_object_elsewhere_is_a_new_one():
    ids = link_frames([frame((1, 20, 20, 10)), frame((1, 60, 90, 10))]).ids
    assert ids[1, 60, 90] == 2


def test_frames_without_objects_are_linked_to_nothing():
    ids = link_frames([frame(), frame((3, 20, 20, 10)), frame()]).ids
    assert ids.max() == 1
    assert not ids[0].any()
    assert not ids[2].any()


def test_a_card_says_whether_objects_of_a_movie_are_followed():
    mask = np.stack([disc(20, 20, 10), disc(20, 24, 10)])
    followed = result_of_mask(mask, "TYX", frames="linked")
    assert followed.objects[0, 20, 20] == followed.objects[1, 20, 24] == 1
    assert followed.measure()["object"].tolist() == [1, 1]
    assert followed.measure()["parent"].tolist() == [0, 0]
    assert followed.summary()["objects"] == (1, "")

    separate = replace(followed, card=replace(followed.card, frames="separate"))
    assert separate.measure()["object"].tolist() == [1, 2]
    assert "parent" not in separate.measure()


def test_the_table_names_the_mother_of_each_daughter():
    mask = np.stack([disc(40, 40, 20), disc(40, 28, 11) | disc(40, 52, 11)])
    table = result_of_mask(mask, "TYX", frames="linked").measure()
    assert table[["object", "frame", "parent"]].to_numpy().tolist() == [
        [1, 0, 0],
        [2, 1, 1],
        [3, 1, 1],
    ]


@pytest.mark.skipif(not SILVER.exists(), reason="needs ../shared")
def test_cells_of_a_real_movie_are_followed_as_its_truth_follows_them():
    truth = np.stack([imread(path) for path in sorted(SILVER.glob("*.png"))]).astype(int)
    tracks = link_frames(list(truth))

    right = []
    for i in range(1, len(truth)):
        for number in np.intersect1d(truth[i - 1], truth[i])[1:]:
            before = np.bincount(tracks.ids[i - 1][truth[i - 1] == number]).argmax()
            now = np.bincount(tracks.ids[i][truth[i] == number]).argmax()
            right.append(before == now)
    # 992 of 993.
    assert np.mean(right) > 0.998
    # Seven of the eight divisions of the truth.
    assert len(set(tracks.parents.values())) == 7
