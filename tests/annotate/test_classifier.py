"""The maps of a network count as much as they predict strokes that were left out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import make_network

from unet_helpers.annotate import classifier as rules
from unet_helpers.annotate.classifier import (
    FOLDS,
    NEVER_LEFT_OUT,
    Samples,
    Spread,
    all_weights,
    fit,
    folds_of,
    join_samples,
    joined_spread,
    network_columns,
    read_all,
    share_of_network,
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
def test_the_maps_of_the_network_count_only_if_they_help(classifier, of_network):
    samples = samples_told_by(classifier, of_network)
    share = share_of_network(samples, network_columns(classifier), count=2)
    assert share == 1 if of_network else share < 0.5


@pytest.mark.parametrize(
    ("strokes", "reads_network"), [([0, 1, 2, 3], False), ([0, 1, 2, 4], True)]
)
def test_the_network_is_judged_once_a_class_has_three_strokes(classifier, strokes, reads_network):
    """Strokes of even numbers are of one class, odd ones of the other."""
    samples = samples_told_by(classifier, of_network=True)
    fit(some(samples, torch.isin(samples.strokes, torch.tensor(strokes))), classifier)
    weights = all_weights(classifier)[:, network_columns(classifier)]
    assert bool((weights != 0).any()) == reads_network


def test_filters_are_standardised_by_the_whole_images(classifier):
    """One that hardly varies under the strokes is not weighted more for that."""
    samples = samples_told_by(classifier, of_network=False)
    fit(samples, classifier)
    filters = ~network_columns(classifier)
    before = all_weights(classifier)[:, filters]
    wide = Spread(samples.spread.mean, samples.spread.variance * 1e4)
    fit(Samples(samples.maps, samples.classes, samples.strokes, wide), classifier)
    after = all_weights(classifier)[:, filters]
    assert after.abs().max() < 0.1 * before.abs().max()


def test_beside_the_network_filters_are_still_standardised_by_the_whole_images(classifier):
    samples = samples_told_by(classifier, of_network=True)
    of_network = network_columns(classifier)
    elsewhere = Spread(samples.spread.mean + 1, samples.spread.variance * 4)
    read = read_all(replace(samples, spread=elsewhere), of_network)
    assert torch.equal(read.mean[~of_network], elsewhere.mean[~of_network])
    assert torch.equal(read.mean[of_network], samples.maps.mean(0)[of_network])
    deviation = torch.where(of_network, samples.maps.std(0), elsewhere.variance.sqrt())
    assert torch.allclose(read.deviation, deviation, atol=2e-3)


@pytest.mark.parametrize(
    ("with_network", "with_filters", "share"),
    [(0.5, 1.2, 1), (0.5, 0.25, 1 / 17), (0.8, 1.6, 16 / 17), (0.8, 0.8, 1 / 2)],
)
def test_the_share_of_the_network_is_1_where_it_beats_filters_and_chance_else_by_the_losses(
    classifier, monkeypatch, with_network, with_filters, share
):
    """By chance, two classes have a loss of ln 2 = 0.69."""

    def loss(samples, left_out, reading, count):
        return with_network if reading.columns.all() else with_filters

    monkeypatch.setattr(rules, "loss_left_out", loss)
    samples = samples_told_by(classifier, of_network=True)
    of_network = network_columns(classifier)
    assert share_of_network(samples, of_network, count=2) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_both_classifiers_are_averaged_by_the_share(classifier, monkeypatch, share):
    samples = samples_told_by(classifier, of_network=True)

    def weights(by: float) -> torch.Tensor:
        monkeypatch.setattr(rules, "share_of_network", lambda *arguments: by)
        fit(samples, classifier)
        return all_weights(classifier)

    between = (1 - share) * weights(0) + share * weights(1)
    assert (weights(0) != weights(1)).any()
    assert torch.allclose(weights(share), between, atol=1e-5)


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


def test_a_class_of_few_strokes_is_never_left_out(classifier):
    samples = samples_told_by(classifier, of_network=True)
    folds = folds_of(some(samples, torch.isin(samples.strokes, torch.tensor([0, 1, 2, 3, 4]))))
    assert folds is not None
    left_out = folds != NEVER_LEFT_OUT
    assert left_out.sum() == 3 * OF_A_STROKE


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
