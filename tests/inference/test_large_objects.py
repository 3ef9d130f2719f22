"""Objects found block by block are those of the whole answer, wherever blocks begin."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.inference import large_objects
from unet_helpers.inference.large_objects import (
    Block,
    ObjectSums,
    blocks_of,
    find_objects_by_blocks,
    groups_of,
    mean_certainty,
    numbered,
    same_objects,
    table_of,
)
from unet_helpers.results.intensities import IntensitySums
from unet_helpers.results.segmentation import Segmentation

pytest.importorskip("dask.array")


def result_without_answer(method: str = "components", classes: int = 1, **fields) -> Segmentation:
    """A blank result, of a card that finds objects by a method."""
    card = make_network(1 if classes == 1 else classes + 1).card
    card = replace(card, instance_method=method)
    image = uh.MedicalImage(np.zeros((4, 4)), "YX", spacing=fields.pop("spacing", None))
    return Segmentation(image, card, np.zeros((1, 0, 0)), threshold=0.5, **fields)


def answer_with(method: str, *masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, object]:
    """(labels, objects, table) by blocks of an answer that is 1 where the masks of classes are."""
    answer = np.stack(masks).astype(np.float32)
    if len(masks) > 1:
        answer = np.concatenate([1 - answer.sum(0, keepdims=True), answer])
    labels = np.zeros(masks[0].shape, np.uint8)
    objects = np.zeros(masks[0].shape, np.int32)
    blank = result_without_answer(method, classes=len(masks))
    numbers, table = find_objects_by_blocks(blank, answer, labels, objects)
    return labels, numbers[objects], table


def random_answer(method: str) -> np.ndarray:
    """(K, 320, 320): cells or nuclei that touch, some of them doubtful or larger than a block."""
    y, x = np.mgrid[:320, :320]
    centres = np.mgrid[20:320:28, 20:320:28].reshape(2, -1).T
    centres = centres + np.random.default_rng(0).integers(-4, 5, centres.shape)
    distances = np.hypot(y[..., None] - centres[:, 0], x[..., None] - centres[:, 1])
    nearest, second = np.moveaxis(np.sort(distances, axis=-1)[..., :2], -1, 0)
    membrane = np.exp(-(((second - nearest) / 3) ** 2)).astype(np.float32)
    membrane[100:220, 100:220] *= 0.1  # one cell of many

    if method == "membranes":
        return membrane[None]
    if method == "components":
        return 1 - membrane[None]
    interior = np.clip(1.4 - nearest / 12, 0, 1).astype(np.float32) * (1 - membrane)
    interior[y < 60] *= 0.72  # paler
    return np.stack([1 - interior, interior, 0 * interior])


@pytest.mark.parametrize("side", [70, 128, 1000])
@pytest.mark.parametrize("method", ["components", "interiors", "membranes"])
def test_objects_of_all_methods_are_joined(method, side, monkeypatch):
    zarr = pytest.importorskip("zarr", "3")
    probabilities = random_answer(method)
    card = replace(make_network(len(probabilities)).card, instance_method=method)
    image = uh.MedicalImage(np.zeros((320, 320)), "YX")
    whole = Segmentation(image, card, probabilities, 0.5)

    monkeypatch.setattr(large_objects, "BLOCK", side)
    monkeypatch.setattr(large_objects, "HALO", 64)
    answer = zarr.create_array({}, data=probabilities, chunks=(len(probabilities), 100, 100))
    labels = np.zeros((320, 320), np.uint8)
    objects = np.zeros((320, 320), np.int32)
    blank = replace(whole, probabilities=np.zeros((1, 0, 0)))
    numbers, table = find_objects_by_blocks(blank, answer, labels, objects)
    objects = numbers[objects]

    assert whole.objects.max() > 60
    assert len(table) == whole.objects.max()
    assert (labels == whole.labels).all()
    # Lines within a cell larger than a block may stay.
    assert ((objects > 0) == (whole.objects > 0)).mean() > 0.99
    assert table["area_px"].sum() == np.count_nonzero(objects)


def test_a_bar_through_four_blocks_is_one_object(monkeypatch):
    monkeypatch.setattr(large_objects, "BLOCK", 10)
    monkeypatch.setattr(large_objects, "HALO", 3)
    bar = np.zeros((12, 40), bool)
    bar[4, 2:38] = True
    labels, objects, table = answer_with("components", bar)
    np.testing.assert_array_equal(labels, bar)
    np.testing.assert_array_equal(objects, bar)
    assert table.to_dict("records") == [
        {
            "object": 1,
            "class": "class 1",
            "area_px": 36,
            "diameter_px": pytest.approx(np.sqrt(4 / np.pi * 36)),
            "centroid_y_px": 4.0,
            "centroid_x_px": 19.5,
            "eccentricity": 1.0,
            "solidity": 1.0,
            "perimeter_px": 34.0,
            "axis_major_length_px": pytest.approx(4 * np.arange(36).std()),
            "axis_minor_length_px": 0.0,
            "orientation_deg": 0.0,
            "touches_edge": "no",
        }
    ]


def test_bars_that_do_not_touch_stay_apart(monkeypatch):
    monkeypatch.setattr(large_objects, "BLOCK", 10)
    monkeypatch.setattr(large_objects, "HALO", 3)
    bars = np.zeros((12, 40), bool)
    bars[4, 2:38] = True
    bars[6, 2:38] = True
    bars[9:11, 20] = True
    _, objects, table = answer_with("components", bars)
    assert table["area_px"].tolist() == [36, 36, 2]
    assert table["centroid_y_px"].tolist() == [4.0, 6.0, 9.5]
    assert objects[4, 2] == objects[4, 37] == 1
    assert objects[6, 2] == objects[6, 37] == 2
    assert objects[9, 20] == objects[10, 20] == 3


def test_each_object_is_of_its_class(monkeypatch):
    monkeypatch.setattr(large_objects, "BLOCK", 10)
    monkeypatch.setattr(large_objects, "HALO", 3)
    first = np.zeros((12, 30), bool)
    second = np.zeros((12, 30), bool)
    first[2, 2:25] = True
    second[3, 2:25] = True
    labels, _, table = answer_with("components", first, second)
    assert table["class"].tolist() == ["class 1", "class 2"]
    np.testing.assert_array_equal(labels, first + 2 * second)


def test_where_there_is_no_membrane_all_is_a_cell(monkeypatch):
    monkeypatch.setattr(large_objects, "BLOCK", 20)
    monkeypatch.setattr(large_objects, "HALO", 5)
    _, objects, table = answer_with("membranes", np.zeros((30, 30), bool))
    assert table["area_px"].tolist() == [900]
    assert (objects == 1).all()
    assert "class" not in table


def test_an_empty_answer_has_no_objects():
    labels, objects, table = answer_with("components", np.zeros((50, 60), bool))
    assert len(table) == 0
    assert not labels.any()
    assert not objects.any()
    assert {"area_px", "centroid_y_px"} <= set(table)


def test_the_surroundings_of_a_block_grow_with_the_px_of_the_image(monkeypatch):
    """At a zoom of one half, 256 working px are 512 px."""
    seen = []

    def spy(shape, halo):
        seen.append((shape, halo))
        return blocks_of(shape, halo)

    monkeypatch.setattr(large_objects, "blocks_of", spy)
    blank = result_without_answer(zoom=0.5)
    empty = np.zeros((1, 20, 30), np.float32)
    find_objects_by_blocks(blank, empty, np.zeros((20, 30)), np.zeros((20, 30), np.int32))
    assert seen == [((20, 30), 512)]


def test_blocks_cover_the_image_and_are_seen_with_their_surroundings(monkeypatch):
    monkeypatch.setattr(large_objects, "BLOCK", 10)
    blocks = list(blocks_of((15, 10), halo=4))
    assert blocks == [
        Block(
            core=(slice(0, 10), slice(0, 10)),
            around=(slice(0, 14), slice(0, 14)),
            inner=(slice(0, 10), slice(0, 10)),
        ),
        Block(
            core=(slice(10, 15), slice(0, 10)),
            around=(slice(6, 19), slice(0, 14)),
            inner=(slice(4, 9), slice(0, 10)),
        ),
    ]


def test_certainty_is_the_mean_of_what_is_above_the_threshold():
    zarr = pytest.importorskip("zarr", "3")
    background = np.array([[1.0, 0.75, 0.5, 0.25, 0.0]], np.float32)
    answer = zarr.create_array({}, data=np.stack([background, 1 - background]), chunks=(2, 1, 2))
    assert mean_certainty(answer, 0.5) == pytest.approx((0.75 + 1.0) / 2)


def test_objects_outside_of_the_block_have_no_number():
    ids = np.array([[5, 5, 0, 9, 9, 0, 2]])
    kept = numbered(ids, (slice(0, 1), slice(0, 4)), first_id=11)
    assert kept.tolist() == [[11, 11, 0, 12, 12, 0, 0]]
    assert kept.dtype == np.int32


def test_an_object_of_which_more_than_half_is_seen_again_is_the_same():
    earlier = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 3, 3]])
    ids = np.array([[7, 7, 7, 0, 8, 8, 0, 0, 8, 9, 9]])
    assert same_objects(earlier, ids, "interiors").T.tolist() == [[1, 7], [3, 9]]
    assert same_objects(earlier, ids, "membranes").T.tolist() == [[1, 7], [3, 9]]


def test_parts_of_a_component_are_the_same_wherever_they_overlap():
    earlier = np.array([[1, 1, 1, 1, 1, 0, 2]])
    ids = np.array([[7, 0, 0, 0, 8, 8, 0]])
    assert same_objects(earlier, ids, "components").T.tolist() == [[1, 7], [1, 8]]


def test_what_does_not_overlap_is_not_the_same():
    ids = np.array([[0, 1], [2, 0]])
    assert same_objects(np.zeros((2, 2), int), ids, "components").shape == (2, 0)
    assert same_objects(np.zeros((2, 2), int), ids, "interiors").shape == (2, 0)


def test_pairs_join_ids_to_groups():
    groups, total = groups_of([np.array([[1, 3], [4, 5]]), np.array([[4], [6]])], 6)
    assert total == 3
    assert groups.tolist() == [0, 1, 2, 0, 2, 0]


def test_without_pairs_each_id_is_a_group_of_its_own():
    groups, total = groups_of([], 3)
    assert total == 3
    assert groups.tolist() == [0, 1, 2]


def test_sums_are_those_of_the_pixels_in_the_image():
    ids = np.array([[0, 5, 5], [6, 0, 5]])
    labels = np.array([[0, 1, 1], [2, 0, 1]])
    sums = ObjectSums.of_block(ids, labels, first_id=5, core=(slice(10, 12), slice(20, 23)))
    assert sums.area.tolist() == [3, 1]
    assert sums.rows.tolist() == [10 + 10 + 11, 11]
    assert sums.columns.tolist() == [21 + 22 + 22, 20]
    assert sums.classes.tolist() == [3, 2]


def intensities(objects: int) -> IntensitySums:
    """Sums of objects of one pixel each, in one channel."""
    return IntensitySums.of_pixels(np.arange(objects), np.full((objects, 1), 7), objects)


def test_sums_of_parts_of_an_object_are_added():
    scales = (1, 10, 100, 1000)
    first = ObjectSums(*(np.array([1.0, 2.0]) * k for k in scales), intensities=intensities(2))
    second = ObjectSums(*(np.array([4.0]) * k for k in scales), intensities=intensities(1))
    sums = ObjectSums.of_all_blocks([first, second], channels=1).joined(np.array([1, 0, 1]), 2)
    assert sums.intensities.count.tolist() == [[1], [2]]
    assert sums.area.tolist() == [2, 5]
    assert sums.rows.tolist() == [20, 50]
    assert sums.columns.tolist() == [200, 500]
    assert sums.classes.tolist() == [2000, 5000]


def test_the_table_has_sizes_in_physical_units_where_these_are_known():
    sums = ObjectSums(
        area=np.array([4.0]),
        rows=np.array([10.0]),
        columns=np.array([6.0]),
        classes=np.array([8.0]),
        intensities=intensities(1),
    )
    blank = result_without_answer("components", 2, spacing=(0.5, 0.5))
    (row,) = table_of(sums, blank, ["_DAPI"]).to_dict("records")
    assert row["intensity_mean_DAPI"] == 7
    assert row["class"] == "class 2"
    assert row["area_px"] == 4
    assert row["area_mm2"] == 1.0
    assert row["centroid_y_px"] == 2.5
    assert row["centroid_x_px"] == 1.5
    assert row["diameter_px"] == pytest.approx(2 * np.sqrt(4 / np.pi))
