"""Objects: synthetic discs whose number and sizes are known."""

import numpy as np
import pytest
from helpers.networks import make_network

from unet_helpers.images.image import MedicalImage
from unet_helpers.results.objects import (
    cells_between,
    drop_small_components,
    joined,
    split_interiors,
)
from unet_helpers.results.segmentation import Segmentation

Y, X = np.mgrid[:80, :120]


def disc(y, x, r):
    return (Y - y) ** 2 + (X - x) ** 2 <= r**2


def segmentation(probabilities, spacing=None, instance_method="components"):
    from dataclasses import replace

    card = replace(make_network(max(1, len(probabilities))).card, instance_method=instance_method)
    shape = probabilities.shape[1:]
    image = MedicalImage(np.full(shape, 5, np.uint8), "ZYX" if len(shape) == 3 else "YX", spacing)
    return Segmentation(image, card, probabilities.astype(np.float32), 0.5)


def test_separate_discs_are_counted_and_measured():
    mask = disc(20, 20, 10) | disc(50, 60, 15) | disc(30, 100, 6)
    table = segmentation(mask[None].astype(float), spacing=(0.5, 0.5)).measure()
    assert len(table) == 3
    areas = [np.count_nonzero(disc(*d)) for d in ((20, 20, 10), (30, 100, 6), (50, 60, 15))]
    assert sorted(table.area_px) == sorted(areas)
    np.testing.assert_allclose(sorted(table.diameter_px), [12, 20, 30], rtol=0.03)
    np.testing.assert_allclose(table.area_mm2, table.area_px * 0.25)
    np.testing.assert_allclose(table.diameter_mm, table.diameter_px * 0.5)
    assert (table["class"] == "class 1").all()
    assert (table.intensity_mean == 5).all()


def test_a_volume_is_measured_in_millilitres():
    ball = np.zeros((10, 20, 20))
    ball[2:7, 5:15, 5:15] = 1
    table = segmentation(ball[None], spacing=(2.0, 1.0, 1.0)).measure()
    assert table.volume_px.tolist() == [500]
    assert table.volume_mm3.tolist() == [1000]
    assert table.volume_mL.tolist() == [1]


def test_touching_nuclei_are_told_apart_by_their_border():
    a, b, lonely = disc(40, 40, 18), disc(40, 74, 18), disc(10, 110, 5)
    both = a | b | lonely
    border = both & (np.abs(X - 57) <= 2)
    maps = np.stack([~both, both & ~border, border]).astype(float)
    objects = split_interiors(maps, 0.5, 1.0)
    assert len(np.unique(objects)) - 1 == 3
    assert ((objects > 0) == both).all()  # the border belongs to the nuclei
    assert objects[40, 30] != objects[40, 85]
    without = split_interiors(np.stack([~both, both, both * 0]).astype(float), 0.5, 1.0)
    assert len(np.unique(without)) - 1 == 2  # the border made the difference


def test_a_clear_speck_is_a_nucleus_and_a_doubtful_blob_is_none_unless_all_are_pale():
    nucleus, speck, blob, grain = (
        disc(40, 40, 18),
        disc(20, 80, 3),
        disc(60, 90, 10),
        disc(70, 20, 1.5),
    )

    def found(sure: float, zoom: float = 1) -> list[bool]:
        interior = (nucleus | speck | grain) * sure + blob * 0.7
        objects = split_interiors(np.stack([1 - interior, interior, interior * 0]), 0.6, zoom)
        return [bool(objects[where].any()) for where in (nucleus, speck, blob, grain)]

    assert found(0.98) == [True, True, False, False]
    assert found(0.75) == [True, True, True, False]
    assert found(0.98, zoom=2) == [True, True, False, True]  # four times as many working px


def test_cells_lie_between_membranes():
    membrane = ((X % 40 == 0) | (Y % 40 == 0)).astype(float)
    cells = cells_between(membrane[None])
    assert len(np.unique(cells[membrane == 0])) == 6
    assert cells[20, 20] != cells[20, 60]


def test_a_gap_in_a_membrane_joins_no_cells_and_a_faint_one_parts_none():
    membrane = (np.abs(X - 60) <= 1).astype(float)
    membrane[38:42] = 0
    faint = 0.3 * (np.abs(X - 60) <= 1)  # two hollows, and hardly a membrane between them
    for answer, count in ((membrane, 2), (membrane * (Y < 20), 1), (faint, 1)):
        cells = cells_between(answer[None])
        assert len(np.unique(cells[cells > 0])) == count


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, [15]), (0.5, [15]), (0.3, [10, 15]), (0.05, [4, 10, 15])]
)
def test_regions_much_smaller_than_the_largest_are_dropped(share, kept):
    discs = {4: disc(60, 15, 4), 10: disc(20, 20, 10), 15: disc(50, 60, 15)}
    labels = np.any(list(discs.values()), axis=0).astype(np.uint8)
    assert (drop_small_components(labels, share) == np.any([discs[r] for r in kept], axis=0)).all()
    assert (drop_small_components(labels * 0, share) == 0).all()


def test_of_two_equal_regions_one_is_the_largest():
    labels = (disc(20, 20, 10) | disc(60, 60, 10)).astype(np.uint8)
    assert (drop_small_components(labels, 1.0) > 0).sum() == disc(20, 20, 10).sum()


@pytest.mark.parametrize("method", ["components", "interiors", "membranes"])
def test_nothing_is_no_object(method):
    empty = np.zeros((3, 30, 30))
    empty[0] = 1
    result = segmentation(
        empty[:1] * 0 + 1 if method == "membranes" else empty, instance_method=method
    )
    assert len(np.unique(result.objects)) <= 1
    assert len(result.measure()) == 0


def tilted_nuclei(frames: int) -> np.ndarray:
    """(3, frames, Y, X): two nuclei that move 3 px a slice; the second one only in the first half."""
    maps = np.zeros((3, frames, *Y.shape), np.float32)
    for z in range(frames):
        maps[1, z] = disc(30, 30 + 3 * z, 10) | (disc(60, 80, 8) & (z < frames // 2))
    maps[0] = 1 - maps[1]
    return maps


def test_nuclei_are_joined_through_the_depth_of_a_volume_and_never_through_time():
    from dataclasses import replace

    result = segmentation(tilted_nuclei(6), instance_method="interiors")
    assert result.objects.max() == 2
    assert len(np.unique(result.objects[0])) == 3
    assert result.objects[0, 30, 30] == result.objects[5, 30, 45]
    movie = replace(result, image=replace(result.image, axes="TYX"))
    assert movie.objects.max() == 9  # six frames of one, three of the other
    slicewise = replace(result, card=replace(result.card, objects="slices"))
    assert slicewise.objects.max() == 9


def test_an_object_that_splits_goes_on_as_one_and_begins_another():
    below, above = np.zeros((20, 30), int), np.zeros((20, 30), int)
    below[5:15, 2:28], above[5:15, 2:12], above[5:15, 13:28] = 1, 1, 2
    stack = joined([below, above])
    assert stack[1, 10, 20] == stack[0, 10, 20]
    assert stack[1, 10, 5] not in (0, stack[0, 10, 5])


def test_a_stack_of_micrographs_is_split_slice_by_slice_in_seconds():
    """One watershed through the depth took minutes and gigabytes, and joined cells that only lie above one another."""
    import time

    rng = np.random.default_rng(0)
    membranes = rng.random((1, 6, 256, 256)).astype(np.float32) ** 4
    started = time.perf_counter()
    result = segmentation(membranes, instance_method="membranes")
    from dataclasses import replace

    result = replace(result, card=replace(result.card, objects="slices"))
    ids = [set(np.unique(part)) - {0} for part in result.objects]
    assert not set.intersection(*ids)
    assert time.perf_counter() - started < 60


def test_cells_grow_into_the_membrane_until_one_pixel_separates_them():
    ridge = np.exp(-(((np.arange(41) - 20) / 6) ** 2))
    cells = cells_between(np.tile(ridge, (30, 1))[None].astype(np.float32))
    assert (cells[:, 20] == 0).all()
    assert cells.max() == 2
    assert (cells[:, :20] == cells[0, 0]).all()
    assert (cells[:, 21:] == cells[0, 40]).all()
    assert cells[0, 0] != cells[0, 40]
