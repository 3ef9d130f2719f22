"""Radiology files that people bring: DICOM folders as they come, enhanced files, tilt, NIfTI without orientation."""

import gzip

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.files import dicom
from pydicom import Dataset

import unet_helpers as uh
from unet_helpers.images.stack import to_stack
from unet_helpers.preprocessing.checks import check_gaps
from unet_helpers.results.save import write_like

VOLUME = np.random.default_rng(0).integers(0, 900, (9, 20, 24), np.uint16)
FLAT = [1, 0, 0, 0, 1, 0]


def write(
    folder,
    indices=range(9),
    uid="1.2",
    orientation=FLAT,
    shift=0.0,
    name="{}.IMA",
    values=VOLUME,
    **tags,
):
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    for i in indices:
        place = [
            float(v)
            for v in np.array([-10.0, 20, 30]) + normal * 5.5 * i + np.array([0, shift * i, 0])
        ]
        geometry = {
            "PixelSpacing": [0.7, 0.5],
            "ImageOrientationPatient": orientation,
            "SeriesInstanceUID": uid,
        }
        dicom(values[i], ImagePositionPatient=place, **geometry, **tags)(
            folder / name.format(f"{uid}-{i}")
        )


def test_r5_missing_slices_stay_empty_in_their_place(tmp_path):
    write(tmp_path, [0, 1, 2, 4, 5, 7, 8])
    image = uh.read_image(tmp_path)
    assert image.spacing == pytest.approx((5.5, 0.7, 0.5))
    assert "2 slices missing in the series: 3, 6" in image.notes[0]
    expected = VOLUME.copy()
    expected[[3, 6]] = 0
    np.testing.assert_array_equal(image.pixels, expected)


def test_r5_empty_slices_between_others_are_a_warning(tmp_path):
    write(tmp_path, [0, 1, 2, 4, 5, 7, 8])
    card = uh.MODELS["hippocampus"]
    assert check_gaps(uh.read_image(tmp_path), card) == [
        "2 empty slices between others: objects are cut there, and volumes too small."
    ]
    write(tmp_path / "whole")
    assert check_gaps(uh.read_image(tmp_path / "whole"), card) == []
    padded = np.pad(VOLUME.astype(np.float32), ((2, 3), (0, 0), (0, 0)))
    padded[3, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(padded.transpose(2, 1, 0), np.eye(4)), tmp_path / "a.nii")
    assert check_gaps(uh.read_image(tmp_path / "a.nii"), card) == []  # empty ends are the rule


def test_r7_without_a_voxel_size_there_are_no_volumes(tmp_path):
    file = nib.Nifti1Image(VOLUME.transpose(2, 1, 0).astype(np.int16), np.eye(4))
    nib.save(file, tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[80:92] = bytes(12)  # pixdim[1:4]
    (tmp_path / "b.nii").write_bytes(data)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data))
    assert uh.read_image(tmp_path / "a.nii").spacing == (1, 1, 1)
    for name in ("b.nii", "b.nii.gz"):
        image = uh.read_image(tmp_path / name)
        assert image.spacing is None
        assert "no voxel size" in image.notes[-1]
        assert image.voxel_volume is None
        assert uh.read_image(tmp_path / name, spacing=2.0).spacing == (2, 2, 2)


def test_r5_repeats_scouts_echoes_and_uneven_steps(tmp_path):
    write(tmp_path / "twice")
    write(tmp_path / "twice/again", [4])
    image = uh.read_image(tmp_path / "twice")
    assert image.spacing[0] == pytest.approx(5.5)
    assert "1 repeated" in image.notes[0]
    assert (image.pixels == VOLUME).all()
    write(tmp_path / "scout")
    write(tmp_path / "scout/other", [0], orientation=[0, 1, 0, 0, 0, -1])
    image = uh.read_image(tmp_path / "scout")
    assert image.spacing[0] == pytest.approx(5.5)
    assert "1 of another orientation" in image.notes[0]
    write(tmp_path / "echoes", EchoTime=20)
    write(tmp_path / "echoes/two", EchoTime=80, values=VOLUME + 1)
    with pytest.raises(uh.ImageError, match="'echo 20.0'; 'echo 80.0'"):
        uh.read_image(tmp_path / "echoes")
    assert (uh.read_image(tmp_path / "echoes", series="echo 80.0").pixels == VOLUME + 1).all()
    write(tmp_path / "times")
    write(tmp_path / "times/two", values=VOLUME + 1)
    with pytest.raises(uh.ImageError, match="different images in one place"):
        uh.read_image(tmp_path / "times")


def test_r10_nested_series_are_found_described_and_chosen(tmp_path):
    write(
        tmp_path / "ST1/SE1", name="{}", SeriesNumber=3, SeriesDescription="T2 FLAIR", Modality="MR"
    )
    write(
        tmp_path / "ST1/SE2", range(4), "1.3", SeriesNumber=4, SeriesDescription="T1", Modality="MR"
    )
    with pytest.raises(
        uh.ImageError, match=r"1\.2 \(MR T2 FLAIR, 20 × 24, 9 slices\); 1\.3 \(MR T1, .*4 slices\)"
    ):
        uh.read_image(tmp_path)
    for chosen in ("1.2", 3, "T2 FLAIR"):
        image = uh.read_image(tmp_path, series=chosen)
        assert (image.modality, image.description) == ("MR", "T2 FLAIR")
        assert (image.pixels == VOLUME).all()
    write(tmp_path / "one/SE1")
    write(tmp_path / "one/SE2", [0], "1.9", SeriesDescription="scout")
    (tmp_path / "one/readme.txt").write_text("no image")
    notes = "; ".join(uh.read_image(tmp_path / "one").notes)
    assert "left out 1 other file" in notes
    assert "left out the series 1.9 (scout" in notes


@pytest.mark.parametrize(
    "orientation", [[0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]], ids=["sagittal", "coronal"]
)
def test_r6_other_planes_lie_where_simpleitk_says(orientation, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    write(tmp_path, orientation=orientation)
    image = uh.read_image(tmp_path)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    theirs = sitk.ReadImage(names)
    for voxel in ((0, 0, 0), (23, 0, 0), (0, 19, 0), (23, 19, 8)):
        place = np.array(theirs.TransformIndexToPhysicalPoint(voxel)) * [-1, -1, 1]
        np.testing.assert_allclose((image.affine @ [*voxel, 1])[:3], place, atol=1e-6)
    np.testing.assert_array_equal(image.pixels, sitk.GetArrayFromImage(theirs))


def test_r7_enhanced_frames_lie_where_they_say(tmp_path):
    order = [3, 0, 5, 1, 4, 2]

    def group(i, echo):
        place, plane, measures, time, frame = (Dataset() for _ in range(5))
        place.ImagePositionPatient, plane.ImageOrientationPatient = [0, 0, 5.5 * i], FLAT
        measures.PixelSpacing, time.EffectiveEchoTime = [0.7, 0.5], echo
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = [place], [plane]
        frame.PixelMeasuresSequence, frame.MREchoSequence = [measures], [time]
        return frame

    frames = [group(i, 20) for i in order]
    dicom(VOLUME[order], PerFrameFunctionalGroupsSequence=frames)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    assert image.spacing == pytest.approx((5.5, 0.7, 0.5))
    assert image.affine is not None
    np.testing.assert_array_equal(image.pixels, VOLUME[:6])
    frames = [group(i, echo) for i in range(4) for echo in (20, 80)]
    dicom(VOLUME[:8], PerFrameFunctionalGroupsSequence=frames)(tmp_path / "b.dcm")
    with pytest.raises(uh.ImageError, match="2 echo times"):
        uh.read_image(tmp_path / "b.dcm")
    np.testing.assert_array_equal(
        uh.read_image(tmp_path / "b.dcm", series="echo 80.0").pixels, VOLUME[1:8:2]
    )


def test_r8_a_tilted_series_has_the_volume_of_its_determinant(tmp_path):
    write(tmp_path, shift=5.5 * np.tan(np.radians(20)))
    image = uh.read_image(tmp_path)
    assert image.voxel_volume == pytest.approx(5.5 * 0.7 * 0.5)
    assert "20 degrees" in "; ".join(image.notes)


@pytest.mark.parametrize("preamble", [b"II*\0" + bytes(124), b"MM\0*" + bytes(124), None])
def test_r9_any_preamble_or_none(preamble, tmp_path):
    dicom(VOLUME[0])(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[132:] if preamble is None else preamble + whole[128:])
    assert (uh.read_image(tmp_path / "a").pixels == VOLUME[0]).all()


def test_r1_an_inverse_presentation_is_said(tmp_path):
    values = VOLUME[0]
    dicom(values, PresentationLUTShape="INVERSE")(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    assert (image.pixels == 65535 - values).all()
    assert "inverted" in image.notes[0]


def test_r11_nifti_without_orientation_or_with_two_spacings(tmp_path):
    file = nib.Nifti1Image(VOLUME.T, np.diag([1, 2, 3, 1]))
    file.set_sform(None, 0)
    file.set_qform(None, 0)
    nib.save(file, tmp_path / "a.nii")
    image = uh.read_image(tmp_path / "a.nii")
    assert not image.oriented
    assert "orientation unknown" in image.notes[0]
    file = nib.Nifti1Image(VOLUME.T, np.diag([1, 2, 3, 1]))
    file.header["pixdim"][1:4] = 2
    (tmp_path / "b.nii").write_bytes(file.header.binaryblock + bytes(4) + VOLUME.T.tobytes("F"))
    image = uh.read_image(tmp_path / "b.nii")
    assert image.oriented
    assert "disagrees" in image.notes[0]


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nhdr"])
def test_r12_itk_formats_lie_where_nifti_does(ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    file = sitk.GetImageFromArray(VOLUME)
    file.SetSpacing((0.5, 0.7, 5.5))
    file.SetOrigin((-10, 20, 30))
    file.SetDirection(np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float).ravel())
    sitk.WriteImage(file, tmp_path / f"a{ending}")
    sitk.WriteImage(file, tmp_path / "b.nii.gz")
    image, nifti = uh.read_image(tmp_path / f"a{ending}"), uh.read_image(tmp_path / "b.nii.gz")
    assert (image.pixels == VOLUME).all()
    assert image.axes == "ZYX"
    assert image.oriented
    np.testing.assert_allclose(image.affine, nifti.affine, atol=1e-5)
    np.testing.assert_allclose(image.spacing, nifti.spacing[::-1], rtol=1e-6)
    assert (to_stack(image).pixels == to_stack(nifti).pixels).all()


def test_r12_itk_pictures_movies_and_vectors(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME[0]), tmp_path / "flat.mha")
    assert uh.read_image(tmp_path / "flat.mha").axes == "YX"
    sitk.WriteImage(
        sitk.GetImageFromArray(np.stack([VOLUME, VOLUME + 1]), isVector=False),
        tmp_path / "times.nrrd",
    )
    image = uh.read_image(tmp_path / "times.nrrd", volume=1)
    assert (image.pixels == VOLUME + 1).all()
    assert "took volume 1 of 2" in image.notes
    for volume in (-1, 2):
        with pytest.raises(uh.ImageError, match="volumes 0 to 1"):
            uh.read_image(tmp_path / "times.nrrd", volume=volume)
    colour = sitk.GetImageFromArray(
        np.stack([VOLUME[0].astype(np.uint8)] * 3, -1) // [1, 2, 3], isVector=True
    )
    sitk.WriteImage(sitk.Cast(colour, sitk.sitkVectorUInt8), tmp_path / "colour.mha")
    assert uh.read_image(tmp_path / "colour.mha").axes == "YXC"
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((9, 9, 2)), isVector=True), tmp_path / "field.mha"
    )
    with pytest.raises(uh.ImageError, match="2 values a voxel"):
        uh.read_image(tmp_path / "field.mha")
    (tmp_path / "cut.nrrd").write_bytes((tmp_path / "times.nrrd").read_bytes()[:-900])
    (tmp_path / "alone.mhd").write_text(
        "ObjectType = Image\nNDims = 2\nDimSize = 9 9\nElementType = MET_UCHAR\n"
    )
    for name in ("cut.nrrd", "alone.mhd"):
        with pytest.raises(uh.ImageError, match=name):
            uh.read_image(tmp_path / name)


def test_r12_what_a_header_leaves_out_is_not_made_up(tmp_path):
    """ITK takes 1 mm and the body's axes, without a word."""
    data = VOLUME.astype("<u2").tobytes()
    sizes = "24 20 9"
    (tmp_path / "a.nrrd").write_bytes(
        f"NRRD0004\ntype: ushort\ndimension: 3\nsizes: {sizes}\nendian: little\nencoding: raw\n\n".encode()
        + data
    )
    head = f"ObjectType = Image\nNDims = 3\nDimSize = {sizes}\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + data)
    for name in ("a.nrrd", "a.mha"):
        image = uh.read_image(tmp_path / name)
        assert (image.pixels == VOLUME).all()
        assert image.spacing is None
        assert not image.oriented
        assert any("orientation unknown" in note for note in image.notes)


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
def test_r12_freesurfers_files_lie_where_nifti_does(ending, tmp_path):
    affine = np.array([[0, 0, 2.0, -10], [-0.5, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 0, 1]])
    nib.save(nib.MGHImage(VOLUME.T.astype(np.int16), affine), tmp_path / f"a{ending}")
    nib.save(nib.Nifti1Image(VOLUME.T.astype(np.int16), affine), tmp_path / "b.nii")
    image, nifti = uh.read_image(tmp_path / f"a{ending}"), uh.read_image(tmp_path / "b.nii")
    assert (image.pixels == nifti.pixels).all()
    assert image.oriented
    np.testing.assert_allclose(image.affine, nifti.affine, atol=1e-5)
    assert image.spacing == pytest.approx((0.5, 0.7, 2.0))
    written = nib.load(write_like(image, (VOLUME.T > 400).astype(np.uint8), tmp_path / "mask"))
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)


def test_pydicoms_own_files_are_read_or_refused_for_a_reason():
    """An image without further packages is read; what is refused has no image, a codec of its own, or real damage."""
    from pathlib import Path

    files = sorted(Path(pydicom.data.__path__[0]).rglob("*.dcm"))
    if not files:
        pytest.skip("this pydicom comes without test files")
    refused = {}
    for path in files:
        try:
            assert uh.read_image(path).pixels.size > 0
        except uh.ImageError as error:
            assert path.name in str(error)
            refused[path.name] = str(error)
    vague = {name for name, words in refused.items() if "damaged or unusual" in words}
    print(
        f"{len(files) - len(refused)} read of {len(files)}; vague: {vague}",
        *refused.values(),
        sep="\n",
    )
    assert vague <= {"MR_truncated.dcm", "badVR.dcm"}  # which are damaged
    assert len(files) - len(refused) >= 60  # of 104; the others hold no image, or need a codec
