"""How a stack is taken apart: which volumes are resampled, and what the bars count."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.inference import stack_prediction


def noise(*shape: int) -> np.ndarray:
    """Random uint8 pixels."""
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def test_a_colour_volume_is_zoomed_slice_by_slice_where_a_grey_one_is_resampled():
    network = make_network(in_channels=3, spacing=1.0, axes=(0, 1, 2))
    colours = uh.MedicalImage(noise(6, 8, 10, 3), "ZYXC", (2.0, 2.0, 2.0))
    result = uh.segment(colours, network, progress=False)
    assert result.zoom == 2
    assert result.probabilities.shape == (1, 6, 8, 10)
    assert result.probabilities.std() > 1e-3


def test_a_volume_that_is_sliced_along_one_axis_keeps_its_slices():
    """Each slice has the answer that it has alone, whatever the distance of the slices."""
    network = make_network(spacing=1.0, percentiles=(0, 100))
    pixels = np.stack([noise(16, 20)] * 3)
    far_apart = uh.MedicalImage(pixels, "ZYX", (5.0, 2.0, 2.0))
    result = uh.segment(far_apart, network, progress=False)
    alone = uh.segment(uh.MedicalImage(pixels[1], "YX", (2.0, 2.0)), network, progress=False)
    assert result.zoom == alone.zoom == 2
    np.testing.assert_allclose(result.probabilities[:, 1], alone.probabilities, atol=1e-6)


@pytest.fixture
def bars_of_tiles(monkeypatch):
    """Whether each slice was asked to show a bar of its tiles."""
    shown = []

    def predict(model, prepared, out, *arguments, progress=False, **options):
        shown.append(progress)

    monkeypatch.setattr(stack_prediction, "predict", predict)
    return shown


@pytest.mark.parametrize("progress", [True, False])
def test_tiles_are_counted_in_a_single_slice(progress, bars_of_tiles, capfd):
    uh.segment(noise(16, 20), make_network(), progress=progress)
    assert bars_of_tiles == [progress]
    assert "slices" not in capfd.readouterr().err


@pytest.mark.parametrize(("count", "is_shown"), [(3, False), (4, True)])
def test_slices_are_counted_if_there_are_four_or_more(count, is_shown, bars_of_tiles, capfd):
    uh.segment(noise(count, 16, 20), make_network(), progress=True)
    assert bars_of_tiles == [False] * count
    assert (f"{count}/{count}" in capfd.readouterr().err) is is_shown


def test_slices_along_all_axes_are_counted_together(bars_of_tiles, capfd):
    uh.segment(noise(26, 27, 30), make_network(axes=(0, 2)), progress=True)
    assert "56/56" in capfd.readouterr().err


def test_nothing_is_counted_where_no_progress_is_asked_for(bars_of_tiles, capfd):
    uh.segment(noise(5, 16, 20), make_network(), progress=False)
    assert capfd.readouterr().err == ""


def test_a_stack_too_large_for_a_spread_has_none(monkeypatch):
    monkeypatch.setattr(stack_prediction, "TOO_LARGE_FOR_SPREAD", 3 * 16 * 20)
    network = make_network()
    assert uh.segment(noise(3, 16, 20), network, flips=2, progress=False).spread is None
    smaller = uh.segment(noise(3, 16, 19), network, flips=2, progress=False)
    assert smaller.spread.shape == (3, 16, 19)


def test_only_zooms_that_were_not_asked_for_are_noted():
    network = make_network(spacing=1.0)
    pixels = uh.MedicalImage(noise(16, 20), "YX", (1.0, 1.0))
    coarse = replace(pixels, spacing=(2.0, 2.0))
    note = uh.segment(coarse, network, progress=False).image.notes[0]
    assert note.startswith("zoom 2: its")
    assert uh.segment(pixels, network, progress=False).image.notes == ()
    assert uh.segment(coarse, network, progress=False).image.notes == (note,)
    assert uh.segment(coarse, network, zoom=2, progress=False).image.notes == ()
