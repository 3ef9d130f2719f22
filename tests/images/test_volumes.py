"""Volumes: to the network and back, every voxel keeps its place, whatever its orientation."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from helpers.canonical import from_canonical, to_canonical
from helpers.files import STACK16, dicom, series
from helpers.networks import make_network
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

import unet_helpers as uh
from unet_helpers.figures.network import network_input
from unet_helpers.images.stack import as_displayed, from_stack, to_stack

ORIENTATIONS = ["RAS", "LPS", "PIR", "ASL", "SRA", "IPL", "LAS", "RSP", "AIR", "SPL"]
each_orientation = pytest.mark.parametrize("codes", ORIENTATIONS)
ZOOMS = (0.5, 0.75, 2.0)


def body() -> nib.Nifti1Image:
    """In RAS+, without any symmetry: noise, with a bright block at the right, front and top."""
    values = np.random.default_rng(0).integers(0, 400, (20, 24, 18), np.int16)
    values[12:19, 15:23, 11:16] += 600
    return nib.Nifti1Image(values, np.diag([*ZOOMS, 1.0]) + np.eye(4, k=3) * -10)


def lying(codes: str) -> nib.Nifti1Image:
    """The same body with its axes stored in another order and direction."""
    upright = body()
    transform = ornt_transform(io_orientation(upright.affine), axcodes2ornt(codes))
    turned = upright.as_reoriented(transform)
    assert "".join(nib.aff2axcodes(turned.affine)) == codes
    return turned


def written(file, path):
    nib.save(file, path)
    return uh.read_image(path)


def segmented(image, axes=(0,), **reading):
    """With a threshold that parts a random network's answer in halves."""
    channels = 1 + 2 * reading.get("context", 0)
    network = make_network(in_channels=channels, channels="grey", axes=axes, **reading)
    result = uh.segment(image, network, progress=False)
    return replace(result, threshold=float(np.median(result.probabilities)))


@each_orientation
def test_canonical_is_that_of_nibabel_and_has_a_way_back(codes, tmp_path):
    image = written(lying(codes), tmp_path / "a.nii")
    canonical, theirs = to_canonical(image), nib.as_closest_canonical(nib.load(tmp_path / "a.nii"))
    np.testing.assert_array_equal(canonical.pixels, np.asarray(theirs.dataobj))
    np.testing.assert_array_equal(canonical.pixels, np.asarray(body().dataobj))
    assert canonical.spacing == theirs.header.get_zooms() == ZOOMS
    np.testing.assert_array_equal(from_canonical(image, canonical.pixels), image.pixels)


@each_orientation
def test_a_stack_is_displayed_like_a_radiologist_does_and_has_a_way_back(codes, tmp_path):
    """First slice at the feet; the front of the body at the top, its right side on the left."""
    image = written(lying(codes), tmp_path / "a.nii.gz")
    stack = to_stack(image)
    assert (stack.as_image().axes, stack.spacing) == ("ZYX", pytest.approx(ZOOMS[::-1]))
    z, y, x = np.argwhere(stack.pixels > 500).mean(0)
    assert z > 18 / 2
    assert y < 24 / 2
    assert x < 20 / 2
    np.testing.assert_array_equal(from_stack(image, stack.pixels[None])[0], image.pixels)
    np.testing.assert_array_equal(as_displayed(image, image.pixels), stack.pixels)


@each_orientation
@pytest.mark.parametrize(
    "reading", [{}, {"axes": (0, 1, 2)}, {"axes": (0, 1, 2), "context": 1}], ids=str
)
def test_the_same_body_has_the_same_labels_however_it_was_stored(codes, reading, tmp_path):
    """The answer follows the body, not the file."""
    reference = segmented(written(lying("RAS"), tmp_path / "ras.nii"), **reading)
    turned = segmented(written(lying(codes), tmp_path / "other.nii"), **reading)
    assert 0.3 < reference.labels.mean() < 0.7
    np.testing.assert_array_equal(
        to_canonical(replace(turned.image, pixels=turned.labels)).pixels, reference.labels
    )
    assert turned.measure()["volume_mL"].sum() == pytest.approx(
        reference.labels.sum() * np.prod(ZOOMS) / 1000
    )


def test_a_slice_is_read_between_its_neighbours():
    """A network answers with what lies above: a slice with the next one, the last with itself."""
    network = make_network(in_channels=3, channels="grey", context=1, percentiles=(0, 100))
    network.forward = lambda x: x[:, 2:]
    values = np.linspace(0, 1, 5 * 6 * 7).reshape(5, 6, 7)
    answer = uh.segment(uh.read_image(values), network, progress=False).probabilities
    np.testing.assert_allclose(answer[0], values[[1, 2, 3, 4, 4]], atol=1e-6)
    alone = uh.segment(values[3], network).probabilities[0]
    np.testing.assert_allclose(alone, (values[3] - values[3].min()) / np.ptp(values[3]), atol=1e-6)


def test_a_slice_beyond_the_head_stays_dark_and_a_dim_one_does_not():
    """A network answers with what it sees: a head's slices at their own levels, noise as it is."""
    network = make_network(channels="grey", intensities="head", percentiles=(0, 100))
    network.forward = lambda x: x[:, :1]
    ramp = np.linspace(0, 1, 6 * 7).reshape(6, 7)
    volume = uh.read_image(np.stack([ramp * top for top in (200, 100, 200, 160, 2)]))
    brightest = uh.segment(volume, network, progress=False).probabilities[0].max((1, 2))
    np.testing.assert_allclose(brightest, [1, 1, 1, 1, 0.03], atol=0.005)
    np.testing.assert_allclose(
        [network_input(volume, network, i).max() for i in range(5)], brightest, atol=1e-6
    )


@each_orientation
@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 2), (2, 4), (0, 0)])
def test_saved_labels_have_the_geometry_of_the_input(codes, qform, sform, tmp_path):
    """Shape, affine, qform and sform with codes, units, voxel sizes; no scale of values."""
    file = lying(codes)
    file.set_qform(file.affine, qform)
    file.set_sform(file.affine, sform)
    file.header.set_xyzt_units("mm", "sec")
    file.header.set_slope_inter(0.5, 7)
    image = written(file, tmp_path / "a.nii")
    before, after = (
        nib.load(p) for p in (tmp_path / "a.nii", segmented(image).save(tmp_path / "out")["labels"])
    )
    assert after.shape == before.shape
    assert after.get_data_dtype() == np.uint8
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-6)
    for form in ("get_qform", "get_sform"):
        (ours, code), (theirs, their_code) = (getattr(f, form)(coded=True) for f in (after, before))
        assert code == their_code
        assert ours is theirs is None or np.allclose(ours, theirs, atol=1e-6)
    assert after.header.get_zooms() == pytest.approx(before.header.get_zooms())
    assert after.header.get_xyzt_units() == ("mm", "sec")
    assert (after.dataobj.slope, after.dataobj.inter) == (1, 0)


@pytest.mark.parametrize(
    "kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair, nib.Spm99AnalyzeImage]
)
def test_every_kind_of_header_can_be_saved_as_nifti(kind, tmp_path):
    oblique = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3, 0.2, -0.1) * ZOOMS, [5, -6, 7])
    affine = np.diag([-1.0, 1, 1, 1]) * [*ZOOMS, 1] if kind is nib.Spm99AnalyzeImage else oblique
    image = written(kind(np.asarray(body().dataobj), affine), tmp_path / "a.img")
    result = segmented(image)
    saved = uh.read_image(result.save(tmp_path / "out")["labels"])
    np.testing.assert_array_equal(saved.pixels, result.labels)
    np.testing.assert_allclose(saved.affine, image.affine, atol=1e-5)
    assert saved.spacing == pytest.approx(image.spacing)


@pytest.mark.parametrize("volume", [0, 2])
def test_labels_of_one_volume_of_many_are_one_volume(volume, tmp_path):
    values = np.stack([np.asarray(body().dataobj) * i for i in (1, 2, 3)], -1)
    nib.save(nib.Nifti1Image(values, body().affine), tmp_path / "a.nii.gz")
    image = uh.read_image(tmp_path / "a.nii.gz", volume=volume)
    np.testing.assert_array_equal(image.pixels, values[..., volume])
    saved = nib.load(segmented(image).save(tmp_path / "out")["labels"])
    assert saved.shape == values.shape[:3]
    assert saved.header.get_zooms() == pytest.approx(ZOOMS)
    with pytest.raises(uh.ImageError, match="volumes 0 to 2"):
        uh.read_image(tmp_path / "a.nii.gz", volume=3)


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("micron", 1e-3), ("meter", 1e3), (0, 1)])
def test_volumes_of_bodies_in_millilitres_and_of_cells_in_cubic_micrometres(unit, mm, tmp_path):
    file = body()
    file.header.set_xyzt_units(unit)
    image = written(file, tmp_path / "a.nii")
    result = segmented(image)
    assert image.spacing == pytest.approx(np.array(ZOOMS) * mm)
    table = result.measure()
    expected = result.labels.sum() * np.prod(ZOOMS) * mm**3
    if unit == "micron":
        assert table["volume_um3"].sum() == pytest.approx(expected * 1e9)
    else:
        assert table["volume_mm3"].sum() == pytest.approx(expected)
        assert table["volume_mL"].sum() == pytest.approx(expected / 1000)
    saved = result.save(tmp_path / "out")
    assert uh.read_image(saved["labels"]).spacing == pytest.approx(image.spacing)


@pytest.mark.parametrize("spacing", [(0.5, np.nan, 1.0), (1.0, 1.0, np.inf)])
def test_an_impossible_spacing_is_ignored_and_said(spacing, tmp_path):
    file = body()
    file.header["pixdim"][1:4] = spacing
    (tmp_path / "a.nii").write_bytes(
        file.header.binaryblock + b"\0" * 4 + np.asarray(file.dataobj).tobytes("F")
    )
    image = uh.read_image(tmp_path / "a.nii")
    assert image.spacing is None
    assert "impossible spacing" in image.notes[-1]
    assert "volume_mL" not in segmented(image).measure()


def test_a_dicom_series_lies_where_its_slices_say(tmp_path):
    """Slice 0 starts 10 mm to the right, 20 mm behind, 30 mm above: in DICOM (-10, 20, 30)."""
    series(tmp_path / "scan")
    image = uh.read_image(tmp_path / "scan")
    np.testing.assert_array_equal(image.pixels, STACK16)
    for voxel, place in {
        (0, 0, 0): (10, -20, 30),
        (30, 23, 5): (10 - 15, -20 - 23 * 0.7, 37.5),
    }.items():
        np.testing.assert_allclose(image.affine @ [*voxel, 1], [*place, 1], atol=1e-9)
    result = segmented(image)
    saved = nib.load(result.save(tmp_path / "out")["labels"])
    np.testing.assert_allclose(saved.affine, image.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(saved.dataobj).T, result.labels)
    assert saved.header.get_xyzt_units()[0] == "mm"
    assert result.measure()["volume_mL"].sum() == pytest.approx(
        result.labels.sum() * 0.5 * 0.7 * 1.5 / 1000
    )


def test_an_enhanced_dicom_says_its_spacing_and_scale_once_for_all_frames(tmp_path):
    from pydicom import Dataset

    measures, scale, group = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.7, 0.5]
    measures.SliceThickness = 2.0
    measures.SpacingBetweenSlices = 1.5
    scale.RescaleSlope = 2
    scale.RescaleIntercept = -100
    group.PixelMeasuresSequence = [measures]
    group.PixelValueTransformationSequence = [scale]
    dicom(STACK16, SharedFunctionalGroupsSequence=[group])(tmp_path / "enhanced.dcm")
    image = uh.read_image(tmp_path / "enhanced.dcm")
    assert image.axes == "ZYX"
    assert image.spacing == (1.5, 0.7, 0.5)
    np.testing.assert_array_equal(image.pixels, STACK16 * 2.0 - 100)


def test_one_of_several_series_must_be_chosen(tmp_path):
    import pydicom

    series(tmp_path / "scan")
    for i, path in enumerate(sorted((tmp_path / "scan").glob("*.dcm"))[:2]):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID = "9.9"
        data.save_as(tmp_path / f"scan/other{i}.dcm")
    with pytest.raises(
        uh.ImageError, match=r"1\.2\.3 \(24 × 31, 6 slices\); 9\.9 \(24 × 31, 2 slices\)"
    ):
        uh.read_image(tmp_path / "scan")
    with pytest.raises(uh.ImageError, match="series"):
        uh.read_image(tmp_path / "scan", series="7")
    assert uh.read_image(tmp_path / "scan", series="9.9").spatial_shape == (2, 24, 31)
