"""The data sets of cells under DIC and of arteries and veins: parts, labels and what is ignored."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from unet_helpers.networks.cards import MODELS
from unet_helpers.training.examples import IGNORED
from unet_helpers.training.tasks import TASKS, read_cases
from unet_helpers.training.tasks.artery_vein import resize_kinds
from unet_helpers.training.tasks.dic_cells import FRAMES_OF_PARTS, part_of_frame

SIDE = 96


def save(pixels: np.ndarray, path) -> None:
    """Save a picture, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def cells(tmp_path):
    """Three frames with a cell in the middle, and another one at the edge without an outline."""
    rng = np.random.default_rng(0)
    ids = np.zeros((SIDE, SIDE), np.uint16)
    ids[36:68, 30:60] = 9
    for frame in (5, 24, 60):
        pixels = rng.normal(120, 1, (SIDE, SIDE))
        for cell in (ids > 0, np.s_[:, 76:]):
            pixels[cell] = rng.normal(120, 20, pixels[cell].shape)
        save(pixels.astype(np.uint8), tmp_path / "images" / f"hela_01_{frame:03}.png")
        save(ids, tmp_path / "silver" / f"hela_01_{frame:03}.png")
        save((ids > 0).astype(np.uint16), tmp_path / "gold" / f"hela_01_{frame:03}.png")
    return tmp_path


def test_frames_are_split_by_blocks_with_gaps():
    parts = [part_of_frame(frame) for frame in range(84)]
    assert parts[0] == parts[21] == "test"
    assert parts[22] is parts[26] is None
    assert parts[27] == "validation"
    assert parts[39] == parts[83] == "train"
    ends = sorted(FRAMES_OF_PARTS.values())
    assert all(later[0] - earlier[1] > 4 for earlier, later in pairwise(ends))


def test_gold_truth_scores_and_silver_truth_teaches(cells):
    test, train = read_cases("dic_cells", cells)
    assert (test.part, test.kind) == ("test", "gold")
    assert (train.part, train.kind) == ("train", "silver")
    assert set(np.unique(test.truth)) == {0, 1, IGNORED}
    assert set(np.unique(train.truth)) == {0, 9, IGNORED}
    assert test.image.spacing == (0.19e-3, 0.19e-3)


def test_a_cell_that_the_edge_cuts_is_ignored_if_it_has_no_outline(cells):
    case = next(iter(read_cases("dic_cells", cells)))
    assert (case.truth[20:80, 84:] == IGNORED).mean() > 0.9
    assert not (case.truth[36:68, 30:60] == IGNORED).any()
    assert not case.truth[:20, :20].any()

    (example,) = TASKS["dic_cells"].examples(MODELS["dic_cells"], case)
    assert example.target.shape == (SIDE // 2, SIDE // 2)
    assert set(np.unique(example.target)) == {0, 1, 2, IGNORED}
    # The rim of the cell is border, its middle is not.
    assert example.target[26, 22] == 1
    assert example.target[19, 22] == 2


def test_arteries_and_veins_are_read_with_the_photographs_of_retinal_vessels(tmp_path):
    labels = np.zeros((64, 64), np.uint8)
    labels[20], labels[30], labels[40] = 1, 2, 3
    for number in (21, 29, 30):
        save(labels, tmp_path / "artery_vein" / "labels" / f"drive_{number}.png")
    for number in (21, 22, 29, 30):
        photograph = np.full((64, 64, 3), 90, np.uint8)
        save(photograph, tmp_path / "retinal_vessels" / "images" / f"drive_{number}.jpg")

    cases = list(read_cases("artery_vein", tmp_path / "artery_vein"))
    assert [case.part for case in cases] == ["train", "validation", "test"]
    assert cases[0].group == "drive 21"
    assert set(np.unique(cases[0].truth)) == {0, 1, 2, IGNORED}


def test_a_thin_vessel_keeps_its_kind_when_it_is_made_smaller():
    truth = np.zeros((60, 60), np.uint8)
    truth[10:12], truth[30:32], truth[50:52] = 1, 2, IGNORED
    small = resize_kinds(truth, (30, 30))
    assert (small[5] == 1).all()
    assert (small[15] == 2).all()
    assert (small[25] == IGNORED).all()
    assert not small[20].any()
