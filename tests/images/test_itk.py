"""NRRD and MetaImage: they lie where NIfTI does, and nothing is made up that they do not say."""

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.images.stack import to_stack

sitk = pytest.importorskip("SimpleITK")

VOLUME = np.random.default_rng(0).integers(0, 900, (9, 20, 24), np.uint16)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nhdr"])
def test_a_volume_lies_where_nifti_does(ending, tmp_path):
    file = sitk.GetImageFromArray(VOLUME)
    file.SetSpacing((0.5, 0.7, 5.5))
    file.SetOrigin((-10, 20, 30))
    file.SetDirection(np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float).ravel())
    sitk.WriteImage(file, tmp_path / f"a{ending}")
    sitk.WriteImage(file, tmp_path / "b.nii.gz")

    image = uh.read_image(tmp_path / f"a{ending}")
    nifti = uh.read_image(tmp_path / "b.nii.gz")
    assert image.axes == "ZYX"
    assert image.oriented
    np.testing.assert_array_equal(image.pixels, VOLUME)
    np.testing.assert_allclose(image.affine, nifti.affine, atol=1e-5)
    np.testing.assert_allclose(image.spacing, nifti.spacing[::-1], rtol=1e-6)
    np.testing.assert_array_equal(to_stack(image).pixels, to_stack(nifti).pixels)


def test_a_flat_image_has_no_affine(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME[0]), tmp_path / "a.mha")
    image = uh.read_image(tmp_path / "a.mha")
    assert image.axes == "YX"
    assert image.affine is None
    assert image.notes == ()


def test_one_volume_of_several_is_taken(tmp_path):
    both = sitk.GetImageFromArray(np.stack([VOLUME, VOLUME + 1]), isVector=False)
    sitk.WriteImage(both, tmp_path / "a.nrrd")
    np.testing.assert_array_equal(uh.read_image(tmp_path / "a.nrrd").pixels, VOLUME)
    image = uh.read_image(tmp_path / "a.nrrd", volume=1)
    np.testing.assert_array_equal(image.pixels, VOLUME + 1)
    assert "took volume 1 of 2" in image.notes
    for volume in (-1, 2):
        with pytest.raises(uh.ImageError, match="volumes 0 to 1"):
            uh.read_image(tmp_path / "a.nrrd", volume=volume)


def test_three_values_a_voxel_are_colours(tmp_path):
    pixels = np.stack([VOLUME[0], VOLUME[0] // 2, VOLUME[0] // 3], -1).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), tmp_path / "a.mha")
    image = uh.read_image(tmp_path / "a.mha")
    assert image.axes == "YXC"
    np.testing.assert_array_equal(image.pixels, pixels)


def test_two_values_a_voxel_are_refused(tmp_path):
    field = sitk.GetImageFromArray(np.zeros((9, 9, 2)), isVector=True)
    sitk.WriteImage(field, tmp_path / "a.mha")
    with pytest.raises(uh.ImageError, match="2 values a voxel"):
        uh.read_image(tmp_path / "a.mha")


def test_files_without_all_of_their_data_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME), tmp_path / "whole.nrrd")
    (tmp_path / "cut.nrrd").write_bytes((tmp_path / "whole.nrrd").read_bytes()[:-900])
    header = "ObjectType = Image\nNDims = 2\nDimSize = 9 9\nElementType = MET_UCHAR\n"
    (tmp_path / "alone.mhd").write_text(header)
    for name in ("cut.nrrd", "alone.mhd"):
        with pytest.raises(uh.ImageError, match=name):
            uh.read_image(tmp_path / name)


NRRD = "NRRD0004\ntype: ushort\ndimension: 3\nsizes: 24 20 9\nendian: little\nencoding: raw\n{}\n"
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 24 20 9\nElementType = MET_USHORT\n"
    "{}ElementDataFile = LOCAL\n"
)


@pytest.mark.parametrize(("name", "header"), [("a.nrrd", NRRD), ("a.mha", META)])
def test_what_a_header_leaves_out_is_not_made_up(name, header, tmp_path):
    """ITK takes 1 mm and the body's axes, without a word."""
    path = tmp_path / name
    path.write_bytes(header.format("").encode() + VOLUME.astype("<u2").tobytes())
    image = uh.read_image(path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.spacing is None
    assert not image.oriented
    assert image.notes == ("orientation unknown: it is not in the header",)


@pytest.mark.parametrize(
    ("name", "header", "spacing_field"),
    [
        ("a.nrrd", NRRD, "spacings: 0.5 0.7 5.5\n"),
        ("a.mha", META, "ElementSpacing = 0.5 0.7 5.5\n"),
    ],
)
def test_a_header_may_have_a_spacing_and_no_orientation(name, header, spacing_field, tmp_path):
    path = tmp_path / name
    path.write_bytes(header.format(spacing_field).encode() + VOLUME.astype("<u2").tobytes())
    image = uh.read_image(path)
    assert image.spacing == (5.5, 0.7, 0.5)
    assert not image.oriented
