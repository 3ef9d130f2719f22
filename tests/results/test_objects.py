"""Objects: synthetic discs whose number and sizes are known."""

import time
from dataclasses import replace

import numpy as np
import pytest
from helpers.results import disc, result_of, result_of_labels, result_of_mask

from unet_helpers.results.objects import (
    cells_between,
    drop_small_components,
    ids_carried_on,
    join_through_depth,
    make_ids_unique,
    split_interiors,
)

ROWS, COLUMNS = np.mgrid[:80, :120]


def ids_in(objects: np.ndarray) -> list[int]:
    """The ids of an array, without the background."""
    return np.unique(objects[objects > 0]).tolist()


def test_components_that_touch_at_a_corner_are_one_object():
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    assert result_of_mask(mask).objects.tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 3]]


def test_components_of_a_volume_touch_through_its_slices_also_at_a_corner():
    volume = np.zeros((2, 4, 4), bool)
    volume[0, 0, 0] = True
    volume[1, 1, 1] = True
    volume[1, 3, 3] = True
    objects = result_of_mask(volume).objects
    assert ids_in(objects) == [1, 2]
    assert objects[0, 0, 0] == objects[1, 1, 1]


def test_classes_that_touch_stay_apart():
    objects = result_of_labels(np.array([[1, 1, 2, 2], [0, 0, 0, 1]]), 2).objects
    assert objects.dtype == np.int32
    assert objects.tolist() == [[1, 1, 2, 2], [0, 0, 0, 3]]


def test_components_of_a_movie_are_not_joined_through_time():
    mask = np.zeros((3, 5, 5), bool)
    mask[:, 2, 2] = True
    assert result_of_mask(mask, "TYX").objects[:, 2, 2].tolist() == [1, 2, 3]


def test_ids_go_on_from_image_to_image_without_gaps():
    parts = [np.array([0, 5, 5, 9]), np.array([0, 0, 0, 0]), np.array([3, 0, 3, 1])]
    numbered = make_ids_unique(parts)
    assert numbered.dtype == np.int32
    assert numbered.tolist() == [[0, 1, 1, 2], [0, 0, 0, 0], [4, 0, 4, 3]]


def maps_of(interior: np.ndarray, border: np.ndarray | None = None) -> np.ndarray:
    """(3, H, W): background, interior and border, which sum to 1."""
    interior = interior.astype(float)
    border = np.zeros_like(interior) if border is None else border.astype(float)
    return np.stack([1 - interior - border, interior, border])


def test_touching_nuclei_are_told_apart_by_their_border():
    left = disc(40, 40, 18)
    right = disc(40, 74, 18)
    lonely = disc(10, 110, 5)
    nuclei = left | right | lonely
    border = nuclei & (np.abs(COLUMNS - 57) <= 2)

    objects = split_interiors(maps_of(nuclei & ~border, border), 0.5, 1.0)
    assert len(ids_in(objects)) == 3
    assert ((objects > 0) == nuclei).all()
    assert objects[40, 30] != objects[40, 85]

    without_border = split_interiors(maps_of(nuclei), 0.5, 1.0)
    assert len(ids_in(without_border)) == 2


def two_halves(seed_area: int) -> np.ndarray:
    """(3, 20, 40) maps of one nucleus with a seed of 60 px and one of ``seed_area`` px."""
    interior = np.zeros((20, 40))
    interior[5:15, 5:35] = 0.5
    interior[5:15, 5:11] = 1
    small = np.zeros(100, bool)
    small[:seed_area] = True
    interior[5:15, 25:35][small.reshape(10, 10)] = 1
    border = np.zeros((20, 40))
    border[5:15, 5:35] = np.where(interior[5:15, 5:35] == 1, 0, 0.5)
    return maps_of(interior, border)


@pytest.mark.parametrize(
    ("seed_area", "zoom", "count"),
    [
        (24, 1.0, 1),
        (25, 1.0, 2),
        # At half the working scale 25 working px are 100 px of the image.
        (99, 0.5, 0),
        (100, 0.5, 1),
        # At twice the scale they are 6.25 px.
        (6, 2.0, 1),
        (7, 2.0, 2),
    ],
)
def test_a_seed_has_at_least_25_working_pixels_at_every_zoom(seed_area, zoom, count):
    objects = split_interiors(two_halves(seed_area), 0.5, zoom)
    # Where no seed is large enough, the whole region is one object.
    assert len(ids_in(objects)) == max(count, 1)
    if count == 1 and zoom == 0.5:
        assert objects[10, 6] == objects[10, 30] > 0


def test_a_region_too_small_for_a_seed_is_an_object_of_its_own():
    """The small region comes first, and must not take the id of the seed of the large one."""
    small = disc(10, 20, 2.5)  # 21 px: too few for a seed, enough to be evidence
    large = disc(50, 60, 15)
    objects = split_interiors(maps_of(small | large), 0.5, 1.0)
    assert len(ids_in(objects)) == 2
    assert len(ids_in(objects[small])) == 1
    assert objects[10, 20] != objects[50, 60]


def test_a_seed_is_where_interior_exceeds_border_by_more_than_0_7():
    interior = np.zeros((20, 40))
    interior[5:15, 5:35] = 0.5
    border = np.where(interior > 0, 0.5, 0)
    for columns, certainty in ((slice(5, 15), 0.86), (slice(25, 35), 0.84)):
        interior[5:15, columns] = certainty
        border[5:15, columns] = 1 - certainty
    # 0.86 - 0.14 = 0.72 makes a seed, 0.84 - 0.16 = 0.68 none.
    assert len(ids_in(split_interiors(maps_of(interior, border), 0.5, 1.0))) == 1
    interior[5:15, 25:35] = 0.86
    border[5:15, 25:35] = 0.14
    assert len(ids_in(split_interiors(maps_of(interior, border), 0.5, 1.0))) == 2


def test_the_foreground_is_what_is_no_background_above_the_threshold():
    interior = np.zeros((20, 40))
    interior[5:15, 5:15] = 1
    interior[5:15, 15:18] = 0.4
    maps = maps_of(interior)
    assert np.count_nonzero(split_interiors(maps, 0.5, 1.0)) == 100
    assert np.count_nonzero(split_interiors(maps, 0.39, 1.0)) == 130
    # Exactly at the threshold a pixel is no foreground.
    maps[0] = np.where(interior == 1, 0, np.where(interior > 0, 0.5, 1))
    assert np.count_nonzero(split_interiors(maps, 0.5, 1.0)) == 100


@pytest.mark.parametrize(
    ("certainty", "zoom", "kept"),
    [
        (0.98, 1.0, {"nucleus", "speck"}),
        (0.75, 1.0, {"nucleus", "speck", "blob"}),
        # Four times as many working px are evidence enough for a grain.
        (0.98, 2.0, {"nucleus", "speck", "grain"}),
    ],
)
def test_clear_specks_stay_and_doubtful_blobs_go_unless_all_are_pale(certainty, zoom, kept):
    places = {
        "nucleus": disc(40, 40, 18),
        "speck": disc(20, 80, 3),
        "blob": disc(60, 90, 10),
        "grain": disc(70, 20, 1.5),
    }
    clear = places["nucleus"] | places["speck"] | places["grain"]
    interior = clear * certainty + places["blob"] * 0.7
    objects = split_interiors(maps_of(interior), 0.6, zoom)
    assert {name for name, place in places.items() if objects[place].any()} == kept


@pytest.mark.parametrize(("pixels", "count"), [(19, 0), (21, 1)])
def test_evidence_is_what_exceeds_0_8_of_the_mean_certainty(pixels, count):
    """Each pixel of certainty 1 gives 0.2 beyond 0.8: 20 px make the 4 that are needed."""
    interior = np.zeros((8, 30))
    interior[2, 2 : 2 + pixels] = 1
    assert len(ids_in(split_interiors(maps_of(interior), 0.5, 1.0))) == count


def test_the_mean_certainty_may_be_that_of_a_larger_image():
    interior = np.zeros((20, 40))
    interior[5:15, 5:15] = 0.8
    assert len(ids_in(split_interiors(maps_of(interior), 0.5, 1.0))) == 1
    assert len(ids_in(split_interiors(maps_of(interior), 0.5, 1.0, 0.9))) == 1
    assert len(ids_in(split_interiors(maps_of(interior), 0.5, 1.0, 1.0))) == 0


def test_cells_lie_between_membranes():
    membrane = ((COLUMNS % 40 == 0) | (ROWS % 40 == 0)).astype(float)
    cells = cells_between(membrane[None])
    assert cells.dtype == np.int32
    assert len(np.unique(cells[membrane == 0])) == 6
    assert cells[20, 20] != cells[20, 60]


@pytest.mark.parametrize(
    ("height", "rows", "count"),
    [
        (1.0, slice(0, 0), 2),
        (1.0, slice(38, 42), 2),  # a gap of 4 px
        (1.0, slice(20, 80), 1),  # three quarters of it are missing
        (0.3, slice(0, 0), 1),
        (0.55, slice(0, 0), 1),
        (0.65, slice(0, 0), 2),
    ],
)
def test_cells_are_joined_where_the_mean_of_their_boundary_is_below_0_6(height, rows, count):
    membrane = height * (np.abs(COLUMNS - 60) <= 1)
    membrane[rows] = 0
    assert len(ids_in(cells_between(membrane[None]))) == count


def test_a_dip_of_less_than_a_twentieth_starts_no_cell():
    """Two hollows of a broad ridge, of which one is hardly deeper than what is around."""
    flat = np.full((40, 40), 0.9)
    flat[:, :20] = 0.0
    flat[10:30, 28:34] = 0.87
    assert len(ids_in(cells_between(flat[None], threshold=0.95))) == 1
    flat[10:30, 28:34] = 0.5
    assert len(ids_in(cells_between(flat[None], threshold=0.95))) == 2


def test_cells_grow_into_the_membrane_until_one_pixel_separates_them():
    ridge = np.exp(-(((np.arange(41) - 20) / 6) ** 2))
    cells = cells_between(np.tile(ridge, (30, 1))[None].astype(np.float32))
    assert (cells[:, 20] == 0).all()
    assert cells.max() == 2
    assert (cells[:, :20] == cells[0, 0]).all()
    assert (cells[:, 21:] == cells[0, 40]).all()
    assert cells[0, 0] != cells[0, 40]


def test_without_a_membrane_all_is_one_cell():
    assert (cells_between(np.zeros((1, 20, 30))) == 1).all()


THREE_DISCS = {4: disc(60, 15, 4), 10: disc(20, 20, 10), 15: disc(50, 60, 15)}


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, [15]), (0.5, [15]), (0.3, [10, 15]), (0.05, [4, 10, 15])]
)
def test_regions_much_smaller_than_the_largest_are_dropped(share, kept):
    labels = np.any(list(THREE_DISCS.values()), axis=0).astype(np.uint8)
    expected = np.any([THREE_DISCS[radius] for radius in kept], axis=0)
    answer = drop_small_components(labels, share)
    assert answer.dtype == np.uint8
    assert (answer == expected).all()
    assert (drop_small_components(labels * 0, share) == 0).all()


def test_a_region_of_exactly_the_share_stays():
    labels = np.array([1, 1, 1, 1, 0, 2, 1, 0, 2], np.uint8)
    assert drop_small_components(labels, 0.5).tolist() == [1, 1, 1, 1, 0, 2, 1, 0, 0]


def test_classes_of_one_region_stay_together():
    labels = np.array([[1, 2, 2, 0, 1, 1]], np.uint8)
    assert drop_small_components(labels, 1.0).tolist() == [[1, 2, 2, 0, 0, 0]]


def test_a_mask_stays_a_mask():
    mask = np.array([True, True, False, True])
    largest = drop_small_components(mask, 1)
    assert largest.dtype == bool
    assert largest.tolist() == [True, True, False, False]


def test_of_two_equal_regions_one_is_the_largest():
    labels = (disc(20, 20, 10) | disc(60, 60, 10)).astype(np.uint8)
    assert (drop_small_components(labels, 1.0) > 0).sum() == disc(20, 20, 10).sum()


@pytest.mark.parametrize("method", ["components", "interiors", "membranes"])
def test_nothing_is_no_object(method):
    nothing = np.zeros((3, 30, 30))
    nothing[0] = 1
    if method == "membranes":
        nothing = np.ones((1, 30, 30))
    if method == "components":
        nothing = np.zeros((1, 30, 30))
    result = result_of(nothing, instance_method=method)
    assert result.objects.max() == 0
    assert len(result.measure()) == 0


def moving_nuclei(slices: int) -> np.ndarray:
    """(3, slices, Y, X): two nuclei that move 3 px a slice, the second in the first half only."""
    interior = np.zeros((slices, 80, 120))
    for z in range(slices):
        interior[z] = disc(30, 30 + 3 * z, 10)
        if z < slices // 2:
            interior[z] += disc(60, 80, 8)
    return np.stack([1 - interior, interior, interior * 0])


def test_nuclei_are_joined_through_depth_and_never_through_time():
    result = result_of(moving_nuclei(6), instance_method="interiors")
    assert result.objects.dtype == np.int32
    assert result.objects.max() == 2
    assert len(ids_in(result.objects[0])) == 2
    assert result.objects[0, 30, 30] == result.objects[5, 30, 45]

    # Six frames of the one, three of the other.
    movie = replace(result, image=replace(result.image, axes="TYX"))
    assert movie.objects.max() == 9
    slicewise = replace(result, card=replace(result.card, objects="slices"))
    assert slicewise.objects.max() == 9


def line_of(*ids: int) -> np.ndarray:
    """(1, X) ids."""
    return np.array([ids])


def test_an_object_goes_on_where_more_than_half_of_the_smaller_one_is_shared():
    below = line_of(1, 1, 1, 1, 0, 0, 0, 0)
    half = line_of(0, 0, 2, 2, 2, 2, 0, 0)
    more = line_of(0, 2, 2, 2, 2, 0, 0, 0)
    smaller = line_of(0, 0, 2, 2, 2, 0, 0, 0)
    assert ids_carried_on(below, half).tolist() == [0, 1, 2]
    assert ids_carried_on(below, more).tolist() == [0, 1, 1]
    assert ids_carried_on(below, smaller).tolist() == [0, 1, 1]


def test_where_two_objects_compete_the_one_with_the_larger_overlap_goes_on():
    below = line_of(1, 1, 1, 1, 1, 1, 1)
    above = line_of(2, 2, 0, 3, 3, 3, 3)
    assert ids_carried_on(below, above).tolist() == [0, 1, 2, 1]


def test_an_object_above_two_others_goes_on_as_the_one_it_shares_most_with():
    below = line_of(1, 1, 0, 2, 2, 2)
    above = line_of(3, 3, 3, 3, 3, 3)
    assert ids_carried_on(below, above).tolist() == [0, 1, 2, 2]


def test_ids_have_no_gaps_once_objects_are_joined():
    stack = join_through_depth([line_of(1, 1, 0, 2), line_of(1, 1, 0, 0), line_of(1, 1, 2, 2)])
    assert stack.dtype == np.int32
    assert stack.tolist() == [[[1, 1, 0, 2]], [[1, 1, 0, 0]], [[1, 1, 3, 3]]]


def test_a_stack_of_micrographs_is_split_slice_by_slice_in_seconds():
    """One watershed through the depth took minutes and gigabytes, and joined cells by mistake."""
    rng = np.random.default_rng(0)
    membranes = rng.random((1, 6, 256, 256)).astype(np.float32) ** 4
    started = time.perf_counter()
    result = result_of(membranes, instance_method="membranes", objects="slices")
    ids = [set(ids_in(objects)) for objects in result.objects]
    assert not set.intersection(*ids)
    assert time.perf_counter() - started < 60
