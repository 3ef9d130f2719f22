"""Intensities of objects, in each channel of the file, without values that are not finite."""

import json
import time

import numpy as np
import pytest
import tifffile
from helpers.drawn import draw_nuclei
from helpers.results import disc, result_of_mask

import unet_helpers as uh
from unet_helpers.images.image import Position
from unet_helpers.results.intensities import IntensitySums

MASK = disc(30, 40, 12) | disc(50, 90, 9)
RNG = np.random.default_rng(0)
DAPI, GFP = RNG.integers(0, 4000, (2, *MASK.shape), np.uint16)
STATISTICS = {"mean": np.mean, "sd": np.std, "min": np.min, "max": np.max, "sum": np.sum}


def assert_measured(table, ids, pixels, ending):
    """The columns with this ending are the statistics of the pixels of each object."""
    for name, statistic in STATISTICS.items():
        expected = [statistic(pixels[ids == number].astype(float)) for number in table["object"]]
        np.testing.assert_allclose(table[f"intensity_{name}{ending}"], expected, rtol=1e-6)


def test_a_grey_image_is_measured():
    result = result_of_mask(MASK, pixels=DAPI)
    assert_measured(result.measure(), result.objects, DAPI, "")


def test_every_channel_of_the_file_is_measured_under_its_name():
    channels = np.stack([GFP, DAPI])
    result = result_of_mask(
        MASK, pixels=DAPI, all_channels=channels, channel_names=("GFP", "DAPI stain")
    )
    table = result.measure()
    assert_measured(table, result.objects, DAPI, "")
    assert_measured(table, result.objects, GFP, "_GFP")
    assert_measured(table, result.objects, DAPI, "_DAPI_stain")


def test_channels_without_names_are_numbered_and_equal_names_told_apart():
    channels = np.stack([GFP, DAPI])
    unnamed = result_of_mask(MASK, pixels=DAPI, all_channels=channels, channel_names=("", ""))
    assert "intensity_sum_channel_1" in unnamed.measure()
    equal = result_of_mask(MASK, pixels=DAPI, all_channels=channels, channel_names=("A", "A"))
    assert_measured(equal.measure(), equal.objects, DAPI, "_A_1")


def test_colours_are_measured():
    pixels = np.dstack([GFP, DAPI, GFP // 2])
    result = result_of_mask(MASK, "YXC", pixels=pixels)
    for number in range(3):
        assert_measured(result.measure(), result.objects, pixels[..., number], f"_{number + 1}")


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX"])
def test_channels_of_stacks_and_movies_are_measured(axes):
    lengths = {"T": 2, "Z": 3}
    shape = tuple(lengths[axis] for axis in axes[:-2]) + MASK.shape
    mask = np.broadcast_to(MASK, shape)
    channels = RNG.integers(0, 4000, (2, *shape), np.uint16)
    result = result_of_mask(
        mask, axes, pixels=channels[0], all_channels=channels, channel_names=("DAPI", "GFP")
    )
    assert_measured(result.measure(), result.objects, channels[1], "_GFP")


def test_values_that_are_not_finite_are_left_out():
    pixels = DAPI.astype(np.float32)
    holes = RNG.random(pixels.shape) < 0.01
    pixels[holes] = np.nan
    pixels[45, 90] = np.inf
    result = result_of_mask(MASK, pixels=pixels)
    table = result.measure()
    assert np.isfinite(table.filter(like="intensity")).all(axis=None)
    for row, number in enumerate(table["object"]):
        values = pixels[(result.objects == number) & np.isfinite(pixels)].astype(float)
        assert table["intensity_mean"][row] == pytest.approx(values.mean())
        assert table["intensity_sum"][row] == pytest.approx(values.sum())


def test_an_object_without_finite_values_has_none():
    pixels = np.where(disc(30, 40, 14), np.nan, DAPI.astype(np.float32))
    table = result_of_mask(MASK, pixels=pixels).measure()
    assert np.isnan(table.filter(like="intensity").iloc[0]).all()
    assert np.isfinite(table.filter(like="intensity").iloc[1]).all()


def test_sums_of_parts_are_those_of_the_whole():
    index = RNG.integers(0, 4, 500)
    values = RNG.normal(size=(500, 2))
    whole = IntensitySums.of_pixels(index, values, 4).columns(["_a", "_b"])
    parts = [IntensitySums.of_pixels(index[start::5], values[start::5], 4) for start in range(5)]
    groups = np.tile(np.arange(4), 5)
    joined = IntensitySums.concatenated(parts, 2).joined(groups, 4).columns(["_a", "_b"])
    for name, column in whole.items():
        np.testing.assert_allclose(joined[name], column, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory):
    """Nuclei in DAPI, and another dye: the path and the pixels of both."""
    nuclei = draw_nuclei(20, 256, seed=0)[0].astype(np.uint16)
    other = np.random.default_rng(1).integers(0, 4000, nuclei.shape, np.uint16)
    path = tmp_path_factory.mktemp("channels") / "a.ome.tif"
    channels = np.stack([other, nuclei])
    metadata = {"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}}
    tifffile.imwrite(path, channels, photometric="minisblack", metadata=metadata, tile=(64, 64))
    return path, channels


def test_nuclei_of_one_channel_are_measured_in_all(two_channels, tmp_path):
    path, (other, nuclei) = two_channels
    result = uh.segment(path, "nuclei", flips=1, progress=False)
    table = result.measure()
    assert len(table) > 10
    assert_measured(table, result.objects, nuclei, "_DAPI")
    assert_measured(table, result.objects, other, "_GFP")

    features = json.loads(result.export(tmp_path / "a.geojson").read_text())["features"]
    assert {feature["properties"]["objectType"] for feature in features} == {"detection"}
    for feature in features:
        properties = feature["properties"]
        row = table[table["object"] == properties["object"]].iloc[0]
        assert properties["measurements"]["intensity_mean_GFP"] == row["intensity_mean_GFP"]
        assert properties["measurements"]["area_px"] == row["area_px"]


def test_large_images_are_measured_and_exported_as_those_in_memory(
    two_channels, tmp_path, monkeypatch
):
    pytest.importorskip("zarr", "3")
    monkeypatch.setattr("unet_helpers.inference.large_objects.BLOCK", 100)
    path, (other, nuclei) = two_channels
    table = uh.segment_large(
        path, "nuclei", tmp_path, flips=1, formats=(".geojson",), progress=False
    )
    objects = tifffile.imread(tmp_path / "a_nuclei_objects.ome.tif")
    assert_measured(table, objects, nuclei, "_DAPI")
    assert_measured(table, objects, other, "_GFP")

    features = json.loads((tmp_path / "a_nuclei.geojson").read_text())["features"]
    assert len(features) == len(table)
    sizes = np.bincount(objects.ravel())
    for feature in features:
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert area_of(feature["geometry"]) == sizes[properties["object"]]
        row = table[table["object"] == properties["object"]].iloc[0]
        assert properties["measurements"]["intensity_sum_GFP"] == row["intensity_sum_GFP"]


def area_of(geometry):
    """The area of GeoJSON's geometry."""
    import shapely

    return shapely.geometry.shape(geometry).area


def test_another_format_of_large_images_is_refused(two_channels, tmp_path):
    path, _ = two_channels
    with pytest.raises(uh.ArgumentError, match=r"'\.roi\.zip' of large images: only \.geojson"):
        uh.segment_large(path, "nuclei", tmp_path, formats=(".roi.zip",))


def test_outlines_of_a_level_lie_in_the_finest_level(tmp_path):
    roifile = pytest.importorskip("roifile")
    position = Position(step=(4.0, 2.0), start=(100.0, 10.0))
    mask = np.zeros((9, 9), bool)
    mask[2:4, 3:8] = True
    result = result_of_mask(mask, position=position)
    (feature,) = json.loads(result.export(tmp_path / "a.geojson").read_text())["features"]
    corners = {(16, 108), (26, 108), (26, 116), (16, 116)}
    assert {tuple(corner) for corner in feature["geometry"]["coordinates"][0]} == corners
    (roi,) = roifile.roiread(result.export(tmp_path / "a.roi.zip"))
    assert {tuple(corner) for corner in roi.coordinates().tolist()} == corners


def test_thousands_of_nuclei_are_measured_and_exported_in_seconds(tmp_path):
    side = 40
    ellipse = disc(7, 7, 6, (15, 15))
    mask = np.tile(ellipse, (side, side))
    channels = np.random.default_rng(0).integers(0, 4000, (2, *mask.shape), np.uint16)
    result = result_of_mask(
        mask, pixels=channels[0], all_channels=channels, channel_names=("DAPI", "GFP")
    )
    assert result.objects.max() == side**2
    start = time.process_time()
    path = result.export(tmp_path / "a.geojson")
    elapsed = time.process_time() - start
    assert len(json.loads(path.read_text())["features"]) == side**2
    # On a busy core: 0.7 s; outlines and shapes one by one took 2.6 s.
    assert elapsed < 2
