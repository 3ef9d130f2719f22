"""What a network reads of the stored values: channels, and the range that becomes 0 to 1."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.color import hed2rgb

from unet_helpers.networks.cards import Preprocessing
from unet_helpers.preprocessing.intensities import (
    intensity_range,
    is_bright_field,
    noise_around,
    peaks_of_objects,
    range_of_objects,
    remove_brown,
    sample_as_read,
    select_channels,
    slice_levels,
    white_of,
)

COLOURS = np.stack([np.full((4, 4), value, np.uint8) for value in (10, 200, 60)], axis=-1)

# channels


@pytest.mark.parametrize("channels", ["green", "flair"])
def test_the_second_channel_is_taken(channels):
    selected = select_channels(COLOURS, channels, colour=True)
    assert selected.tolist() == [[200] * 4] * 4
    assert selected.flags.c_contiguous


def test_grey_is_the_luma_of_colours():
    grey = select_channels(COLOURS, "grey", colour=True)
    np.testing.assert_allclose(grey, 0.299 * 10 + 0.587 * 200 + 0.114 * 60, rtol=1e-5)


@pytest.mark.parametrize("channels", ["rgb", "stain"])
def test_colours_that_are_read_stay(channels):
    assert select_channels(COLOURS, channels, colour=True) is COLOURS


@pytest.mark.parametrize("channels", ["grey", "green", "flair", "rgb", "stain"])
def test_pixels_without_colours_stay(channels):
    pixels = COLOURS[..., 0].astype(np.int32)
    selected = select_channels(pixels, channels, colour=False)
    assert selected.dtype == np.float32  # which OpenCV takes
    assert np.array_equal(selected, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_types_that_opencv_takes_stay(dtype):
    pixels = np.zeros((2, 2), dtype)
    assert select_channels(pixels, "grey", colour=False) is pixels


@pytest.mark.parametrize(("value", "expected"), [(114, False), (115, True)])
def test_a_light_ground_is_one_above_45_percent_of_white(value, expected):
    pixels = np.zeros((3, 5, 3), np.uint8)
    pixels[..., 1] = value  # of the brightest colour
    pixels[0, :2] = 255 - 255 * expected  # fewer than half of the pixels do not count
    assert is_bright_field(pixels) is expected


def test_a_large_image_is_looked_at_everywhere():
    pixels = np.zeros((600, 700, 3), np.uint8)
    pixels[:, 360:] = 255
    pixels[310:] = 255
    assert is_bright_field(pixels)
    assert not is_bright_field(255 - pixels)


@pytest.mark.parametrize(("height", "expected"), [(511, True), (512, False)])
@pytest.mark.parametrize("axis", [0, 1])
def test_of_512_px_or_more_every_second_line_is_looked_at(height, expected, axis):
    """Two thirds of the lines are light, most of them odd ones."""
    pixels = np.zeros((height, 3, 3), np.uint8)
    pixels[1::2] = 255
    pixels[: height // 3 : 2] = 255
    assert is_bright_field(np.swapaxes(pixels, 0, axis)) is expected


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.zeros(3, np.uint8), 255),
        (np.array([0, 255], np.uint16), 255),
        (np.array([0, 256], np.uint16), 1023),
        (np.array([0, 4000], np.uint16), 4095),
        (np.array([0, 16384], np.uint16), 65535),
        (np.array([0, 16384], np.int16), 32767),
        (np.array([-5, 200], np.int16), 255),
        (np.array([0, 60000], np.uint32), 65535),
        (np.array([0.2, 0.8, np.nan]), 0.8),
        (np.zeros(3), 1e-6),
    ],
)
def test_white_is_the_highest_of_a_camera_or_of_an_image_of_floats(pixels, expected):
    assert white_of(pixels) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_brown_is_taken_out_and_other_dyes_stay(scale):
    haematoxylin_eosin_dab = np.array([[[0.3, 0.1, 0.2], [0.2, 0.0, 0.0], [0.0, 0.1, 0.4]]])
    without_dab = haematoxylin_eosin_dab * (1, 1, 0)
    pixels = hed2rgb(haematoxylin_eosin_dab) * scale
    white = pixels.max()
    cleaned = remove_brown(pixels / white * scale, scale)
    assert cleaned.dtype == np.float32
    bright = np.concatenate([hed2rgb(haematoxylin_eosin_dab), np.ones((1, 1, 3))], axis=1)
    expected = np.concatenate([hed2rgb(without_dab), np.ones((1, 1, 3))], axis=1)
    np.testing.assert_allclose(remove_brown(bright * scale, scale), expected * scale, atol=1e-3)


# ranges

HUNDRED = np.arange(101.0)


def test_the_range_is_that_of_the_percentiles():
    assert intensity_range(HUNDRED, 5, 90) == pytest.approx((5, 1 / 85))


def test_a_constant_image_has_no_gain():
    assert intensity_range(np.full(5, 7), 0, 100) == (7, 0)


def test_values_that_are_not_finite_do_not_count():
    assert intensity_range(np.append(HUNDRED, [np.nan, np.inf, -np.inf]), 0, 100) == (0, 0.01)
    assert intensity_range(np.full(5, np.nan), 0, 100) == (0.0, 0.0)


def test_outliers_do_not_set_the_range():
    pixels = np.random.default_rng(0).normal(100, 10, (100, 100))
    pixels[0, 0] = 1e9
    bottom, gain = intensity_range(pixels, 0.5, 99.5)
    assert 60 < bottom < 80
    assert 40 < 1 / gain < 70


def with_marker(height: float) -> np.ndarray:
    """101 values from 0 to 100 whose 95th percentile is 95, but for the highest."""
    return np.append(HUNDRED[:-1], height)


def test_a_marker_far_beyond_the_95th_percentile_does_not_set_the_range():
    assert intensity_range(with_marker(286), 0, 100, marker=True) == pytest.approx((0, 1 / 95))
    assert intensity_range(with_marker(284), 0, 100, marker=True) == pytest.approx((0, 1 / 284))
    assert intensity_range(with_marker(286), 0, 100) == pytest.approx((0, 1 / 286))


def test_what_is_just_three_times_as_high_is_no_marker():
    assert intensity_range(with_marker(285), 0, 100, marker=True) == pytest.approx((0, 1 / 285))


def test_the_distance_of_a_marker_is_measured_from_the_bottom():
    assert intensity_range(with_marker(286) + 50, 0, 100, marker=True) == pytest.approx(
        (50, 1 / 95)
    )


def test_a_few_bright_pixels_on_a_constant_ground_are_no_marker():
    pixels = np.zeros(100)
    pixels[:3] = 10
    assert intensity_range(pixels, 0, 100, marker=True) == pytest.approx((0, 0.1))


def test_a_large_image_is_sampled_at_regular_steps():
    pixels = np.zeros(6_000_000, np.uint8)
    pixels[1::3] = 100
    pixels[3] = 8
    assert intensity_range(pixels, 0, 100) == (0, 0.125)
    assert intensity_range(pixels[:3_999_999], 0, 100) == (0, 0.01)


def test_each_value_counts_up_to_twice_the_size_of_the_sample():
    pixels = np.zeros(4_000_000, np.uint8)
    pixels[1] = 100
    assert intensity_range(pixels[:-1], 0, 100) == (0, 0.01)
    assert intensity_range(pixels, 0, 100) == (0, 0)


def test_noise_is_a_standard_deviation():
    assert noise_around(10, np.array([7.0, 10.0, 12.0])) == pytest.approx(1.4826 * 2)


# objects

GROUND, HEIGHT = 100.0, 40.0


def fields_of_objects(heights=(HEIGHT,) * 4, side: int = 30) -> np.ndarray:
    """Squares of some heights on a ground with a little noise."""
    shape = (100, 70 * len(heights))
    pixels = np.random.default_rng(0).normal(GROUND, 1, shape)
    for number, height in enumerate(heights):
        left = 20 + 70 * number
        pixels[35 : 35 + side, left : left + side] += height
    return pixels


@pytest.mark.parametrize("offset", [90.0, 100.0])
def test_a_range_that_is_too_wide_ends_a_little_above_the_objects(offset):
    """The ground, the objects' height and the offset all enter."""
    given = offset, 1 / 1000
    expected = offset, 1 / (GROUND + 1.4 * HEIGHT - offset)
    assert range_of_objects(fields_of_objects(), *given) == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize(
    ("range_over_height", "stays"), [(0.73, False), (0.78, True), (3.9, True), (4.15, False)]
)
def test_a_range_that_fits_the_objects_stays(range_over_height, stays):
    given = 80.0, 1 / (GROUND + range_over_height * HEIGHT - 80)
    assert (range_of_objects(fields_of_objects(), *given) == given) is stays


def test_three_quarters_of_the_objects_peak_below_the_level():
    _, gain = range_of_objects(fields_of_objects((10, 20, 30, 40, 50)), GROUND, 1 / 5000)
    assert 1 / gain == pytest.approx(1.4 * 40, rel=2e-2)


def test_a_large_object_counts_once():
    pixels = np.hstack([fields_of_objects((10, 10)), fields_of_objects((80,), side=45)])
    _, gain = range_of_objects(pixels, GROUND, 1 / 5000)
    assert 1 / gain == pytest.approx(1.4 * 45, rel=2e-2)


def test_a_range_without_gain_or_objects_stays():
    assert range_of_objects(fields_of_objects(), 5.0, 0.0) == (5.0, 0.0)
    assert range_of_objects(np.zeros((50, 50)), 5.0, 0.1) == (5.0, 0.1)


def test_noise_makes_no_objects():
    noisy = np.random.default_rng(0).normal(GROUND, 5, (300, 300))
    given = GROUND, 1 / 5000
    assert range_of_objects(noisy, *given) == given


def test_an_object_is_as_high_as_it_is_after_smoothing_by_two_px():
    pixels = np.full((60, 60), GROUND)
    pixels[28:31, 30:33] += 1000
    smooth = ndimage.gaussian_filter(pixels, 2.0)
    _, gain = range_of_objects(pixels, GROUND, 1 / 1e6)
    assert 1 / gain == pytest.approx(1.4 * (smooth.max() - GROUND), rel=1e-2)


def test_objects_are_looked_for_in_an_image_of_at_most_1024_px():
    """A square of 2 px is a speck once the image is 8 times smaller."""
    pixels = np.full((64, 8192), GROUND)
    pixels[20:22, 4000:4002] = 1000
    given = GROUND, 1 / 1e6
    assert range_of_objects(pixels, *given) != given  # faint, but smoothed to an object
    pixels = np.full((64, 1024), GROUND)
    pixels[16:48, 500:532] = GROUND + HEIGHT
    large = np.repeat(np.repeat(pixels, 3, axis=0), 3, axis=1)
    assert range_of_objects(large, *given) == pytest.approx(range_of_objects(pixels, *given))


def test_peaks_are_those_of_objects_of_12_px_or_more():
    pixels = np.zeros((20, 20), np.float32)
    pixels[1:4, 1:5] = 5
    pixels[2, 2] = 9
    pixels[8:9, 2:13] = 7  # 11 px
    pixels[12:15, 10:15] = 3
    assert peaks_of_objects(pixels, 2.0).tolist() == [9, 3]
    assert peaks_of_objects(pixels, 3.0).tolist() == [9]
    assert peaks_of_objects(pixels, 9.0).size == 0


# levels of slices

FROM_0_TO_100 = {"percentiles": (0, 100)}


def test_a_local_score_needs_no_levels():
    reading = Preprocessing(intensities="local", **FROM_0_TO_100)
    slices = np.zeros((2, 3, 3), np.uint8)
    assert slice_levels(slices, reading, colour=False, brown=False) == [(0, 1), (0, 1)]


def test_all_slices_have_the_levels_of_the_volume():
    slices = np.array([[[10, 20]], [[30, 60]]], np.uint8)
    levels = slice_levels(slices, Preprocessing(**FROM_0_TO_100), colour=False, brown=False)
    assert levels == [pytest.approx((10, 1 / 50))] * 2


def test_a_marker_is_left_out_but_of_images_of_objects():
    slices = with_marker(1000)[None, None]
    reading = Preprocessing(**FROM_0_TO_100)
    levels = slice_levels(slices, reading, colour=False, brown=False)
    assert levels == [pytest.approx((0, 1 / 95))]
    reading = Preprocessing(scale="objects", size=9, **FROM_0_TO_100)
    levels = slice_levels(np.zeros((1, 5, 5)), reading, colour=False, brown=False)
    assert levels == [(0, 0)]


@pytest.mark.parametrize(
    ("channels", "expected"),
    [("green", (200, 200)), ("rgb", (10, 200)), ("grey", (127.23, 127.23))],
)
def test_levels_are_those_of_the_channels_that_are_read(channels, expected):
    sample = sample_as_read(COLOURS[None], channels, colour=True, brown=False)
    assert (sample.min(), sample.max()) == pytest.approx(expected)


def test_levels_of_colours_are_those_without_brown_where_it_is_taken_out():
    bright = hed2rgb(np.array([[[0.3, 0.1, 0.2], [0, 0, 0]]]))
    sample = sample_as_read(bright[None], "stain", colour=True, brown=True)
    np.testing.assert_allclose(sample, remove_brown(bright.reshape(2, 3), bright.max()), atol=1e-6)


def test_a_large_colour_stack_is_sampled_by_pixels_and_by_values_where_it_is_computed_longer():
    colours = np.full((1, 2000, 2000, 3), 200, np.uint8)
    assert len(sample_as_read(colours, "green", colour=True, brown=False)) == 2_000_000
    assert len(sample_as_read(colours, "stain", colour=True, brown=True)) == 4_000_000 // 6 + 1


@pytest.mark.parametrize("colour", [False, True])
def test_objects_are_looked_for_in_the_middle_slice(colour):
    empty = np.full((100, 280), GROUND)
    empty[0, 0] = 10_000
    middle = fields_of_objects()
    middle[0, 0] = 0
    slices = np.stack([empty, middle, empty])
    if colour:  # in the brightest channel of each pixel
        slices = np.stack([slices, slices * 0, slices * 0], axis=-1)
    reading = Preprocessing(channels="rgb", scale="objects", size=9, **FROM_0_TO_100)
    levels = slice_levels(slices, reading, colour=colour, brown=False)
    assert levels == [pytest.approx((0, 1 / (GROUND + 1.4 * HEIGHT)), rel=2e-2)] * 3


def test_dyed_objects_keep_the_range_of_the_percentiles():
    slices = np.zeros((1, 8, 8, 3), np.uint8)
    slices[0, 2:7, 2:7] = 255
    reading = Preprocessing(channels="stain", scale="objects", size=9, **FROM_0_TO_100)
    ((offset, gain),) = slice_levels(slices, reading, colour=True, brown=True)
    cleaned = remove_brown(slices.reshape(-1, 3), 255)
    assert (offset, 1 / gain) == pytest.approx((cleaned.min(), np.ptp(cleaned)))


HEAD = Preprocessing(intensities="head", **FROM_0_TO_100)


def head_slice(top: float) -> np.ndarray:
    """Air at 0 to 5 % of the range, and a head from 10 % to all of it."""
    return top * np.array([[0, 0.02, 0.05], [0.1, 0.5, 1.0]])


def test_each_slice_of_a_head_has_its_own_levels_without_the_air():
    slices = np.stack([head_slice(100), head_slice(200)])
    levels = slice_levels(slices, HEAD, colour=False, brown=False)
    assert levels == [pytest.approx((10, 1 / 90)), pytest.approx((20, 1 / 180))]


def test_the_head_is_told_from_air_that_is_not_zero():
    levels = slice_levels(head_slice(100)[None] + 1000, HEAD, colour=False, brown=False)
    assert levels == [pytest.approx((1010, 1 / 90), rel=1e-4)]


def test_a_gain_is_at_most_three_times_that_of_the_brighter_slices():
    slices = np.stack([head_slice(top) for top in (100, 100, 100, 100, 10)])
    levels = slice_levels(slices, HEAD, colour=False, brown=False)
    assert levels[:4] == [pytest.approx((10, 1 / 90))] * 4
    assert levels[4] == pytest.approx((1, 3 / 90))


def test_the_brighter_slices_are_those_at_a_quarter_of_the_gains():
    """Of five slices it is the second brightest."""
    slices = np.stack([head_slice(top) for top in (10, 400, 200, 40, 20)])
    levels = slice_levels(slices, HEAD, colour=False, brown=False)
    gains = [gain for _, gain in levels]
    assert gains == pytest.approx([3 / 180, 1 / 360, 1 / 180, 3 / 180, 3 / 180], rel=1e-5)


def test_constant_slices_have_no_gain_and_bound_none():
    slices = np.stack([np.full((2, 3), 7.0)] * 4 + [head_slice(100)])
    levels = slice_levels(slices, HEAD, colour=False, brown=False)
    assert levels == [(7, 0)] * 4 + [pytest.approx((10, 1 / 90))]
    assert slice_levels(slices[:1], HEAD, colour=False, brown=False) == [(7, 0)]


def test_a_head_in_colours_has_the_levels_of_the_channel_that_is_read():
    sequences = np.stack([head_slice(10), head_slice(100), head_slice(1000)], axis=-1)
    reading = Preprocessing(channels="flair", intensities="head", **FROM_0_TO_100)
    levels = slice_levels(sequences[None], reading, colour=True, brown=False)
    assert levels == [pytest.approx((10, 1 / 90))]
