"""The maps of a network are used where they predict strokes that were left out better."""

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
    share_of_network,
    standardisation,
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
def test_the_share_of_the_network_follows_the_strokes_that_were_left_out(classifier, of_network):
    samples = samples_told_by(classifier, of_network)
    share = share_of_network(samples.maps, samples, network_columns(classifier), count=2)
    assert share > 0.9 if of_network else share < 0.5


def test_the_scores_of_both_classifiers_are_averaged_by_that_share(classifier, monkeypatch):
    samples = samples_told_by(classifier, of_network=True)
    fitted = []
    for share in (0.0, 1.0, 0.25):
        monkeypatch.setattr(rules, "share_of_network", lambda *_, share=share: share)
        fit(samples, classifier)
        fitted.append(all_weights(classifier))
    of_filters, of_all, both = fitted
    assert (of_filters[:, network_columns(classifier)] == 0).all()
    assert torch.allclose(both, 0.75 * of_filters + 0.25 * of_all, atol=1e-5)


def test_with_one_stroke_of_each_class_only_filters_are_used(classifier):
    samples = samples_told_by(classifier, of_network=True)
    fit(some(samples, samples.strokes < 2), classifier)
    assert (all_weights(classifier)[:, network_columns(classifier)] == 0).all()


def test_one_class_with_two_strokes_is_enough_to_tell_whether_the_network_helps(classifier):
    """A person who only takes away paints one class again and again."""
    samples = samples_told_by(classifier, of_network=True)
    lopsided = some(samples, (samples.strokes % 2 == 0) | (samples.strokes == 1))
    fit(lopsided, classifier)
    assert (all_weights(classifier)[:, network_columns(classifier)] != 0).any()

    folds = folds_of(lopsided)
    assert folds is not None
    assert (folds[lopsided.strokes == 1] == NEVER_LEFT_OUT).all()


def test_a_filter_that_hardly_varies_under_the_strokes_is_not_weighted_more(classifier):
    """Filters are standardised by the whole images, the maps of the network by the strokes."""
    samples = samples_told_by(classifier, of_network=False)
    columns = network_columns(classifier)
    samples.maps[:] = 0.01 * torch.randn(samples.maps.shape)
    deviation = standardisation(samples, columns)[1]
    assert torch.allclose(deviation[~columns], samples.spread.variance[~columns].sqrt(), rtol=0.01)
    assert (deviation[columns] < 0.02).all()


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
