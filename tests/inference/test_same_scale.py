"""One scale for all images of a folder, found from several of them, and kept for later ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.inference import object_zoom
from unet_helpers.inference.object_zoom import ObjectZoom, TypicalObject, zoom_of_diameter


@pytest.fixture
def network(tmp_path):
    """The file of a small network that searches for objects 24 px wide."""
    small = make_network(3, scale="objects", size=24)
    small.card = replace(small.card, instance_method="interiors")
    uh.save_model(small, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture(autouse=True)
def diameters(monkeypatch):
    """The brightest value of an image is the width of its objects in px; 9 is an image without."""

    def find(model, pixels, aspect=1.0):
        width = float(pixels.max())
        if width == 9:
            return ObjectZoom(1.0)
        objects = TypicalObject(zoom=1.0, diameter=width, score=0.2, area=100.0)
        return ObjectZoom(zoom_of_diameter(width, 24), objects=objects)

    monkeypatch.setattr(object_zoom, "find_object_zoom", find)
    monkeypatch.setattr("unet_helpers.inference.scale.find_object_zoom", find)


def image(width: int) -> np.ndarray:
    pixels = np.random.default_rng(width).integers(0, 8, (24, 30)).astype(np.uint8)
    pixels[5:20, 5:20] = width
    return pixels


def write(folder, *widths: int, **options):
    folder.mkdir(exist_ok=True)
    for i, width in enumerate(widths):
        tifffile.imwrite(folder / f"{i}_{width}.tif", image(width), **options)
    return folder


def zooms_in(table) -> list[float]:
    return [json.loads(open(path).read())["zoom"] for path in table["result"]]


def test_each_image_has_its_own_scale_unless_one_is_asked_for(network):
    images = [image(width) for width in (12, 24, 48)]
    own = uh.segment_many(images, network, progress=False)
    assert [result.zoom for result in own] == pytest.approx([2, 1, 0.5])
    same = uh.segment_many(images, network, same_scale=True, progress=False)
    assert [result.zoom for result in same] == [1, 1, 1]


def test_one_enlargement_is_held_over_images_with_small_objects(monkeypatch):
    network = make_network(3, size=24, smallest_objects=24)

    def typical(model, window, zoom, aspect=1.0):
        return TypicalObject(zoom=zoom, diameter=float(window.max()), score=0.2, area=100.0)

    monkeypatch.setattr(object_zoom, "typical_object", typical)
    images = [image(width) for width in (12, 20, 48)]
    own = uh.segment_many(images, network, progress=False)
    assert [result.zoom for result in own] == pytest.approx([2**0.5, 2**0.25, 1], rel=0.05)
    same = uh.segment_many(images, network, same_scale=True, progress=False)
    assert [result.zoom for result in same] == pytest.approx([2**0.25] * 3, rel=0.05)


def test_a_folder_is_seen_at_one_scale_and_so_are_images_that_are_added(network, tmp_path):
    folder = write(tmp_path / "in", 9, 12, 12, 24, 12)
    out = tmp_path / "out"
    table = uh.segment_folder(folder, network, out, same_scale=True, progress=False)
    assert zooms_in(table) == pytest.approx([2] * 5, rel=0.02)

    write(folder, 48, 48, 48, 48, 48, 48, 48)
    again = uh.segment_folder(folder, network, out, same_scale=True, progress=False)
    assert (again["status"] == "done before").sum() == 5
    assert zooms_in(again) == pytest.approx([2] * 12, rel=0.02)

    replaced = uh.segment_folder(
        folder, network, out, same_scale=True, overwrite=True, progress=False
    )
    assert zooms_in(replaced) == pytest.approx([0.5] * 12, rel=0.02)


def test_images_of_different_pixel_sizes_are_seen_at_one_physical_scale(network, tmp_path):
    options = {"resolutionunit": "CENTIMETER", "metadata": None}
    folder = write(tmp_path / "in", 12, resolution=(20000, 20000), **options)
    write(folder, 24, 25, resolution=(40000, 40000), **options)
    results = uh.segment_many(folder, network, same_scale=True, progress=False)
    by_name = {result.image.path.name: result.zoom for result in results}
    assert by_name["0_12.tif"] == pytest.approx(2, rel=0.05)
    assert by_name["0_24.tif"] == by_name["1_25.tif"] == pytest.approx(1, rel=0.05)


def test_a_scale_that_is_given_is_one_already(network):
    images = [image(12), image(24)]
    results = uh.segment_many(images, network, same_scale=True, zoom=0.7, progress=False)
    assert [result.zoom for result in results] == pytest.approx([0.7, 0.7], rel=0.05)


def test_a_card_of_fixed_scale_refuses(tmp_path):
    with pytest.raises(uh.ArgumentError, match="lungs does not estimate a scale"):
        uh.segment_many([image(12)], "lungs", same_scale=True, progress=False)


def test_images_that_cannot_be_read_do_not_count(network, tmp_path):
    folder = write(tmp_path / "in", 12)
    (folder / "broken.tif").write_bytes(b"II*\0broken")
    table = uh.segment_folder(folder, network, tmp_path / "out", same_scale=True, progress=False)
    assert sorted(table["status"]) == ["failed", "saved"]


def test_the_field_of_view_of_several_images_sets_one_scale(monkeypatch):
    network = make_network(scale="field of view", size=60)
    images = []
    for side in (30, 40, 40):
        pixels = np.zeros((60, 60), np.uint8)
        pixels[5 : 5 + side, 5 : 5 + side] = 100
        images.append(pixels)
    results = uh.segment_many(images, network, same_scale=True, progress=False)
    assert len({result.zoom for result in results}) == 1
    assert results[0].zoom == pytest.approx(1.5, rel=0.05)


def test_the_shell_takes_a_diameter_and_one_scale(network, tmp_path, capsys):
    from unet_helpers.shell.app import main
    from unet_helpers.shell.options import diameter

    assert diameter("30") == 30
    assert diameter("8 µm") == "8 µm"
    folder = write(tmp_path / "in", 12, 24, 24)
    out = tmp_path / "out"
    code = main([str(folder), "--model", str(network), "--out", str(out), "--same-scale"])
    assert code == 0
    zooms = [json.loads(path.read_text())["zoom"] for path in out.glob("*.json")]
    assert len(set(zooms)) == 1
