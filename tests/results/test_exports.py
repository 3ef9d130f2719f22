"""What leaves for other programs is read back by their own libraries."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import shapely
from helpers.files import dicom
from helpers.networks import make_network

from unet_helpers.errors import SaveError
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.read import read_image
from unet_helpers.results.exports import polygons
from unet_helpers.results.measurements import in_words
from unet_helpers.results.segmentation import Segmentation

Y, X = np.mgrid[:80, :120]


def disc(y, x, r):
    return (Y - y) ** 2 + (X - x) ** 2 <= r**2


def result_of(mask, axes=None, **more):
    card = {
        name: more.pop(name) for name in ("instance_method", "objects", "measures") if name in more
    }
    image = MedicalImage(
        np.full(mask.shape, 7, np.uint8), axes or {2: "YX", 3: "ZYX"}[mask.ndim], **more
    )
    return Segmentation(
        image, replace(make_network(1).card, **card), mask[None].astype(np.float32), 0.5
    )


RING = disc(40, 40, 20) & ~disc(40, 40, 8) & ~disc(28, 40, 2)


def test_geojson_has_the_areas_of_the_pixels_holes_included(tmp_path):
    result = result_of(RING | disc(20, 100, 9) | disc(70, 110, 0))
    path = result.export(tmp_path / "a.geojson")
    features = json.loads(path.read_text())["features"]
    sizes = np.bincount(result.objects.flat)
    assert len(features) == 3
    for feature in features:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == sizes[feature["properties"]["object"]]
        assert feature["properties"]["classification"] == {
            "name": "class 1",
            "color": [230, 159, 0],
        }
        assert feature["properties"]["objectType"] == "annotation"
    assert (
        max(len(f["geometry"]["coordinates"]) for f in features) == 3
    )  # the ring and its two holes


@pytest.mark.parametrize("seed", range(20))
def test_outlines_of_any_mask_are_valid_and_cover_it_exactly(seed):
    mask = np.random.default_rng(seed).random((13, 17)) < 0.3 + seed / 40
    union = shapely.geometry.MultiPolygon([(p[0], p[1:]) for p in polygons(mask)])
    assert union.is_valid
    assert union.area == mask.sum()
    for y, x in np.ndindex(mask.shape):
        assert union.contains(shapely.Point(x + 0.5, y + 0.5)) == mask[y, x]


def test_rois_load_in_roifile_one_an_object_and_slice(tmp_path):
    roifile = pytest.importorskip("roifile")
    result = result_of(np.stack([disc(40, 40, 20), RING]))
    rois = roifile.roiread(result.export(tmp_path / "a.roi.zip"))
    assert len(rois) == 2
    assert [roi.position for roi in rois] == [1, 2]
    y, x = np.nonzero(disc(40, 40, 20))
    assert (rois[0].left, rois[0].top, rois[0].right, rois[0].bottom) == (
        x.min(),
        y.min(),
        x.max() + 1,
        y.max() + 1,
    )
    assert len(rois[1].coordinates(multi=True)) == 3


@pytest.mark.parametrize("ending", [".seg.nrrd", ".nii.gz"])
def test_labels_keep_their_place_in_the_patient(tmp_path, ending):
    sitk = pytest.importorskip("SimpleITK")
    if ending == ".seg.nrrd":
        pytest.importorskip("slicerio")
    mask = np.zeros((4, 5, 6), bool)  # (Z, Y, X)
    mask[1:3, 2:4, 1:5] = True
    affine = np.array([[-0.5, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 2.0, 30], [0, 0, 0, 1]])
    result = result_of(mask, spacing=(2.0, 0.7, 0.5), affine=affine)
    path = result.export(tmp_path / f"a{ending}")
    read = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), result.labels)
    np.testing.assert_allclose(read.GetSpacing(), (0.5, 0.7, 2.0), rtol=1e-6)
    np.testing.assert_allclose(
        read.TransformIndexToPhysicalPoint((1, 2, 3)), (-9.5, -18.6, 36), rtol=1e-6
    )  # LPS
    if ending == ".seg.nrrd":
        assert read.GetMetaData("Segment0_Name") == "class 1"
        assert [float(v) for v in read.GetMetaData("Segment0_Color").split()] == pytest.approx(
            [230 / 255, 159 / 255, 0]
        )
    else:
        assert '1 230 159 0 1 1 1 "class 1"' in (tmp_path / "a_labels.txt").read_text()


PATIENT = {
    "PatientID": "1",
    "PatientName": "A",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyInstanceUID": "1.2",
    "StudyID": "",
    "StudyDate": "20200101",
    "StudyTime": "",
    "AccessionNumber": "",
    "Modality": "MR",
    "ReferringPhysicianName": "",
    "FrameOfReferenceUID": "1.4",
    "SeriesInstanceUID": "1.3",
}


def test_labels_of_a_series_become_a_dicom_segmentation_slice_by_slice(tmp_path):
    """One slice of six is missing, and the files lie in another order than the slices."""
    highdicom, pydicom = pytest.importorskip("highdicom"), pytest.importorskip("pydicom")
    geometry = {
        "PixelSpacing": [0.7, 0.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SliceThickness": 1.5,
    }
    (tmp_path / "series").mkdir()
    for name, i in enumerate([3, 0, 5, 1, 4]):
        pixels = np.full((24, 31), i, np.int16)
        write = dicom(pixels, **PATIENT, **geometry, ImagePositionPatient=[-10, 20, 30 + 1.5 * i])
        write(tmp_path / f"series/{name}.dcm")
    image = read_image(tmp_path / "series")
    labels = np.random.default_rng(0).integers(0, 3, image.pixels.shape)
    card = replace(make_network(1).card, classes=("anterior", "posterior"))
    result = Segmentation(
        image, card, np.stack([labels == i for i in range(3)]).astype(np.float32), 0.5
    )
    read = highdicom.seg.segread(result.export(tmp_path / "a.dcm"))
    assert [read.get_segment_description(i).segment_label for i in (1, 2)] == [
        "anterior",
        "posterior",
    ]
    for i, value in ((0, 0), (1, 1), (3, 3), (5, 5)):
        source = next(
            p
            for p in (tmp_path / "series").iterdir()
            if (pydicom.dcmread(p).pixel_array == value).all()
        )
        uid = [pydicom.dcmread(source).SOPInstanceUID]
        np.testing.assert_array_equal(
            read.get_pixels_by_source_instance(uid, combine_segments=True)[0], labels[i]
        )


def test_what_is_no_dicom_or_lacks_what_dicom_needs_is_refused_in_words(tmp_path, monkeypatch):
    pytest.importorskip("highdicom")
    with pytest.raises(SaveError, match="a.dcm: only where the input was DICOM"):
        result_of(RING).export(tmp_path / "a.dcm")
    dicom(np.arange(80 * 120, dtype=np.uint16).reshape(80, 120))(tmp_path / "x.dcm")
    result = replace(result_of(RING), image=read_image(tmp_path / "x.dcm"))
    with pytest.raises(
        SaveError, match="b.dcm: no DICOM segmentation of these files.*StudyInstanceUID"
    ):
        result.export(tmp_path / "b.dcm")
    monkeypatch.setitem(sys.modules, "slicerio", None)
    with pytest.raises(SaveError, match="pip install slicerio"):
        result.export(tmp_path / "c.seg.nrrd")
    assert [p.name for p in tmp_path.iterdir()] == ["x.dcm"]


def test_a_movie_is_measured_frame_by_frame_and_small_steps_in_micrometres():
    table = result_of(np.stack([disc(40, 40, 10)] * 3), "TYX", spacing=(0.0005, 0.0005)).measure()
    assert table.frame.tolist() == [0, 1, 2]
    assert "volume_px" not in table
    assert table.area_um2.tolist() == pytest.approx((table.area_px * 0.25).tolist())
    assert {"centroid_y_px", "centroid_x_px", "eccentricity", "solidity", "perimeter_px"} <= set(
        table
    )


def test_slicewise_objects_have_a_slice_and_cells_no_class():
    walls = np.broadcast_to((X % 40 == 0) | (Y % 40 == 0), (2, 80, 120)).copy()
    table = result_of(walls, instance_method="membranes", objects="slices").measure()
    assert "class" not in table
    assert table.slice.tolist() == [0] * 6 + [1] * 6
    assert "area_px" in table


def test_oblique_voxels_are_smaller_and_edges_are_said():
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, :2, 1:5] = True
    affine = np.array([[1, 0.6, 0, 0], [0, 0.8, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]])
    table = result_of(mask, spacing=(2.0, 1.0, 1.0), affine=affine).measure()
    assert table.volume_mm3.tolist() == pytest.approx([16 * 2 * 0.8])
    assert table.touches_edge.tolist() == ["yes"]


def test_vessels_have_a_length_a_width_and_a_tortuosity():
    line = np.zeros((80, 120), bool)
    line[38:43, 10:110] = True
    result = result_of(line, measures="tree")
    values = result.summary()
    assert values["length"][0] == pytest.approx(100, abs=6)
    assert values["mean width"][0] == pytest.approx(5, abs=1.1)
    assert values["tortuosity"][0] == pytest.approx(1, abs=0.02)
    assert values["of the field"] == (pytest.approx(100 * line.mean()), "%")
    assert in_words(values).startswith("5.21 % of the field, length 9")


def test_names_are_looked_at_before_anything_is_computed(tmp_path, monkeypatch):
    result = result_of(RING)
    result.save(tmp_path, formats=(".geojson",))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    fresh = result_of(RING)
    monkeypatch.setattr(
        "unet_helpers.results.objects.find_objects", lambda r: pytest.fail("computed first")
    )
    with pytest.raises(SaveError, match="already holds"):
        fresh.save(tmp_path)
    with pytest.raises(SaveError, match="no format"):
        fresh.save(tmp_path / "b", formats=(".doc",))
    with pytest.raises(SaveError, match="exists already"):
        fresh.export(next(tmp_path.glob("*.geojson")))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
