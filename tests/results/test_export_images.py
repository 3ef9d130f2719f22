"""Objects as pictures that viewers show: TIFF with colours, OME-Zarr, and labels of sides."""

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from helpers.results import disc, result_of, result_of_mask

import unet_helpers as uh
from unet_helpers.results.named_labels import named_labels

DISCS = disc(20, 20, 9) | disc(50, 90, 12) | disc(60, 30, 5)


def test_the_tiff_of_objects_holds_their_ids_and_shows_them_in_colours(tmp_path):
    result = result_of_mask(DISCS, spacing=(0.002, 0.001))
    path = result.export(tmp_path / "a.objects.tif")
    with tifffile.TiffFile(path) as tif:
        np.testing.assert_array_equal(np.squeeze(tif.asarray()), result.objects)
        metadata = tif.imagej_metadata
        page = tif.pages[0]
        assert page.dtype == np.uint8
        assert page.tags["XResolution"].value[0] / page.tags["XResolution"].value[1] == 1000
        assert page.tags["YResolution"].value[0] / page.tags["YResolution"].value[1] == 500
    colours = metadata["LUTs"]
    assert colours[:, 0].tolist() == [0, 0, 0]
    assert len({tuple(colour) for colour in colours.T}) == 256
    assert colours[:, 1:].max(axis=0).min() == 255
    assert tuple(metadata["Ranges"]) == (0, 3)


@pytest.mark.parametrize(
    ("count", "dtype"), [(255, np.uint8), (256, np.uint16), (65_536, np.float32)]
)
def test_many_objects_need_a_larger_type(count, dtype, tmp_path):
    side = int(np.ceil(np.sqrt(count)))
    mask = np.zeros((2 * side, 2 * side), bool)
    dots = np.zeros((side, side), bool)
    dots.flat[:count] = True
    mask[::2, ::2] = dots
    path = result_of_mask(mask).export(tmp_path / "a.objects.tif")
    stored = tifffile.imread(path)
    assert stored.dtype == dtype
    assert stored.max() == count


def test_the_tiff_of_a_movie_of_stacks_keeps_its_frames(tmp_path):
    mask = np.zeros((2, 3, 20, 30), bool)
    mask[0, 1, 5:9, 5:9] = mask[1, 2, 10:14, 20:25] = True
    result = result_of_mask(mask, "TZYX")
    with tifffile.TiffFile(result.export(tmp_path / "a.objects.tif")) as tif:
        assert tif.series[0].axes == "TZYX"
        np.testing.assert_array_equal(tif.asarray(), result.objects)


def two_sides() -> uh.Segmentation:
    """(Z, Y, X): two classes on each of two sides, left at small x."""
    labels = np.zeros((4, 20, 40), int)
    labels[1:3, 5:10, 5:10] = 1
    labels[1:3, 10:15, 5:10] = 2
    labels[1:3, 5:10, 30:35] = 1
    labels[1:3, 10:15, 30:35] = 2
    probabilities = np.stack([labels == i for i in range(3)])
    places = {"left": (2.0, 10.0, 7.0), "right": (2.0, 10.0, 32.0)}
    return result_of(probabilities, places=places, colors=("#FF0000", "#0000FF"))


def test_each_side_has_labels_of_its_own():
    result = two_sides()
    named = named_labels(result)
    assert named.names == ("left class 1", "left class 2", "right class 1", "right class 2")
    assert len(set(named.colours)) == 4
    assert named.values[2, 6, 6] == 1
    assert named.values[2, 12, 6] == 2
    assert named.values[2, 6, 32] == 3
    assert named.values[2, 12, 32] == 4
    np.testing.assert_array_equal(named.values > 0, result.labels > 0)
    assert result.labels.max() == 2


def test_without_sides_the_labels_are_the_classes():
    result = result_of_mask(DISCS)
    named = named_labels(result)
    np.testing.assert_array_equal(named.values, result.labels)
    assert named.names == ("class 1",)


def test_sides_arrive_in_nifti_with_their_names_and_a_window(tmp_path):
    path = two_sides().export(tmp_path / "a.nii.gz")
    file = nib.load(path)
    assert np.unique(np.asarray(file.dataobj)).tolist() == [0, 1, 2, 3, 4]
    assert file.header["cal_max"] == 4
    table = (tmp_path / "a_labels.txt").read_text()
    assert '"right class 2"' in table


def test_sides_arrive_in_slicer(tmp_path):
    slicerio = pytest.importorskip("slicerio")
    read = slicerio.read_segmentation(str(two_sides().export(tmp_path / "a.seg.nrrd")))
    names = [segment["name"] for segment in read["segments"]]
    assert names == ["left class 1", "left class 2", "right class 1", "right class 2"]


@pytest.fixture
def store(tmp_path):
    """Write a result as OME-Zarr and open it."""
    zarr = pytest.importorskip("zarr", "3")

    def write(result):
        path = result.export(tmp_path / "a.ome.zarr")
        return zarr.open_group(path, mode="r"), path

    return write


def test_zarr_holds_image_labels_and_objects_on_one_grid(store):
    result = result_of_mask(DISCS, spacing=(0.0005, 0.00025))
    group, _ = store(result)
    (multiscale,) = group.attrs["multiscales"]
    assert multiscale["version"] == "0.4"
    assert [axis["name"] for axis in multiscale["axes"]] == ["t", "c", "z", "y", "x"]
    assert multiscale["axes"][-1]["unit"] == "micrometer"
    (scale,) = multiscale["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == pytest.approx([1, 1, 1, 0.5, 0.25])
    np.testing.assert_array_equal(np.squeeze(group["0"][:]), result.image.pixels)

    assert group["labels"].attrs["labels"] == ["classes", "objects"]
    np.testing.assert_array_equal(np.squeeze(group["labels/classes/0"][:]), result.labels)
    np.testing.assert_array_equal(np.squeeze(group["labels/objects/0"][:]), result.objects)
    described = group["labels/classes"].attrs["image-label"]
    assert described["source"] == {"image": "../../"}
    assert described["colors"] == [{"label-value": 1, "rgba": [230, 159, 0, 255]}]
    objects = group["labels/objects"].attrs["image-label"]["properties"]
    assert objects[0] == {"label-value": 1, "class": "class 1"}


def test_zarr_of_a_large_colour_image_is_a_pyramid_of_three_channels(store):
    pixels = np.random.default_rng(0).integers(0, 255, (700, 1100, 3), np.uint8)
    mask = np.zeros((700, 1100), bool)
    mask[::7, :] = True
    group, _ = store(result_of_mask(mask, "YXC", pixels=pixels))
    datasets = group.attrs["multiscales"][0]["datasets"]
    shapes = [group[dataset["path"]].shape for dataset in datasets]
    assert shapes == [(1, 3, 1, 700, 1100), (1, 3, 1, 350, 550), (1, 3, 1, 175, 275)]
    np.testing.assert_array_equal(group["0"][0, :, 0], np.moveaxis(pixels, -1, 0))
    np.testing.assert_array_equal(group["1"][0, 0, 0], pixels[::2, ::2, 0])
    assert set(np.unique(group["labels/classes/2"][:])) <= {0, 1}
    assert [channel["color"] for channel in group.attrs["omero"]["channels"]] == [
        "FF0000",
        "00FF00",
        "0000FF",
    ]


def test_this_package_reads_the_store_back(store):
    pixels = np.random.default_rng(0).integers(0, 255, (80, 120), np.uint8)
    result = result_of_mask(DISCS, pixels=pixels, spacing=(0.0005, 0.00025))
    _, path = store(result)
    image = uh.read_image(path)
    np.testing.assert_array_equal(np.squeeze(image.pixels), pixels)
    assert image.spacing[-2:] == pytest.approx((0.0005, 0.00025))


def test_a_store_replaces_an_earlier_one_only_if_asked_to(store, tmp_path):
    store(result_of_mask(DISCS))
    with pytest.raises(uh.SaveError, match="overwrite=True"):
        result_of_mask(~DISCS).export(tmp_path / "a.ome.zarr")
    result_of_mask(~DISCS).export(tmp_path / "a.ome.zarr", overwrite=True)
    zattrs = json.loads((tmp_path / "a.ome.zarr/labels/.zattrs").read_text())
    assert zattrs == {"labels": ["classes", "objects"]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]
