"""Data sets for other programs' training hold the objects: COCO and YOLO."""

import json

import numpy as np
import pytest
import shapely
from helpers.results import disc, result_of_labels, result_of_mask

import unet_helpers as uh

RING = disc(40, 40, 20) & ~disc(40, 40, 8)


def mask_of(segmentation, shape):
    """The mask that COCO's run lengths, or polygons along sides of pixels, stand for."""
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        values = np.repeat(np.arange(len(counts)) % 2, counts)
        return values.reshape(segmentation["size"], order="F").astype(bool)
    union = shapely.union_all([shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in segmentation])
    y, x = np.mgrid[: shape[0], : shape[1]]
    return shapely.contains_xy(union, x + 0.5, y + 0.5)


def test_coco_holds_each_object_with_its_holes(tmp_path):
    result = result_of_mask(RING | disc(20, 100, 9) | disc(0, 0, 3))
    data = json.loads(result.export(tmp_path / "a.coco.json").read_text())
    assert data["images"] == [{"id": 1, "file_name": "array", "width": 120, "height": 80}]
    assert [category["name"] for category in data["categories"]] == ["class 1"]
    assert len(data["annotations"]) == 3
    for annotation in data["annotations"]:
        mask = result.objects == annotation["id"]
        np.testing.assert_array_equal(mask_of(annotation["segmentation"], mask.shape), mask)
        assert annotation["area"] == mask.sum()
        x, y, width, height = annotation["bbox"]
        assert mask[y : y + height, x : x + width].sum() == mask.sum()
        assert annotation["category_id"] == 1


def test_run_lengths_of_a_mask_that_begins_in_the_corner(tmp_path):
    mask = np.ones((7, 9), bool)
    mask[3, 4] = False
    (annotation,) = json.loads(result_of_mask(mask).export(tmp_path / "a.coco.json").read_text())[
        "annotations"
    ]
    assert annotation["segmentation"]["counts"][0] == 0
    np.testing.assert_array_equal(mask_of(annotation["segmentation"], mask.shape), mask)


def test_pycocotools_reads_the_same(tmp_path):
    masks = pytest.importorskip("pycocotools.mask")
    coco = pytest.importorskip("pycocotools.coco")
    result = result_of_mask(RING | disc(20, 100, 9))
    data = coco.COCO(str(result.export(tmp_path / "a.coco.json")))
    for annotation in data.loadAnns(data.getAnnIds()):
        read = masks.decode(data.annToRLE(annotation)).astype(bool)
        assert (read != (result.objects == annotation["id"])).mean() < 0.01


def test_yolo_has_a_line_for_each_object_of_its_class(tmp_path):
    labels = np.zeros((50, 100), int)
    labels[10:20, 10:30] = 1
    labels[30:40, 50:90] = 2
    path = result_of_labels(labels, 2).export(tmp_path / "a.yolo.txt")
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [line[0] for line in lines] == ["0", "1"]
    corners = np.array(lines[1][1:], float).reshape(-1, 2) * (100, 50)
    assert shapely.Polygon(corners).bounds == pytest.approx((50, 30, 90, 40))
    assert (tmp_path / "a.yolo_classes.txt").read_text().split("\n")[:2] == ["class 1", "class 2"]


def test_without_objects_the_files_are_empty_lists(tmp_path):
    result = result_of_mask(np.zeros((20, 30), bool))
    assert result.export(tmp_path / "a.yolo.txt").read_text() == ""
    assert json.loads(result.export(tmp_path / "a.coco.json").read_text())["annotations"] == []


@pytest.mark.parametrize("ending", [".coco.json", ".yolo.txt"])
def test_stacks_are_refused_with_a_way_out(ending, tmp_path):
    result = result_of_mask(np.ones((3, 20, 30), bool))
    with pytest.raises(uh.SaveError, match=r"page=, frame=.*\.ome\.zarr"):
        result.export(tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []
