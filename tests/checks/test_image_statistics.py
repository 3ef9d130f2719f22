"""Statistics of an image: exact values of small ones, at the scale and channels of a card."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.checks import image_statistics
from unet_helpers.checks.image_statistics import (
    OVERVIEW_SIDE,
    Overviews,
    Viewpoint,
    as_floats,
    chroma,
    clip_markers,
    colours_seen,
    correlation,
    describe,
    describe_grey,
    features,
    layout,
    overview,
    texture,
    viewpoint_of,
)

NATIVE = Viewpoint(scale="native", clips_markers=False, channels="any", counts_size=False)
SQUARE = replace(NATIVE, scale="square")
FIELD = replace(NATIVE, scale="field of view", channels="green")
FLAIR = replace(NATIVE, channels="flair")


def test_cards_share_a_viewpoint_where_they_look_alike():
    viewpoints = {name: viewpoint_of(card) for name, card in uh.MODELS.items()}
    assert viewpoints["nuclei"] == viewpoints["nuclei_he"] == viewpoints["em_membranes"] == NATIVE
    assert viewpoints["retinal_vessels"] == FIELD
    assert viewpoints["lungs"] == replace(SQUARE, clips_markers=True)
    assert viewpoints["hippocampus"] == replace(NATIVE, counts_size=True)
    assert viewpoints["brain_flair"].channels == "flair"


def test_only_three_colours_are_seen():
    pixels = np.arange(2 * 2 * 4).reshape(2, 2, 4)
    np.testing.assert_array_equal(colours_seen(pixels, NATIVE), pixels[..., :3])
    np.testing.assert_array_equal(colours_seen(pixels, FLAIR), pixels[..., 1])
    np.testing.assert_array_equal(colours_seen(pixels[..., :2], FLAIR), pixels[..., 0])
    np.testing.assert_array_equal(colours_seen(pixels[..., 0], FLAIR), pixels[..., 0])


def test_values_that_are_not_finite_count_as_the_lowest():
    pixels = np.array([3.0, np.nan, np.inf, -np.inf, 1e300, 2.0])
    assert as_floats(pixels).tolist() == [3, 2, 2, 2, 2, 2]
    assert as_floats(np.array([np.nan])).tolist() == [0]
    assert as_floats(np.array([1e20, 1.0])).tolist() == pytest.approx([1e12, 1e-8])
    assert as_floats(np.array([7], np.uint8)).dtype == np.float32


def test_a_native_overview_is_the_window_of_highest_contrast():
    pixels = np.zeros((600, 600), np.uint8)
    pixels[300:, 300:] = np.random.default_rng(0).integers(0, 255, (300, 300))
    window = overview(pixels, NATIVE)
    assert window.shape == (OVERVIEW_SIDE, OVERVIEW_SIDE)
    assert window.std() > 50


def test_a_square_overview_is_the_whole_image():
    pixels = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 100, 0), 150, 1).astype(np.uint8)
    seen = overview(pixels, SQUARE)
    assert seen.shape == (OVERVIEW_SIDE, OVERVIEW_SIDE)
    assert [seen[0, 0], seen[0, -1], seen[-1, 0], seen[-1, -1]] == [0, 1, 2, 3]


def test_an_overview_of_a_photograph_is_its_field_of_view():
    pixels = np.zeros((400, 600), np.uint8)
    cv2.circle(pixels, (300, 200), 150, 200, -1)
    seen = overview(pixels, FIELD)
    assert max(seen.shape) == OVERVIEW_SIDE
    assert seen.shape[0] == pytest.approx(OVERVIEW_SIDE, abs=4)
    assert seen.mean() > 0.7 * 200


def test_a_large_image_is_thinned_out_first():
    pixels = np.zeros((4 * 384, 4 * 384), np.uint8)
    pixels[1::4] = 255
    assert overview(pixels, SQUARE).max() == 0


def test_markers_are_clipped_above_the_range():
    pixels = np.tile(np.linspace(0, 100, 400, dtype=np.float32), (400, 1))
    pixels[:60, :60] = 10_000
    clipped = clip_markers(pixels)
    assert 110 < clipped.max() < 140
    np.testing.assert_array_equal(clipped[100:], pixels[100:])
    constant = np.full((40, 40), 5, np.float32)
    assert clip_markers(constant) is constant


def test_an_overview_is_made_once_for_a_viewpoint(monkeypatch):
    made = []

    def counted(pixels, viewpoint):
        made.append(viewpoint)
        return overview(pixels, viewpoint)

    monkeypatch.setattr(image_statistics, "overview", counted)
    overviews = Overviews([np.eye(40), np.eye(40)])
    overviews.features(NATIVE)
    assert len(overviews[NATIVE]) == 2
    overviews.features(SQUARE)
    assert made == [NATIVE, NATIVE, SQUARE, SQUARE]


def test_statistics_do_not_change_the_image():
    tissue = uh.read_image(ROOT / "sample_images/ihc.png").pixels
    before = tissue.copy()
    for card in uh.MODELS.values():
        features(tissue, viewpoint_of(card))
    np.testing.assert_array_equal(tissue, before)


def test_greys_have_no_colours_or_unknown_ones():
    grey = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    common = describe_grey(grey)
    assert describe(grey, NATIVE, 50).tolist() == [*common, 0, 0, 0, 0, 0]
    unknown = describe(grey, FIELD, 50)
    assert unknown[:-5].tolist() == common
    assert np.isnan(unknown[-5:]).all()
    assert describe(grey, FLAIR, 50).tolist() == common


def test_the_size_counts_where_crops_are_the_rule():
    grey = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    sized = describe(grey, replace(NATIVE, counts_size=True), longer_side=50)
    assert sized[-1] == np.log(50)
    assert len(sized) == len(describe(grey, NATIVE, 50)) + 1


def test_the_size_is_that_of_the_image_and_not_of_the_overview():
    viewpoint = replace(NATIVE, counts_size=True)
    assert features(np.eye(700), viewpoint)[-1] == np.log(700)


def test_colours_are_described_by_their_brightness_and_their_chroma():
    colour = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    brightness = colour @ np.array([0.3, 0.59, 0.11], np.float32)
    described = describe(colour, NATIVE, 50)
    np.testing.assert_allclose(described[:-5], describe_grey(brightness))
    np.testing.assert_allclose(described[-5:], chroma(colour))


def test_the_histogram_is_taken_between_its_ends():
    ramp = np.tile(np.linspace(3, 7, 201), (201, 1)).astype(np.float32)
    low, high = np.percentile(ramp[::2, ::2], [0.5, 99.5])
    quantiles = np.percentile(ramp[::2, ::2], [5, 25, 50, 75, 95])
    np.testing.assert_allclose(describe_grey(ramp)[:5], (quantiles - low) / (high - low), rtol=1e-6)


def test_a_constant_image_has_finite_statistics():
    assert np.isfinite(describe_grey(np.full((40, 40), 3, np.float32))).all()


def test_chroma_has_exact_values():
    pixels = np.zeros((2, 4, 3), np.float32)
    pixels[0, 0] = (6, 3, 1)
    pixels[0, 2] = (2, 4, 4)
    shares = np.array([[0.3, 0.2], [-0.2, 0.0]])
    expected = [*shares.mean(0), *shares.std(0), np.hypot(*shares.T).mean()]
    np.testing.assert_allclose(chroma(pixels), expected, rtol=1e-6)


def test_dark_pixels_have_no_chroma():
    pixels = np.full((2, 2, 3), (30.0, 30.0, 30.0), np.float32)
    assert chroma(np.zeros((4, 4, 3), np.float32)).tolist() == [0] * 5
    with_dark_red = np.concatenate([pixels] * 10 + [np.full((2, 2, 3), (9.0, 0, 0))])
    np.testing.assert_allclose(chroma(with_dark_red), 0, atol=1e-7)

    # 18 of 90 is more than the share from which on light counts.
    with_red = np.concatenate([pixels] * 10 + [np.full((2, 2, 3), (18.0, 0, 0))])
    assert chroma(with_red)[0] > 0.05


def test_correlation_is_pearsons():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 5, 5))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert correlation(a, -3 * a + 1) == pytest.approx(-1)
    assert correlation(a, np.ones((5, 5))) == 0


def test_the_layout_tells_stripes_apart():
    stripes = np.zeros((64, 64), np.float32)
    stripes[:, ::2] = 1
    assert layout(stripes)[0] > 5
    assert layout(stripes.T)[0] < -5


def test_the_layout_tells_sides_symmetry_and_middle():
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    left_right, top_bottom = layout(ramp)[1:3]
    assert left_right == pytest.approx(-1)
    assert top_bottom == pytest.approx(1)

    # Halves: rows first, then columns, of which the right one is brighter.
    upper, _, left, _ = layout(ramp)[7:]
    assert upper == pytest.approx(0, abs=1e-6)
    assert left == pytest.approx(-0.5, abs=0.02)

    disc = np.zeros((64, 64), np.float32)
    cv2.circle(disc, (32, 32), 20, 1, -1)
    towards_middle, over_rim, over_corners = layout(disc)[3:6]
    assert towards_middle > 0.7
    assert over_rim > 0.8
    assert over_corners > 0.8


def test_the_corners_are_what_lies_beyond_their_radius():
    """Of a thumbnail of 16 px a side, (0.73, 0.87) half sides from the middle are no corner."""
    grey = np.zeros((16, 16), np.float32)
    grey[2, 1] = 1
    middle_over_corners = layout(grey)[5]
    assert middle_over_corners == 0
    grey[1, 1] = 1
    assert layout(grey)[5] < -0.01


def test_the_layout_tells_what_stands_out_at_the_top():
    grey = np.zeros((64, 64), np.float32)
    grey[:20, 20:44] = 1
    assert layout(grey)[8] > 0.4
    assert layout(grey[::-1])[8] < -0.4


def test_the_texture_tells_flat_areas_and_bright_spots():
    flat = np.zeros((64, 64), np.float32)
    spots = flat.copy()
    spots[4::16, 4::16] = 1
    strength, _, _, share_of_flat, *_ = texture(flat)
    assert strength == pytest.approx(-3)
    assert share_of_flat == 1

    strength, skewness, kurtosis, share_of_flat, *_ = texture(spots)
    assert strength > -2
    assert skewness > 1
    assert kurtosis > 2
    assert share_of_flat < 1
    assert texture(1 - spots)[1] < -1
    assert len(texture(spots)) == 5 + 1 + 2 * 4
