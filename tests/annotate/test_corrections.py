"""Objects are removed, split, joined and added; no network runs; counts and tables follow."""

import json
from dataclasses import replace

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.annotate.answer import Answer, nothing_decided
from unet_helpers.annotate.corrections import split
from unet_helpers.annotate.strokes import Stroke
from unet_helpers.results.by_hand import UNDECIDED


def result_of(probabilities: np.ndarray, card: str, **changes) -> uh.Segmentation:
    """Make a result of drawn probabilities (K, H, W)."""
    image = uh.read_image(np.zeros(probabilities.shape[1:], np.uint8))
    return uh.Segmentation(
        image, replace(uh.MODELS[card], **changes), probabilities.astype(np.float32), threshold=0.5
    )


@pytest.fixture
def regions() -> uh.Segmentation:
    """Two rectangles of a card whose objects are connected regions."""
    probabilities = np.full((1, 60, 80), 0.02)
    probabilities[0, 10:30, 10:30] = 0.9
    probabilities[0, 10:30, 45:70] = 0.9
    return result_of(probabilities, "lungs", min_component_share=0.0)


@pytest.fixture
def touching() -> uh.Segmentation:
    """A pair of touching discs that were taken for one nucleus, and a disc of its own."""
    y, x = np.mgrid[:80, :120]
    left = np.hypot(y - 40, x - 25) < 15
    right = np.hypot(y - 40, x - 50) < 15
    alone = np.hypot(y - 40, x - 95) < 12
    interior = np.where(left | right | alone, 0.95, 0.02)
    # A shallow valley where the two touch, four pixels beside the middle of the stroke below.
    interior[:, 36:39] = np.minimum(interior[:, 36:39], 0.85)
    border = np.full_like(interior, 0.01)
    return result_of(np.stack([1 - interior - border, interior, border]), "nuclei")


@pytest.fixture
def cells() -> uh.Segmentation:
    """Four cells between membranes."""
    probabilities = np.full((1, 64, 64), 0.05)
    probabilities[0, 30:34] = probabilities[0, :, 30:34] = 0.95
    return result_of(probabilities, "em_membranes")


def count(painter: uh.Painter) -> int:
    """The number of objects, which the table and the labels agree on."""
    result = painter.result()
    ids = np.unique(result.objects)
    assert len(result.measure()) == len(ids[ids > 0])
    return len(ids[ids > 0])


def test_without_corrections_the_result_is_the_same(regions):
    assert uh.Painter(regions).result() is regions


# regions


def test_a_click_removes_an_object(regions):
    painter = uh.Painter(regions)
    painter.remove((20, 20))
    assert count(painter) == 1
    assert not painter.result().labels[10:30, 10:30].any()
    assert painter.result().foreground[20, 20] == 0


def test_a_click_beside_an_object_means_it_and_one_far_away_means_none(regions):
    painter = uh.Painter(regions)
    painter.remove((20, 33))
    assert count(painter) == 1
    with pytest.raises(uh.ArgumentError, match="no object at row 55"):
        painter.remove((55, 5))
    assert len(painter.strokes) == 1


@pytest.mark.parametrize("points", [[(5, 20), (35, 20)], [(15, 20), (25, 20)], [(8, 8), (32, 32)]])
def test_a_stroke_across_splits_a_region_also_if_it_ends_inside(regions, points):
    painter = uh.Painter(regions)
    painter.split(points)
    assert count(painter) == 3
    assert np.count_nonzero(painter.result().labels != regions.labels) < 60


def test_a_stroke_may_divide_an_object_with_an_id_into_more_than_a_hundred_parts():
    """A comb, whose back is the stroke: each of its 130 teeth is a part."""
    comb = np.zeros((24, 260), np.uint8)
    comb[10:13] = 1
    comb[13:20, ::2] = 1
    answer = Answer(
        labels=comb,
        objects=comb.astype(np.int32),
        decided=nothing_decided(comb.shape),
        certainty=comb.astype(np.float32),
        card=uh.MODELS["nuclei"],
    )
    divided = split(answer, Stroke("split", ((11, 0), (11, 259)), width=6))
    assert set(np.unique(divided.objects)) == set(range(131))


def test_a_stroke_beside_all_objects_splits_nothing(regions):
    with pytest.raises(uh.ArgumentError, match="crosses no object"):
        uh.Painter(regions).split([(50, 5), (50, 70)])


def test_a_stroke_from_one_to_another_joins_them(regions):
    painter = uh.Painter(regions)
    painter.join([(20, 25), (20, 50)])
    assert count(painter) == 1
    # Only the gap is filled: what of the stroke lies beyond the objects is not.
    filled = painter.result().labels != regions.labels
    assert filled[20, 30:45].all()
    assert not filled[:, 70:].any()


def test_a_stroke_within_one_object_joins_nothing(regions):
    with pytest.raises(uh.ArgumentError, match="fewer than two"):
        uh.Painter(regions).join([(20, 15), (20, 25)])


def test_a_ring_adds_an_object_as_drawn_where_nothing_is_seen(regions):
    painter = uh.Painter(regions)
    painter.ring([(40, 10), (40, 30), (55, 30), (55, 10)])
    assert count(painter) == 3
    assert painter.result().labels[41:55, 11:30].all()


def test_a_ring_follows_the_probabilities_where_they_show_something():
    probabilities = np.full((1, 60, 60), 0.02)
    probabilities[0, 20:40, 20:40] = 0.45  # below the threshold
    painter = uh.Painter(result_of(probabilities, "lungs", min_component_share=0.0))
    painter.ring([(12, 12), (12, 48), (48, 48), (48, 12)])
    truth = probabilities[0] > 0.4
    assert uh.dice(truth, painter.result().labels) > 0.9


def test_strokes_add_and_take_away(regions):
    painter = uh.Painter(regions)
    painter.stroke([(50, 10), (50, 30)], "lung")
    assert count(painter) == 3
    painter.stroke([(5, 20), (35, 20)], "background", width=3)
    assert count(painter) == 4
    painter.erase([(5, 20), (35, 20)], width=5)
    assert count(painter) == 3


def test_classes_that_overlap_cannot_be_corrected():
    """The corrections would be in the labels alone, and not in ``mask``."""
    result = result_of(np.full((5, 20, 20), 0.9, np.float32), "chest")
    with pytest.raises(uh.ArgumentError, match="chest: its classes overlap"):
        uh.Painter(result)


def test_an_unknown_class_is_refused(regions):
    with pytest.raises(uh.ArgumentError, match="background, lung"):
        uh.Painter(regions).stroke([(50, 10)], "heart")


def test_what_a_person_adds_is_not_dropped_as_too_small():
    """The card drops components that are small beside the largest one."""
    probabilities = np.full((1, 60, 80), 0.02)
    probabilities[0, 10:40, 10:40] = 0.9
    probabilities[0, 50:53, 60:63] = 0.9
    result = result_of(probabilities, "lungs", min_component_share=0.5)
    assert result.objects.max() == 1

    painter = uh.Painter(result)
    painter.stroke([(10, 70)], "lung")
    assert count(painter) == 2
    # What the card had dropped stays dropped.
    assert not painter.result().labels[50:53, 60:63].any()


# nuclei, with ids of their own


def test_touching_nuclei_are_split_where_the_network_is_least_sure(touching):
    painter = uh.Painter(touching)
    assert count(painter) == 2
    painter.split([(20, 41), (60, 41)], width=13)
    assert count(painter) == 3

    objects = painter.result().objects
    np.testing.assert_array_equal(objects > 0, touching.objects > 0)
    boundary = [np.flatnonzero(np.diff(row[25:50]))[0] + 25 for row in objects[34:46]]
    assert abs(np.median(boundary) - 37) <= 2


def test_joined_nuclei_are_one_and_split_again_by_undo(touching):
    painter = uh.Painter(touching)
    painter.join([(40, 55), (40, 95)])
    assert count(painter) == 1
    painter.undo()
    assert count(painter) == 2


def test_a_nucleus_is_removed_and_another_one_is_added(touching):
    painter = uh.Painter(touching)
    painter.remove((40, 95))
    assert count(painter) == 1
    painter.ring([(5, 70), (5, 85), (18, 85), (18, 70)])
    assert count(painter) == 2
    result = painter.result()
    assert result.labels[10, 78] == 1
    assert result.card.classes[result.labels[10, 78] - 1] == "interior"


def test_a_stroke_beside_a_nucleus_makes_it_larger(touching):
    painter = uh.Painter(touching)
    painter.stroke([(40, 100), (40, 115)], "interior")
    assert count(painter) == 2
    painter.stroke([(28, 95), (52, 95)], "background", width=3)
    assert count(painter) == 3


# cells between membranes


def test_a_cell_is_split_by_a_membrane_and_joined_by_its_removal(cells):
    painter = uh.Painter(cells)
    assert count(painter) == 4
    painter.split([(2, 15), (28, 15)])
    assert count(painter) == 5
    assert painter.result().labels[15, 8:22].any()

    painter.join([(15, 20), (15, 45)])
    assert count(painter) == 4
    assert not painter.result().labels[15, 30:34].any()


def test_a_removed_cell_leaves_its_membranes(cells):
    painter = uh.Painter(cells)
    painter.remove((10, 10))
    assert count(painter) == 3
    np.testing.assert_array_equal(painter.result().labels, cells.labels)


def test_a_painted_membrane_cuts_a_cell(cells):
    painter = uh.Painter(cells)
    painter.stroke([(0, 15), (30, 15)], "membrane", width=3)
    assert count(painter) == 5


# results


def test_corrections_go_into_files_and_the_manifest(touching, tmp_path):
    painter = uh.Painter(touching)
    painter.split([(20, 38), (60, 38)])
    painter.remove((40, 95))
    result = painter.result()
    paths = result.save(tmp_path)
    np.testing.assert_array_equal(np.load(paths["objects"]), result.objects)
    facts = json.loads(paths["manifest"].read_text())
    assert facts["by_hand"]["actions"] == {"split": 1, "remove": 1}
    assert facts["objects"] == 2

    result.export(tmp_path / "cells.geojson")
    result.report(tmp_path / "cells.html")


def test_a_corrected_result_is_not_taken_for_the_one_before(touching, tmp_path):
    touching.save(tmp_path)
    painter = uh.Painter(touching)
    painter.remove((40, 95))
    with pytest.raises(uh.SaveError, match="already holds"):
        painter.result().save(tmp_path)


def test_corrections_can_be_carried_on(regions):
    first = uh.Painter(regions)
    first.remove((20, 20))
    second = uh.Painter(first.result())
    second.split([(5, 57), (35, 57)])
    result = second.result()
    assert count(second) == 2
    assert result.by_hand.actions == {"remove": 1, "split": 1}
    assert result.by_hand.decided[20, 20] == 0


def test_what_was_decided_stands_at_every_threshold(regions):
    painter = uh.Painter(regions)
    painter.stroke([(50, 10), (50, 30)], "lung")
    painter.remove((20, 20))
    result = painter.result()
    decided = result.by_hand.decided
    known = decided != UNDECIDED
    for threshold in (0.01, 0.5, 0.99):
        labels = replace(result, threshold=threshold).labels
        assert (labels[known] == decided[known]).all()


def test_no_network_runs(touching, monkeypatch):
    from unet_helpers.networks.unet import UNet

    def refuse(*_: object) -> None:
        raise AssertionError("a network ran")

    monkeypatch.setattr(UNet, "logits", refuse)
    painter = uh.Painter(touching)
    painter.split([(20, 38), (60, 38)])
    painter.ring([(5, 70), (5, 85), (18, 85), (18, 70)])
    assert count(painter) == 4


def test_a_correction_needs_no_model_and_no_classes(regions):
    with pytest.raises(uh.ArgumentError, match="own classes"):
        uh.Painter(regions, classes=["heart"])
