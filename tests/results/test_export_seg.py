"""DICOM segmentations: of series, single files, frames, photographs, and de-identified files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.chests import chest_result
from helpers.files import dicom
from helpers.results import disc, result_of_labels, result_of_mask
from helpers.series import AXIAL, DEPTH, VOLUME, frame_group, write_series

from unet_helpers.errors import SaveError
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.read import read_image

highdicom = pytest.importorskip("highdicom")

IDENTITY = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
PATIENT = {
    "PatientID": "1",
    "PatientName": "A^B",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyID": "",
    "StudyDate": "20200101",
    "StudyTime": "",
    "AccessionNumber": "",
    "Modality": "MR",
    "ReferringPhysicianName": "",
    "FrameOfReferenceUID": "1.4",
}
GEOMETRY = {
    "PixelSpacing": [0.7, 0.5],
    "ImageOrientationPatient": list(AXIAL),
    "SliceThickness": 1.5,
}


def written(image: MedicalImage, labels: np.ndarray, path: Path, classes=("lesion",)):
    """The segmentation with these labels, as highdicom reads it again."""
    result = replace(result_of_labels(labels, len(classes), classes=classes), image=image)
    return highdicom.seg.segread(result.export(path / "seg.dcm"))


def random_labels(image: MedicalImage, classes: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, classes + 1, image.spatial_shape)


def test_labels_of_a_series_are_written_slice_by_slice(tmp_path):
    """One slice of six is missing, and the files lie in another order than the slices."""
    series = tmp_path / "series"
    series.mkdir()
    for name, i in enumerate([3, 0, 5, 1, 4]):
        pixels = np.full((24, 31), i, np.int16)
        position = [-10, 20, 30 + 1.5 * i]
        write = dicom(pixels, **IDENTITY, **PATIENT, **GEOMETRY, ImagePositionPatient=position)
        write(series / f"{name}.dcm")

    image = read_image(series)
    labels = random_labels(image, 2)
    read = written(image, labels, tmp_path, ("anterior", "posterior"))

    assert [read.get_segment_description(i).segment_label for i in (1, 2)] == [
        "anterior",
        "posterior",
    ]
    assert read.get_segment_description(1).algorithm_identification.name == "small"
    assert (read.Manufacturer, read.ManufacturerModelName) == ("unet_helpers", "small")
    assert read.FrameOfReferenceUID == "1.4"
    for path in series.iterdir():
        source = pydicom.dcmread(path)
        value = int(source.pixel_array[0, 0])
        # The missing slice 2 is filled in when the series is read.
        found = read.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)
        np.testing.assert_array_equal(found[0], labels[value])


def test_labels_of_one_file_are_written(tmp_path):
    pixels = np.arange(24 * 31, dtype=np.int16).reshape(24, 31)
    tags = {**IDENTITY, **PATIENT, **GEOMETRY, "ImagePositionPatient": [-10, 20, 30]}
    dicom(pixels, **tags)(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")
    labels = (pixels % 7 == 0).astype(int)
    np.testing.assert_array_equal(written(image, labels, tmp_path).pixel_array.squeeze(), labels)


def test_classes_that_overlap_are_segments_that_overlap(tmp_path):
    pixels = np.arange(80 * 120, dtype=np.int16).reshape(80, 120)
    tags = {**IDENTITY, **PATIENT, **GEOMETRY, "ImagePositionPatient": [-10, 20, 30]}
    dicom(pixels, **tags)(tmp_path / "x.dcm")
    result = chest_result(image=read_image(tmp_path / "x.dcm"))
    read = highdicom.seg.segread(result.export(tmp_path / "seg.dcm"))
    for number, name in enumerate(result.card.classes, 1):
        assert read.get_segment_description(number).segment_label == name
        source = read.get_source_image_uids()[0][2]
        found = read.get_pixels_by_source_instance([source], segment_numbers=[number])
        np.testing.assert_array_equal(found[0, ..., 0], result.mask(name))


@pytest.mark.parametrize("sop_class", ["MRImageStorage", "SecondaryCaptureImageStorage"])
def test_files_without_a_patient_are_written(sop_class, tmp_path):
    """The frame of reference and the thickness are missing, too."""
    series = tmp_path / "series"
    tags = {"StudyInstanceUID": "1.2", "SOPClassUID": getattr(pydicom.uid, sop_class)}
    write_series(series, range(4), "1.3", **tags)
    image = read_image(series)
    labels = random_labels(image)
    read = written(image, labels, tmp_path)

    assert (read.PatientID, read.PatientName, read.StudyInstanceUID) == ("", "", "1.2")
    assert read.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.3"
    for index in range(4):
        source = pydicom.dcmread(series / f"1.3-{index}.IMA")
        found = read.get_pixels_by_source_instance([source.SOPInstanceUID])
        np.testing.assert_array_equal(found[0, ..., 0], labels[index])
        place = read.PerFrameFunctionalGroupsSequence
        positions = [group.PlanePositionSequence[0].ImagePositionPatient for group in place]
        assert list(source.ImagePositionPatient) in [list(position) for position in positions]


@pytest.mark.filterwarnings("ignore")  # pydicom warns of these values
@pytest.mark.parametrize(
    "tags", [{"PatientSex": "X"}, {"PatientBirthDate": "ANON"}, {"StudyTime": "?"}]
)
def test_invalid_words_of_de_identification_are_left_empty(tags, tmp_path):
    dicom(VOLUME[0], **(IDENTITY | PATIENT | tags))(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")
    read = written(image, random_labels(image), tmp_path)
    (name,) = tags
    assert not read.get(name)


@pytest.mark.parametrize(
    "sop_class",
    [
        "VLPhotographicImageStorage",
        "OphthalmicPhotography8BitImageStorage",
        "SecondaryCaptureImageStorage",
        "MultiFrameTrueColorSecondaryCaptureImageStorage",
        "VLEndoscopicImageStorage",
    ],
)
@pytest.mark.parametrize("reference", [{}, {"FrameOfReferenceUID": "1.4"}])
def test_a_colour_photograph_is_written(sop_class, reference, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)
    uid = getattr(pydicom.uid, sop_class)
    dicom(pixels, "RGB", 3, **IDENTITY, **reference, SOPClassUID=uid)(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")
    assert image.axes == "YXC"
    labels = random_labels(image)
    read = written(image, labels, tmp_path)

    source = pydicom.dcmread(tmp_path / "x.dcm")
    found = read.get_pixels_by_source_instance([source.SOPInstanceUID])
    np.testing.assert_array_equal(found[0, ..., 0], labels)
    (series,) = read.ReferencedSeriesSequence
    assert series.ReferencedInstanceSequence[0].ReferencedSOPClassUID == uid


def write_enhanced(path: Path, order: list[int], echoes: tuple[float, ...] = (20,)) -> None:
    groups = [frame_group(DEPTH * index, echo) for index in order for echo in echoes]
    tags = IDENTITY | {"SOPClassUID": pydicom.uid.EnhancedMRImageStorage, "Modality": "MR"}
    frames = np.repeat(VOLUME[order], len(echoes), axis=0)
    dicom(frames, PerFrameFunctionalGroupsSequence=groups, **tags)(path)


def test_frames_of_an_enhanced_file_are_written(tmp_path):
    order = [3, 0, 2, 1]
    write_enhanced(tmp_path / "x.dcm", order)
    image = read_image(tmp_path / "x.dcm")
    labels = random_labels(image)
    read = written(image, labels, tmp_path)

    uid = pydicom.dcmread(tmp_path / "x.dcm").SOPInstanceUID
    for frame, index in enumerate(order, 1):
        found = read.get_pixels_by_source_frame(uid, [frame])
        np.testing.assert_array_equal(found[0, ..., 0], labels[index])
    (reference,) = read.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert reference.ReferencedSOPClassUID == pydicom.uid.EnhancedMRImageStorage


def test_frames_of_the_chosen_echo_are_referred_to(tmp_path):
    write_enhanced(tmp_path / "x.dcm", [0, 1, 2], echoes=(20, 80))
    image = read_image(tmp_path / "x.dcm", select="EchoTime=80")
    labels = random_labels(image)
    read = written(image, labels, tmp_path)
    uid = pydicom.dcmread(tmp_path / "x.dcm").SOPInstanceUID
    for index in range(3):
        found = read.get_pixels_by_source_frame(uid, [2 * index + 2])
        np.testing.assert_array_equal(found[0, ..., 0], labels[index])


@pytest.mark.parametrize("frame", [0, 2])
def test_one_frame_of_a_film_is_written(frame, tmp_path):
    dicom(VOLUME[:4], FrameTime=40, **IDENTITY)(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm", frame=frame)
    labels = random_labels(image)
    read = written(image, labels, tmp_path)
    np.testing.assert_array_equal(read.pixel_array.squeeze(), labels)
    shared = read.get("SharedFunctionalGroupsSequence")[0]
    groups = [shared, *read.PerFrameFunctionalGroupsSequence]
    (source,) = [
        group.DerivationImageSequence[0].SourceImageSequence[0]
        for group in groups
        if "DerivationImageSequence" in group
    ]
    assert source.ReferencedFrameNumber == frame + 1


def test_a_series_whose_uid_differs_by_slice_keeps_its_uids(tmp_path):
    series = tmp_path / "series"
    tags = {"StudyInstanceUID": "1.2", "SeriesNumber": 4}
    for index in range(4):
        write_series(series, [index], f"1.3.{index}", **tags)
    image = read_image(series)
    read = written(image, random_labels(image), tmp_path)
    for one in read.ReferencedSeriesSequence:
        number = one.SeriesInstanceUID.rpartition(".")[2]
        source = pydicom.dcmread(series / f"{one.SeriesInstanceUID}-{number}.IMA")
        (reference,) = one.ReferencedInstanceSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert len(read.ReferencedSeriesSequence) == 4


def test_a_segmentation_beside_its_series_is_not_read_as_an_image(tmp_path):
    write_series(tmp_path, range(4), "1.3", StudyInstanceUID="1.2", Modality="MR")
    image = read_image(tmp_path)
    written(image, random_labels(image), tmp_path)
    again = read_image(tmp_path)
    np.testing.assert_array_equal(again.pixels, image.pixels)
    assert "left out the series" in again.notes[0]


@pytest.mark.parametrize(
    ("name", "charset"), [("Müller^Jörg", "ISO_IR 100"), ("山田^太郎", "ISO_IR 192")]
)
def test_a_name_in_any_script_is_kept(name, charset, tmp_path):
    tags = IDENTITY | PATIENT | {"SpecificCharacterSet": charset, "PatientName": name}
    dicom(VOLUME[0], **tags)(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")
    assert written(image, random_labels(image), tmp_path).PatientName == name


def test_what_is_no_slice_of_dicom_files_is_refused(tmp_path):
    with pytest.raises(SaveError, match=r"a\.dcm: only where the input was DICOM files of one"):
        result_of_mask(disc(20, 30, 8)).export(tmp_path / "a.dcm")

    dicom(VOLUME[:4], FrameTime=40, **IDENTITY)(tmp_path / "film.dcm")
    image = read_image(tmp_path / "film.dcm")
    film = replace(result_of_labels(random_labels(image), 1), image=image)
    with pytest.raises(SaveError, match=r"a\.dcm: only where.*one frame of a film with frame="):
        film.export(tmp_path / "a.dcm")


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_files_without_an_identity_are_refused_in_words(name, tmp_path):
    tags = {key: value for key, value in IDENTITY.items() if key != name}
    dicom(VOLUME[0], **tags)(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")
    words = rf"seg\.dcm: no DICOM segmentation of these files \(x\.dcm has no {name}\)"
    with pytest.raises(SaveError, match=words):
        written(image, random_labels(image), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.dcm"]
