"""``MedicalImage``: what it says about itself, what it warns of, and a spacing given by hand."""

from pathlib import Path

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.images.geometry import ras_affine
from unet_helpers.images.image import name_of
from unet_helpers.images.limits import refuse_if_huge
from unet_helpers.images.pixel_checks import (
    CHECKED_VALUES,
    check_pixels,
    evenly_spread,
    shows_something,
    sides,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 200, (24, 31), np.uint8)


def test_facts_of_an_image():
    pixels = np.zeros((5, 24, 31), np.float32)
    pixels[0, 0, :3] = (np.nan, -2, 7.5)
    image = uh.MedicalImage(
        pixels, "ZYX", (2.0, 0.5, 0.25), path=Path("secret/scan.nii"), notes=("one", "two")
    )
    facts = image.facts()
    assert facts["image"] == "scan.nii"
    assert facts["size"] == "5 × 24 × 31 (z, y, x)"
    assert facts["values"] == "float32, -2 to 7.5"
    assert facts["channels"] == "1"
    assert facts["spacing"] == "2 × 0.5 × 0.25 mm"
    assert (facts["note 1"], facts["note 2"]) == ("one", "two")
    assert facts["warning 1"].startswith("0.0% of the values are not finite")


def test_facts_of_an_array_without_spacing_or_finite_values():
    facts = uh.MedicalImage(np.full((24, 31), np.nan), "YX").facts()
    assert facts["image"] == "array"
    assert facts["values"] == "none finite"
    assert facts["spacing"] == "not in the file"


def test_what_a_cell_shows_is_escaped():
    image = uh.MedicalImage(GREY, "YX", notes=("a < b",))
    assert "note 1     a < b" in repr(image).splitlines()
    shown = image._repr_html_()
    assert "<td style='text-align:left'>a &lt; b</td></tr>" in shown
    assert shown.startswith("<table><tr><th style='text-align:left'>image</th>")


@pytest.mark.parametrize(
    ("axes", "affine", "lies"),
    [
        ("XYZ", False, True),
        ("XYZC", False, True),
        ("ZYX", True, True),
        ("TZYX", True, True),
        ("ZYX", False, False),
        ("YX", True, False),
        ("TYX", True, False),
    ],
)
def test_volumes_with_a_place_lie_in_space(axes, affine, lies):
    image = uh.MedicalImage(np.zeros((2,) * len(axes)), axes, affine=np.eye(4) if affine else None)
    assert image.lies_in_space is lies


@pytest.mark.parametrize("axes", ["YX", "YXC"])
def test_a_photograph_is_single(axes):
    assert uh.MedicalImage(np.zeros((2,) * len(axes)), axes).is_single


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "XYZ"])
def test_a_stack_movie_or_volume_is_not_single(axes):
    assert not uh.MedicalImage(np.zeros((2, 2, 2)), axes).is_single


def test_the_volume_of_a_voxel():
    pixels = np.zeros((2, 2, 2))
    assert uh.MedicalImage(pixels, "ZYX").voxel_volume is None
    assert uh.MedicalImage(pixels, "TYX", (1.0, 2.0)).voxel_volume is None
    assert uh.MedicalImage(pixels, "ZYX", (3.0, 2.0, 0.5)).voxel_volume == 3

    # Steps of 2 along each axis, in a unit of its own, one of them leaning by 60 degrees.
    sheared = np.diag([2.0, 2, 2, 1])
    sheared[:3, 2] = (0, 2 * np.sin(np.radians(60)), 2 * np.cos(np.radians(60)))
    image = uh.MedicalImage(pixels, "ZYX", (3.0, 2.0, 0.5), sheared)
    assert image.voxel_volume == pytest.approx(1.5)
    without_steps = uh.MedicalImage(pixels, "ZYX", (3.0, 2.0, 0.5), np.zeros((4, 4)))
    assert without_steps.voxel_volume == 3
    with_nan = uh.MedicalImage(pixels, "ZYX", (3.0, 2.0, 0.5), np.full((4, 4), np.nan))
    assert with_nan.voxel_volume == 3


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("head.nii.gz", "head"),
        ("Head.NII.GZ", "Head"),
        ("cells.ome.tif", "cells"),
        ("cells.ome.tiff", "cells"),
        ("a.b.png", "a.b"),
        ("noending", "noending"),
    ],
)
def test_the_name_of_a_file_without_its_endings(file, name):
    assert name_of(Path("folder") / file) == name


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((9, 8), "YX"),
        ((9, 8, 1), "YX"),
        ((9, 8, 3), "YXC"),
        ((9, 8, 5), "ZYX"),
        ((5, 9, 8), "ZYX"),
        ((5, 9, 8, 3), "ZYXC"),
    ],
)
def test_the_axes_of_an_array_follow_from_its_shape(shape, axes):
    assert uh.read_image(RNG.integers(0, 255, shape, np.uint8)).axes == axes


def test_an_array_with_three_colours_first_is_said_to_be_slices():
    words = "taken as 3 slices: colours would be its last axis"
    assert uh.read_image(np.stack([GREY] * 3)).notes == (words,)
    assert uh.read_image(np.stack([GREY] * 4)).notes == ()
    assert uh.read_image(RNG.integers(0, 255, (3, 31, 3), np.uint8)).notes == ()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("?", "uint8"), ("f2", "float32"), ("f4", "float32"), ("f8", "float64"), (">u2", "uint16")],
)
def test_values_are_kept_in_a_usual_dtype(given, kept):
    image = uh.read_image((GREY > 99).astype(given))
    assert image.pixels.dtype == kept
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(image.pixels, GREY > 99)


def test_long_double_becomes_single():
    assert uh.read_image(GREY.astype(np.longdouble)).pixels.dtype == np.float32


@pytest.mark.parametrize(("size", "is_read"), [(24 * 31, True), (24 * 31 - 1, False)])
def test_the_limit_of_values(size, is_read, monkeypatch):
    monkeypatch.setattr("unet_helpers.images.limits.MAX_VALUES", size)
    if is_read:
        uh.read_image(GREY)
    else:
        with pytest.raises(uh.ImageError, match="has 744 values, more than 743"):
            uh.read_image(GREY)


def test_the_limit_of_bytes():
    path = Path("a.npz")
    refuse_if_huge(path, (2, 2), unpacked_bytes=2**30, stored_bytes=1)
    refuse_if_huge(path, (2, 2), unpacked_bytes=2**32, stored_bytes=2**32 / 100)
    with pytest.raises(uh.ImageError, match="1,073,741,825 bytes of almost nothing"):
        refuse_if_huge(path, (2, 2), unpacked_bytes=2**30 + 1, stored_bytes=1)
    refuse_if_huge(path, (2**15, 2**14))
    with pytest.raises(uh.ImageError, match="says it is 32768 × 16385"):
        refuse_if_huge(path, (2**15, 2**14 + 1))


# Spacing


@pytest.mark.parametrize(
    ("spacing", "steps"), [(0.5, (0.5, 0.5)), ((1, 2.0), (1, 2)), ([1, 2], (1, 2))]
)
def test_a_spacing_given_by_hand(spacing, steps):
    image = uh.read_image(GREY, spacing=spacing)
    assert image.spacing == steps
    assert image.notes == ("spacing given by hand",)


@pytest.mark.parametrize("spacing", [0, -1, np.inf, np.nan, (1,), (1, 2, 3), (1, 0), (1, "2")])
def test_an_impossible_spacing_is_refused(spacing):
    with pytest.raises(uh.ImageError, match="give mm per px above 0, one number or 2 of them"):
        uh.read_image(GREY, spacing=spacing)


def test_the_spacing_of_a_movie_leaves_out_time_and_colour():
    image = uh.MedicalImage(np.zeros((2, 3, 4, 5, 3)), "TZYXC")
    assert uh.read_image(image, spacing=(3, 2, 1)).spacing == (3, 2, 1)


@pytest.mark.parametrize(("axes", "expected"), [("XYZ", (3, 4, 5)), ("ZYX", (5, 4, 3))])
def test_a_spacing_given_by_hand_keeps_directions_and_origin(axes, expected):
    affine = np.diag([-1.0, 1, 2, 1])
    affine[:3, 3] = (7, 8, 9)
    before = affine.copy()
    image = uh.MedicalImage(np.zeros((2, 2, 2)), axes, (1.0, 1.0, 1.0), affine)
    changed = uh.read_image(image, spacing=(3, 4, 5))
    x, y, z = expected
    np.testing.assert_array_equal(changed.affine[:3, :3], np.diag([-x, y, z]))
    np.testing.assert_array_equal(changed.affine[:3, 3], (7, 8, 9))
    np.testing.assert_array_equal(affine, before)


def test_an_axis_without_a_length_stays_without():
    image = uh.MedicalImage(np.zeros((2, 2, 2)), "XYZ", affine=np.diag([1.0, 2, 0, 1]))
    changed = uh.read_image(image, spacing=3)
    np.testing.assert_array_equal(changed.affine, np.diag([3.0, 3, 0, 1]))


def test_dicoms_axes_are_turned_to_niftis():
    steps = np.arange(9.0).reshape(3, 3)
    affine = ras_affine(steps, (10, 20, 30))
    expected = [[-0, -1, -2, -10], [-3, -4, -5, -20], [6, 7, 8, 30], [0, 0, 0, 1]]
    np.testing.assert_array_equal(affine, expected)


# Warnings


def gradient(side: int = 100) -> np.ndarray:
    return np.arange(side * side, dtype=np.float64).reshape(side, side)


def warnings_of(pixels: np.ndarray) -> list[str]:
    return check_pixels(pixels, pixels.shape)


def test_an_image_that_looks_well_has_no_warnings():
    assert warnings_of(gradient()) == []
    assert warnings_of(gradient(16)) == []


def test_an_image_of_one_value():
    (words,) = warnings_of(np.full((20, 20), 7))
    assert words.startswith("all values are the same")
    missing, same = warnings_of(np.full((20, 20), np.nan))
    assert missing.startswith("100.0% of the values are not finite")
    assert same.startswith("all values are the same")


def test_values_that_are_not_finite_are_counted():
    pixels = gradient()
    pixels[:10, :25] = np.inf
    assert warnings_of(pixels) == [
        "2.5% of the values are not finite (NaN or infinite); single ones are filled, "
        "others count as 0."
    ]


@pytest.mark.parametrize(("side", "is_small"), [(15, True), (16, False)])
def test_a_small_image(side, is_small):
    words = "fewer than 16 pixels on a side"
    assert any(words in text for text in warnings_of(gradient()[:side])) == is_small


@pytest.mark.parametrize(("rows", "is_clipped"), [(20, False), (21, True)])
def test_a_clipped_image(rows, is_clipped):
    pixels = gradient()
    pixels[-rows:] = pixels.max()
    expected = []
    if is_clipped:
        expected = [
            "21% of the values are at the maximum: overexposed or clipped; details are lost there."
        ]
    assert warnings_of(pixels) == expected


@pytest.mark.parametrize(("levels", "is_clipped"), [(8, False), (9, True)])
def test_an_image_of_few_levels_is_not_clipped(levels, is_clipped):
    pixels = np.linspace(0, 1, levels)[np.arange(10_000) % levels].reshape(100, 100)
    pixels[:30] = 1
    assert any("clipped" in text for text in warnings_of(pixels)) == is_clipped


def test_an_almost_empty_image_and_a_mask():
    pixels = np.zeros((100, 100))
    pixels[0, :10] = range(10)
    assert warnings_of(pixels) == [
        "99 % of the values are the same: an almost empty image, or a mask instead of an image."
    ]
    pixels[:50] = 1
    pixels[50:] = 0
    assert warnings_of(pixels) == [
        "only two different values: this looks like a mask, not like an image."
    ]


@pytest.mark.parametrize(
    ("levels", "dtype", "is_said"),
    [(32, np.uint16, True), (33, np.uint16, False), (20, np.uint8, False), (20, float, False)],
)
def test_few_grey_levels_of_16_bit(levels, dtype, is_said):
    pixels = (np.arange(10_000).reshape(100, 100) % levels).astype(dtype)
    assert any("fewer than 32 grey levels" in text for text in warnings_of(pixels)) == is_said


def test_a_sample_is_spread_evenly():
    values = np.arange(100)
    np.testing.assert_array_equal(evenly_spread(values, 25), np.arange(0, 100, 4))
    np.testing.assert_array_equal(evenly_spread(values, 1000), values)
    assert CHECKED_VALUES == 4_000_000


def test_a_slice_is_made_of_the_two_largest_extents():
    assert sides((200, 5, 300)) == (200, 300)
    assert sides((20, 30)) == (20, 30)


def test_what_shows_something():
    assert shows_something(gradient(16), (16, 16))
    assert not shows_something(gradient(16), (15, 16))
    assert not shows_something(np.ones((20, 20)), (20, 20))
    assert not shows_something(np.full((20, 20), np.nan), (20, 20))
    assert not shows_something((gradient(20) > 200).astype(np.uint8), (20, 20))
    with_nan = gradient(20)
    with_nan[0] = np.nan
    assert shows_something(with_nan, (20, 20))
