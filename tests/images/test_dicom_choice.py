"""Several images in the same places of a DICOM series or file: left out, or chosen between."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.files import dicom
from helpers.series import AXIAL, COLUMN, DEPTH, ROW, VOLUME, frame_group, write_series
from pydicom import Dataset

import unet_helpers as uh
from unet_helpers.inference.sources import find_images

MAGNITUDE = ["ORIGINAL", "PRIMARY", "M", "FFE"]
PHASE = ["ORIGINAL", "PRIMARY", "P", "FFE"]
MR_IMAGE = pydicom.uid.MRImageStorage


@pytest.mark.parametrize("phase", [PHASE, ["DERIVED", "PRIMARY", "PHASE MAP", "P", "FFE"]])
def test_phase_images_among_magnitude_images_are_left_out_or_chosen(phase, tmp_path):
    write_series(tmp_path, ImageType=MAGNITUDE, Modality="MR")
    write_series(tmp_path / "phase", values=VOLUME + 7, ImageType=phase, Modality="MR")

    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    (note,) = image.notes
    assert note.startswith("left out 9 images of the phase (select='ImageType=")

    choice = note.split("'")[1]
    for select in ("ImageType=P", choice):
        image = uh.read_image(tmp_path, select=select)
        np.testing.assert_array_equal(image.pixels, VOLUME + 7)
        assert image.notes == ()


@pytest.mark.parametrize("part", ["P", "R", "I"])
def test_a_series_of_the_phase_beside_that_of_the_magnitude_is_left_out(part, tmp_path):
    write_series(tmp_path / "a", uid="1.2", ImageType=MAGNITUDE, Modality="MR", SeriesNumber=3)
    kind = ["ORIGINAL", "PRIMARY", part, "ND"]
    other = VOLUME + 7
    write_series(tmp_path / "b", uid="1.3", values=other, ImageType=kind, Modality="MR")

    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    (note,) = image.notes
    component = {"P": "phase", "R": "real", "I": "imaginary"}[part]
    assert note.startswith(f"left out the series 1.3 (MR, {component}, ")
    np.testing.assert_array_equal(uh.read_image(tmp_path, series="1.3").pixels, other)
    np.testing.assert_array_equal(uh.read_image(tmp_path / "b").pixels, other)


def test_real_and_imaginary_images_have_to_be_chosen_between(tmp_path):
    for index, part in enumerate("RI"):
        kind = ["ORIGINAL", "PRIMARY", part]
        write_series(tmp_path / part, values=VOLUME + index, ImageType=kind, Modality="MR")
    with pytest.raises(uh.ImageError, match="ImageType=ORIGINAL/PRIMARY/I"):
        uh.read_image(tmp_path)
    image = uh.read_image(tmp_path, select="ImageType=ORIGINAL/PRIMARY/R")
    np.testing.assert_array_equal(image.pixels, VOLUME)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("EchoNumbers", (1, 2)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "A"], ["DERIVED", "SECONDARY", "B"])),
        ("ContentTime", ("101500", "102000")),
        ("AcquisitionTime", ("101500.25", "102000.5")),
        ("ConvolutionKernel", ("B30f", "B70f")),
    ],
)
def test_two_acquisitions_in_one_series_are_listed_and_chosen(name, values, tmp_path):
    for index, value in enumerate(values):
        write_series(tmp_path / str(index), values=VOLUME + index, **{name: value})
    with pytest.raises(uh.ImageError, match=f"choose one with select=.*'{name}=") as refusal:
        uh.read_image(tmp_path)

    choices = [word for word in str(refusal.value).split("'") if word.startswith(f"{name}=")]
    assert len(choices) == 2
    read = [uh.read_image(tmp_path, select=choice).pixels for choice in choices]
    found = sorted(int((pixels - VOLUME).max()) for pixels in read)
    assert found == [0, 1]


def test_acquisitions_at_other_heights_are_listed_too(tmp_path):
    write_series(tmp_path, AcquisitionNumber=1)
    write_series(tmp_path / "b", orientation=AXIAL, AcquisitionNumber=2, step=DEPTH * 1.1)
    with pytest.raises(uh.ImageError, match=r"'AcquisitionNumber=1' \(9\)"):
        uh.read_image(tmp_path)
    image = uh.read_image(tmp_path, select="acquisitionnumber=2")
    assert image.spacing[0] == pytest.approx(DEPTH * 1.1)


def test_an_acquisition_number_for_each_slice_is_no_reason_to_refuse(tmp_path):
    for index in range(9):
        write_series(tmp_path, [index], AcquisitionNumber=index)
    np.testing.assert_array_equal(uh.read_image(tmp_path).pixels, VOLUME)


def test_a_slice_that_was_acquired_again_is_chosen_by_its_acquisition(tmp_path):
    write_series(tmp_path, AcquisitionNumber=1)
    write_series(tmp_path / "again", [4], values=VOLUME + 1, AcquisitionNumber=2)
    with pytest.raises(uh.ImageError, match=r"'AcquisitionNumber=1' \(9\)"):
        uh.read_image(tmp_path)
    image = uh.read_image(tmp_path, select="AcquisitionNumber=1")
    np.testing.assert_array_equal(image.pixels, VOLUME)


def test_a_time_for_each_slice_is_not_offered_as_a_choice(tmp_path):
    for repetition in range(2):
        for index in range(9):
            folder = tmp_path / str(repetition)
            time = f"1012{10 * repetition + index // 2:02d}"
            write_series(folder, [index], values=VOLUME + repetition, AcquisitionTime=time)
    with pytest.raises(uh.ImageError, match="Repetition=2"):
        uh.read_image(tmp_path)


def test_two_attributes_are_chosen_one_after_the_other(tmp_path):
    for echo in (1, 2):
        for acquisition in (1, 2):
            values = VOLUME + 10 * echo + acquisition
            tags = {"EchoNumbers": echo, "AcquisitionNumber": acquisition}
            write_series(tmp_path / f"{echo}{acquisition}", values=values, **tags)
    with pytest.raises(uh.ImageError, match="EchoNumbers=1"):
        uh.read_image(tmp_path)
    with pytest.raises(uh.ImageError, match="AcquisitionNumber=2"):
        uh.read_image(tmp_path, select="EchoNumbers=2")
    image = uh.read_image(tmp_path, select="EchoNumbers=2, AcquisitionNumber=1")
    np.testing.assert_array_equal(image.pixels, VOLUME + 21)


@pytest.mark.parametrize("name", ["InstanceNumber", "ContentTime"])
def test_images_told_apart_by_their_number_or_time_are_chosen_by_repetition(name, tmp_path):
    for repetition in range(2):
        for index in range(9):
            number = 10 * repetition + index
            value = f"1012{number:02d}" if name == "ContentTime" else number
            folder = tmp_path / str(repetition)
            write_series(folder, [index], values=VOLUME + repetition, **{name: value})
    with pytest.raises(uh.ImageError, match="'Repetition=1' to 'Repetition=2'"):
        uh.read_image(tmp_path)
    image = uh.read_image(tmp_path, select="Repetition=2")
    np.testing.assert_array_equal(image.pixels, VOLUME + 1)
    with pytest.raises(uh.ImageError, match="repetitions 1 to 2, not 3"):
        uh.read_image(tmp_path, select="Repetition=3")


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ("AcquisitionNumber", "no choice.*AcquisitionNumber=2"),
        ("Acquisition=2", "no attribute 'Acquisition'"),
        ("AcquisitionNumber=9", r"nothing has AcquisitionNumber=9.*'AcquisitionNumber=1' \(9\)"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_in_words(select, words, tmp_path):
    write_series(tmp_path, AcquisitionNumber=1)
    with pytest.raises(uh.ImageError, match=words):
        uh.read_image(tmp_path, select=select)
    with pytest.raises(uh.ImageError, match=words.replace("9)", "1)").replace("(9", "(1")):
        uh.read_image(next(tmp_path.glob("*.IMA")), select=select)


def test_select_is_refused_for_files_that_do_not_know_it():
    with pytest.raises(uh.ImageError, match="no select to choose"):
        uh.read_image(uh.sample("retina"), select="AcquisitionNumber=1")


def screenshot_in_colour(path: Path) -> None:
    dicom(np.full((40, 50, 3), 90, np.uint8), "RGB", 3, SeriesInstanceUID="1.2")(path)


def screenshot_in_grey(path: Path) -> None:
    kind = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    dicom(VOLUME[0] + 5, SeriesInstanceUID="1.2", ImageType=kind)(path)


def dose_report_with_a_position(path: Path) -> None:
    dicom(
        np.full((40, 50), 90, np.uint16),
        SeriesInstanceUID="1.2",
        ImageType=["DERIVED", "SECONDARY", "OTHER"],
        ImagePositionPatient=[0, 0, 0],
        ImageOrientationPatient=list(AXIAL),
        PixelSpacing=[1, 1],
    )(path)


def secondary_capture_of_a_slice(path: Path) -> None:
    write_series(path.parent, [4], values=VOLUME + 5, name=path.name)


def derived_image_in_the_place_of_a_slice(path: Path) -> None:
    kind = ["DERIVED", "SECONDARY"]
    write_series(
        path.parent, [4], values=VOLUME + 5, name=path.name, SOPClassUID=MR_IMAGE, ImageType=kind
    )


CAPTURES = [
    derived_image_in_the_place_of_a_slice,
    screenshot_in_colour,
    screenshot_in_grey,
    dose_report_with_a_position,
    secondary_capture_of_a_slice,
]


@pytest.mark.parametrize("write", CAPTURES)
def test_a_screenshot_in_a_series_is_left_out(write: Callable[[Path], None], tmp_path):
    write_series(tmp_path, SOPClassUID=MR_IMAGE)
    write(tmp_path / "shot.dcm")
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.notes == (
        "left out 1 image of the series that is no slice (a screenshot, a report?): shot.dcm",
    )
    (source,) = find_images(tmp_path)
    assert (source.image, source.options) == (tmp_path, {"series": "1.2"})


def write_split_series(folder: Path, study: str = "9.1", **tags) -> None:
    for index in range(9):
        uid = f"1.2.{index}"
        write_series(folder, [index], uid, StudyInstanceUID=study, SeriesNumber=4, **tags)


def test_a_series_whose_uid_differs_by_slice_is_joined(tmp_path):
    write_split_series(tmp_path)
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    (note,) = image.notes
    assert note == "joined 9 series of different UIDs: their slices make up one volume"

    (source,) = find_images(tmp_path)
    joined = uh.read_image(source.image, **source.options)
    np.testing.assert_array_equal(joined.pixels, VOLUME)


def test_a_screenshot_with_the_number_of_a_split_series_is_left_out(tmp_path):
    write_split_series(tmp_path)
    tags = {"SeriesInstanceUID": "1.9", "SeriesNumber": 4, "StudyInstanceUID": "9.1"}
    dicom(np.zeros((40, 50, 3), np.uint8), "RGB", 3, **tags)(tmp_path / "shot.dcm")
    for series in (None, 4, "1.2.3"):
        np.testing.assert_array_equal(uh.read_image(tmp_path, series=series).pixels, VOLUME)


def test_a_series_in_two_parts_is_joined(tmp_path):
    tags = {"StudyInstanceUID": "9.1", "SeriesNumber": 4}
    write_series(tmp_path, range(4), "1.2", **tags)
    write_series(tmp_path, range(4, 9), "1.3", **tags)
    np.testing.assert_array_equal(uh.read_image(tmp_path, series=4).pixels, VOLUME)


@pytest.mark.parametrize("tags", [{}, {"SeriesNumber": 4}])
def test_slices_whose_study_lost_its_uid_are_joined(tags, tmp_path):
    """De-identification may give every file a study of its own, or none."""
    for index in range(9):
        study = {"StudyInstanceUID": f"9.{index}"} if tags else {}
        write_series(tmp_path, [index], f"1.2.{index}", **tags, **study)
    np.testing.assert_array_equal(uh.read_image(tmp_path).pixels, VOLUME)


def test_acquisitions_of_slices_with_a_uid_each_are_chosen(tmp_path):
    write_split_series(tmp_path, AcquisitionNumber=1)
    for index in range(9):
        tags = {"StudyInstanceUID": "9.1", "SeriesNumber": 4, "AcquisitionNumber": 2}
        folder = tmp_path / "second"
        write_series(folder, [index], f"1.3.{index}", values=VOLUME + 1, **tags)
    with pytest.raises(uh.ImageError, match="holds 2 acquisitions"):
        uh.read_image(tmp_path)
    image = uh.read_image(tmp_path, select="AcquisitionNumber=2")
    np.testing.assert_array_equal(image.pixels, VOLUME + 1)


def test_single_slices_that_are_not_evenly_spaced_are_not_joined(tmp_path):
    for place, uid in ((0, "1.1"), (1, "1.2"), (8, "1.3"), (8, "1.4")):
        write_series(tmp_path, [place], uid, step=DEPTH * 1.01**place)
    with pytest.raises(uh.ImageError, match="holds 4 series"):
        uh.read_image(tmp_path)


def test_one_of_two_views_in_a_series_is_chosen(tmp_path):
    for index, view in enumerate(("PA", "LL")):
        tags = {"SeriesInstanceUID": "1", "ViewPosition": view, "Modality": "DX"}
        dicom(VOLUME[index], **tags)(tmp_path / f"{view}.dcm")
    with pytest.raises(uh.ImageError, match=r"not say where they lie, choose.*'ViewPosition=LL'"):
        uh.read_image(tmp_path)
    image = uh.read_image(tmp_path, select="ViewPosition=PA")
    np.testing.assert_array_equal(image.pixels, VOLUME[0])
    assert image.view == "PA"
    assert len(find_images(tmp_path)) == 2


def test_phase_images_of_ge_are_known_by_a_private_element(tmp_path):
    for part in range(2):
        folder = tmp_path / str(part)
        write_series(folder, values=VOLUME + part, Modality="MR")
        for path in folder.iterdir():
            data = pydicom.dcmread(path)
            block = data.private_block(0x0043, "GEMS_PARM_01", create=True)
            block.add_new(0x2F, "SS", part)
            data.save_as(path)
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.notes == ("left out 9 images of the phase (select='ComplexImageComponent=PHASE')",)
    image = uh.read_image(tmp_path, select="ComplexImageComponent=PHASE")
    np.testing.assert_array_equal(image.pixels, VOLUME + 1)


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesNumber", "SeriesDescription"])
def test_series_that_differ_in_more_than_their_uid_are_not_joined(name, tmp_path):
    tags = {"StudyInstanceUID": "9.1", "SeriesNumber": 4, "SeriesDescription": "a"}
    write_series(tmp_path, range(4), "1.2", **tags)
    write_series(tmp_path, range(4, 9), "1.3", **(tags | {name: "5"}))
    with pytest.raises(uh.ImageError, match="holds 2 series"):
        uh.read_image(tmp_path)


def test_series_in_the_same_places_are_not_joined(tmp_path):
    tags = {"StudyInstanceUID": "9.1", "SeriesNumber": 4}
    write_series(tmp_path, range(4), "1.2", **tags)
    write_series(tmp_path, range(4), "1.3", values=VOLUME + 1, **tags)
    with pytest.raises(uh.ImageError, match="holds 2 series"):
        uh.read_image(tmp_path)


def test_a_file_of_another_series_is_refused(tmp_path):
    write_series(tmp_path, [0], "1.2", SeriesNumber=4)
    path = tmp_path / "1.2-0.IMA"
    for name in (4, "4", "1.2"):
        assert uh.read_image(path, series=name).axes == "YX"
    with pytest.raises(uh.ImageError, match=r"not of the series '5', but of 1\.2, 4"):
        uh.read_image(path, series=5)


def frame_of_kind(depth: float, kind: list[str], component: str) -> Dataset:
    group = frame_group(depth, 20)
    frame_type = Dataset()
    frame_type.FrameType = kind
    frame_type.ComplexImageComponent = component
    group.MRImageFrameTypeSequence = [frame_type]
    return group


def test_phase_frames_of_an_enhanced_file_are_left_out(tmp_path):
    kinds = [(MAGNITUDE, "MAGNITUDE"), (PHASE, "PHASE")]
    groups = [frame_of_kind(DEPTH * index, *kind) for index in range(4) for kind in kinds]
    tags = {"PerFrameFunctionalGroupsSequence": groups, "Modality": "MR"}
    dicom(VOLUME[:8], **tags)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, VOLUME[0:8:2])
    assert image.notes[0].startswith("left out 4 images of the phase")
    image = uh.read_image(tmp_path / "a.dcm", select="ComplexImageComponent=phase")
    np.testing.assert_array_equal(image.pixels, VOLUME[1:8:2])


def test_points_in_time_of_an_enhanced_file_are_chosen(tmp_path):
    groups = []
    for index in range(4):
        for time in (1, 2):
            group = frame_group(DEPTH * index, 20)
            content = Dataset()
            content.TemporalPositionIndex = time
            group.FrameContentSequence = [content]
            groups.append(group)
    dicom(VOLUME[:8], PerFrameFunctionalGroupsSequence=groups)(tmp_path / "a.dcm")
    with pytest.raises(uh.ImageError, match=r"2 points in time.*TemporalPositionIdentifier=2"):
        uh.read_image(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm", select="TemporalPositionIdentifier=2")
    np.testing.assert_array_equal(image.pixels, VOLUME[1:8:2])
    with pytest.raises(uh.ImageError, match="not both"):
        uh.read_image(tmp_path / "a.dcm", frame=0, select="EchoTime=20")


def test_an_enhanced_file_alone_in_a_folder_lies_where_its_frames_say(tmp_path):
    groups = [frame_group(DEPTH * index, 20) for index in (2, 0, 1)]
    write = dicom(VOLUME[[2, 0, 1]], PerFrameFunctionalGroupsSequence=groups)
    write(tmp_path / "a.dcm")
    (tmp_path / "readme.txt").write_text("no image")
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME[:3])
    assert image.spacing == pytest.approx((DEPTH, ROW, COLUMN))


def test_a_damaged_slice_of_a_series_is_named(tmp_path):
    write_series(tmp_path, range(3))
    path = tmp_path / "1.2-1.IMA"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(uh.ImageError, match=r"1\.2-1\.IMA: damaged or unusual"):
        uh.read_image(tmp_path)
