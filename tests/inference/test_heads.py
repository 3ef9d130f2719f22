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
from unet_helpers.doubt import Doubt
from unet_helpers.images.stack import as_displayed, to_stack
from unet_helpers.inference.localise import TEMPLATES, place_boxes
from unet_helpers.inference.scale import working_shape
from unet_helpers.networks.cards import card_of
from unet_helpers.preprocessing.resample import Grid, at_spacing
from unet_helpers.results.metrics import dice

CARD = uh.MODELS["hippocampus"]
CROP = ROOT / "sample_images/hippocampus_mni.nii.gz"


def head(codes: str = "RAS", degrees: float = 0.0, claimed: str | None = None) -> uh.MedicalImage:
    """The template in another orientation, turned about the axis from left to right.

    The field of view is larger. ``claimed`` is the orientation that its affine claims.
    """
    pixels, _ = head_in_ras(degrees)
    pixels = apply_orientation(pixels, turn_from_ras(codes))
    back = inv_ornt_aff(turn_from_ras(claimed or codes), pixels.shape)
    return uh.MedicalImage(pixels, "XYZ", (2.0, 2.0, 2.0), np.diag([2.0, 2, 2, 1]) @ back)


def turn_from_ras(codes: str) -> np.ndarray:
    """Nibabel's change of orientation from RAS."""
    return ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))


def head_in_ras(degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The turned template (X, Y, Z) with a margin, and the voxels (2, 3) of the two hippocampi."""
    file = nib.load(TEMPLATES / CARD.localise.template)
    pixels = np.asarray(file.dataobj).astype(np.float32)
    cosine = np.cos(np.radians(degrees))
    sine = np.sin(np.radians(degrees))
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])

    shape = np.array(pixels.shape) + 30
    offset = (np.array(pixels.shape) - 1) / 2 - turn @ ((shape - 1) / 2)
    turned = affine_transform(pixels, turn, offset, tuple(shape), order=1)
    in_template = nib.affines.apply_affine(np.linalg.inv(file.affine), CARD.localise.centres)
    return turned, (in_template - offset) @ turn


def hippocampi_as_displayed(
    codes: str = "RAS", degrees: float = 0.0, claimed: str | None = None
) -> np.ndarray:
    """(2, 3) voxels (z, y, x) of the stack of ``head``: left, right."""
    image = head(codes, degrees, claimed)
    _, voxels = head_in_ras(degrees)
    marked = np.zeros(image.pixels.shape, np.uint8)
    points = np.zeros(head_in_ras(0)[0].shape, np.uint8)
    for number, voxel in enumerate(np.rint(voxels).astype(int), 1):
        points[tuple(voxel)] = number
    marked[:] = apply_orientation(points, turn_from_ras(codes))
    stack = as_displayed(image, marked)
    return np.array([np.argwhere(stack == number)[0] for number in (1, 2)])


@pytest.mark.parametrize(("codes", "degrees"), [("RAS", 0), ("LPS", 0), ("PIR", 20)])
def test_boxes_are_found_in_a_head_of_any_orientation(codes, degrees):
    stack = to_stack(head(codes, degrees))
    placement = place_boxes(stack, CARD.localise)
    expected = hippocampi_as_displayed(codes, degrees)
    assert not placement.warnings
    assert np.linalg.norm((placement.centres - expected) * stack.spacing, axis=1).max() < 5


def test_a_header_that_lies_is_found_out():
    stack = to_stack(head("RAS", claimed="LIP"))
    placement = place_boxes(stack, CARD.localise)
    expected = hippocampi_as_displayed("RAS", claimed="LIP")
    distances = np.linalg.norm((np.array(placement.centres)[:, None] - expected) * 2, axis=2)
    assert "otherwise than its file says" in placement.warnings[0]
    assert distances.min(0).max() < 6


def test_what_is_no_head_is_said_to_be_none():
    noise = gaussian_filter(np.random.default_rng(0).random((70, 70, 70)), 3).astype(np.float32)
    stack = to_stack(uh.MedicalImage(noise, "ZYX", (2.0, 2.0, 2.0)))
    warnings = place_boxes(stack, CARD.localise).warnings
    assert any("hardly like a head" in words for words in warnings)


def test_without_simpleitk_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(uh.ModelError, match="pip install SimpleITK"):
        uh.segment(head(), "hippocampus", progress=False)
    assert uh.segment(CROP, "hippocampus", progress=False).places == {}  # a crop needs none


@pytest.mark.parametrize("padding", [-32768, np.nan, 99999])
def test_a_padded_crop_has_the_labels_of_the_crop(padding):
    crop = uh.read_image(CROP)
    plain = uh.segment(crop, "hippocampus", progress=False)
    padded = np.pad(crop.pixels.astype(np.float32), (5, 6), constant_values=padding)
    result = uh.segment(replace(crop, pixels=padded), "hippocampus", progress=False)
    inside = (slice(5, -6),) * 3
    assert np.array_equal(result.labels[inside], plain.labels)
    assert np.count_nonzero(result.labels) == np.count_nonzero(plain.labels) > 0


def test_both_hippocampi_of_a_head_are_measured_by_side():
    result = uh.segment(head("LPS"), "hippocampus", progress=False)
    table = result.measure()
    summary = result.summary()
    assert sorted(zip(table["side"], table["class"], strict=True)) == [
        (side, part) for side in ("left", "right") for part in ("anterior", "posterior")
    ]
    assert (table["centroid_x_px"] > 64).equals(table["side"] == "left")  # x runs to the left here
    left = summary["left volume"][0]
    right = summary["right volume"][0]
    assert 3 < left < 6
    assert left == pytest.approx(right, rel=0.1)
    assert left + right == pytest.approx(summary["total volume"][0])
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
    cosine = np.cos(0.3)
    sine = np.sin(0.3)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    grid = Grid.around((15, 14, 16), (14, 15, 16), 0.8 * turn)
    total = np.zeros((1, *volume.shape), np.float32)
    grid.put_back(grid.cut(volume)[None], total)
    inner = (slice(12, 18), slice(12, 18), slice(12, 18))
    np.testing.assert_allclose(total[0][inner], volume[inner], atol=0.01)
    assert not total[0, :5].any()


def test_only_a_known_other_spacing_is_resampled():
    stack = to_stack(uh.read_image(CROP))
    assert at_spacing(stack, 1.0) is None
    assert at_spacing(replace(stack, spacing=None), 1.0) is None
    assert at_spacing(replace(stack, spacing=(3.0, 1, 1)), 1.0).shape == (36 * 3, 52, 36)


@pytest.mark.parametrize(
    ("spacing", "side"), [(None, 60), ((8e-6, 8e-6), 120), ((1e-6, 1e-6), 15), ((4e-3, 4e-3), 60)]
)
def test_an_electron_micrograph_is_seen_at_its_own_scale(spacing, side):
    """Steps of 4 µm are none of an electron micrograph: they are not used."""
    network = uh.load_model("em_membranes")
    pixels = np.zeros((60, 60), np.uint8)
    assert working_shape(network, pixels, spacing=spacing) == (side, side)


def test_a_zoom_that_is_given_counts_more_than_the_spacing():
    network = uh.load_model("em_membranes")
    pixels = np.zeros((60, 60), np.uint8)
    assert working_shape(network, pixels, 1.0, (8e-6, 8e-6)) == (60, 60)


def test_the_entry_survives_in_a_weights_file():
    assert card_of(loads(dumps(asdict(CARD)))) == CARD


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LIA", "PIR", "ASL", "SRA"])
def test_six_orientations_give_the_same_volumes(codes):
    summary = uh.segment(head(codes), "hippocampus", progress=False).summary()
    assert summary["objects"][0] == 4
    assert summary["left volume"][0] == pytest.approx(4.3, rel=0.1)
    assert summary["right volume"][0] == pytest.approx(4.3, rel=0.1)


def part_of_head(axis: int, start: int, stop: int) -> uh.MedicalImage:
    """A part of the head in RAS: only these voxels of 2 mm along x, y or z."""
    whole = head()
    part = [slice(None)] * 3
    part[axis] = slice(start, stop)
    return uh.MedicalImage(whole.pixels[tuple(part)], "XYZ", whole.spacing, whole.affine)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [1, 2])
def test_both_hippocampi_of_a_slab_of_60_mm_are_found(axis):
    middle = round(head_in_ras(0)[1][0][axis])
    slab = part_of_head(axis, middle - 15, middle + 15)
    summary = uh.segment(slab, "hippocampus", progress=False).summary()
    assert summary["left volume"][0] == pytest.approx(4.3, rel=0.15)
    assert summary["right volume"][0] == pytest.approx(4.3, rel=0.15)


@pytest.mark.slow
def test_a_crop_with_a_margin_of_25_mm_around_both_hippocampi_is_localised():
    """It is larger than the crops that the network learnt from, and no whole head."""
    whole = head()
    centres = head_in_ras(0)[1]
    # Voxels of 2 mm: half a hippocampus is about 5, 10 and 6 of them, and the margin 12.
    reach = np.array([17, 22, 18])
    start = np.rint(centres.min(axis=0) - reach).astype(int).clip(0)
    stop = np.rint(centres.max(axis=0) + reach).astype(int) + 1
    part = tuple(slice(*ends) for ends in zip(start, stop, strict=True))
    affine = whole.affine @ nib.affines.from_matvec(np.eye(3), start)
    crop = uh.MedicalImage(whole.pixels[part], "XYZ", whole.spacing, affine)
    summary = uh.segment(crop, "hippocampus", progress=False).summary()
    assert summary["left volume"][0] == pytest.approx(4.3, rel=0.15)
    assert summary["right volume"][0] == pytest.approx(4.3, rel=0.15)


@pytest.mark.slow
def test_of_half_a_head_one_side_is_given_and_the_other_named():
    left, right = head_in_ras(0)[1][:, 0]
    half = part_of_head(0, 0, round((left + right) / 2))  # x runs to the right
    result = uh.segment(half, "hippocampus", progress=False)
    assert list(result.places) == ["left"]
    assert result.summary()["left volume"][0] == pytest.approx(4.3, rel=0.15)
    assert any("right: not whole in the image" in words for words in result.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [13, 22])
def test_a_side_that_is_fluid_is_empty_and_the_other_one_is_kept(radius):
    """Cavities of 9 and 45 mL, as grey as fluid in T1."""
    image = head()
    hippocampus = head_in_ras(0)[1][0]
    distance = np.linalg.norm(np.indices(image.pixels.shape).T - hippocampus, axis=-1).T * 2
    noise = np.random.default_rng(0).normal(1, 0.05, image.pixels.shape)
    fluid = 0.2 * np.percentile(image.pixels, 99) * noise
    pixels = np.where(distance < radius, fluid, image.pixels).astype(np.float32)

    result = uh.segment(replace(image, pixels=pixels), "hippocampus", progress=False)
    summary = result.summary()
    assert list(result.places) == ["right"]
    assert summary["right volume"][0] == pytest.approx(4.3, rel=0.15)
    assert summary["total volume"] == summary["right volume"]
    assert any("left: not given" in words for words in result.warnings)
    assert isinstance(next(words for words in result.warnings if "left" in words), Doubt)


# FreeSurfer's numbers of what is bright and dark in T1 images; the rest lies between them.
BRIGHT = [2, 41, 7, 46, 16, 28, 60, 10, 49, 511, 85]
DARK = [0, 4, 5, 14, 15, 24, 43, 44, 502, 514, 515]
HIPPOCAMPI = {"left": 17, "right": 53}


@pytest.mark.slow
def test_a_head_painted_from_labels():
    path = DATA / "head_labels/13.nii.gz"
    if not path.is_file():
        pytest.skip("the data set is not here")
    image = uh.read_image(path)
    labels = np.rint(image.pixels).astype(int)
    greys = np.full(labels.max() + 1, 0.45)
    greys[BRIGHT] = 0.85
    greys[DARK] = 0.1
    noise = np.random.default_rng(0).normal(0, 0.02, labels.shape)
    pixels = (gaussian_filter(greys[labels], 0.6) + noise).astype(np.float32)

    result = uh.segment(replace(image, pixels=pixels), "hippocampus", progress=False)
    table = result.measure()
    for side, number in HIPPOCAMPI.items():
        ids = table.loc[table["side"] == side, "object"]
        assert dice(labels == number, np.isin(result.objects, ids)) > 0.7
