"""The measures of a chest: areas, the cardiothoracic ratio and its lines."""

import numpy as np
import pytest
from helpers.chests import CHEST_WIDTH, HEART_WIDTH, chest_masks, chest_result

import unet_helpers as uh
from unet_helpers.results.chest import cardiothoracic, measure_widths


def without(name: str) -> np.ndarray:
    """The probabilities of a chest in which a class was not found."""
    probabilities = chest_result().probabilities.copy()
    probabilities[uh.MODELS["chest"].classes.index(name)] = 0
    return probabilities


def test_the_ratio_is_the_width_of_the_heart_by_that_of_the_chest():
    numbers = chest_result().summary()
    assert numbers["cardiothoracic ratio"] == (HEART_WIDTH / CHEST_WIDTH, "")
    assert numbers["heart width"] == (HEART_WIDTH, "px")
    assert numbers["inner chest width"] == (CHEST_WIDTH, "px")
    assert numbers["heart area"] == (chest_masks()[2].sum(), "px")


def test_widths_and_areas_are_in_mm_if_the_spacing_is_known():
    numbers = chest_result(spacing=(0.5, 0.7)).summary()
    assert numbers["heart width"] == (pytest.approx(0.7 * HEART_WIDTH), "mm")
    area = 0.35 * chest_masks()[2].sum()
    assert numbers["heart area"] == (pytest.approx(area), "mm²")


def test_the_outermost_points_of_a_heart_may_lie_at_different_heights():
    """It reaches column 10 in row 2 and column 29 in row 7: 20 px, though no row is as wide."""
    heart = np.zeros((10, 40), bool)
    heart[2, 10:22] = True
    heart[7, 15:30] = True
    lungs = np.zeros((10, 40), bool)
    lungs[5, 4:36] = True
    lungs[6, 5:36] = True

    measured = measure_widths(heart, lungs)
    right, left = measured.heart
    assert (right.row, right.left) == (2, 10)
    assert (left.row, left.right) == (7, 30)
    assert right.right == left.left == 20
    assert (measured.chest.row, measured.chest.width) == (5, 32)
    assert measured.ratio == 20 / 32


@pytest.mark.parametrize("name", ["heart", "left lung", "right lung"])
def test_there_is_no_ratio_without_heart_or_lung(name):
    result = chest_result(probabilities=without(name))
    assert cardiothoracic(result) is None
    assert "cardiothoracic ratio" not in result.summary()
    assert result.summary()[f"{name} area"] == (0, "px")


def test_a_stack_of_films_has_no_ratio():
    result = chest_result()
    image = uh.MedicalImage(np.stack([result.image.pixels] * 2), "ZYX")
    stack = chest_result(image=image, probabilities=np.stack([result.probabilities] * 2, axis=1))
    assert cardiothoracic(stack) is None


def test_both_lines_are_drawn_on_the_overlay():
    result = chest_result()
    measured = cardiothoracic(result)
    overlay = result.overlay()
    for line in measured.lines:
        assert (overlay[line.row, line.left + 1 : line.right - 1] == 255).all()
    plain = result.overlay(contours=False)
    assert not (plain[measured.chest.row] == 255).all(axis=-1).any()


def test_a_lung_that_is_missing_is_implausible():
    from unet_helpers.results.anatomy import findings_on_parts

    assert findings_on_parts(chest_result()) == []
    (finding,) = findings_on_parts(chest_result(probabilities=without("left lung")))
    assert "one lung found, where two lungs are usual" in finding.text
    (finding,) = findings_on_parts(chest_result(probabilities=without("heart")))
    assert "no heart found, where one heart is usual" in finding.text


def test_lungs_that_touch_are_two():
    from unet_helpers.results.anatomy import findings_on_parts

    probabilities = chest_result().probabilities.copy()
    probabilities[0, 30:40, 15:70] = 0.9
    assert findings_on_parts(chest_result(probabilities=probabilities)) == []


def test_a_heart_on_the_right_is_said_to_be_that_of_a_mirrored_film():
    from unet_helpers.results.anatomy import findings_on_parts

    probabilities = np.ascontiguousarray(chest_result().probabilities[:, :, ::-1])
    # The network finds sides by where they are on the film.
    probabilities = probabilities[[1, 0, 2, 4, 3]]
    (finding,) = findings_on_parts(chest_result(probabilities=probabilities))
    assert "a mirrored film?" in finding.text
