"""The field of view of fundus photographs: its parts by exact values, and whole photographs."""

import warnings

import numpy as np
import pytest
from helpers.fundus import photograph

from unet_helpers.preprocessing.field_of_view import (
    Light,
    Region,
    box_of,
    convex_hulls_of_largest_regions,
    discs_in_a_lens,
    discs_in_the_dark,
    field_of_view,
    has_dark_ring,
    is_round,
    light_of,
    radii_from,
    regions_of,
    shift_at,
    touches_border,
    width_of,
)

# regions and boxes


def test_regions_have_a_box_and_an_area():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:7] = True
    mask[2, 3] = False
    mask[8, 1:11] = True
    assert regions_of(mask) == [
        Region(left=3, top=2, width=4, height=3, area=11),
        Region(left=1, top=8, width=10, height=1, area=10),
    ]
    assert regions_of(mask & False) == []


def test_the_width_is_the_larger_side_of_the_largest_region():
    mask = np.zeros((30, 40), bool)
    mask[0:9, 0:5] = True
    mask[20, :] = True  # longer, but smaller
    assert width_of(mask) == 9
    assert width_of(mask.T) == 9
    assert width_of(mask & False) == 1


@pytest.mark.parametrize(
    ("width", "shift"), [(100, 0.4), (700, 0.4), (980, -0.1), (1372, -0.6), (3000, -0.6)]
)
def test_the_shift_of_logits_follows_the_logarithm_of_the_width(width, shift):
    # 980 / 700 = 1372 / 980.
    assert shift_at(width, [(700, 0.4), (1372, -0.6)]) == pytest.approx(shift)


def test_a_box_holds_all_of_a_mask():
    mask = np.zeros((10, 12), bool)
    mask[2, 5] = mask[7, 3] = True
    assert box_of(mask) == (slice(2, 8), slice(3, 6))
    assert box_of(mask & False) == (slice(0, 10), slice(0, 12))
    assert box_of(np.stack([mask & False, mask, mask])) == (slice(1, 3), slice(2, 8), slice(3, 6))


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (Region(2, 2, 6, 6, 36), False),
        (Region(1, 2, 6, 6, 36), True),
        (Region(2, 1, 6, 6, 36), True),
        (Region(2, 2, 17, 6, 36), True),
        (Region(2, 2, 16, 6, 36), False),
        (Region(2, 2, 6, 7, 36), True),
    ],
)
def test_a_region_within_two_px_of_the_border_touches_it(region, expected):
    assert touches_border(region, (10, 20)) is expected


@pytest.mark.parametrize(
    ("width", "height", "area", "image_size", "expected"),
    [
        (10, 10, 79, 1000, True),
        (7, 10, 55, 1000, True),
        (10, 7, 55, 1000, True),
        (6, 10, 60, 1000, False),
        (10, 6, 60, 1000, False),
        (10, 10, 70, 1000, False),  # not full
        (10, 10, 71, 1000, True),
        (10, 10, 80, 4000, False),  # small in its image
        (10, 10, 81, 4000, True),
    ],
)
def test_a_round_region_is_full_and_large(width, height, area, image_size, expected):
    assert is_round(Region(0, 0, width, height, area), image_size) is expected


def test_radii_are_measured_from_the_centre_of_a_region_in_its_own():
    radii = radii_from(Region(left=2, top=1, width=6, height=4, area=0), (6, 10))
    assert radii.shape == (6, 10)
    assert radii[1, 4] == pytest.approx(np.hypot(1.5 / 2, 0.5 / 3))
    assert radii[4, 7] == pytest.approx(np.hypot(1.5 / 2, 2.5 / 3))
    assert radii[2, 0] == pytest.approx(np.hypot(0.5 / 2, 4.5 / 3))


def disc_and_ring(ring: float, gap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A disc of 100 with a ring around it, and the radii; outside the ring it is bright."""
    radii = radii_from(Region(20, 20, 60, 60, 0), (100, 100))
    thumbnail = np.full((100, 100), 255.0)
    thumbnail[radii < 1.15] = ring
    thumbnail[radii <= gap] = 100
    return thumbnail, radii


@pytest.mark.parametrize(("ring", "expected"), [(39, True), (41, False)])
def test_a_ring_is_dark_below_40_percent_of_the_disc(ring, expected):
    assert has_dark_ring(*disc_and_ring(ring)) is expected
    assert has_dark_ring(*disc_and_ring(ring, gap=1.05)) is expected


def test_a_ring_outside_the_image_is_not_dark():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as of a median of nothing
        assert not has_dark_ring(np.full((5, 5), 100.0), np.zeros((5, 5)))


def test_one_pixel_of_a_ring_tells_whether_it_is_dark():
    """As of a disc that fills its image but for a corner."""
    radii = np.array([[0.0, 1.1, 9.0]])
    assert has_dark_ring(np.array([[100.0, 5.0, 90.0]]), radii)
    assert not has_dark_ring(np.array([[100.0, 90.0, 5.0]]), radii)


# discs in a dark surround


def test_light_is_measured_in_the_corners_and_in_the_middle():
    thumbnail = np.full((100, 200), 7.0, np.float32)
    corners = [(slice(0, 6), slice(0, 6)), (slice(0, 6), slice(194, 200))]
    corners += [(slice(94, 100), slice(0, 6)), (slice(94, 100), slice(194, 200))]
    for corner, level in zip(corners, (10, 20, 20, 255), strict=True):
        thumbnail[corner] = level
    thumbnail[25:75, 50:150] = 90
    thumbnail[25:40, 50:150] = 120  # three tenths of the middle
    light = light_of(thumbnail)
    # A quarter of the corners is at 10, and the next values are 20.
    assert light.dark == pytest.approx(np.percentile([10] * 36 + [20] * 72 + [255] * 36, 25))
    deviations = np.abs(np.array([10] * 36 + [20] * 72) - light.dark)
    assert light.noise == pytest.approx(1.4826 * np.median(deviations))
    assert light.bright == 120
    assert Light(10, 1, 90).contrast == 80


def test_small_thumbnails_have_corners_of_two_px():
    thumbnail = np.zeros((20, 20), np.float32)
    thumbnail[:2, :2] = thumbnail[:2, -2:] = thumbnail[-2:, :2] = thumbnail[-2:, -2:] = 5
    assert light_of(thumbnail).dark == 5


def square(level: float = 100.0, dark: float = 0.0) -> np.ndarray:
    """A bright square in a dark surround, (100, 100) float32."""
    thumbnail = np.full((100, 100), dark, np.float32)
    thumbnail[20:80, 20:80] = level
    return thumbnail


# The rim of two px is cut off.
INNER_SQUARE = (slice(22, 78), slice(22, 78))


def only(part: tuple[slice, slice]) -> np.ndarray:
    """A mask of one part alone."""
    mask = np.zeros((100, 100), np.uint8)
    mask[part] = 1
    return mask


def test_what_is_bright_in_the_dark_is_found_without_its_rim():
    assert np.array_equal(discs_in_the_dark(square()), only(INNER_SQUARE))


@pytest.mark.parametrize(("dark", "found"), [(69, True), (71, False)])
def test_a_surround_is_dark_where_the_contrast_is_30_percent(dark, found):
    assert (discs_in_the_dark(square(dark=dark)) is not None) is found


@pytest.mark.parametrize(("level", "found"), [(-12, True), (-13, False)])
def test_the_contrast_is_six_times_the_noise(level, found):
    """A third of the corners is darker by 12: the noise is 17.8, and the contrast 112."""
    thumbnail = square(level=100)
    for row in (0, -1):
        thumbnail[row, [0, 1, 2, -1, -2, -3]] = level
    assert (discs_in_the_dark(thumbnail) is not None) is found


@pytest.mark.parametrize(("level", "is_lit"), [(19, False), (21, True)])
def test_what_is_a_fifth_as_bright_is_lit(level, is_lit):
    thumbnail = square()
    thumbnail[30:70, 80:90] = level
    assert bool(discs_in_the_dark(thumbnail)[50, 85]) is is_lit


@pytest.mark.parametrize(("level", "is_inside"), [(7, False), (9, True)])
def test_a_dim_notch_in_the_rim_belongs_to_the_disc_and_a_dark_one_does_not(level, is_inside):
    thumbnail = square()
    thumbnail[40:60, 20:30] = level
    assert bool(discs_in_the_dark(thumbnail)[50, 25]) is is_inside


@pytest.mark.parametrize(("level", "is_inside"), [(16, False), (19, True)])
def test_a_notch_is_told_by_three_times_the_noise_of_a_noisy_surround(level, is_inside):
    """A third of the corners is darker by 5: there the noise is 7.4, three times that 22.2 - 5."""
    thumbnail = square()
    for row in (0, -1):
        thumbnail[row, [0, 1, 2, -1, -2, -3]] = -5
    thumbnail[40:60, 20:30] = level
    assert bool(discs_in_the_dark(thumbnail)[50, 25]) is is_inside


def test_dark_vessels_inside_belong_to_the_disc():
    thumbnail = square()
    thumbnail[40:60, 45:50] = 0
    assert np.array_equal(discs_in_the_dark(thumbnail), only(INNER_SQUARE))


def test_thin_bright_lines_are_not_the_eye():
    thumbnail = square()
    thumbnail[8:14, 2:98] = 200
    assert np.array_equal(discs_in_the_dark(thumbnail), only(INNER_SQUARE))
    thumbnail = np.zeros((100, 100), np.float32)
    thumbnail[::4, 10:90] = 200
    assert discs_in_the_dark(thumbnail) is None


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("width", "is_lit"), [(6, False), (7, True)])
def test_a_stroke_that_touches_the_eye_is_cut_off_if_it_is_less_than_7_px_wide(width, is_lit, axis):
    thumbnail = square()
    thumbnail[50 : 50 + width, 80:90] = 100
    found = discs_in_the_dark(np.swapaxes(thumbnail, 0, axis))
    assert np.array_equal(found, only(INNER_SQUARE)) is not is_lit


def test_a_disc_that_is_cut_off_reaches_the_border():
    thumbnail = np.zeros((100, 100), np.float32)
    thumbnail[:, 30:70] = 100
    found = discs_in_the_dark(thumbnail)
    assert np.array_equal(found, only((slice(0, 100), slice(32, 68))))


def test_hulls_are_those_of_the_largest_region_and_of_others_half_as_large():
    lit = np.zeros((60, 100), np.uint8)
    lit[5:45, 5:25] = 1  # 800
    lit[5:45, 35:45] = 1  # 400
    lit[5:44, 55:65] = 1  # 390
    hulls = convex_hulls_of_largest_regions(lit)
    assert np.array_equal(hulls, lit * (np.arange(100) < 50))


def test_a_hull_fills_what_is_hollow():
    lit = np.zeros((40, 40), np.uint8)
    lit[5:35, 5:10] = lit[5:10, 5:35] = lit[30:35, 5:35] = 1
    hulls = convex_hulls_of_largest_regions(lit)
    expected = np.zeros_like(lit)
    expected[5:35, 5:35] = 1
    assert np.array_equal(hulls, expected)


# through a lens


def lens(outside: float = 90.0, radius: float = 1.15, ring: float = 5.0) -> np.ndarray:
    """A disc of 40 px radius at 100 in a dark ring, in a room (120, 160)."""
    radii = radii_from(Region(40, 20, 80, 80, 0), (120, 160))
    thumbnail = np.full((120, 160), outside, np.float32)
    thumbnail[radii < radius] = ring
    thumbnail[radii <= 1] = 100
    return thumbnail


def test_a_disc_in_a_dark_ring_is_used_up_to_97_percent_of_its_radius():
    found = discs_in_a_lens(lens())
    radii = radii_from(Region(40, 20, 80, 80, 0), (120, 160))
    assert np.array_equal(found, (radii < 0.97).astype(np.uint8))


@pytest.mark.parametrize(("outside", "found"), [(90, True), (5, False)])
def test_a_lens_is_one_where_the_room_is_bright(outside, found):
    assert (discs_in_a_lens(lens(outside)) is not None) is found


@pytest.mark.parametrize(("outside", "found"), [(25, False), (26, True)])
def test_a_dim_room_is_one_above_a_quarter_of_the_brightness_of_the_eye(outside, found):
    """The second level, two fifths, would not see it."""
    assert (discs_in_a_lens(lens(outside)) is not None) is found


@pytest.mark.parametrize(("light", "found"), [(180, False), (200, True)])
def test_a_room_is_bright_where_more_than_one_percent_is(light, found):
    thumbnail = lens(outside=5)
    thumbnail[0, :160] = 90
    thumbnail[1, : light - 160] = 90
    assert (discs_in_a_lens(thumbnail) is not None) is found


def test_a_disc_without_a_dark_ring_is_none_of_a_lens():
    assert discs_in_a_lens(lens(ring=20, outside=22)) is None
    assert discs_in_a_lens(np.full((50, 50), 9, np.float32)) is None


def test_a_bright_spot_raises_the_level_and_the_second_level_is_tried():
    """At a quarter of the light disc and room are one; at two fifths they are apart."""
    assert discs_in_a_lens(lens(ring=30, outside=90)) is not None
    assert discs_in_a_lens(lens(ring=39.5, outside=90)) is not None
    assert discs_in_a_lens(lens(ring=41, outside=90)) is None


# whole photographs


def test_the_field_of_view_is_found():
    pixels, inside = photograph()
    pixels[:12, -40:] = 255  # a label in the corner
    found = field_of_view(pixels)
    assert abs(width_of(found) - 301) <= 6
    assert (found == inside).mean() > 0.98


def test_an_image_without_a_dark_surround_is_all_of_it():
    full = np.random.default_rng(0).integers(60, 200, (50, 80, 3)).astype(np.uint8)
    assert field_of_view(full).all()
    assert field_of_view(full).shape == (50, 80)
    assert width_of(field_of_view(full)) == 80


def test_of_colours_red_is_looked_at():
    pixels, _ = photograph()
    colours = np.stack([pixels, 255 - pixels, pixels * 0], axis=-1)
    assert np.array_equal(field_of_view(colours), field_of_view(pixels))


def test_a_photograph_larger_than_the_thumbnail_is_found_as_exactly():
    pixels, inside = photograph(radius=600, side=1600)
    assert (field_of_view(pixels) == inside).mean() > 0.985
    holes = pixels.astype(np.float32)
    holes[::50, ::50] = np.nan
    assert (field_of_view(holes) == inside).mean() > 0.985


@pytest.mark.parametrize("surround", [(20, 45, 40), (45, 45, 45), (60, 60, 60), (0, 0, 0)])
def test_the_field_of_view_is_found_in_any_surround_and_cut_off_at_the_top(surround):
    pixels, inside = photograph(180)
    colour = np.stack([np.clip(pixels * 1.4, 0, 255), pixels * 0.7, pixels * 0.4], -1)
    inside[:40] = False
    inside[-40:] = False
    noise = np.random.default_rng(1).normal(0, 6, colour.shape)
    colour = np.where(inside[..., None], colour, surround + noise)
    found = field_of_view(np.clip(colour, 0, 255).astype(np.uint8))
    assert (found & inside).sum() / (found | inside).sum() > 0.95
    assert (found & ~inside).sum() < 0.01 * inside.sum()  # the rim is no vessel


def test_two_eyes_are_both_seen_each_at_its_own_size():
    pixels, _ = photograph()
    found = field_of_view(np.hstack([pixels, pixels]))
    assert found[:, :400].mean() > 0.4
    assert found[:, 400:].mean() > 0.4
    assert abs(width_of(found) - 301) <= 8


@pytest.mark.parametrize(
    "room", [(120, 85, 70), (35, 30, 28), (70, 75, 80)], ids=["skin", "dark", "room"]
)
def test_an_eye_seen_through_a_lens_is_found(room):
    """A phone's photograph: room, bright rim of the lens, dark ring, eye with two reflections."""
    y, x = np.mgrid[:600, :800]
    distance = np.hypot(y - 270, x - 420)
    pixels = np.full((600, 800, 3), room) * (0.6 + 0.4 * np.cos(x / 267))[..., None]
    pixels[distance < 190] = (12, 8, 8)
    pixels[abs(distance - 190) < 5] = 195
    pixels[distance < 150] = (170, 90, 50)
    pixels[(abs(y - 220) < 9) & (abs(x - 470) < 14)] = 250
    noise = np.random.default_rng(2).normal(0, 6, pixels.shape)
    found = field_of_view(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    assert (found & (distance < 150)).sum() / (found | (distance < 150)).sum() > 0.9
    assert abs(width_of(found) - 301) < 15
