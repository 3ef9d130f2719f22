"""The maps of a network are used where they predict strokes that were left out better."""

import numpy as np
import pytest
import torch
from helpers.networks import make_network

from unet_helpers.annotate import classifier as rules
from unet_helpers.annotate.classifier import (
    FOLDS,
    Samples,
    Spread,
    all_weights,
    by_images,
    fit,
    folds_of,
    join_samples,
    joined_spread,
    network_columns,
    network_helps,
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
    return Samples(maps, classes, strokes, Spread(maps.mean(0), maps.var(0)))


def some(samples: Samples, chosen: torch.Tensor) -> Samples:
    """The samples of some strokes."""
    return Samples(
        samples.maps[chosen], samples.classes[chosen], samples.strokes[chosen], samples.spread
    )


@pytest.mark.parametrize("of_network", [True, False])
def test_the_maps_of_the_network_are_used_only_if_they_help(classifier, of_network):
    fit(samples_told_by(classifier, of_network), classifier)
    weights = all_weights(classifier)[:, network_columns(classifier)]
    assert bool((weights != 0).any()) == of_network


def test_with_one_stroke_of_a_class_only_filters_are_used(classifier):
    samples = samples_told_by(classifier, of_network=True)
    fit(some(samples, samples.strokes < 2), classifier)
    assert (all_weights(classifier)[:, network_columns(classifier)] == 0).all()


def test_filters_are_standardised_by_the_whole_images(classifier):
    """One that hardly varies under the strokes is not weighted more for that."""
    samples = samples_told_by(classifier, of_network=False)
    fit(samples, classifier)
    before = all_weights(classifier)
    wide = Spread(samples.spread.mean, samples.spread.variance * 1e4)
    fit(Samples(samples.maps, samples.classes, samples.strokes, wide), classifier)
    assert all_weights(classifier).abs().max() < 0.1 * before.abs().max()
    assert torch.equal(by_images(samples, network_columns(classifier)).mean, samples.spread.mean)


@pytest.mark.parametrize(
    ("with_network", "with_filters", "helps"),
    [(0.5, 1.2, True), (0.5, 0.4, False), (0.8, 1.2, False)],
)
def test_a_network_helps_if_it_beats_the_filters_and_chance(
    classifier, monkeypatch, with_network, with_filters, helps
):
    """By chance, two classes have a loss of ln 2 = 0.69."""

    def loss(samples, left_out, reading, count):
        return with_network if reading.columns.all() else with_filters

    monkeypatch.setattr(rules, "loss_left_out", loss)
    samples = samples_told_by(classifier, of_network=True)
    assert network_helps(samples, network_columns(classifier), count=2) == helps


def test_the_spread_over_two_images_is_that_of_their_pixels():
    one, other = torch.rand(500, 3), 5 + torch.rand(500, 3)
    spreads = [Spread(part.mean(0), part.var(0, correction=0)) for part in (one, other)]
    both = torch.cat([one, other])
    joined = joined_spread(spreads)
    assert torch.allclose(joined.mean, both.mean(0))
    assert torch.allclose(joined.variance, both.var(0, correction=0), rtol=1e-4)


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
