"""Small structures in a whole head, and images of another spacing than a network learnt from."""

import sys
from dataclasses import asdict, replace
from json import dumps, loads

import nibabel as nib
import numpy as np
import pytest
from helpers.places import DATA, ROOT
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.ndimage import affine_transform, gaussian_filter

import unet_helpers as uh
from unet_helpers.images.stack import to_stack
from unet_helpers.inference.localise import TEMPLATES, place_boxes
from unet_helpers.inference.scale import working_shape
from unet_helpers.networks.cards import card_of
from unet_helpers.preprocessing.resample import Grid, at_spacing
from unet_helpers.results.metrics import dice

CARD = uh.MODELS["hippocampus"]
CROP = ROOT / "sample_images/hippocampus_mni.nii.gz"
TRUE = np.array(CARD.localise.centres)


def template() -> tuple[np.ndarray, np.ndarray]:
    file = nib.load(TEMPLATES / CARD.localise.template)
    return np.asarray(file.dataobj).astype(np.float32), file.affine


def head(
    codes: str = "RAS", degrees: float = 0.0, says: str = ""
) -> tuple[uh.MedicalImage, np.ndarray]:
    """The template in another orientation, turned about the axis from left to right in a larger field of view; and
    the voxels (2, 3) of the two hippocampi. ``says``: the orientation that its affine claims."""
    pixels, affine = template()
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn, shape = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), np.array(pixels.shape) + 30
    offset = (np.array(pixels.shape) - 1) / 2 - turn @ ((shape - 1) / 2)
    moved = affine_transform(pixels, turn, offset, tuple(shape), order=1)
    places = (nib.affines.apply_affine(np.linalg.inv(affine), TRUE) - offset) @ turn
    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    back = np.linalg.inv(inv_ornt_aff(change, tuple(shape)))
    moved, places = apply_orientation(moved, change), nib.affines.apply_affine(back, places)
    told = inv_ornt_aff(
        ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(says or codes)), moved.shape
    )
    return uh.MedicalImage(moved, "XYZ", (2.0, 2.0, 2.0), np.diag([2.0, 2, 2, 1]) @ told), places


def as_stacked(image: uh.MedicalImage, places: np.ndarray) -> np.ndarray:
    """Voxels in the image's order as those (z, y, x) of its stack."""
    order = np.indices(image.pixels.shape)
    axes = [to_stack(replace(image, pixels=axis)).pixels for axis in order]
    return np.array(
        [np.argmin(sum((a - p) ** 2 for a, p in zip(axes, place, strict=True))) for place in places]
    )


@pytest.mark.parametrize(("codes", "degrees"), [("RAS", 0), ("LPS", 0), ("PIR", 20)])
def test_boxes_are_found_in_a_head_of_any_orientation(codes, degrees):
    image, places = head(codes, degrees)
    stack = to_stack(image)
    centres, _, warnings = place_boxes(stack, CARD.localise)
    expected = np.array(np.unravel_index(as_stacked(image, places), stack.pixels.shape)).T
    assert not warnings
    assert np.linalg.norm((centres - expected) * stack.spacing, axis=1).max() < 5


def test_a_header_that_lies_is_found_out():
    image, places = head("RAS", says="LIP")
    centres, _, warnings = place_boxes(to_stack(image), CARD.localise)
    expected = np.array(np.unravel_index(as_stacked(image, places), to_stack(image).pixels.shape)).T
    off = np.linalg.norm((np.array(centres)[:, None] - expected) * 2, axis=2).min(0)
    assert "otherwise than its file says" in warnings[0]
    assert off.max() < 6


def test_what_is_no_head_is_said_to_be_none():
    noise = gaussian_filter(np.random.default_rng(0).random((70, 70, 70)), 3).astype(np.float32)
    _, _, warnings = place_boxes(uh.MedicalImage(noise, "ZYX", (2.0, 2.0, 2.0)), CARD.localise)
    assert any("hardly like a head" in words for words in warnings)


def test_without_simpleitk_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(uh.ModelError, match="pip install SimpleITK"):
        uh.segment(head()[0], "hippocampus", progress=False)
    assert uh.segment(CROP, "hippocampus", progress=False).places == {}  # a crop needs none


def test_both_hippocampi_of_a_head_are_measured_by_side():
    result = uh.segment(head("LPS")[0], "hippocampus", progress=False)
    table, found = result.measure(), result.summary()
    assert sorted(zip(table["side"], table["class"], strict=True)) == [
        (side, part) for side in ("left", "right") for part in ("anterior", "posterior")
    ]
    assert (table["centroid_x_px"] > 64).equals(table["side"] == "left")  # x runs to the left here
    left, right = found["left volume"][0], found["right volume"][0]
    assert 3 < left < 6
    assert left == pytest.approx(right, rel=0.1)
    assert left + right == pytest.approx(found["total volume"][0])
    assert "registered" in result.image.notes[-1]


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (2.0, 2.0, 2.0), (0.9, 0.9, 3.0)])
def test_a_crop_of_another_spacing_has_the_same_volume(spacing):
    crop = uh.read_image(CROP)
    steps = np.array(spacing)
    shape = np.rint(np.array(crop.pixels.shape) / steps).astype(int)
    offset = (np.array(crop.pixels.shape) - 1) / 2 - steps * (shape - 1) / 2
    pixels = affine_transform(
        crop.pixels.astype(np.float32), steps, offset, tuple(shape), order=1, mode="nearest"
    )
    other = uh.MedicalImage(pixels, "XYZ", spacing, crop.affine @ np.diag([*spacing, 1]))
    total = [
        uh.segment(image, "hippocampus", progress=False).summary()["total volume"][0]
        for image in (crop, other)
    ]
    assert total[1] == pytest.approx(total[0], rel=0.1)


def test_what_is_put_back_lies_where_it_was_cut():
    volume = gaussian_filter(np.random.default_rng(1).random((30, 31, 32)), 2).astype(np.float32)
    c, s = np.cos(0.3), np.sin(0.3)
    grid = Grid.around(
        (15, 14, 16), (14, 15, 16), 0.8 * np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    )
    total = np.zeros((1, *volume.shape), np.float32)
    grid.put_back(grid.cut(volume)[None], total)
    inner = (slice(12, 18),) * 3
    np.testing.assert_allclose(total[0][inner], volume[inner], atol=0.01)
    assert not total[0, :5].any()


def test_only_a_known_other_spacing_is_resampled():
    stack = to_stack(uh.read_image(CROP))
    assert at_spacing(stack, 1.0) is None
    assert at_spacing(replace(stack, spacing=None), 1.0) is None
    assert at_spacing(replace(stack, spacing=(3.0, 1, 1)), 1.0).shape == (36 * 3, 52, 36)


@pytest.mark.parametrize(
    ("spacing", "side"), [(None, 60), ((8e-6, 8e-6), 120), ((1e-6, 1e-6), 15), ((4e-3, 4e-3), 240)]
)
def test_an_electron_micrograph_is_seen_at_its_own_scale(spacing, side):
    network = uh.load_model("em_membranes")
    pixels = np.zeros((60, 60), np.uint8)
    assert working_shape(network, pixels, spacing=spacing) == (side, side)
    assert working_shape(network, pixels, 1.0, spacing) == (
        60,
        60,
    )  # a zoom that is given counts more


def test_the_entry_survives_in_a_weights_file():
    assert card_of(loads(dumps(asdict(CARD)))) == CARD


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LIA", "PIR", "ASL", "SRA"])
def test_six_orientations_give_the_same_volumes(codes):
    found = uh.segment(head(codes)[0], "hippocampus", progress=False).summary()
    assert found["objects"][0] == 4
    assert [found[f"{side} volume"][0] for side in ("left", "right")] == pytest.approx(
        [4.3, 4.3], rel=0.1
    )


@pytest.mark.slow
def test_a_head_painted_from_labels():
    path = DATA / "head_labels/13.nii.gz"
    if not path.is_file():
        pytest.skip("the data set is not here")
    image, rng = uh.read_image(path), np.random.default_rng(0)
    labels = np.rint(image.pixels).astype(int)
    greys = np.full(labels.max() + 1, 0.45)
    bright, dark = (
        (2, 41, 7, 46, 16, 28, 60, 10, 49, 511, 85),
        (0, 4, 5, 14, 15, 24, 43, 44, 502, 514, 515),
    )
    greys[list(bright)], greys[list(dark)] = 0.85, 0.1
    pixels = gaussian_filter(greys[labels], 0.6) + rng.normal(0, 0.02, labels.shape)
    result = uh.segment(
        replace(image, pixels=pixels.astype(np.float32)), "hippocampus", progress=False
    )
    sides = {
        name: np.isin(result.objects, result.measure().query("side == @name")["object"])
        for name in result.places
    }
    assert all(
        dice(labels == label, sides[name]) > 0.7 for name, label in (("left", 17), ("right", 53))
    )
