"""The maps of a network are used where they predict strokes that were left out better."""

import numpy as np
import pytest
import torch
from helpers.networks import make_network

from unet_helpers.annotate.classifier import (
    FOLDS,
    Samples,
    all_weights,
    fit,
    folds_of,
    join_samples,
    network_columns,
    thinned,
)
from unet_helpers.networks.pixel_classifier import PixelClassifier

# Samples of each stroke, and strokes.
OF_A_STROKE = 30
STROKES = 8


@pytest.fixture
def classifier() -> PixelClassifier:
    return PixelClassifier(1, 1, make_network())


def samples_told_by(classifier: PixelClassifier, of_network: bool) -> Samples:
    """Samples whose class is told by the maps of the network, or by the filters; others are noise.

    Each stroke has noise of its own, so that a map that only knows strokes misleads.
    """
    torch.manual_seed(0)
    strokes = torch.arange(STROKES).repeat_interleave(OF_A_STROKE)
    classes = strokes % 2
    columns = network_columns(classifier)
    maps = torch.randn(STROKES, len(columns))[strokes] + 0.3 * torch.randn(
        len(strokes), len(columns)
    )
    telling = columns if of_network else ~columns
    maps[:, telling] += 4 * classes[:, None].float()
    return Samples(maps, classes, strokes)


@pytest.mark.parametrize("of_network", [True, False])
def test_the_maps_of_the_network_are_used_only_if_they_help(classifier, of_network):
    fit(samples_told_by(classifier, of_network), classifier)
    weights = all_weights(classifier)[:, network_columns(classifier)]
    assert bool((weights != 0).any()) == of_network


def test_with_one_stroke_of_a_class_only_filters_are_used(classifier):
    samples = samples_told_by(classifier, of_network=True)
    few = samples.strokes < 2
    fit(Samples(samples.maps[few], samples.classes[few], samples.strokes[few]), classifier)
    assert (all_weights(classifier)[:, network_columns(classifier)] == 0).all()


def test_no_class_is_ever_left_out_entirely(classifier):
    samples = samples_told_by(classifier, of_network=True)
    folds = folds_of(samples)
    assert folds is not None
    for fold in range(FOLDS):
        assert len(samples.classes[folds != fold].unique()) == 2
    for number in samples.strokes.unique():
        assert len(folds[samples.strokes == number].unique()) == 1


def test_strokes_of_two_images_have_different_numbers(classifier):
    one = samples_told_by(classifier, of_network=True)
    both = join_samples([one, one])
    assert len(both.strokes.unique()) == 2 * STROKES


def test_many_painted_pixels_of_a_class_are_thinned_and_few_are_not():
    painted = np.full((200, 200), 255, np.uint8)
    painted[:100] = 0
    painted[150, :7] = 1
    pixels = thinned(painted, 255)
    classes = painted[tuple(pixels.T)]
    assert np.count_nonzero(classes == 1) == 7
    assert 2000 <= np.count_nonzero(classes == 0) <= 4000
