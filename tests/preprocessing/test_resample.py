"""Images at another size and boxes of volumes: every value lies where it should."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from unet_helpers.preprocessing.resample import (
    Grid,
    at_spacing,
    contrast,
    highest_contrast_window,
    resize,
    resize_channels,
    resize_labels,
)

# images and labels


@pytest.mark.parametrize("shape", [(5, 11), (3, 4)])
def test_many_slices_are_resized_as_each_alone(shape):
    """A slice with two neighbours on each side has five channels, and OpenCV takes four."""
    slices = np.random.default_rng(0).random((4, 6, 5), np.float32)
    alone = [resize(np.ascontiguousarray(slices[..., i]), shape) for i in range(5)]
    np.testing.assert_array_equal(resize(slices, shape), np.stack(alone, axis=-1))


@pytest.mark.parametrize(
    "pixels", [np.ones((9, 7)), np.ones((9, 7, 3), np.uint8), np.ones((1, 1), np.uint16)]
)
def test_resize_gives_the_asked_shape(pixels):
    assert resize(pixels, (5, 11)).shape == (5, 11, *pixels.shape[2:])


def test_an_image_of_the_asked_size_is_returned_as_it_is():
    pixels = np.ones((4, 6))
    assert resize(pixels, (4, 6)) is pixels
    assert resize(pixels, (6, 4)) is not pixels
    colours = np.ones((4, 6, 3))
    assert resize(colours, (4, 6)) is colours


def test_shrinking_averages():
    pixels = np.array([[0, 4, 8, 8], [0, 0, 8, 0]], np.float32)
    assert resize(pixels, (1, 2)).tolist() == [[1, 6]]


def test_enlarging_interpolates_between_centres():
    pixels = np.array([[0, 10]], np.float32)
    assert resize(pixels, (1, 4)).tolist() == [[0, 2.5, 7.5, 10]]


def test_fewer_pixels_are_averages_also_where_one_side_grows():
    pixels = np.zeros((10, 10), np.float32)
    pixels[0] = 100
    np.testing.assert_allclose(resize(pixels, (1, 30)), 10, rtol=1e-5)


def test_as_many_pixels_in_another_shape_are_interpolated():
    pixels = np.array([[0] * 8, [10] * 8], np.float32)
    assert resize(pixels, (4, 4))[:, 0].tolist() == [0, 2.5, 7.5, 10]


def test_channels_are_resized_each_by_itself():
    channels = np.stack([np.full((4, 6), 1, np.float32), np.full((4, 6), 5, np.float32)])
    resized = resize_channels(channels, (2, 3))
    assert resized.shape == (2, 2, 3)
    assert resized[0].tolist() == [[1, 1, 1]] * 2
    assert resized[1].tolist() == [[5, 5, 5]] * 2
    assert resize_channels(channels, (4, 6)) is channels


def test_a_smaller_label_image_has_the_labels_at_the_centres():
    labels = np.arange(6, dtype=np.uint8)[None] + 10 * np.arange(6, dtype=np.uint8)[:, None]
    assert resize_labels(labels, (2, 2)).tolist() == [[11, 14], [41, 44]]


def test_a_larger_label_image_repeats_each_label():
    labels = np.array([[1, 2, 3]], np.uint16)
    larger = resize_labels(labels, (2, 6))
    assert larger.dtype == np.uint16
    assert larger.tolist() == [[1, 1, 2, 2, 3, 3]] * 2


@pytest.mark.parametrize("side", [48, 96, 150, 256])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_labels_stay_where_they_are_at_any_size(side, dtype):
    y, x = np.mgrid[:128, :128]
    disc = (np.hypot(y - 70, x - 45) < 30).astype(dtype) * 7
    smaller = resize_labels(disc, (side, side))
    assert smaller.dtype == dtype
    assert set(np.unique(smaller)) == {0, 7}
    centre = (np.argwhere(smaller == 7).mean(0) + 0.5) / side * 128 - 0.5
    np.testing.assert_allclose(centre, (70, 45), atol=0.2 * 128 / side)


# windows


def test_contrast_is_the_standard_deviation_of_the_channel_in_which_it_is_largest():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, :, 1] = 10
    pixels[0, :, 2] = 4
    assert contrast(pixels) == pytest.approx(5)
    assert contrast(pixels[..., 1].astype(np.uint32)) == pytest.approx(5)
    assert contrast(np.full((2, 2), np.nan)) == 0


def test_the_window_of_highest_contrast_is_found_in_any_type():
    slide = np.full((700, 900), 200, np.uint32)
    slide[300:340, 550:610] = np.random.default_rng(0).integers(0, 200, (40, 60))
    window = highest_contrast_window(slide, 256)
    assert np.array_equal(window, slide[256:512, 512:768])


def test_an_image_smaller_than_the_window_is_all_of_it():
    slide = np.random.default_rng(0).integers(0, 200, (10, 1))
    assert np.array_equal(highest_contrast_window(slide, 256), slide)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_last_window_is_at_least_half_as_long(axis):
    slide = np.zeros((11, 11))
    slide[10, 10] = 1
    assert highest_contrast_window(slide, 4).shape == (3, 3)
    shorter = np.moveaxis(np.zeros((10, 12)), 0, axis)
    shorter[-1, -1] = 1
    # The only bright pixel lies in the rest that no window covers: the first one is taken.
    assert highest_contrast_window(shorter, 4).max() == 0


# volumes

RNG = np.random.default_rng(5)
VOLUME = RNG.normal(size=(9, 10, 11)).astype(np.float32)


def ramp(shape: tuple[int, int, int], slopes=(100.0, 10.0, 1.0)) -> np.ndarray:
    """A volume whose values are linear in z, y and x."""
    z, y, x = np.indices(shape)
    return (slopes[0] * z + slopes[1] * y + slopes[2] * x).astype(np.float32)


def test_a_box_around_a_voxel_has_it_in_its_middle():
    grid = Grid.around(np.array([10.0, 20.0, 30.0]), (3, 5, 4), np.diag([1.0, 2.0, 0.5]))
    np.testing.assert_allclose(grid.start, [9, 16, 29.25])
    assert grid.shape == (3, 5, 4)


def test_a_box_of_whole_voxels_is_cut_as_it_is():
    grid = Grid((3, 4, 5), np.eye(3), np.array([2.0, 1.0, 3.0]))
    np.testing.assert_allclose(grid.cut(VOLUME), VOLUME[2:5, 1:5, 3:8], atol=1e-5)


def test_a_finer_box_lies_between_the_voxels():
    """A shift by half a voxel would change the values by a half of their slope."""
    grid = Grid((3, 4, 5), np.diag([0.5, 0.25, 0.5]), np.array([4.0, 4.0, 4.25]))
    steps = np.indices(grid.shape)
    expected = 100 * (4 + 0.5 * steps[0]) + 10 * (4 + 0.25 * steps[1]) + (4.25 + 0.5 * steps[2])
    # The edges of a spline are not linear, so the volume is far larger than the box.
    np.testing.assert_allclose(grid.cut(ramp((30, 30, 30)))[:, :, :], expected, atol=2.5)
    middle = Grid(grid.shape, grid.matrix, grid.start + 10)
    np.testing.assert_allclose(middle.cut(ramp((30, 30, 30))), expected + 1110, atol=2.5)


def test_a_turned_box_follows_its_matrix():
    """One step along the box's first axis is one along the volume's second, and so on."""
    matrix = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    grid = Grid((4, 3, 2), matrix, np.array([3.0, 2.0, 4.0]))
    expected = VOLUME[3:5, 2:6, 4:7].transpose(1, 2, 0)
    np.testing.assert_allclose(grid.cut(VOLUME), expected, atol=1e-5)


def test_a_coarser_box_is_smoothed_by_half_of_what_a_step_exceeds_a_voxel():
    grid = Grid((3, 3, 3), np.diag([3.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0]))
    smooth = ndimage.gaussian_filter(VOLUME, (1, 0, 0.5), mode="nearest")
    np.testing.assert_allclose(grid.cut(VOLUME), smooth[1:8:3, 3:6, 2:7:2], atol=1e-4)


def test_a_box_beyond_the_volume_shows_its_edge():
    grid = Grid((1, 1, 6), np.eye(3), np.array([4.0, 5.0, 8.0]))
    row = VOLUME[4, 5]
    np.testing.assert_allclose(
        grid.cut(VOLUME)[0, 0], [row[8], row[9], row[10], row[10], row[10], row[10]], atol=1e-5
    )


def test_values_that_are_not_finite_are_read_as_zero():
    volume = VOLUME.copy()
    volume[4, 5, 6] = np.nan
    volume[4, 5, 5] = np.inf
    volume[4, 5, 7] = -np.inf
    zeros = VOLUME.copy()
    zeros[4, 5, 5:8] = 0
    grid = Grid((5, 5, 5), np.eye(3), np.array([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(grid.cut(volume), grid.cut(zeros), atol=1e-5)


@pytest.mark.parametrize(
    ("start", "low", "high"),
    [
        ((3.5, 0, 9), (1, 0, 7), (8, 5, 10)),
        ((-20, 4, 30), (0, 2, 9), (1, 9, 10)),
    ],
)
def test_the_covered_block_has_a_margin_for_the_splines(start, low, high):
    grid = Grid((2, 3, 4), np.eye(3), np.array(start, float))
    block, first = grid.covered_block((10, 10, 10))
    assert first.tolist() == list(low)
    assert [(part.start, part.stop) for part in block] == list(zip(low, high, strict=True))


def test_an_answer_is_added_where_it_was_cut():
    answer = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    total = np.ones((2, 9, 10, 11), np.float32)
    Grid((3, 4, 5), np.eye(3), np.array([2.0, 1.0, 3.0])).put_back(answer, total)
    expected = np.ones_like(total)
    # The edge reaches a step further.
    around = [(0, 0), (1, 1), (1, 1), (1, 1)]
    expected[:, 1:6, 0:6, 2:9] += np.pad(answer, around, mode="edge")
    np.testing.assert_allclose(total, expected, atol=1e-5)


def test_an_answer_of_a_finer_box_comes_back_to_its_voxels():
    """An answer that is linear in the place must be the same line in the volume."""
    grid = Grid((9, 9, 9), np.diag([0.5, 0.5, 0.5]), np.array([2.0, 3.0, 4.0]))
    steps = np.indices(grid.shape)
    answer = (100 * (2 + steps[0] / 2) + 10 * (3 + steps[1] / 2) + 4 + steps[2] / 2)[None]
    total = np.zeros((1, 12, 12, 12), np.float32)
    grid.put_back(answer.astype(np.float32), total)
    inside = (slice(2, 7), slice(3, 8), slice(4, 9))
    np.testing.assert_allclose(total[0][inside], ramp((12, 12, 12))[inside], atol=1e-3)
    total[0][inside] = 0
    assert not total.any()


def test_an_answer_of_a_coarser_box_is_interpolated_between_its_steps():
    grid = Grid((1, 1, 3), np.diag([1.0, 1.0, 2.0]), np.array([0.0, 0.0, 2.0]))
    total = np.zeros((1, 1, 1, 9), np.float32)
    grid.put_back(np.array([[[[0.0, 4.0, 8.0]]]], np.float32), total)
    np.testing.assert_allclose(total[0, 0, 0], [0, 0, 0, 2, 4, 6, 8, 8, 8], atol=1e-5)


def stack(shape: tuple[int, int, int], spacing: tuple[float, ...] | None) -> SimpleNamespace:
    """What ``at_spacing`` reads of a stack."""
    return SimpleNamespace(pixels=np.zeros(shape, np.uint8), spacing=spacing)


def test_a_stack_at_another_spacing_covers_the_same_space():
    grid = at_spacing(stack((10, 20, 30), (2.0, 1.0, 0.5)), 1.0)
    assert grid.shape == (20, 20, 15)
    assert all(isinstance(size, int) for size in grid.shape)
    np.testing.assert_allclose(grid.matrix, np.diag([0.5, 1, 2]))
    # Its outer faces lie where those of the stack do: half a step before the first centre.
    np.testing.assert_allclose(grid.start - grid.matrix @ np.full(3, 0.5), [-0.5, -0.5, -0.5])


def test_steps_are_limited():
    grid = at_spacing(stack((10, 20, 30), (10.0, 0.1, 1.0)), 1.0)
    np.testing.assert_allclose(grid.matrix, np.diag([0.25, 4, 1]))
    assert grid.shape == (40, 5, 30)


def test_a_thin_stack_has_at_least_one_slice():
    assert at_spacing(stack((1, 20, 20), (0.1, 1.0, 1.0)), 1.0).shape == (1, 20, 20)


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (None, 1.0),
        ((1.0, 1.0, 1.0), None),
        ((1.019, 1.0, 0.981), 1.0),
        ((0.5, 0.5, 0.5), 0.5),
    ],
)
def test_a_stack_stays_where_its_spacing_fits_or_is_not_known(own, wanted):
    assert at_spacing(stack((4, 4, 4), own), wanted) is None


def test_a_spacing_that_differs_by_more_than_the_tolerance_is_changed():
    assert at_spacing(stack((4, 4, 4), (1.0, 1.0, 1.03)), 1.0) is not None
