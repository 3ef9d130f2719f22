"""Tables of objects, in px and in physical units, and results in a few numbers."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.results import disc, result_of, result_of_labels, result_of_mask

from unet_helpers.images.image import MedicalImage
from unet_helpers.results.measurements import in_words
from unet_helpers.results.units import PixelSize, pixel_size


def two_squares() -> np.ndarray:
    """(10, 12) bool: 2 x 3 px in the corner and 4 x 4 px inside."""
    mask = np.zeros((10, 12), bool)
    mask[:2, :3] = True
    mask[4:8, 6:10] = True
    return mask


def test_a_flat_object_has_its_area_centroid_and_shape():
    table = result_of_mask(two_squares()).measure()
    assert list(table) == [
        "object",
        "class",
        "area_px",
        "centroid_y_px",
        "centroid_x_px",
        "diameter_px",
        "intensity_mean",
        "intensity_sd",
        "intensity_min",
        "intensity_max",
        "intensity_sum",
        "eccentricity",
        "solidity",
        "perimeter_px",
        "axis_major_length_px",
        "axis_minor_length_px",
        "orientation_deg",
        "touches_edge",
    ]
    assert table["object"].tolist() == [1, 2]
    assert table["class"].tolist() == ["class 1", "class 1"]
    assert table.area_px.tolist() == [6, 16]
    assert table.centroid_y_px.tolist() == [0.5, 5.5]
    assert table.centroid_x_px.tolist() == [1.0, 7.5]
    assert table.diameter_px.tolist() == pytest.approx([2 * (6 / np.pi) ** 0.5, 8 / np.pi**0.5])
    assert table.intensity_mean.tolist() == [7, 7]
    assert table.solidity.tolist() == [1, 1]
    assert table.touches_edge.tolist() == ["yes", "no"]


@pytest.mark.parametrize(
    ("rows", "columns", "touches"),
    [
        (slice(0, 3), slice(4, 6), "yes"),
        (slice(7, 10), slice(4, 6), "yes"),
        (slice(4, 6), slice(0, 3), "yes"),
        (slice(4, 6), slice(9, 12), "yes"),
        (slice(1, 9), slice(1, 11), "no"),
    ],
)
def test_what_lies_at_any_edge_is_marked(rows, columns, touches):
    mask = np.zeros((10, 12), bool)
    mask[rows, columns] = True
    assert result_of_mask(mask).measure().touches_edge.tolist() == [touches]


def test_areas_are_in_mm2_and_diameters_in_mm_where_the_spacing_is_known():
    table = result_of_mask(two_squares(), spacing=(0.5, 0.2)).measure()
    assert list(table)[2:5] == ["area_px", "area_mm2", "diameter_mm"]
    assert table.area_mm2.tolist() == pytest.approx([0.6, 1.6])
    assert table.diameter_mm.tolist() == pytest.approx((table.diameter_px * 0.1**0.5).tolist())


@pytest.mark.parametrize(("step", "unit"), [(0.0099, "um"), (0.01, "mm")])
def test_sizes_are_in_micrometres_below_ten_of_them_a_step(step, unit):
    table = result_of_mask(two_squares(), spacing=(0.0005, step)).measure()
    assert {f"area_{unit}2", f"diameter_{unit}"} <= set(table)


def test_micrometres_are_thousands_of_a_millimetre():
    table = result_of_mask(two_squares(), spacing=(0.0005, 0.0005)).measure()
    assert table.area_um2.tolist() == pytest.approx([6 * 0.25, 16 * 0.25])
    assert table.diameter_um.tolist() == pytest.approx((table.diameter_px * 0.5).tolist())


def block() -> np.ndarray:
    """(10, 20, 20) bool: 5 x 10 x 10 voxels."""
    mask = np.zeros((10, 20, 20), bool)
    mask[2:7, 5:15, 6:16] = True
    return mask


def test_a_volume_is_measured_in_mm3_and_millilitres():
    table = result_of_mask(block(), spacing=(2.0, 1.0, 1.0)).measure()
    columns = ["volume_px", "volume_mm3", "volume_mL", "diameter_mm"]
    assert [name for name in table if name in columns] == columns
    assert table.volume_px.tolist() == [500]
    assert table.volume_mm3.tolist() == [1000]
    assert table.volume_mL.tolist() == [1]
    ball = 2 * (3 * 1000 / (4 * np.pi)) ** (1 / 3)
    assert table.diameter_mm.tolist() == pytest.approx([ball])
    assert table.iloc[0][["centroid_z_px", "centroid_y_px", "centroid_x_px"]].tolist() == [
        4.0,
        9.5,
        10.5,
    ]


def test_oblique_voxels_are_smaller():
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, :2, 1:5] = True
    affine = np.array([[1, 0.6, 0, 0], [0, 0.8, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]])
    table = result_of_mask(mask, spacing=(2.0, 1.0, 1.0), affine=affine).measure()
    assert table.volume_mm3.tolist() == pytest.approx([16 * 2 * 0.8])
    assert table.touches_edge.tolist() == ["yes"]


def test_colours_are_measured_one_by_one():
    pixels = np.zeros((10, 12, 3), np.uint8)
    pixels[..., 0] = 10
    pixels[..., 2] = 30
    image = MedicalImage(pixels, "YXC")
    table = result_of_mask(two_squares(), "YXC", pixels=image.pixels).measure()
    intensities = table[["intensity_mean_1", "intensity_mean_2", "intensity_mean_3"]]
    assert intensities.iloc[0].tolist() == [10, 0, 30]


def test_a_movie_is_measured_frame_by_frame():
    movie = result_of_mask(np.stack([two_squares()] * 3), "TYX", spacing=(0.5, 0.5))
    table = movie.measure()
    assert list(table)[:4] == ["object", "class", "frame", "area_px"]
    assert table["object"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table.frame.tolist() == [0, 0, 1, 1, 2, 2]
    assert table.area_mm2.tolist() == [1.5, 4] * 3
    assert "eccentricity" in table


def test_a_movie_of_volumes_is_measured_volume_by_volume():
    movie = result_of_mask(np.stack([block(), block()]), "TZYX", spacing=(2.0, 1.0, 1.0))
    table = movie.measure()
    assert table.frame.tolist() == [0, 1]
    assert table.volume_px.tolist() == [500, 500]
    assert {"centroid_z_px", "centroid_y_px", "centroid_x_px"} <= set(table)


def test_objects_that_are_slices_say_in_which_slice_and_frame_they_lie():
    stack = result_of_mask(
        np.stack([two_squares()] * 2), instance_method="membranes", objects="slices"
    )
    table = stack.measure()
    assert "class" not in table
    assert table.slice.tolist() == sorted(table.slice)
    assert set(table.slice) == {0, 1}

    four = np.stack([np.stack([two_squares()] * 2)] * 2)
    movie = result_of_mask(four, "TZYX", objects="slices")
    table = movie.measure()
    assert list(table)[2:5] == ["frame", "slice", "area_px"]
    assert sorted(zip(table.frame, table.slice, strict=True)) == [
        (frame, index) for frame in (0, 1) for index in (0, 1) for _ in "ab"
    ]


def test_a_frame_without_objects_adds_no_row():
    masks = np.stack([two_squares(), two_squares() & False, two_squares()])
    assert result_of_mask(masks, "TYX").measure().frame.tolist() == [0, 0, 2, 2]
    assert len(result_of_mask(masks & False, "TYX").measure()) == 0


def test_objects_have_the_name_of_their_class():
    labels = np.zeros((10, 12), int)
    labels[:2, :3] = 2
    labels[4:8, 6:10] = 1
    table = result_of_labels(labels, 2).measure()
    assert table["class"].tolist() == ["class 2", "class 1"]


def test_objects_of_localised_structures_have_the_name_of_the_nearest_one_in_mm():
    """In voxels the object is nearer to 'left', but slices are 10 mm thick."""
    mask = np.zeros((9, 9, 40), bool)
    mask[4, 4, 20] = True
    places = {"left": (6.0, 4.0, 20.0), "right": (4.0, 4.0, 32.0)}
    result = result_of_mask(mask, spacing=(10.0, 1.0, 1.0), places=places)
    assert result.measure().side.tolist() == ["right"]
    without_spacing = result_of_mask(mask, places=places)
    assert without_spacing.measure().side.tolist() == ["left"]


def test_the_size_of_a_pixel_is_that_of_its_plane_and_of_a_voxel_that_of_its_volume():
    image = MedicalImage(np.zeros((2, 3, 4)), "ZYX", spacing=(3.0, 0.5, 0.25))
    assert pixel_size(image, 2) == PixelSize(0.125, unit="mm", per_mm=1)
    assert pixel_size(image, 3) == PixelSize(0.375, unit="mm", per_mm=1)
    assert pixel_size(MedicalImage(np.zeros((3, 4)), "YX"), 2) is None
    flat = MedicalImage(np.zeros((3, 4)), "YX", spacing=(0.5, 0.5))
    assert pixel_size(flat, 3) is None


def test_a_summary_counts_objects_and_gives_their_sizes_in_the_best_unit():
    masks = np.zeros((10, 12), bool)
    masks[:2, :3] = True
    masks[4:8, 6:10] = True
    masks[9, 0] = True
    assert result_of_mask(masks).summary() == {
        "objects": (3, ""),
        "median area": (6, "px"),
        "total area": (23, "px"),
    }
    in_mm = result_of_mask(masks, spacing=(0.5, 0.5)).summary()
    assert in_mm["total area"] == (23 / 4, "mm²")
    in_um = result_of_mask(masks, spacing=(0.001, 0.001)).summary()
    assert in_um["median area"] == (pytest.approx(6), "µm²")


def test_a_summary_of_a_volume_is_in_millilitres_or_voxels():
    assert result_of_mask(block()).summary()["total volume"] == (500, "px")
    in_mm = result_of_mask(block(), spacing=(2.0, 1.0, 1.0)).summary()
    assert in_mm["median volume"] == (1, "mL")


def test_a_summary_has_the_volume_of_each_localised_structure():
    mask = np.zeros((4, 8, 40), bool)
    mask[1:3, 2:4, 3:8] = True
    mask[1:3, 2:4, 30:33] = True
    places = {"right": (2.0, 3.0, 5.0), "left": (2.0, 3.0, 31.0)}
    values = result_of_mask(mask, places=places).summary()
    assert values["right volume"] == (20, "px")
    assert values["left volume"] == (12, "px")


def test_a_summary_without_objects_has_no_sizes():
    assert result_of_mask(np.zeros((5, 5), bool)).summary() == {"objects": (0, "")}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"objects": (1, "")}, "1 object"),
        ({"objects": (0, "")}, "0 objects"),
        ({"objects": (1234, "")}, "1,234 objects"),
        ({"median area": (45.0, "px")}, "median area 45 px"),
        ({"median area": (0.12345, "mm²")}, "median area 0.123 mm²"),
        ({"length": (999.9, "px"), "width": (1000.4, "px")}, "length 1e+03 px, width 1,000 px"),
        ({"of the field": (5.25, "%")}, "5.25 % of the field"),
        ({"expected Dice": (0.9, "")}, "expected Dice 0.9"),
    ],
)
def test_a_summary_in_words(values, words):
    assert in_words(values) == words


def test_measured_discs_have_their_diameters():
    mask = disc(20, 20, 10) | disc(50, 60, 15) | disc(30, 100, 6)
    table = result_of(mask[None].astype(float)).measure()
    np.testing.assert_allclose(sorted(table.diameter_px), [12, 20, 30], rtol=0.03)


def ellipse(rows: float, columns: float, spacing: tuple[float, float] | None) -> MedicalImage:
    """A mask of an ellipse of these half axes in px."""
    y, x = np.mgrid[:160, :160]
    mask = ((y - 80) / rows) ** 2 + ((x - 80) / columns) ** 2 <= 1
    return MedicalImage(mask.astype(np.uint8), "YX", spacing=spacing)


@pytest.mark.parametrize("proportion", [2, 4])
def test_shapes_are_measured_in_true_proportions(proportion):
    # The ellipse is 60 x 28 µm in both: in square pixels, and in rows that are 2 or 4 µm high.
    square = ellipse(60, 28, (1e-3, 1e-3))
    long = ellipse(60 / proportion, 28, (proportion * 1e-3, 1e-3))
    rows = []
    for image in (square, long):
        result = result_of_mask(image.pixels > 0)
        result = replace(result, image=replace(image, pixels=result.image.pixels))
        rows.append(result.measure().iloc[0])
    true, found = rows
    assert true["eccentricity"] == pytest.approx(0.884, abs=0.002)
    assert found["eccentricity"] == pytest.approx(true["eccentricity"], abs=0.01)
    assert found["solidity"] == pytest.approx(true["solidity"], abs=0.03)
    assert found["area_um2"] == pytest.approx(true["area_um2"], rel=0.02)

    # Lengths are in px of the same area.
    side = proportion**0.5
    for name in ("axis_major_length_px", "axis_minor_length_px", "perimeter_px"):
        assert found[name] * side == pytest.approx(true[name], rel=0.08)


def test_positions_stay_in_px_of_the_file():
    image = ellipse(15, 28, (4e-3, 1e-3))
    result = result_of_mask(image.pixels > 0)
    result = replace(result, image=replace(image, pixels=result.image.pixels))
    row = result.measure().iloc[0]
    assert row["centroid_y_px"] == pytest.approx(80)
    assert row["centroid_x_px"] == pytest.approx(80)


def test_volumes_of_a_microscope_are_in_cubic_micrometres():
    mask = np.zeros((6, 20, 20), bool)
    mask[1:4, 5:15, 5:15] = True
    result = result_of_mask(mask)
    image = replace(result.image, spacing=(2e-3, 0.5e-3, 0.5e-3))
    table = replace(result, image=image).measure()
    assert table["volume_um3"].tolist() == pytest.approx([300 * 0.5])
    assert "volume_mL" not in table
    assert replace(result, image=image).summary()["total volume"] == (pytest.approx(150), "µm³")


def test_without_the_distance_of_slices_volumes_stay_in_voxels():
    mask = np.zeros((6, 20, 20), bool)
    mask[1:4, 5:15, 5:15] = True
    result = result_of_mask(mask)
    image = replace(result.image, spacing=(0.5e-3, 0.5e-3))
    table = replace(result, image=image).measure()
    assert table["volume_px"].tolist() == [300]
    assert not {"volume_um3", "volume_mm3", "volume_mL"} & set(table)
