"""The whole path on the shipped samples: read, segment, measure, save; and what goes wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.places import ROOT
from PIL import Image

import unet_helpers as uh

# Made by tests/reference/make.py.
REFERENCE = ROOT / "tests" / "reference"

SAMPLE_IMAGES = ROOT / "sample_images"
SAMPLES = {"retina.jpg": "retinal_vessels", "ihc.png": "nuclei"}

# Libraries that are loaded when they are needed; the last one is torch's compiler, which takes 2 s.
HEAVY = ("matplotlib", "skimage", "nibabel", "pandas", "torch._dynamo")


@pytest.fixture(scope="module", params=SAMPLES)
def result(request):
    sample = request.param
    return uh.segment(SAMPLE_IMAGES / sample, SAMPLES[sample], progress=False)


def test_the_answer_is_that_of_the_shipped_weights(result):
    """A broken normalisation, scale or channel order would move the mask."""
    expected = np.asarray(Image.open(REFERENCE / f"{result.card.name}.png")) > 0
    assert uh.iou(expected, result.labels) >= 0.99


@pytest.mark.parametrize("class_id", [1, 2])
def test_the_answer_for_a_volume_is_that_of_the_shipped_weights(class_id):
    """A turned axis or swapped classes would move the labels."""
    expected = uh.read_image(REFERENCE / "hippocampus.npz").pixels
    volume = SAMPLE_IMAGES / "hippocampus_mni.nii.gz"
    labels = uh.segment(volume, "hippocampus", progress=False).labels
    assert uh.iou(expected == class_id, labels == class_id) >= 0.99


def test_shapes_and_types(result):
    spatial = result.image.spatial_shape
    assert result.probabilities.shape == (result.card.out_channels, *spatial)
    assert result.probabilities.dtype == np.float32
    assert (result.labels.shape, result.labels.dtype) == (spatial, np.uint8)
    assert (result.objects.shape, result.objects.dtype) == (spatial, np.int32)


def test_probabilities_of_classes_sum_to_one(result):
    if result.card.out_channels > 1:
        np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-4)


def test_the_table_counts_what_the_objects_hold(result):
    table = result.measure()
    assert len(table) == len(np.unique(result.objects)) - 1
    assert table.area_px.sum() == np.count_nonzero(result.objects)


def test_saved_images_hold_the_answer(result, tmp_path):
    paths = result.save(tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(paths["labels"])), result.labels)
    np.testing.assert_array_equal(np.asarray(Image.open(paths["mask"])), result.labels)
    assert not list(tmp_path.glob(".saving-*"))


def test_each_class_has_a_colour_of_its_own_in_the_saved_mask(result, tmp_path):
    mask = Image.open(result.save(tmp_path)["mask"])
    colours = np.asarray(mask.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) == len(np.unique(result.labels))


def test_the_manifest_names_network_and_weights(result, tmp_path):
    manifest = json.loads(result.save(tmp_path)["manifest"].read_text())
    assert manifest["model"] == result.card.name
    assert len(manifest["weights_sha256"]) == 64


def test_an_earlier_result_is_not_overwritten(result, tmp_path):
    before = {path: path.read_bytes() for path in result.save(tmp_path).values()}
    with pytest.raises(uh.SaveError, match="already holds"):
        replace(result, threshold=0.4).save(tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_an_earlier_result_is_overwritten_if_asked_for(result, tmp_path):
    path = result.save(tmp_path)["labels"]
    path.write_bytes(b"")
    result.save(tmp_path, overwrite=True)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), result.labels)


@pytest.mark.parametrize("card", SAMPLES.values())
def test_an_all_black_image_gives_an_honest_empty_answer(card):
    result = uh.segment(np.zeros((90, 70), np.uint8), card)
    assert result.labels.max() == 0
    assert result.objects.max() == 0
    assert len(result.measure()) == 0


@pytest.mark.parametrize("card", SAMPLES.values())
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 3), (2, 2, 3)])
def test_tiny_images_pass_through(card, shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    assert uh.segment(pixels, card).labels.shape == shape[:2]


@pytest.fixture
def empty(tmp_path) -> Path:
    path = tmp_path / "empty.png"
    path.touch()
    return path


@pytest.fixture
def cut_off(tmp_path) -> Path:
    path = tmp_path / "broken.jpg"
    path.write_bytes((SAMPLE_IMAGES / "retina.jpg").read_bytes()[:5000])
    return path


def test_files_that_are_no_image_are_refused_by_name(empty, cut_off):
    for path in (empty, cut_off, empty.with_name("missing.png")):
        with pytest.raises(uh.ImageError, match=path.name):
            uh.segment(path, "nuclei")


def test_an_unknown_network_is_refused_with_one_of_a_like_name():
    with pytest.raises(uh.ModelError, match="retinal_vessels"):
        uh.load_model("retina")


def test_import_is_light():
    code = (
        "import sys, unet_helpers as uh\n"
        "uh.load_model('nuclei')\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def command(tmp_path):
    """Runs the command line on images, with its results in ``tmp_path``."""

    def run(*arguments) -> subprocess.CompletedProcess:
        words = [sys.executable, "-m", "unet_helpers", *map(str, arguments), "--out", str(tmp_path)]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)

    return run


def test_the_command_saves_what_it_can_and_names_what_it_cannot(command, tmp_path):
    good = SAMPLE_IMAGES / "ihc.png"
    done = command(good, tmp_path / "missing.png", "--model", "nuclei")
    assert done.returncode == 1
    assert "missing.png" in done.stderr
    assert (tmp_path / "ihc_nuclei_labels.png").exists()


@pytest.mark.slow
def test_the_command_does_not_overwrite_unless_asked_to(command):
    good = SAMPLE_IMAGES / "ihc.png"
    assert command(good, "--model", "nuclei").returncode == 0
    again = command(good, "--model", "nuclei")
    assert again.returncode == 0
    assert "done before" in again.stdout
    other = command(good, "--model", "nuclei", "--threshold", "0.4")
    assert other.returncode == 2
    assert "already holds" in other.stderr
    assert command(good, "--model", "nuclei", "--threshold", "0.4", "--overwrite").returncode == 0


def test_the_command_refuses_an_unknown_network(command):
    assert command(SAMPLE_IMAGES / "ihc.png", "--model", "no such card").returncode == 2


def test_the_command_prints_warnings_with_the_name_of_the_image(command, tmp_path):
    Image.fromarray(np.full((30, 30), 7, np.uint8)).save(tmp_path / "flat.png")
    done = command(tmp_path / "flat.png", "--model", "nuclei")
    assert done.returncode == 0
    assert "flat.png: all values are the same" in done.stderr
