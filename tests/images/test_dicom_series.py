"""DICOM as it comes: several series, missing and repeated slices, tilt, enhanced files."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.files import dicom
from helpers.series import (
    COLUMN,
    DEPTH,
    ROW,
    SPACING,
    VOLUME,
    frame_group,
    write_series,
)

import unet_helpers as uh


def test_missing_slices_stay_empty_in_their_place(tmp_path):
    write_series(tmp_path, [0, 1, 2, 4, 5, 7, 8])
    image = uh.read_image(tmp_path)
    expected = VOLUME.copy()
    expected[[3, 6]] = 0
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.spacing == pytest.approx(SPACING)
    assert image.notes == ("2 slices missing in the series: 3, 6 (from 0) left empty",)


def test_one_missing_slice_is_counted_as_one(tmp_path):
    write_series(tmp_path, [0, 1, 3])
    assert uh.read_image(tmp_path).notes == (
        "1 slice missing in the series: 2 (from 0) left empty",
    )


@pytest.mark.parametrize(("last", "is_read"), [(5, True), (6, False)])
def test_a_series_is_refused_where_most_slices_are_missing(last, is_read, tmp_path):
    write_series(tmp_path, [0, 1, last])
    if is_read:
        assert len(uh.read_image(tmp_path).pixels) == 6
    else:
        with pytest.raises(uh.ImageError, match=r"distances of 5\.5, 27\.5 mm"):
            uh.read_image(tmp_path)


@pytest.mark.parametrize(("share", "is_read"), [(0.04, True), (0.06, False)])
def test_distances_may_differ_by_5_percent(share, is_read, tmp_path):
    write_series(tmp_path, [0, 1])
    write_series(tmp_path / "last", [2], step=DEPTH * (1 + share / 2))
    if is_read:
        assert len(uh.read_image(tmp_path).pixels) == 3
    else:
        with pytest.raises(uh.ImageError, match="not evenly spaced"):
            uh.read_image(tmp_path)


def test_every_slice_knows_its_file(tmp_path):
    write_series(tmp_path, [0, 2, 3])
    files = uh.read_image(tmp_path).header
    assert {index: source.path.name for index, source in files.items()} == {
        0: "1.2-0.IMA",
        2: "1.2-2.IMA",
        3: "1.2-3.IMA",
    }


def test_repeated_slices_are_left_out(tmp_path):
    write_series(tmp_path)
    write_series(tmp_path / "again", [4])
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.notes == ("left out 1 repeated slice",)
    write_series(tmp_path / "again", [4, 5])
    assert uh.read_image(tmp_path).notes == ("left out 2 repeated slices",)


def test_slices_of_another_orientation_are_left_out(tmp_path):
    write_series(tmp_path)
    write_series(tmp_path / "scout", [0], orientation=(0, 1, 0, 0, 0, -1))
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.notes == ("left out 1 of another orientation (scouts)",)


def test_one_of_two_echoes_has_to_be_chosen(tmp_path):
    write_series(tmp_path, EchoTime=20)
    write_series(tmp_path / "second", EchoTime=80, values=VOLUME + 1)
    with pytest.raises(
        uh.ImageError, match=r"holds 2 echo times.*'EchoTime=20.0' \(9\); 'EchoTime=80.0' \(9\)"
    ):
        uh.read_image(tmp_path)
    with pytest.raises(uh.ImageError, match=r"nothing has EchoTime=50\.0.*'EchoTime=80\.0'"):
        uh.read_image(tmp_path, series="echo 50.0")
    image = uh.read_image(tmp_path, select="EchoTime=80")
    np.testing.assert_array_equal(image.pixels, VOLUME + 1)
    for wanted in ("echo 80.0", "1.2 echo 80.0"):
        np.testing.assert_array_equal(uh.read_image(tmp_path, series=wanted).pixels, VOLUME + 1)


def test_different_images_in_one_place_are_refused(tmp_path):
    write_series(tmp_path)
    write_series(tmp_path / "later", values=VOLUME + 1)
    with pytest.raises(uh.ImageError, match="different images in one place"):
        uh.read_image(tmp_path)


def test_slices_of_different_sizes_are_refused(tmp_path):
    write_series(tmp_path, [0, 1, 2])
    write_series(tmp_path / "other", [3], values=VOLUME[:, :10])
    with pytest.raises(uh.ImageError, match="different size or spacing"):
        uh.read_image(tmp_path)


def test_a_spacing_may_be_rounded_differently_in_each_slice(tmp_path):
    write_series(tmp_path, [0, 1, 2])
    path = tmp_path / "1.2-1.IMA"
    data = pydicom.dcmread(path)
    data.PixelSpacing = [ROW + 1e-5, COLUMN]
    data.save_as(path)
    assert uh.read_image(tmp_path).spacing == pytest.approx(SPACING)


def test_slices_without_a_place_are_refused(tmp_path):
    for index in range(2):
        dicom(VOLUME[index], SeriesInstanceUID="1")(tmp_path / f"{index}.dcm")
    with pytest.raises(uh.ImageError, match="do not say where they lie"):
        uh.read_image(tmp_path)


def write_two_series(folder: Path) -> None:
    """A FLAIR of nine slices and a T1 of four, in folders of their own."""
    flair = {"SeriesNumber": 3, "SeriesDescription": "T2 FLAIR", "Modality": "MR"}
    t1 = {"SeriesNumber": 4, "SeriesDescription": "T1", "Modality": "MR"}
    write_series(folder / "ST1/SE1", name="{}", **flair)
    write_series(folder / "ST1/SE2", range(4), "1.3", **t1)


def test_several_series_are_described(tmp_path):
    write_two_series(tmp_path)
    listed = r"1\.2 \(MR T2 FLAIR, 20 × 24, 9 slices\); 1\.3 \(MR T1, 20 × 24, 4 slices\)"
    with pytest.raises(uh.ImageError, match=f"holds 2 series.*{listed}"):
        uh.read_image(tmp_path)


@pytest.mark.parametrize("chosen", ["1.2", 3, "3", "T2 FLAIR"])
def test_a_series_is_chosen_by_uid_number_or_description(chosen, tmp_path):
    write_two_series(tmp_path)
    image = uh.read_image(tmp_path, series=chosen)
    assert (image.modality, image.description) == ("MR", "T2 FLAIR")
    assert image.path == tmp_path
    assert image.notes == ("left out the series 1.3 (MR T1, 20 × 24, 4 slices)",)
    np.testing.assert_array_equal(image.pixels, VOLUME)


def test_scouts_and_other_files_of_a_folder_are_left_out(tmp_path):
    write_series(tmp_path / "SE1")
    write_series(tmp_path / "SE2", [0], "1.9", SeriesDescription="scout")
    localizer = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_series(tmp_path / "SE3", [0, 1], "2.1", ImageType=localizer)
    (tmp_path / "readme.txt").write_text("no image")
    assert uh.read_image(tmp_path).notes == (
        "left out 1 other file of the folder",
        "left out the series 1.9 (scout, 20 × 24, 1 slice)",
        "left out the series 2.1 (20 × 24, 2 slices)",
    )


def test_the_only_slice_of_a_folder_is_an_image(tmp_path):
    write_series(tmp_path, [3])
    image = uh.read_image(tmp_path)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, VOLUME[3])


@pytest.mark.parametrize(
    "orientation", [(0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)], ids=["sagittal", "coronal"]
)
def test_other_planes_lie_where_simpleitk_says(orientation, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    write_series(tmp_path, orientation=orientation)
    image = uh.read_image(tmp_path)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    theirs = sitk.ReadImage(names)
    for voxel in ((0, 0, 0), (23, 0, 0), (0, 19, 0), (23, 19, 8)):
        place = np.array(theirs.TransformIndexToPhysicalPoint(voxel)) * [-1, -1, 1]
        np.testing.assert_allclose((image.affine @ [*voxel, 1])[:3], place, atol=1e-6)
    np.testing.assert_array_equal(image.pixels, sitk.GetArrayFromImage(theirs))


@pytest.mark.parametrize(("degrees", "is_said"), [(20, True), (1.1, True), (0.9, False)])
def test_a_tilted_series_has_the_volume_of_its_determinant(degrees, is_said, tmp_path):
    write_series(tmp_path, shift=DEPTH * np.tan(np.radians(degrees)))
    image = uh.read_image(tmp_path)
    assert image.voxel_volume == pytest.approx(np.prod(SPACING))
    words = (
        "sheared: its slices are shifted against one another by "
        f"{degrees:.0f} degrees (a tilted gantry)"
    )
    assert image.notes == ((words,) if is_said else ())


def test_enhanced_frames_lie_where_they_say(tmp_path):
    order = [3, 0, 5, 1, 4, 2]
    groups = [frame_group(DEPTH * index, 20) for index in order]
    dicom(VOLUME[order], PerFrameFunctionalGroupsSequence=groups)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    assert image.axes == "ZYX"
    assert image.spacing == pytest.approx(SPACING)
    expected = np.diag([-COLUMN, -ROW, DEPTH, 1])
    np.testing.assert_allclose(image.affine, expected, atol=1e-9)
    np.testing.assert_array_equal(image.pixels, VOLUME[:6])


def test_enhanced_frames_of_two_echoes(tmp_path):
    groups = [frame_group(DEPTH * index, echo) for index in range(4) for echo in (20, 80)]
    dicom(VOLUME[:8], PerFrameFunctionalGroupsSequence=groups)(tmp_path / "a.dcm")
    with pytest.raises(uh.ImageError, match="2 echo times"):
        uh.read_image(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm", series="echo 80.0")
    np.testing.assert_array_equal(image.pixels, VOLUME[1:8:2])


def test_enhanced_frames_without_a_place_stay_in_their_order(tmp_path):
    groups = [frame_group(DEPTH * index, 20) for index in (2, 1, 0)]
    del groups[1].PlanePositionSequence
    dicom(VOLUME[:3], PerFrameFunctionalGroupsSequence=groups)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    assert image.affine is None
    np.testing.assert_array_equal(image.pixels, VOLUME[:3])


def test_a_frame_of_a_file_is_a_single_image(tmp_path):
    geometry = {"PixelSpacing": [ROW, COLUMN], "SpacingBetweenSlices": DEPTH}
    dicom(VOLUME, **geometry)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm", frame=2)
    assert (image.axes, image.spacing) == ("YX", (ROW, COLUMN))
    np.testing.assert_array_equal(image.pixels, VOLUME[2])
    assert image.notes == ("took frame 2 of 9",)
    with pytest.raises(uh.ImageError, match="frames 0 to 8, there is no frame 9"):
        uh.read_image(tmp_path / "a.dcm", frame=9)
    dicom(VOLUME[0])(tmp_path / "b.dcm")
    np.testing.assert_array_equal(uh.read_image(tmp_path / "b.dcm", frame=0).pixels, VOLUME[0])


def test_frames_without_a_distance_have_no_spacing(tmp_path):
    dicom(VOLUME, PixelSpacing=[ROW, COLUMN])(tmp_path / "a.dcm")
    assert uh.read_image(tmp_path / "a.dcm").spacing is None
    dicom(VOLUME, PixelSpacing=[ROW, COLUMN], SliceThickness=4)(tmp_path / "a.dcm")
    assert uh.read_image(tmp_path / "a.dcm").spacing == (4, ROW, COLUMN)


@pytest.mark.parametrize("preamble", [b"II*\0" + bytes(124), b"MM\0*" + bytes(124), None])
def test_any_preamble_or_none(preamble, tmp_path):
    path = tmp_path / "a"
    dicom(VOLUME[0])(path)
    whole = path.read_bytes()
    path.write_bytes(whole[132:] if preamble is None else preamble + whole[128:])
    np.testing.assert_array_equal(uh.read_image(path).pixels, VOLUME[0])


def test_zeros_after_a_tag_are_no_dicom():
    from unet_helpers.images.dicom import looks_like_dicom

    assert looks_like_dicom(b"\x08\0\x05\0CS")
    assert looks_like_dicom(b"\x02\0\0\0\0\0\0\x01")
    assert not looks_like_dicom(b"\x08\0\x05\0\0\0\0\0\x01")
    assert not looks_like_dicom(b"\x08\0\x05\x01CS")
    assert not looks_like_dicom(b"\x08\0\x05\0")
    assert looks_like_dicom(bytes(128) + b"DICM")
    assert not looks_like_dicom(bytes(127) + b"DICM")


def test_an_inverse_presentation_is_said(tmp_path):
    dicom(VOLUME[0], PresentationLUTShape="INVERSE")(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, 65535 - VOLUME[0])
    assert image.notes == ("inverted: the file stores white as the lowest value",)


def test_signed_values_are_inverted_within_their_own_range(tmp_path):
    values = VOLUME[0].astype(np.int16) - 400
    dicom(values, "MONOCHROME1")(tmp_path / "a.dcm")
    np.testing.assert_array_equal(uh.read_image(tmp_path / "a.dcm").pixels, -1 - values)


def test_values_are_shifted_also_where_their_scale_is_1(tmp_path):
    dicom(VOLUME[0], RescaleSlope=1, RescaleIntercept=-1024)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, VOLUME[0].astype(np.float32) - 1024)
    assert image.notes == ("values scaled by 1 and shifted by -1024, as the file says",)


def test_pydicoms_own_files_are_read_or_refused_for_a_reason():
    """What is refused has no image, needs a codec that is not installed, or is really damaged."""
    files = sorted(Path(pydicom.data.__path__[0]).rglob("*.dcm"))
    if not files:
        pytest.skip("this pydicom comes without test files")
    refusals = {}
    for path in files:
        try:
            assert uh.read_image(path).pixels.size > 0
        except uh.ImageError as error:
            message = str(error)
            assert path.name in message
            refusals[path.name] = message

    vague = {name for name, words in refusals.items() if "damaged or unusual" in words}
    count = len(files) - len(refusals)
    print(f"{count} read of {len(files)}; vague: {vague}", *refusals.values(), sep="\n")
    assert vague <= {"MR_truncated.dcm", "badVR.dcm"}
    assert count >= 60
