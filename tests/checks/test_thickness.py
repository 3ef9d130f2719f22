"""Thick slices, of which volumes come out too small."""

import numpy as np
import pytest

import unet_helpers as uh
from unet_helpers.checks.thickness import check_thickness
from unet_helpers.checks.view import View
from unet_helpers.doubt import Doubt

HIPPOCAMPUS = uh.MODELS["hippocampus"]


def volume_of(spacing: tuple[float, ...] | None, shape: tuple[int, ...] = (9, 20, 20)) -> View:
    axes = "ZYX" if len(shape) == 3 else "YX"
    return View(uh.MedicalImage(np.zeros(shape, np.float32), axes, spacing))


@pytest.mark.parametrize("spacing", [(4.0, 1, 1), (1.0, 5, 1), (0.5, 0.5, 7)])
def test_slices_of_4_mm_and_more_are_doubted_along_any_axis(spacing):
    (words,) = check_thickness(volume_of(spacing), HIPPOCAMPUS)
    assert isinstance(words, Doubt)
    assert f"slices of {max(spacing):g} mm" in words
    assert "10 to 80 % too small" in words


def test_slices_of_3_mm_are_warned_of():
    (words,) = check_thickness(volume_of((3.0, 1, 1)), HIPPOCAMPUS)
    assert not isinstance(words, Doubt)
    assert "4 to 11 % too small" in words


@pytest.mark.parametrize("spacing", [(2.0, 2, 2), (1.0, 1, 1), (0.5, 0.5, 0.5), None])
def test_slices_of_2_mm_and_unknown_ones_are_not_warned_of(spacing):
    assert check_thickness(volume_of(spacing), HIPPOCAMPUS) == []


def test_a_single_slice_has_no_thickness():
    assert check_thickness(volume_of((5.0, 5), (20, 20)), HIPPOCAMPUS) == []


def test_a_network_of_slices_takes_any_thickness():
    assert check_thickness(volume_of((5.0, 1, 1)), uh.MODELS["brain_flair"]) == []
