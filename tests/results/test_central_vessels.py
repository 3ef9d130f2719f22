"""The disc, the widths of vessels around it, and the equivalents of six, on drawn photographs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import result_of_labels

import unet_helpers as uh
from unet_helpers.results.central_vessels import (
    ARTERY_COEFFICIENT,
    VEIN_COEFFICIENT,
    central_vessels,
    equivalent,
    notes_on_central_vessels,
    widths_in_zone,
)
from unet_helpers.results.optic_disc import Disc, find_disc
from unet_helpers.results.vessel_segments import classes_of_segments
from unet_helpers.results.vessels import fractal_dimension

SIDE = 600
DISC = Disc(row=290.0, column=180.0, radius=50.0)
ARTERY_WIDTH = 7
VEIN_WIDTH = 11


def drawn_eye() -> tuple[np.ndarray, np.ndarray]:
    """A photograph (H, W, 3) with a bright disc and 14 vessels from it, and their classes."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 <= (0.48 * SIDE) ** 2
    in_disc = (rows - DISC.row) ** 2 + (columns - DISC.column) ** 2 <= DISC.radius**2
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for i in range(14):
        angle = 2 * np.pi * (i + 0.25) / 14
        across = (rows - DISC.row) * np.cos(angle) - (columns - DISC.column) * np.sin(angle)
        along = (rows - DISC.row) * np.sin(angle) + (columns - DISC.column) * np.cos(angle)
        width = (ARTERY_WIDTH, VEIN_WIDTH)[i % 2]
        labels[(abs(across) < width / 2) & (along > 30) & (along < 300)] = 1 + i % 2
    labels[~inside] = 0

    pixels = np.random.default_rng(0).normal((150, 80, 40), 3, (SIDE, SIDE, 3))
    pixels[in_disc] += (70, 80, 30)
    pixels[labels > 0] -= (20, 40, 10)
    pixels[~inside] = 0
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def eye():
    pixels, labels = drawn_eye()
    return result_of_labels(
        labels,
        2,
        "YXC",
        pixels=pixels,
        classes=("artery", "vein"),
        measures="tree",
    )


def test_the_disc_is_found_with_its_radius(eye):
    disc = find_disc(eye.image.pixels, eye.view.field_of_view(0), eye.labels > 0)
    assert np.hypot(disc.row - DISC.row, disc.column - DISC.column) < 8
    assert disc.radius == pytest.approx(DISC.radius, rel=0.25)


def test_where_there_is_no_disc_none_is_found_and_a_note_says_so(eye):
    inside = eye.view.field_of_view(0)
    grey = np.full_like(eye.image.pixels, 90)
    grey[~inside] = 0
    assert find_disc(grey[..., 0], inside, eye.labels > 0) is None

    labels = np.zeros_like(eye.labels)
    labels[100:500:40, 150:450] = 1
    pixels = grey.copy()
    pixels[labels > 0] -= 30
    result = result_of_labels(
        labels, 2, "YXC", pixels=pixels, classes=("artery", "vein"), measures="tree"
    )
    assert find_disc(pixels, inside, labels > 0) is None
    assert "disc was not found" in notes_on_central_vessels(result)[0]
    assert "CRAE" not in result.summary()


def test_widths_around_the_disc_are_those_that_were_drawn(eye):
    arteries = widths_in_zone(eye.labels == 1, DISC)
    veins = widths_in_zone(eye.labels == 2, DISC)
    assert len(arteries) == len(veins) == 7
    assert arteries == pytest.approx([ARTERY_WIDTH] * 7, rel=0.1)
    assert veins == pytest.approx([VEIN_WIDTH] * 7, rel=0.1)


def test_the_summary_has_both_equivalents_and_their_ratio(eye):
    summary = eye.summary()
    assert summary["AVR"][0] == pytest.approx(summary["CRAE"][0] / summary["CRVE"][0])
    # Of six equal vessels: two rounds of pairs and one of the rest, by hand.
    assert summary["CRAE"][0] == pytest.approx(equivalent([ARTERY_WIDTH] * 6, 0.88), rel=0.1)
    assert summary["CRVE"][1] == "px"
    assert central_vessels(eye).disc.radius > 30

    in_mm = replace(eye, image=replace(eye.image, spacing=(0.01, 0.01)))
    assert in_mm.summary()["CRVE"] == (pytest.approx(summary["CRVE"][0] * 0.01), "mm")


def test_too_few_vessels_are_not_measured(eye):
    labels = np.where(eye.labels == 1, 0, eye.labels)
    result = replace(eye, probabilities=np.stack([labels == i for i in range(3)]).astype(float))
    assert "0 vessels of the kind 'artery'" in central_vessels(result)


def test_equivalents_by_hand():
    # Knudtson et al. 2003: the widest with the narrowest, the middle one is carried over.
    a, b, c = (0.88 * np.hypot(x, y) for x, y in ((12, 7), (11, 8), (10, 9)))
    first, middle, last = sorted((a, b, c), reverse=True)
    joined = 0.88 * np.hypot(first, last)
    assert equivalent([7, 12, 9, 10, 11, 8, 3], ARTERY_COEFFICIENT) == pytest.approx(
        0.88 * np.hypot(joined, middle)
    )
    assert equivalent([5, 5], VEIN_COEFFICIENT) == pytest.approx(0.95 * 5 * 2**0.5)


def test_all_of_a_segment_has_the_class_of_its_mean_probability():
    vessels = np.zeros((40, 60), bool)
    vessels[18:22] = True
    artery = np.where(np.arange(60) < 40, 0.9, 0.2) * np.ones((40, 1))
    classes = classes_of_segments(np.stack([artery, 1 - artery]), vessels)
    assert set(np.unique(classes[vessels])) == {1}
    assert not classes[~vessels].any()


def test_a_branching_ends_a_segment():
    vessels = np.zeros((60, 60), bool)
    vessels[29:32, :] = True
    vessels[:30, 29:32] = True
    artery = np.zeros((60, 60))
    artery[:25] = 0.8
    artery[25:, :30] = 0.7
    classes = classes_of_segments(np.stack([artery, 1 - artery]), vessels)
    assert classes[10, 30] == 1
    assert classes[30, 10] == 1
    assert classes[30, 50] == 2


def test_a_card_says_whether_segments_have_one_class(eye):
    probabilities = np.stack([eye.labels == i for i in range(3)]).astype(np.float32)
    # A piece of an artery that looks like a vein.
    piece = (eye.labels == 1) & (np.arange(SIDE) > 380) & (np.arange(SIDE) < 400)
    assert piece.any()
    probabilities[1:, piece] = [[0.4], [0.6]]

    by_pixel = replace(eye, probabilities=probabilities)
    assert (by_pixel.labels[piece] == 2).all()
    by_segment = replace(by_pixel, card=replace(eye.card, class_of="segment"))
    assert (by_segment.labels[piece] == 1).all()
    assert ((by_segment.labels > 0) == (by_pixel.labels > 0)).all()


def test_the_fractal_dimension_of_a_line_is_one_and_of_a_plane_two():
    line = np.zeros((512, 512), bool)
    line[256] = True
    assert fractal_dimension(line) == pytest.approx(1, abs=0.02)
    assert fractal_dimension(np.ones((512, 512), bool)) == pytest.approx(2, abs=0.02)
    assert fractal_dimension(line) == pytest.approx(fractal_dimension(line[::2, ::2]), abs=0.02)


PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "retinal_vessels"


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="needs ../shared")
@pytest.mark.parametrize(
    ("name", "row", "column", "radius"),
    [("drive_35", 260, 96, 40), ("hrf_03_h", 585, 1280, 115), ("chase_Image_03L", 480, 500, 90)],
)
def test_the_disc_of_real_photographs_is_where_a_person_sees_it(name, row, column, radius):
    image = uh.read_image(PHOTOGRAPHS / "images" / f"{name}.jpg")
    vessels = uh.read_image(PHOTOGRAPHS / "masks" / f"{name}.png").pixels > 0
    from unet_helpers.preprocessing.field_of_view import field_of_view

    disc = find_disc(image.pixels, field_of_view(image.pixels), vessels)
    assert np.hypot(disc.row - row, disc.column - column) < radius
