"""The table of scores against a truth."""

import numpy as np
import pytest
from helpers.results import result_of_labels, result_of_mask

import unet_helpers as uh
from unet_helpers.results import metrics

COLUMNS = ["Dice", "IoU", "Sensitivity", "Precision"]


@pytest.fixture
def two_classes():
    labels = np.random.default_rng(6).integers(0, 3, (6, 20, 30))
    truth = np.roll(labels, 2, axis=1)
    classes = ("anterior", "posterior")
    result = result_of_labels(labels, 2, spacing=(3.0, 1.0, 0.5), classes=classes)
    return result, labels, truth


def test_there_is_a_row_for_each_class_and_one_for_all_together(two_classes):
    result, labels, truth = two_classes
    table = uh.score_table(result, truth)
    assert table.index.tolist() == ["Anterior", "Posterior", "Together"]
    assert table.index.name == "Class"
    assert table.loc["Anterior"].Dice == metrics.dice(truth == 1, labels == 1)
    assert table.loc["Posterior"].Dice == metrics.dice(truth == 2, labels == 2)
    assert table.loc["Together"].Dice == metrics.dice(truth > 0, labels > 0)


def test_each_column_is_its_metric_of_truth_and_answer():
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    truth = np.zeros((8, 8), int)
    truth[2:4, 2:4] = 9
    truth[7, 7] = 1
    table = uh.score_table(result_of_mask(mask), truth)
    assert list(table) == [*COLUMNS, "Surface distance, 95 % (px)"]
    row = table.loc["Small"]
    assert row.Dice == 2 * 4 / (5 + 16)
    assert row.IoU == pytest.approx(4 / 17)
    assert row.Sensitivity == 4 / 5
    assert row.Precision == 4 / 16
    assert row.iloc[4] == metrics.surface_distance(truth, mask)


def test_distances_are_in_mm_where_the_spacing_is_known(two_classes):
    result, labels, truth = two_classes
    distance = uh.score_table(result, truth)["Surface distance, 95 % (mm)"]
    masks = truth == 2, labels == 2
    assert distance["Posterior"] == metrics.surface_distance(*masks, (3.0, 1.0, 0.5))


def test_of_one_structure_anything_but_zero_counts():
    mask = np.array([[True, False], [False, False]])
    table = uh.score_table(result_of_mask(mask), np.array([[255, 0], [0, 0]]))
    assert table.index.tolist() == ["Small"]
    assert table.Dice.tolist() == [1]


def test_interior_and_border_of_nuclei_count_together():
    labels = np.array([[1, 2, 0], [2, 2, 0]])
    ids = np.array([[8, 8, 8], [0, 0, 0]])
    result = result_of_labels(labels, 2, instance_method="interiors", title="Nuclei")
    table = uh.score_table(result, ids)
    assert table.index.tolist() == ["Nuclei"]
    assert table.Dice.tolist() == [2 * 2 / (4 + 3)]


def test_a_truth_of_another_shape_is_refused():
    with pytest.raises(uh.ArgumentError, match="resize"):
        uh.score_table(result_of_mask(np.ones((3, 3), bool)), np.ones((2, 3)))
