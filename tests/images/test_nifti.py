"""NIfTI, Analyze and MGH: what a header leaves out or contradicts; images made by hand."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.images.nifti import write_nifti
from unet_helpers.results.save import write_like

VOLUME = np.random.default_rng(0).integers(0, 900, (9, 20, 24), np.int16)
AFFINE = np.array([[0, 0, 2.0, -10], [-0.5, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz"])
def test_without_a_voxel_size_there_are_no_volumes(name, tmp_path):
    nib.save(nib.Nifti1Image(VOLUME.T, np.eye(4)), tmp_path / "a.nii")
    assert uh.read_image(tmp_path / "a.nii").spacing == (1, 1, 1)

    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[80:92] = bytes(12)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    image = uh.read_image(tmp_path / name)
    assert image.spacing is None
    assert image.voxel_volume is None
    assert "no voxel size" in image.notes[-1]
    assert uh.read_image(tmp_path / name, spacing=2.0).spacing == (2, 2, 2)


def test_one_voxel_size_is_enough_not_to_be_called_without(tmp_path):
    nib.save(nib.Nifti1Image(VOLUME.T, np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[80:88] = bytes(8)
    (tmp_path / "a.nii").write_bytes(data)
    assert not any("no voxel size" in note for note in uh.read_image(tmp_path / "a.nii").notes)


def test_without_sform_and_qform_the_orientation_is_unknown(tmp_path):
    file = nib.Nifti1Image(VOLUME.T, np.diag([1, 2, 3, 1]))
    file.set_sform(None, 0)
    file.set_qform(None, 0)
    nib.save(file, tmp_path / "a.nii")
    image = uh.read_image(tmp_path / "a.nii")
    assert not image.oriented
    assert image.notes == ("orientation unknown: neither sform nor qform is set",)


def test_a_qform_alone_is_an_orientation(tmp_path):
    file = nib.Nifti1Image(VOLUME.T, np.diag([1, 2, 3, 1]))
    file.set_sform(None, 0)
    file.set_qform(file.affine, 1)
    nib.save(file, tmp_path / "a.nii")
    image = uh.read_image(tmp_path / "a.nii")
    assert image.oriented
    assert image.notes == ()


def test_voxels_without_their_header_are_said_to_be_alone(tmp_path):
    nib.save(nib.AnalyzeImage(VOLUME.T.astype(np.int16), None), tmp_path / "a.img")
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(uh.ImageError, match=r"a\.hdr, its header, is missing"):
        uh.read_image(tmp_path / "a.img")


@pytest.mark.parametrize("step", [0, np.nan])
@pytest.mark.parametrize("has_qform", [True, False])
def test_an_sform_without_directions_is_none(step, has_qform, tmp_path):
    """Left and right were named by its steps of 0."""
    file = nib.Nifti1Image(VOLUME.T, np.diag([-1, 2, 3, 1]))
    file.set_qform(file.affine, int(has_qform))
    file.header["sform_code"] = 1
    file.header["srow_x"] = step
    content = file.header.binaryblock + bytes(4) + VOLUME.T.tobytes("F")
    (tmp_path / "a.nii").write_bytes(content)

    image = uh.read_image(tmp_path / "a.nii")
    assert image.oriented == has_qform
    assert any("its sform has no directions" in note for note in image.notes)
    np.testing.assert_allclose(np.abs(image.affine[:3, :3]), np.diag([1, 2, 3]))


@pytest.mark.parametrize(("size", "agrees"), [(1.0, True), (1.019, True), (1.03, False)])
def test_steps_of_the_sform_should_be_the_voxel_sizes(size, agrees, tmp_path):
    file = nib.Nifti1Image(VOLUME.T, np.diag([1, 2, 3, 1]))
    file.header["pixdim"][1:4] = (size, 2 * size, 3 * size)
    content = file.header.binaryblock + bytes(4) + VOLUME.T.tobytes("F")
    (tmp_path / "a.nii").write_bytes(content)
    image = uh.read_image(tmp_path / "a.nii")
    assert image.oriented
    assert image.spacing == pytest.approx((size, 2 * size, 3 * size))
    words = "its sform (steps of 1 × 2 × 3) disagrees with its voxel sizes"
    assert (words in "; ".join(image.notes)) != agrees


def test_a_flat_image_has_no_third_step_to_disagree(tmp_path):
    file = nib.Nifti1Image(VOLUME[0].T, np.diag([1, 2, 3, 1]))
    nib.save(file, tmp_path / "a.nii")
    image = uh.read_image(tmp_path / "a.nii")
    assert image.pixels.shape == (24, 20, 1)
    assert image.spacing == (1, 2, 1)
    assert image.notes == ()


def test_the_last_of_volumes_in_two_further_axes(tmp_path):
    values = np.arange(2 * 3 * 4 * 2 * 3, dtype=np.int16).reshape(2, 3, 4, 2, 3)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    image = uh.read_image(tmp_path / "a.nii", volume=1)
    np.testing.assert_array_equal(image.pixels, values[..., 1, 0])
    assert image.notes == ("took volume 1 of 6",)
    np.testing.assert_array_equal(
        uh.read_image(tmp_path / "a.nii", volume=5).pixels, values[..., 1, 2]
    )


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
def test_freesurfers_files_lie_where_nifti_does(ending, tmp_path):
    nib.save(nib.MGHImage(VOLUME.T, AFFINE), tmp_path / f"a{ending}")
    nib.save(nib.Nifti1Image(VOLUME.T, AFFINE), tmp_path / "b.nii")
    image = uh.read_image(tmp_path / f"a{ending}")
    nifti = uh.read_image(tmp_path / "b.nii")
    np.testing.assert_array_equal(image.pixels, nifti.pixels)
    assert image.oriented
    assert image.spacing == pytest.approx((0.5, 0.7, 2.0))
    np.testing.assert_allclose(image.affine, nifti.affine, atol=1e-5)
    mask = (VOLUME.T > 400).astype(np.uint8)
    written = nib.load(write_like(image, mask, tmp_path / "mask"))
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(written.dataobj), mask)


LENGTHS = {"T": 2, "Z": 5, "Y": 20, "X": 24, "C": 3}
STEPS = {"Z": 1.5, "Y": 0.75, "X": 0.5}


def made_by_hand(axes: str, *, affine: bool, spacing: bool, path: Path | None) -> uh.MedicalImage:
    """An image of a person's own making, with or without its geometry."""
    shape = [LENGTHS[axis] for axis in axes]
    steps = tuple(STEPS[axis] for axis in axes if axis in STEPS)
    return uh.MedicalImage(
        np.random.default_rng(0).integers(0, 255, shape, np.uint8),
        axes,
        spacing=steps if spacing else None,
        affine=np.diag([0.5, 0.75, 1.5, 1]) if affine else None,
        path=path,
    )


@pytest.mark.parametrize("path", [None, Path("folder/scan.xyz")], ids=["no path", "path"])
@pytest.mark.parametrize("spacing", [False, True], ids=["no spacing", "spacing"])
@pytest.mark.parametrize("affine", [False, True], ids=["no affine", "affine"])
@pytest.mark.parametrize(
    "axes",
    ["YX", "YXC", "ZYX", "ZYXC", "TYX", "TYXC", "TZYX", "TZYXC", "XYZ", "XYZC"],
)
def test_an_image_made_by_hand_is_segmented_and_saved(axes, affine, spacing, path, tmp_path):
    image = made_by_hand(axes, affine=affine, spacing=spacing, path=path)
    result = uh.segment(image, make_network(), threshold=0.4, progress=False)
    assert 0 < result.labels.mean() < 1

    saved = result.save(tmp_path)["labels"]
    if saved.name.endswith(".nii.gz"):
        values = np.asarray(nib.load(saved).dataobj)
        expected = result.labels if axes.startswith("X") else result.labels.T
    elif saved.suffix == ".npy":
        values, expected = np.load(saved), result.labels
    else:
        values, expected = uh.read_image(saved).pixels, result.labels
    np.testing.assert_array_equal(values, expected)
    lies_in_space = axes.startswith("X") or (affine and "Z" in axes)
    assert saved.name.endswith(".nii.gz") == lies_in_space


def write_and_load(image: uh.MedicalImage, folder: Path) -> nib.Nifti1Image:
    values = np.zeros(image.spatial_shape, np.uint8)
    return nib.load(write_nifti(image, values, folder / "a.nii.gz"))


def test_a_volume_made_by_hand_has_its_spacing_as_nifti(tmp_path):
    image = made_by_hand("XYZ", affine=False, spacing=True, path=None)
    file = write_and_load(image, tmp_path)
    np.testing.assert_allclose(file.affine, np.diag([0.5, 0.75, 1.5, 1]))
    assert file.header.get_xyzt_units()[0] == "mm"


def test_without_spacing_the_unit_of_a_volume_made_by_hand_is_unknown(tmp_path):
    image = made_by_hand("XYZ", affine=False, spacing=False, path=None)
    file = write_and_load(image, tmp_path)
    np.testing.assert_array_equal(file.affine, np.eye(4))
    assert file.header.get_xyzt_units()[0] == "unknown"


def test_an_affine_with_nan_falls_back_to_the_spacing(tmp_path):
    image = uh.MedicalImage(VOLUME, "ZYX", (1.5, 0.75, 0.5), np.full((4, 4), np.nan))
    file = write_and_load(image, tmp_path)
    np.testing.assert_allclose(file.affine, np.diag([0.5, 0.75, 1.5, 1]))


def test_a_volume_cut_by_hand_keeps_the_header_of_its_file(tmp_path):
    from dataclasses import replace

    nib.save(nib.Nifti1Image(VOLUME.T, AFFINE), tmp_path / "whole.nii")
    image = uh.read_image(tmp_path / "whole.nii")
    cut = replace(image, pixels=image.pixels[:7])
    file = write_and_load(cut, tmp_path)
    assert file.shape == (7, 20, 9)
    np.testing.assert_allclose(file.affine, AFFINE)
