"""What leaves for other programs is read back by their own libraries."""

import json
import sys

import nibabel as nib
import numpy as np
import pytest
import shapely
from helpers.results import disc, result_of_labels, result_of_mask

from unet_helpers.errors import SaveError
from unet_helpers.images.image import MedicalImage
from unet_helpers.results.export_labels import in_space, spacing_xyz
from unet_helpers.results.export_outlines import appearances, polygons_of
from unet_helpers.results.exports import EXPORTS

RING = disc(40, 40, 20) & ~disc(40, 40, 8) & ~disc(28, 40, 2)


def features_of(path) -> list[dict]:
    return json.loads(path.read_text())["features"]


def test_geojson_has_the_areas_of_the_pixels_holes_included(tmp_path):
    result = result_of_mask(RING | disc(20, 100, 9) | disc(70, 110, 0))
    features = features_of(result.export(tmp_path / "a.geojson"))
    sizes = np.bincount(result.objects.flat)
    assert len(features) == 3
    for feature in features:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == sizes[feature["properties"]["object"]]
    # The ring and its two holes.
    assert max(len(feature["geometry"]["coordinates"]) for feature in features) == 3


def test_geojson_of_a_single_pixel(tmp_path):
    mask = np.zeros((5, 6), bool)
    mask[1, 3] = True
    (feature,) = features_of(result_of_mask(mask).export(tmp_path / "a.geojson"))
    (ring,) = feature["geometry"].pop("coordinates")
    assert {tuple(corner) for corner in ring} == {(3, 1), (4, 1), (4, 2), (3, 2)}
    assert ring[0] == ring[-1]
    assert feature["properties"].pop("measurements")["area_px"] == 1
    assert feature == {
        "type": "Feature",
        "geometry": {"type": "Polygon"},
        "properties": {
            "objectType": "detection",
            "name": "Object 1",
            "object": 1,
            "classification": {"name": "class 1", "color": [230, 159, 0]},
        },
    }


def test_geojson_says_slice_and_frame_and_has_pieces_of_an_object_together(tmp_path):
    """Two frames of three slices; the object is in two pieces that touch in the slice above."""
    mask = np.zeros((2, 3, 5, 7), bool)
    mask[1, 1, 2, 1] = True
    mask[1, 1, 2, 5] = True
    mask[1, 2, 2, 1:6] = True
    features = features_of(result_of_mask(mask, "TZYX").export(tmp_path / "a.geojson"))
    geometries = [feature["geometry"] for feature in features]
    assert [geometry["type"] for geometry in geometries] == ["MultiPolygon", "Polygon"]
    assert [geometry["plane"] for geometry in geometries] == [
        {"c": -1, "z": 1, "t": 1},
        {"c": -1, "z": 2, "t": 1},
    ]
    assert shapely.geometry.shape(geometries[0]).bounds == (1, 2, 6, 3)


@pytest.mark.parametrize("seed", range(20))
def test_outlines_of_any_mask_are_valid_and_cover_it_exactly(seed):
    mask = np.random.default_rng(seed).random((13, 17)) < 0.3 + seed / 40
    pieces = [(rings[0], rings[1:]) for rings in polygons_of(mask)]
    union = shapely.geometry.MultiPolygon(pieces)
    assert union.is_valid
    assert union.area == mask.sum()
    for y, x in np.ndindex(mask.shape):
        assert union.contains(shapely.Point(x + 0.5, y + 0.5)) == mask[y, x]


def test_outlines_have_corners_only():
    (rings,) = polygons_of(np.ones((4, 6), bool))
    (ring,) = rings
    assert len(ring) == 5


def test_objects_look_like_their_class():
    labels = np.array([[2, 0, 1, 0, 2]])
    result = result_of_labels(labels, 2, colors=("#FF0000", "#0000FF"))
    looks = appearances(result)[1:]
    assert [look.name for look in looks] == ["class 2", "class 1", "class 2"]
    assert [look.colour for look in looks] == [(0, 0, 255), (255, 0, 0), (0, 0, 255)]


def test_objects_without_a_class_look_like_the_card():
    mask = np.zeros((20, 20), bool)
    mask[10] = True
    result = result_of_mask(mask, instance_method="membranes", title="Cells", colors=("#010203",))
    looks = appearances(result)
    assert len(looks) == int(result.objects.max()) + 1 == 3
    assert {(look.name, look.colour) for look in looks} == {("Cells", (1, 2, 3))}


def test_rois_load_in_roifile_one_an_object_and_slice(tmp_path):
    roifile = pytest.importorskip("roifile")
    result = result_of_mask(np.stack([disc(40, 40, 20), RING]))
    rois = roifile.roiread(result.export(tmp_path / "a.roi.zip"))
    assert [roi.name for roi in rois] == ["00001-0001-0001", "00001-0001-0002"]
    assert [roi.position for roi in rois] == [1, 2]
    assert [roi.z_position for roi in rois] == [1, 2]
    assert [roi.t_position for roi in rois] == [1, 1]
    assert [bytes(roi.stroke_color) for roi in rois] == [bytes((255, 230, 159, 0))] * 2
    for roi in rois:
        assert (roi.left, roi.top, roi.right, roi.bottom) == (20, 20, 61, 61)
    assert len(rois[1].coordinates(multi=True)) == 3


def test_a_roi_has_the_corners_of_its_object(tmp_path):
    roifile = pytest.importorskip("roifile")
    mask = np.zeros((9, 9), bool)
    mask[2:4, 3:8] = True
    (roi,) = roifile.roiread(result_of_mask(mask).export(tmp_path / "a.roi.zip"))
    assert roi.name == "00001"
    assert roi.position == 0
    corners = {(3, 2), (8, 2), (8, 4), (3, 4)}
    assert {tuple(corner) for corner in roi.coordinates().tolist()} == corners


def test_a_roi_with_a_hole_draws_both_rings_closed(tmp_path):
    roifile = pytest.importorskip("roifile")
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    (roi,) = roifile.roiread(result_of_mask(mask).export(tmp_path / "a.roi.zip"))
    outer, hole = (ring.tolist() for ring in roi.coordinates(multi=True))
    assert {tuple(corner) for corner in outer} == {(0, 0), (5, 0), (5, 5), (0, 5)}
    assert {tuple(corner) for corner in hole} == {(2, 2), (3, 2), (3, 3), (2, 3)}
    path = roi.multi_coordinates.tolist()
    # 0 x y moves, 1 x y draws a line, 4 closes: four corners a ring.
    assert len(path) == 2 * (4 * 3 + 1)
    assert path[0::3][:5] == [0, 1, 1, 1, 4]


def test_rois_of_a_movie_say_their_frame(tmp_path):
    roifile = pytest.importorskip("roifile")
    result = result_of_mask(np.ones((2, 1, 4, 4), bool), "TZYX")
    rois = roifile.roiread(result.export(tmp_path / "a.roi.zip"))
    assert [roi.t_position for roi in rois] == [1, 2]
    assert [roi.z_position for roi in rois] == [1, 1]
    assert rois[1].name == "00002-0002-0001"


def test_rois_replace_an_earlier_file(tmp_path):
    roifile = pytest.importorskip("roifile")
    path = result_of_mask(disc(20, 20, 5) | disc(50, 50, 5)).export(tmp_path / "a.roi.zip")
    result_of_mask(disc(20, 20, 5)).export(path, overwrite=True)
    assert [roi.name for roi in roifile.roiread(path)] == ["00001"]


def corner_mask() -> np.ndarray:
    """(Z, Y, X) = (4, 5, 6) bool: a box nearer to the first column, row and slice."""
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, 2:4, 1:5] = True
    mask[0, 0, 0] = True
    return mask


AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 2.0, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("ending", [".seg.nrrd", ".nii.gz"])
def test_labels_keep_their_place_in_the_patient(tmp_path, ending):
    sitk = pytest.importorskip("SimpleITK")
    if ending == ".seg.nrrd":
        pytest.importorskip("slicerio")
    result = result_of_mask(corner_mask(), spacing=(2.0, 0.7, 0.5), affine=AFFINE)
    read = sitk.ReadImage(str(result.export(tmp_path / f"a{ending}")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), result.labels)
    np.testing.assert_allclose(read.GetSpacing(), (0.5, 0.7, 2.0), rtol=1e-6)
    # ITK counts to the left and back: both of the affine's first axes are reversed.
    np.testing.assert_allclose(read.GetDirection(), np.eye(3).ravel(), atol=1e-6)
    np.testing.assert_allclose(read.GetOrigin(), (-10, -20, 30), rtol=1e-6)
    point = read.TransformIndexToPhysicalPoint((1, 2, 3))
    np.testing.assert_allclose(point, (-9.5, -18.6, 36), rtol=1e-6)


def test_3d_slicer_reads_names_colours_and_geometry_of_segments(tmp_path):
    slicerio = pytest.importorskip("slicerio")
    labels = np.zeros((4, 5, 6), int)
    labels[1, 2, 3] = 1
    labels[3, 0, 5] = 2
    result = result_of_labels(labels, 2, affine=AFFINE, colors=("#FF0000", "#003366"))
    path = result.export(tmp_path / "a.seg.nrrd")
    read = slicerio.read_segmentation(str(path))
    np.testing.assert_array_equal(read["voxels"], labels.T)
    # Slicer's files count to the left and back (LPS), the affine to the right and front.
    expected = [[0.5, 0, 0, -10], [0, 0.7, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(read["ijkToLPS"], expected)
    first, second = read["segments"]
    assert (first["name"], first["labelValue"], first["id"]) == ("class 1", 1, "Segment_1")
    assert (second["name"], second["labelValue"], second["id"]) == ("class 2", 2, "Segment_2")
    assert first["color"] == pytest.approx([1, 0, 0])
    assert second["color"] == pytest.approx([0, 0.2, 0.4])
    assert (first["layer"], first["nameAutoGenerated"]) == (0, False)


def test_itk_snap_reads_names_and_colours(tmp_path):
    labels = np.zeros((4, 5, 6), int)
    result = result_of_labels(labels, 2, affine=AFFINE, colors=("#FF0000", "#003300"))
    path = result.export(tmp_path / "a.nii.gz")
    assert nib.load(path).header.get_xyzt_units()[0] == "mm"
    assert (tmp_path / "a_labels.txt").read_text().splitlines() == [
        '0 0 0 0 0 0 0 "Clear Label"',
        '1 255 0 0 1 1 1 "class 1"',
        '2 0 51 0 1 1 1 "class 2"',
    ]


def labels_in_space(result):
    return in_space(result.image, result.labels)


def test_without_an_affine_rows_go_to_the_back_and_columns_to_the_left():
    result = result_of_mask(corner_mask(), spacing=(2.0, 0.7, 0.5))
    labels, affine = labels_in_space(result)
    np.testing.assert_array_equal(labels, result.labels.T)
    np.testing.assert_array_equal(affine, np.diag([-0.5, -0.7, 2.0, 1.0]))


def test_an_affine_that_is_not_finite_is_not_taken():
    broken = np.full((4, 4), np.nan)
    _, affine = labels_in_space(result_of_mask(corner_mask(), affine=broken))
    np.testing.assert_array_equal(affine, np.diag([-1, -1, 1, 1]))


def test_a_single_image_lies_in_space_as_one_slice():
    mask = corner_mask()[1]
    labels, affine = labels_in_space(result_of_mask(mask, spacing=(0.7, 0.5)))
    np.testing.assert_array_equal(labels, mask.T[..., None])
    np.testing.assert_array_equal(affine, np.diag([-0.5, -0.7, 1, 1]))


@pytest.mark.parametrize(
    ("axes", "spacing", "expected"),
    [
        ("YX", None, (1, 1, 1)),
        ("YX", (2.0, 3.0), (3, 2, 1)),
        ("ZYX", (4.0, 2.0, 3.0), (3, 2, 4)),
        ("XYZ", (3.0, 2.0, 4.0), (3, 2, 4)),
    ],
)
def test_the_spacing_is_that_of_x_y_and_z(axes, spacing, expected):
    image = MedicalImage(np.zeros((2,) * len(axes)), axes, spacing=spacing)
    assert spacing_xyz(image) == expected


@pytest.mark.parametrize("ending", [".seg.nrrd", ".nii.gz"])
def test_a_movie_has_no_place_in_space(tmp_path, ending):
    if ending == ".seg.nrrd":
        pytest.importorskip("slicerio")
    with pytest.raises(SaveError, match="A movie has no place in space"):
        result_of_mask(corner_mask(), "TYX").export(tmp_path / f"a{ending}")


def test_a_table_leaves_as_csv(tmp_path):
    result = result_of_mask(RING)
    path = result.export(tmp_path / "a.csv")
    assert path.read_text() == result.measure().to_csv(index=False)


@pytest.mark.parametrize("ending", EXPORTS)
def test_no_export_replaces_a_file_unless_asked_to(tmp_path, ending):
    path = tmp_path / f"A{ending.upper()}"
    path.write_text("mine")
    with pytest.raises(SaveError, match="exists already: pass overwrite=True"):
        result_of_mask(RING).export(path)
    assert path.read_text() == "mine"


def test_the_second_file_of_an_export_replaces_nothing_either(tmp_path):
    beside = tmp_path / "a_labels.txt"
    beside.write_text("mine")
    result = result_of_mask(RING)
    with pytest.raises(SaveError, match=r"a_labels\.txt exists already"):
        result.export(tmp_path / "a.nii.gz")
    assert beside.read_text() == "mine"
    assert not (tmp_path / "a.nii.gz").exists()
    result.export(tmp_path / "a.nii.gz", overwrite=True)
    assert beside.read_text().startswith('0 0 0 0 0 0 0 "Clear Label"')


def test_an_unknown_ending_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(SaveError, match=r"x\.doc: no format ends so\. .* ends in .*\.geojson, "):
        result_of_mask(RING).export(tmp_path / "x.doc")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "slicerio", None)
    with pytest.raises(SaveError, match="pip install slicerio"):
        result_of_mask(RING).export(tmp_path / "c.seg.nrrd")
    assert list(tmp_path.iterdir()) == []
