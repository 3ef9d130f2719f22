"""The whole path on the shipped samples: read, segment, look, measure, save; and what a user does wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unet_helpers as uh

ROOT = Path(__file__).parents[1]
REFERENCE = Path(__file__).parent / "reference"
SAMPLES = {"retina.jpg": "retinal_vessels", "ihc.png": "nuclei"}


@pytest.fixture(scope="module", params=SAMPLES)
def result(request):
    return uh.segment(
        ROOT / "sample_images" / request.param, SAMPLES[request.param], progress=False
    )


def test_the_answer_is_that_of_the_shipped_weights(result):
    """A broken normalisation, scale or channel order moves the mask; made by tests/reference/make.py."""
    expected = np.asarray(Image.open(REFERENCE / f"{result.card.name}.png")) > 0
    assert uh.iou(expected, result.labels) >= 0.99


def test_the_answer_for_a_volume_is_that_of_the_shipped_weights():
    """A turned axis or swapped classes move the labels; each class counts."""
    expected = uh.read_image(REFERENCE / "hippocampus.npz").pixels
    result = uh.segment(
        ROOT / "sample_images/hippocampus_mni.nii.gz", "hippocampus", progress=False
    )
    for i in (1, 2):
        assert uh.iou(expected == i, result.labels == i) >= 0.99


def test_shapes_types_and_sums(result):
    spatial = result.image.spatial_shape
    assert result.probabilities.shape == (result.card.out_channels, *spatial)
    assert result.probabilities.dtype == np.float32
    assert (result.labels.shape, result.labels.dtype) == (spatial, np.uint8)
    assert (result.objects.shape, result.objects.dtype) == (spatial, np.int32)
    if result.card.out_channels > 1:
        np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-4)


def test_the_table_counts_what_the_objects_hold(result):
    table = result.measure()
    assert len(table) == len(np.unique(result.objects)) - 1
    assert table.area_px.sum() == np.count_nonzero(result.objects)


def test_saved_files_hold_the_answer(result, tmp_path):
    paths = result.save(tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(paths["labels"])), result.labels)
    mask = Image.open(paths["mask"])
    np.testing.assert_array_equal(np.asarray(mask), result.labels)
    colours = np.asarray(mask.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) == len(
        np.unique(result.labels)
    )  # each class can be seen
    manifest = json.loads(paths["manifest"].read_text())
    assert manifest["model"] == result.card.name
    assert len(manifest["weights_sha256"]) == 64
    assert not list(tmp_path.glob(".saving-*"))


def test_an_earlier_result_is_not_overwritten(result, tmp_path):
    before = {p: p.read_bytes() for p in result.save(tmp_path).values()}
    with pytest.raises(uh.SaveError, match="already holds"):
        result.save(tmp_path)
    assert {p: p.read_bytes() for p in before} == before
    result.save(tmp_path, overwrite=True)


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


def test_wrong_files_and_names_are_refused_in_the_packages_own_words(tmp_path):
    empty = tmp_path / "empty.png"
    empty.touch()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((ROOT / "sample_images/retina.jpg").read_bytes()[:5000])
    for path in (empty, broken, tmp_path / "missing.png"):
        with pytest.raises(uh.ImageError, match=path.name):
            uh.segment(path, "nuclei")
    with pytest.raises(uh.ModelError, match="retinal_vessels"):
        uh.load_model("retina")


def test_import_is_light():
    """The plotting and measuring libraries load when they are needed, not before, and torch's compiler never."""
    code = "import sys, unet_helpers as uh; uh.load_model('nuclei'); print([m for m in {heavy} if m in sys.modules])"
    code = code.format(
        heavy=("matplotlib", "skimage", "nibabel", "pandas", "torch._dynamo")
    )  # the last: 2 s
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_command_line(tmp_path):
    """Statuses 0, 1 and 2, one saved result, errors that name the file."""

    def run(*arguments):
        command = [sys.executable, "-m", "unet_helpers", *map(str, arguments), "--out", tmp_path]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    good, missing = ROOT / "sample_images/ihc.png", tmp_path / "missing.png"
    first = run(good, missing, "--model", "nuclei")
    assert first.returncode == 1
    assert "missing.png" in first.stderr
    assert (tmp_path / "ihc_nuclei_labels.png").exists()
    again = run(good, "--model", "nuclei")
    assert again.returncode == 2
    assert "already holds" in again.stderr
    assert run(good, "--model", "nuclei", "--overwrite").returncode == 0
    assert run(good, "--model", "no such card").returncode == 2
    Image.fromarray(np.full((30, 30), 7, np.uint8)).save(tmp_path / "flat.png")
    told = run(tmp_path / "flat.png", "--model", "nuclei")
    assert told.returncode == 0
    assert "flat.png: all values are the same" in told.stderr
