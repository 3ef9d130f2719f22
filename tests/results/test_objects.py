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
    join_over_saddles,
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


def split(
    maps: np.ndarray,
    threshold: float = 0.5,
    zoom: float = 1.0,
    size: float = 24.0,
    certainty: float | None = None,
) -> np.ndarray:
    """The objects of maps (3, H, W) whose objects measure 24 working px."""
    return split_interiors(maps, threshold, zoom, size, certainty)


def test_touching_nuclei_are_told_apart_by_their_border():
    left = disc(40, 40, 18)
    right = disc(40, 74, 18)
    lonely = disc(10, 110, 5)
    nuclei = left | right | lonely
    border = nuclei & (np.abs(COLUMNS - 57) <= 2)

    objects = split(maps_of(nuclei & ~border, border))
    assert len(ids_in(objects)) == 3
    assert ((objects > 0) == nuclei).all()
    assert objects[40, 30] != objects[40, 85]

    without_border = split(maps_of(nuclei))
    assert len(ids_in(without_border)) == 2


def ridge(dip: float, width: float = 60.0) -> np.ndarray:
    """(3, 40, 200) maps of a bar with two maxima of certainty 0.9, and ``dip`` less between.

    The dip is smooth, and ``width`` px wide.
    """
    columns = np.arange(200)
    profile = 0.9 - dip * np.exp(-0.5 * ((columns - 100) / (width / 4)) ** 2)
    # The middle row of each half is a little higher, so that there is one maximum.
    rows = 0.05 * np.exp(-0.5 * ((np.arange(40) - 20) / 5) ** 2)
    ends = 0.05 * np.exp(-0.5 * (np.minimum(abs(columns - 40), abs(columns - 160)) / 10) ** 2)
    certainty = profile + rows[:, None] + ends - 0.05
    interior = (1 + certainty) / 2
    interior[:4] = interior[-4:] = 0
    border = np.where(interior > 0, 1 - interior, 0)
    return maps_of(interior, border)


# Together the two halves of the bar cover 6,400 px: twice as much as one object of this diameter.
HALF = (2 * 6400 / np.pi) ** 0.5


@pytest.mark.parametrize(
    ("dip", "size", "count"),
    [
        # 0.05 are the bumps at the ends.
        (0.08, HALF, 1),
        (0.12, HALF, 2),
        # Two objects that are twice as wide cover four times as much: the dip must be four times as
        # deep, 0.6. The smoothing takes a fifth of it.
        (0.6, 2 * HALF, 1),
        (0.85, 2 * HALF, 2),
        # Two objects that are half as wide cover a quarter, but a dip below 0.1 is no border.
        (0.03, HALF / 2, 1),
        (0.08, HALF / 2, 2),
    ],
)
def test_maxima_with_a_clear_dip_between_them_are_two_nuclei(dip, size, count):
    objects = split(ridge(dip, width=100.0), size=size)
    assert len(ids_in(objects)) == count
    if count == 2:
        # They meet in the dip.
        assert (objects[20, :95] == objects[20, 40]).all()
        assert (objects[20, 106:] == objects[20, 160]).all()


@pytest.mark.parametrize("zoom", [0.5, 2.0])
@pytest.mark.parametrize(("dip", "count"), [(0.08, 1), (0.12, 2)])
def test_sizes_are_in_working_px(zoom, dip, count):
    assert len(ids_in(split(ridge(dip), zoom=zoom, size=HALF * zoom))) == count


@pytest.mark.parametrize(("width", "count"), [(4.0, 1), (60.0, 2)])
def test_a_dip_that_is_narrow_for_a_nucleus_of_60_px_is_smoothed(width, count):
    assert len(ids_in(split(ridge(0.4, width=width), size=60.0))) == count


def test_a_maximum_is_joined_to_the_higher_one_over_the_highest_saddle():
    height = np.array([[0.9, 0.5, 0.6, 0.55, 0.8]])
    joined = join_over_saddles(np.array([[1, 1, 2, 3, 3]]), height, diameter=1.0)
    assert joined[0, 0] != joined[0, 4] == joined[0, 2]


@pytest.mark.parametrize(("saddle", "is_joined"), [(0.64, False), (0.66, True)])
def test_what_was_joined_counts_with_its_whole_area_and_its_highest_maximum(saddle, is_joined):
    """The middle region joins the left one, and both are 9 px with a maximum of 0.9 then."""
    height = np.array([[0.9, 0.9, 0.9, 0.9, 0.7, 0.75, saddle, 0.8, 0.8]])
    regions = np.array([[1, 1, 1, 1, 1, 2, 2, 3, 3]])
    # Two objects cover 9 px: a dynamics of 0.15 below the lower maximum, 0.8, is enough.
    diameter = (9 / 2 / np.pi) ** 0.5 * 2
    joined = join_over_saddles(regions, height, diameter)
    assert joined[0, 5] == joined[0, 0]
    assert (joined[0, 8] == joined[0, 0]) == is_joined


def test_regions_that_do_not_touch_stay_apart():
    regions = np.array([[1, 1, 0, 2, 2], [0, 0, 0, 0, 2]])
    joined = join_over_saddles(regions, np.ones((2, 5)), diameter=4.0)
    assert joined[0, 0] != joined[0, 4]
    assert (joined[regions == 0] == 0).all()


def test_without_foreground_there_is_nothing():
    assert not split(maps_of(np.zeros((20, 30)))).any()


def test_a_small_region_is_an_object_of_its_own():
    small = disc(10, 20, 2.5)  # 21 px: enough to be evidence
    large = disc(50, 60, 15)
    objects = split(maps_of(small | large))
    assert len(ids_in(objects)) == 2
    assert len(ids_in(objects[small])) == 1
    assert objects[10, 20] != objects[50, 60]


def test_the_foreground_is_what_is_no_background_above_the_threshold():
    interior = np.zeros((20, 40))
    interior[5:15, 5:15] = 1
    interior[5:15, 15:18] = 0.4
    maps = maps_of(interior)
    assert np.count_nonzero(split(maps)) == 100
    assert np.count_nonzero(split(maps, 0.39)) == 130
    # Exactly at the threshold a pixel is no foreground.
    maps[0] = np.where(interior == 1, 0, np.where(interior > 0, 0.5, 1))
    assert np.count_nonzero(split(maps)) == 100


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
    objects = split(maps_of(interior), 0.6, zoom)
    assert {name for name, place in places.items() if objects[place].any()} == kept


@pytest.mark.parametrize(("pixels", "count"), [(19, 0), (21, 1)])
def test_evidence_is_what_exceeds_0_8_of_the_mean_certainty(pixels, count):
    """Each pixel of certainty 1 gives 0.2 beyond 0.8: 20 px make the 4 that are needed."""
    interior = np.zeros((8, 30))
    interior[2, 2 : 2 + pixels] = 1
    assert len(ids_in(split(maps_of(interior)))) == count


def test_the_mean_certainty_may_be_that_of_a_larger_image():
    interior = np.zeros((20, 40))
    interior[5:15, 5:15] = 0.8
    assert len(ids_in(split(maps_of(interior)))) == 1
    assert len(ids_in(split(maps_of(interior), certainty=0.9))) == 1
    assert len(ids_in(split(maps_of(interior), certainty=1.0))) == 0


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
