"""What is saved: files, their formats, and the manifest."""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.networks import make_network
from helpers.results import result_of, result_of_labels, result_of_mask
from PIL import Image

import unet_helpers as uh
from unet_helpers.checks.expected_dice import ExpectedDice
from unet_helpers.errors import SaveError
from unet_helpers.images.image import MedicalImage
from unet_helpers.results.overlay import png
from unet_helpers.results.request import request_record
from unet_helpers.results.save import save, write_like

LABELS = np.array([[0, 1, 1, 0], [0, 0, 0, 2]])


def test_all_files_of_a_single_image(tmp_path):
    result = result_of_labels(LABELS, 2)
    paths = result.save(tmp_path)
    assert {kind: path.name for kind, path in paths.items()} == {
        "labels": "array_small_labels.npy",
        "objects": "array_small_objects.npy",
        "overlay": "array_small_overlay.png",
        "measurements": "array_small_measurements.csv",
        "manifest": "array_small.json",
        "mask": "array_small_mask.png",
    }
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())
    np.testing.assert_array_equal(np.load(paths["labels"]), LABELS)
    np.testing.assert_array_equal(np.load(paths["objects"]), result.objects)
    assert paths["overlay"].read_bytes() == png(result.overlay())
    assert paths["measurements"].read_text() == result.measure().to_csv(index=False)


def test_the_mask_has_class_ids_for_programs_and_colours_for_the_eye(tmp_path):
    result = result_of_labels(LABELS, 2, colors=("#FF0000", "#0000FF"))
    mask = Image.open(result.save(tmp_path)["mask"])
    np.testing.assert_array_equal(np.array(mask), LABELS)
    assert mask.getpalette()[:9] == [0, 0, 0, 255, 0, 0, 0, 0, 255]


def test_a_stack_has_no_mask_image(tmp_path):
    paths = result_of_labels(np.stack([LABELS, LABELS]), 2).save(tmp_path)
    assert "mask" not in paths


def test_formats_for_other_programs_are_added(tmp_path):
    paths = result_of_labels(LABELS, 2).save(tmp_path, formats=(".geojson", ".html", ".nii.gz"))
    assert paths[".geojson"].name == "array_small.geojson"
    assert paths[".html"].read_text("utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "array_small_labels.txt").exists()


def test_the_manifest_says_how_the_answer_came_about(tmp_path):
    result = result_of_labels(
        LABELS,
        2,
        spacing=(0.5, 0.25),
        zoom=1.23456789,
        flips=4,
        threshold=0.4,
        weights_sha256="abc",
        warnings=("Odd.",),
        notes=("noted",),
        citation="Someone 2020",
    )
    before = datetime.now(timezone.utc).replace(microsecond=0)
    manifest = json.loads(result.save(tmp_path)["manifest"].read_text())
    assert list(manifest) == [
        "model",
        "weights_sha256",
        "unet_helpers",
        "made",
        "input",
        "spacing_mm",
        "threshold",
        "zoom",
        "flips",
        "precision",
        "notes",
        "warnings",
        "citation",
        "use",
        "input_sha256",
        "shape",
        "places",
        "classes",
        "objects",
        "by_hand",
        "expected_dice",
        "assessment",
        "level",
        "summary",
        "explanation",
        "asked",
    ]
    assert datetime.fromisoformat(manifest["made"]) >= before
    assert manifest["unet_helpers"] == uh.__version__
    expected = {
        "model": "small",
        "weights_sha256": "abc",
        "input": "array",
        "spacing_mm": [0.5, 0.25],
        "threshold": 0.4,
        "zoom": 1.234568,
        "flips": 4,
        "notes": ["noted"],
        "warnings": ["Odd."],
        "citation": "Someone 2020",
        "use": "Research and teaching, not diagnosis.",
        "input_sha256": hashlib.sha256(result.image.pixels.tobytes()).hexdigest(),
        "shape": [2, 4],
        "places": {},
        "classes": {"class 1": 2, "class 2": 1},
        "objects": 2,
        "expected_dice": None,
        "assessment": "expected Dice unknown: how good answers of 'small' are was not measured",
        "explanation": [""],
    }
    assert {name: manifest[name] for name in expected} == expected
    assert manifest["summary"]["objects"] == [2, ""]
    assert manifest["summary"]["median area"] == [0.1875, "mm²"]


def test_numbers_of_a_summary_are_rounded_to_six_places(tmp_path):
    result = result_of_mask(np.ones((1, 1), bool), spacing=(1 / 3, 1.0))
    manifest = json.loads(result.save(tmp_path)["manifest"].read_text())
    assert manifest["summary"]["total area"] == [0.333333, "mm²"]


def test_the_expected_dice_is_rounded_to_four_places(tmp_path):
    result = result_of_labels(LABELS, 2)
    result.__dict__["expected_dice"] = ExpectedDice(0.123456, 0.1, 0.98765)
    manifest = json.loads(result.save(tmp_path)["manifest"].read_text())
    assert manifest["expected_dice"] == [0.1235, 0.1, 0.9877]
    assert manifest["summary"]["expected Dice"] == [0.123456, ""]


def test_a_file_is_known_by_the_sum_of_its_bytes(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(LABELS.astype(np.uint8)).save(path)
    result = result_of_labels(LABELS, 2, path=path)
    manifest = json.loads(result.save(tmp_path / "out")["manifest"].read_text())
    assert manifest["input"] == str(path)
    assert manifest["input_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()

    path.unlink()
    manifest = json.loads(result.save(tmp_path / "gone")["manifest"].read_text())
    expected = hashlib.sha256(result.image.pixels.tobytes()).hexdigest()
    assert manifest["input_sha256"] == expected


def saved_network(tmp_path):
    """A small network with a file, so that its weights are known again."""
    path = tmp_path / "small.safetensors"
    uh.save_model(make_network(), path)
    return uh.load_model(path)


def test_the_same_answer_is_kept_and_missing_formats_are_added(tmp_path, capsys):
    network = saved_network(tmp_path)
    image = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    first = uh.segment(image, network, progress=False).save(tmp_path / "out")
    before = {path: path.read_bytes() for path in first.values()}

    again = uh.segment(image, network, progress=False).save(tmp_path / "out", formats=(".csv",))
    assert {path: path.read_bytes() for path in first.values()} == before
    assert again == first | {".csv": tmp_path / "out/array_small.csv"}
    assert again[".csv"].exists()
    assert "already holds this result as array_small.json: kept" in capsys.readouterr().out


def test_a_deleted_file_of_the_same_answer_is_written_again(tmp_path):
    network = saved_network(tmp_path)
    image = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    paths = uh.segment(image, network, progress=False).save(tmp_path / "out")
    paths["overlay"].unlink()
    uh.segment(image, network, progress=False).save(tmp_path / "out")
    assert paths["overlay"].exists()


def test_another_answer_of_the_same_name_is_refused_and_the_difference_named(tmp_path):
    network = saved_network(tmp_path)
    image = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    result = uh.segment(image, network, progress=False)
    paths = result.save(tmp_path / "out")
    before = {path: path.read_bytes() for path in paths.values()}

    with pytest.raises(SaveError, match=r"other settings \(flips 1, now 2\): pass overwrite=True"):
        uh.segment(image, network, flips=2, progress=False).save(tmp_path / "out")
    with pytest.raises(SaveError, match=r"threshold .*, now 0.9\): pass overwrite=True"):
        replace(result, threshold=0.9).save(tmp_path / "out")
    with pytest.raises(SaveError, match="made from another file: pass overwrite=True"):
        uh.segment(image + 1, network, progress=False).save(tmp_path / "out")
    assert {path: path.read_bytes() for path in paths.values()} == before


def test_files_of_an_interrupted_save_are_replaced(tmp_path):
    (tmp_path / "array_small_mask.png").write_text("incomplete")
    result_of_labels(LABELS, 2).save(tmp_path)
    assert Image.open(tmp_path / "array_small_mask.png").size == LABELS.shape[::-1]


def test_an_export_of_that_name_is_refused_unless_asked_for(tmp_path):
    (tmp_path / "array_small.csv").write_text("mine")
    result = result_of_labels(LABELS, 2)
    with pytest.raises(SaveError, match=r"already holds array_small\.csv: pass overwrite=True"):
        result.save(tmp_path, formats=(".csv",))
    assert (tmp_path / "array_small.csv").read_text() == "mine"
    result.save(tmp_path, formats=(".csv",), overwrite=True)


def test_files_of_other_images_are_no_earlier_result(tmp_path):
    (tmp_path / "other_small.json").write_text("mine")
    result_of_labels(LABELS, 2).save(tmp_path)
    assert (tmp_path / "other_small.json").read_text() == "mine"


def test_names_are_looked_at_before_anything_is_computed(tmp_path, monkeypatch):
    result_of_labels(LABELS, 2).save(tmp_path, formats=(".geojson",))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def computed(result):
        pytest.fail("computed first")

    monkeypatch.setattr("unet_helpers.results.objects.find_objects", computed)
    fresh = result_of_labels(LABELS, 2)
    with pytest.raises(SaveError, match="already holds"):
        fresh.save(tmp_path)
    with pytest.raises(SaveError, match=r"no format '\.doc': choose from .*\.geojson"):
        fresh.save(tmp_path / "b", formats=(".doc",))
    with pytest.raises(SaveError, match="exists already"):
        fresh.export(tmp_path / "array_small.geojson")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def image_from(name: str, axes: str = "YX", **fields) -> MedicalImage:
    """An image of 4 x 6 px, or two of them, as if it were read from a file."""
    shape = {"YX": (4, 6), "ZYX": (2, 4, 6)}[axes]
    return MedicalImage(np.zeros(shape, np.uint8), axes, path=Path("/nowhere") / name, **fields)


@pytest.mark.parametrize(
    ("highest", "dtype", "name", "stored"),
    [
        (3, np.uint8, "x.png", np.uint8),
        (3, np.int32, "x.png", np.uint16),
        (65535, np.int32, "x.png", np.uint16),
        (65536, np.int32, "x.ome.tif", np.int32),
        (1, np.float32, "x.ome.tif", np.float32),
    ],
)
def test_a_photograph_gives_png_where_its_ids_fit(tmp_path, highest, dtype, name, stored):
    image = image_from("photo.jpg")
    values = np.zeros((4, 6), dtype)
    values[0, 1] = highest
    path = write_like(image, values, tmp_path / "x")
    assert path.name == name
    saved = uh.read_image(path).pixels
    assert saved.dtype == stored
    np.testing.assert_array_equal(saved, values)


def test_what_has_a_spacing_or_several_slices_gives_ome_tiff(tmp_path):
    flat = np.zeros((4, 6), np.uint8)
    flat[1, 2] = 1
    with_spacing = image_from("photo.tif", spacing=(0.5, 0.25))
    saved = uh.read_image(write_like(with_spacing, flat, tmp_path / "a"))
    assert saved.path.name == "a.ome.tif"
    assert saved.spacing == pytest.approx((0.5, 0.25))
    np.testing.assert_array_equal(saved.pixels, flat)
    stack = image_from("stack.tif", "ZYX")
    path = write_like(stack, np.stack([flat, flat]), tmp_path / "b")
    assert path.name == "b.ome.tif"


def test_an_array_gives_an_array_whatever_its_axes(tmp_path):
    values = np.zeros((2, 4, 6), np.int32)
    path = write_like(MedicalImage(values, "ZYX"), values, tmp_path / "x")
    assert path.name == "x.npy"
    assert np.load(path).dtype == np.int32


def test_what_lies_in_space_gives_nifti(tmp_path):
    affine = np.array([[-2.0, 0, 0, 5], [0, -3, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    image = image_from("series", "ZYX", affine=affine, spacing=(4.0, 3.0, 2.0))
    values = np.arange(48, dtype=np.uint8).reshape(2, 4, 6)
    file = nib.load(write_like(image, values, tmp_path / "x"))
    np.testing.assert_array_equal(np.asarray(file.dataobj), values.T)
    np.testing.assert_allclose(file.affine, affine)


@pytest.mark.parametrize("affine", [None, np.diag([-2.0, -3.0, 4.0, 1.0])])
def test_a_volume_made_by_hand_is_saved(tmp_path, affine):
    mask = np.zeros((6, 5, 4), bool)
    mask[1:3, 2:4, 1:3] = True
    result = result_of_mask(mask, "XYZ", affine=affine, spacing=(2.0, 3.0, 4.0))
    paths = result.save(tmp_path, formats=(".nii.gz",))
    labels = nib.load(paths["labels"])
    np.testing.assert_array_equal(np.asarray(labels.dataobj), mask)


def test_a_movie_made_by_hand_is_saved(tmp_path):
    result = result_of(np.random.default_rng(0).random((1, 3, 9, 8)), "TYX")
    paths = result.save(tmp_path)
    np.testing.assert_array_equal(np.load(paths["labels"]), result.labels)


def test_options_of_numpy_are_recorded_as_numbers():
    options = {"spacing": np.array([0.5, 0.25]), "zoom": np.float32(2)}
    record = request_record("abc", 0.5, 1, options)
    assert (record["spacing"], record["zoom"]) == ([0.5, 0.25], 2)


def test_what_a_caller_records_is_added_to_the_manifest(tmp_path):
    result = result_of_labels(LABELS, 2)
    path = save(result, tmp_path, record={"asked": {"zoom": 2}, "objects": -1})["manifest"]
    manifest = json.loads(path.read_text())
    assert manifest["asked"] == {"zoom": 2}
    assert manifest["objects"] == -1
