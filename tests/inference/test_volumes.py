"""Volumes that a network reads as a whole: cubes, zoom, single slices, and who refuses it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.doubt import Doubt
from unet_helpers.inference import prediction, tiles
from unet_helpers.inference.localise import LocalisedPrediction


def noise(*shape: int) -> np.ndarray:
    """Random uint8 voxels."""
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def answer_of(model, pixels, **options) -> uh.Segmentation:
    return uh.segment(pixels, model, progress=False, **options)


def doubts_of(result: uh.Segmentation) -> list[Doubt]:
    return [text for text in result.warnings if isinstance(text, Doubt)]


def test_the_network_sees_the_volume_as_a_whole():
    network = make_network(3, dims=3, percentiles=(0, 100))
    pixels = noise(9, 12, 14)
    result = answer_of(network, pixels)

    low, high = pixels.min(), pixels.max()
    x = (pixels.astype(np.float32) - low) / (high - low)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)[None, None])[0]
    np.testing.assert_allclose(result.probabilities, expected, atol=2e-3)


def test_large_volumes_are_cut_into_cubes_without_seams(monkeypatch):
    network = make_network(3, dims=3)
    volume = np.random.default_rng(0).random((1, 72, 24, 80)).astype(np.float32)
    whole = tiles.predict_cubes(network, volume, 3, flips=1)
    monkeypatch.setattr(tiles, "CUBE", 56)
    differences = {}
    for overlap in (0, 32):
        monkeypatch.setattr(tiles, "CUBE_OVERLAP", overlap)
        in_cubes = tiles.predict_cubes(network, volume, 3, flips=1)
        np.testing.assert_allclose(in_cubes.sum(0), 1, atol=1e-5)
        differences[overlap] = np.abs(in_cubes - whole).mean()
    assert differences[32] < 1e-3 < differences[0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_is_doubted_because_it_has_no_neighbours(axis):
    network = make_network(3, dims=3)
    slice_alone = uh.MedicalImage(np.expand_dims(noise(20, 24), axis), "ZYX")
    assert any(
        "a single slice" in str(doubt) for doubt in doubts_of(answer_of(network, slice_alone))
    )
    assert not doubts_of(answer_of(network, noise(8, 20, 24)))


def test_a_volume_of_another_spacing_is_resampled_along_all_axes():
    network = make_network(dims=3, spacing=1.0)
    image = uh.MedicalImage(noise(6, 8, 10), "ZYX", (2.0, 2.0, 2.0))
    result = answer_of(network, image)
    assert result.zoom == 2
    assert result.probabilities.shape == (1, 6, 8, 10)


def test_a_zoom_that_is_given_counts_along_all_axes():
    """As if the voxels were of the size that the zoom says."""
    network = make_network(dims=3, spacing=1.0)
    pixels = noise(6, 8, 10)
    by_spacing = answer_of(network, uh.MedicalImage(pixels, "ZYX", (2.0, 2.0, 2.0)))
    by_zoom = answer_of(network, pixels, zoom=2)
    np.testing.assert_allclose(by_zoom.probabilities, by_spacing.probabilities, atol=1e-6)
    assert by_zoom.zoom == 2


def test_a_single_slice_is_a_volume_of_one():
    network = make_network(dims=3, spacing=1.0)
    slice_of_2mm = uh.MedicalImage(noise(16, 20), "YX", (2.0, 2.0))
    result = answer_of(network, slice_of_2mm)
    assert result.zoom == 2
    assert result.probabilities.shape == (1, 16, 20)


def test_colours_are_read_as_grey_along_all_axes():
    network = make_network(dims=3, spacing=1.0)
    grey = noise(5, 16, 20)
    colours = np.stack([grey] * 3, axis=-1)
    spacing = (2.0, 2.0, 2.0)
    expected = answer_of(network, uh.MedicalImage(grey, "ZYX", spacing))
    result = answer_of(network, uh.MedicalImage(colours, "ZYXC", spacing))
    np.testing.assert_allclose(result.probabilities, expected.probabilities, atol=1e-3)


def test_mirrored_copies_are_averaged_and_their_disagreement_is_kept():
    network = make_network(3, dims=3)
    pixels = noise(6, 12, 12)
    result = answer_of(network, pixels, flips=2)
    mirrored = answer_of(network, np.ascontiguousarray(pixels[:, :, ::-1]), flips=2)
    np.testing.assert_allclose(result.probabilities, mirrored.probabilities[..., ::-1], atol=2e-3)
    assert result.spread.shape == pixels.shape
    assert result.spread.max() > 0


def test_a_constant_volume_is_background(monkeypatch):
    network = make_network(3, dims=3)
    monkeypatch.setattr(network, "forward", None)
    result = answer_of(network, np.full((4, 8, 8), 7, np.uint8))
    assert (result.probabilities[0] == 1).all()


def test_a_network_for_volumes_is_drawn_but_not_its_maps():
    network = make_network(3, dims=3)
    figure = uh.diagram(network)
    (legend,) = [axes.get_legend() for axes in figure.axes]
    assert legend.get_texts()[0].get_text() == "3 × 3 × 3 convolution, ReLU"
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any("64" in text and "32" not in text for text in texts)
    with pytest.raises(uh.ArgumentError, match="reads volumes"):
        uh.feature_maps(noise(8, 16, 20), network)


def test_boxes_are_not_zoomed(monkeypatch):
    """They are at the card's spacing, whatever zoom is given for crops."""
    card = uh.MODELS["hippocampus"]
    network = make_network(3, dims=3, spacing=1.0)
    seen = []

    def look(stack, card, predict_box):
        seen.append(predict_box(noise(6, 16, 20), (0,)).shape)
        background = np.zeros((3, *stack.pixels.shape), np.float32)
        return LocalisedPrediction(background, zoom=1.0, places={}, warnings=())

    shapes = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: (shapes.append(x.shape), forward(x))[1])
    monkeypatch.setattr(prediction, "predict_boxes", look)
    network.card = replace(network.card, localise=card.localise)
    head = uh.MedicalImage(noise(100, 100, 100), "ZYX", (1.0, 1.0, 1.0))
    answer_of(network, head, zoom=2)
    assert seen == [(3, 6, 16, 20)]
    assert shapes == [(1, 1, 6, 16, 20)]


def test_a_painter_reads_single_images():
    picture = noise(16, 16)
    with pytest.raises(uh.ArgumentError, match="reads volumes"):
        uh.Painter(picture, classes=["x"], model=make_network(dims=3))


def test_voxels_far_from_those_of_training_are_doubted_and_told_as_seen():
    network = make_network(dims=3, spacing=1.0)
    tiny = uh.MedicalImage(noise(16, 16, 16), "ZYX", (1e-3, 1e-3, 1e-3))
    result = answer_of(network, tiny)
    assert any("seen at 4 µm" in str(doubt) for doubt in doubts_of(result))
    assert any("saw it at 4 µm a step, and learnt 1 mm" in note for note in result.image.notes)

    usual = uh.MedicalImage(noise(8, 16, 16), "ZYX", (2.0, 1.0, 1.0))
    result = answer_of(network, usual)
    assert not doubts_of(result)
    assert any("at 1 mm a step, as it learnt it" in note for note in result.image.notes)
