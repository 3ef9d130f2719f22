"""Classes that overlap keep all of their masks, wherever an answer appears."""

import json
import zlib
from base64 import b64decode

import nibabel as nib
import numpy as np
import pytest
from helpers.chests import SHAPE, chest_masks, chest_result, chest_truth
from helpers.results import result_of_labels, result_of_mask
from PIL import Image

import unet_helpers as uh
from unet_helpers.results.labels import foreground_of
from unet_helpers.results.measurements import classes_of
from unet_helpers.results.report import Levels, mask_arrays

CLASSES = uh.MODELS["chest"].classes


def test_each_class_has_all_of_its_mask():
    result = chest_result()
    for name, mask in zip(CLASSES, chest_masks(), strict=True):
        np.testing.assert_array_equal(result.mask(name), mask)
    assert (result.mask("heart") & result.mask("left lung")).any()


def test_labels_show_the_class_that_comes_last():
    labels = chest_result().labels
    for label, mask in enumerate(chest_masks(), 1):
        later = np.any([np.zeros(SHAPE, bool), *chest_masks()[label:]], axis=0)
        np.testing.assert_array_equal(labels == label, mask & ~later)


def test_masks_of_other_cards_exclude_each_other():
    labels = np.array([[0, 1, 2], [2, 1, 0]])
    result = result_of_labels(labels, 2)
    np.testing.assert_array_equal(result.mask("class 1"), labels == 1)
    np.testing.assert_array_equal(result.mask("class 2"), labels == 2)

    one = result_of_mask(labels == 1)
    np.testing.assert_array_equal(one.mask("class 1"), labels == 1)


def test_a_class_that_the_card_has_not_is_refused():
    with pytest.raises(uh.ArgumentError, match=r"no class 'liver': choose from right lung, left"):
        chest_result().mask("liver")


def test_the_threshold_holds_for_each_class():
    probabilities = chest_result().probabilities.copy()
    probabilities[2] *= 0.5
    result = chest_result(probabilities=probabilities)
    assert not result.mask("heart").any()
    assert chest_result(probabilities=probabilities, threshold=0.4).mask("heart").any()


def test_the_foreground_is_the_most_probable_class():
    probabilities = np.array([[[0.2, 0.7]], [[0.6, 0.1]]])
    np.testing.assert_array_equal(foreground_of(probabilities, True), [[0.6, 0.7]])


def test_small_parts_are_dropped_of_each_class():
    """A speck of the heart beside the lungs, and one on a lung, are as small as each other."""
    probabilities = chest_result().probabilities.copy()
    probabilities[2, 20:22, 30:32] = 0.9
    probabilities[2, 2:4, 2:4] = 0.9
    result = chest_result(probabilities=probabilities)
    np.testing.assert_array_equal(result.mask("heart"), chest_masks()[2])


def test_objects_are_measured_whole():
    result = chest_result()
    table = result.measure()
    assert table["class"].tolist() == list(CLASSES)
    assert table["area_px"].tolist() == [mask.sum() for mask in chest_masks()]
    assert table["object"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(classes_of(result), [0, 1, 2, 3, 4, 5])
    assert set(np.unique(result.objects)) == {0, 1, 2, 3, 4, 5}


def test_what_a_class_covers_shines_through_the_overlay():
    result = chest_result()
    alone = chest_result(probabilities=result.probabilities * (np.arange(5) == 2)[:, None, None])
    both = result.mask("heart") & result.mask("left lung")
    inner = both & (np.arange(SHAPE[1]) < 80)
    with_lung = result.overlay(contours=False)[inner].astype(int)
    without_lung = alone.overlay(contours=False)[inner].astype(int)
    assert np.abs(with_lung - without_lung).max() > 5


def test_each_outline_is_closed_where_classes_overlap():
    """The border of the left lung is seen on the heart."""
    overlay = chest_result().overlay(alpha=0)
    blue = tuple(bytes.fromhex(uh.MODELS["chest"].colors[1][1:]))
    rows = np.flatnonzero((overlay[:, 68] == blue).all(axis=1))
    assert {40, 55, 60} <= set(rows.tolist())


def test_saving_adds_a_mask_of_each_class(tmp_path):
    result = chest_result()
    paths = result.save(tmp_path)
    for name, mask in zip(CLASSES, chest_masks(), strict=True):
        saved = np.load(paths[f"mask_{name.replace(' ', '_')}"])
        np.testing.assert_array_equal(saved, mask)

    manifest = json.loads(paths["manifest"].read_text())
    assert manifest["classes"]["left lung"] == chest_masks()[1].sum()
    np.testing.assert_array_equal(np.asarray(Image.open(paths["mask"])), result.labels)


def test_a_result_with_a_missing_mask_is_saved_again(tmp_path):
    paths = chest_result().save(tmp_path)
    paths["mask_heart"].unlink()
    chest_result().save(tmp_path)
    assert paths["mask_heart"].exists()
    assert not [path for path in result_files(tmp_path, "nuclei") if "mask_" in path.name]


def result_files(folder, card):
    """The files of a result of another card, which has no masks beside its labels."""
    result = result_of_mask(chest_masks()[0], name=card)
    return list(result.save(folder / card).values())


def test_slicer_gets_a_layer_of_each_class(tmp_path):
    import slicerio

    path = chest_result().export(tmp_path / "a.seg.nrrd")
    segmentation = slicerio.read_segmentation(str(path))
    assert [segment["name"] for segment in segmentation["segments"]] == list(CLASSES)
    for segment, mask in zip(segmentation["segments"], chest_masks(), strict=True):
        layer = segmentation["voxels"][segment["layer"]]
        np.testing.assert_array_equal((layer == segment["labelValue"])[..., 0], mask.T)


def test_outlines_have_the_whole_area(tmp_path):
    import shapely

    path = chest_result().export(tmp_path / "a.geojson")
    features = json.loads(path.read_text())["features"]
    areas = {
        feature["properties"]["classification"]["name"]: shapely.geometry.shape(
            feature["geometry"]
        ).area
        for feature in features
    }
    expected = {name: mask.sum() for name, mask in zip(CLASSES, chest_masks(), strict=True)}
    assert areas == expected


def test_imagej_gets_an_outline_of_each_class(tmp_path):
    import roifile

    path = chest_result().export(tmp_path / "a.roi.zip")
    rois = roifile.roiread(path)
    assert len(rois) == len(CLASSES)
    _, _, heart, *_ = rois
    assert (heart.left, heart.right) == (45, 86)


def test_itk_snap_gets_the_labels_as_they_are_drawn(tmp_path):
    result = chest_result()
    path = result.export(tmp_path / "a.nii.gz")
    labels = np.asarray(nib.load(path).dataobj)[..., 0]
    np.testing.assert_array_equal(labels, result.labels.T)


def test_the_report_holds_each_class(tmp_path):
    result = chest_result()
    levels = Levels.of(result)
    assert levels.values.shape == (5, 1, *SHAPE)
    at_threshold = np.searchsorted(levels.steps, np.float32(0.5))
    for values, mask in zip(levels.values, chest_masks(), strict=True):
        np.testing.assert_array_equal(values[0] >= at_threshold, mask)

    packed = mask_arrays(result, levels)
    assert "classes" not in packed
    objects = np.frombuffer(zlib.decompress(b64decode(packed["objects"])), "<u2")
    layers = objects.reshape(5, *SHAPE)
    for number, (layer, mask) in enumerate(zip(layers, chest_masks(), strict=True), 1):
        np.testing.assert_array_equal(layer == number, mask)
    assert '"layers": 5' in result.report(tmp_path / "a.html").read_text("utf-8")


def test_the_truth_of_a_score_table_has_bits():
    table = uh.score_table(chest_result(), chest_truth())
    assert list(table.index) == [*(name.capitalize() for name in CLASSES), "Together"]
    assert (table["Dice"] == 1).all()

    without_heart = chest_truth() & ~4
    assert uh.score_table(chest_result(), without_heart)["Dice"]["Heart"] == 0


def test_a_movie_of_films_has_masks_of_each_frame():
    result = chest_result()
    image = uh.MedicalImage(np.stack([result.image.pixels] * 2), "TYX")
    probabilities = np.stack([result.probabilities] * 2, axis=1)
    probabilities[2, 1] = 0
    movie = chest_result(image=image, probabilities=probabilities)
    np.testing.assert_array_equal(movie.mask("heart")[0], chest_masks()[2])
    assert not movie.mask("heart")[1].any()
    assert movie.measure()["frame"].tolist().count(1) == 4
