"""Scores agree with the metrics, and the disagreement with answers computed one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.network import network_input
from unet_helpers.figures.scores import (
    busiest_window,
    disagreement_figure,
    threshold_curve,
    threshold_scores,
    unsure_share,
)
from unet_helpers.results import metrics


def result_of(probabilities, card="retinal_vessels", threshold=0.5) -> uh.Segmentation:
    shape = probabilities.shape[1:]
    image = uh.MedicalImage(np.zeros(shape, np.uint8), "ZYX"[-len(shape) :])
    probabilities = probabilities.astype(np.float32)
    return uh.Segmentation(image, uh.MODELS[card], probabilities, threshold)


@pytest.fixture
def result() -> uh.Segmentation:
    probabilities = np.random.default_rng(5).random((1, 40, 50)).astype(np.float32)
    probabilities[0, :10] = np.float32(0.35)  # exactly on a threshold, where it counts as found
    return result_of(probabilities)


@pytest.fixture
def truth(result) -> np.ndarray:
    random = np.random.default_rng(6).random(result.foreground.shape)
    return (random < result.foreground).astype(np.uint8) * 255


def softmax(shape) -> np.ndarray:
    weights = np.random.default_rng(6).random((3, *shape)) ** 3
    return weights / weights.sum(0)


def test_threshold_scores_equal_the_metrics_at_every_threshold(result, truth):
    scores = threshold_scores(result, truth)
    assert [round(threshold, 2) for threshold in scores.index[:2]] == [0.05, 0.1]
    assert len(scores) == 19
    for threshold, row in scores.iterrows():
        labels = replace(result, threshold=threshold).labels
        assert row.Dice == pytest.approx(metrics.dice(truth, labels), abs=1e-12)
        assert row.Sensitivity == pytest.approx(metrics.sensitivity(truth, labels), abs=1e-12)
        assert row.Precision == pytest.approx(metrics.sensitivity(labels, truth), abs=1e-12)


def test_threshold_scores_of_several_classes_are_those_of_the_foreground():
    result = result_of(softmax((20, 30)), "nuclei")
    truth = np.random.default_rng(7).integers(0, 5, (20, 30))
    scores = threshold_scores(result, truth, [0.3, 0.7])
    for threshold in (0.3, 0.7):
        labels = replace(result, threshold=threshold).labels
        assert scores.Dice[threshold] == pytest.approx(metrics.dice(truth, labels), abs=1e-12)


@pytest.mark.parametrize(("probability", "dice"), [(0.0, 1.0), (1.0, 0.0)])
def test_threshold_scores_where_there_is_nothing_to_find(probability, dice):
    result = result_of(np.full((1, 4, 4), probability))
    scores = threshold_scores(result, np.zeros((4, 4)))
    assert (scores.Dice == dice).all()
    assert (scores.Sensitivity == 1).all()
    assert (scores.Precision == dice).all()


def test_the_curve_marks_the_threshold_in_use_and_the_best(result, truth):
    result = replace(result, threshold=0.62)
    figure = threshold_curve(result, truth)
    entries = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    scores = threshold_scores(result, truth)
    assert f"In use: 0.62, Dice {metrics.dice(truth, result.labels):.3f}" in entries
    assert f"Best: {scores.Dice.idxmax():g}, Dice {scores.Dice.max():.3f}" in entries
    assert "other images" in figure.get_supxlabel()


def test_calibration_counts_what_is_true_in_each_interval():
    probabilities = np.array([[[0.25, 0.25, 0.25, 0.25], [0.95, 1.0, 1.0, 0.0]]])
    truth = np.array([[1, 0, 0, 0], [1, 1, 0, 0]])
    table = uh.calibration(result_of(probabilities), truth)
    assert table.index.tolist() == [0, 2, 9]
    assert table.Pixels.tolist() == [1, 4, 3]
    np.testing.assert_allclose(table["Mean probability"], [0, 0.25, 2.95 / 3], atol=1e-6)
    np.testing.assert_allclose(table["Share that is true"], [0, 0.25, 2 / 3])


def test_calibration_with_fewer_intervals():
    probabilities = np.array([[[0.1, 0.4, 0.5, 0.9]]])
    table = uh.calibration(result_of(probabilities), np.ones((1, 4)), bins=2)
    assert table.Pixels.tolist() == [2, 2]


@pytest.fixture
def model() -> uh.UNet:
    return make_network()


def turned_and_mirrored_answers(model, x: np.ndarray, flips: int) -> np.ndarray:
    """The answers to copies of (H, W), turned back; enumerated in another way than in tiles.py."""
    answers = []
    turns = (0, 1, 2, 3) if flips == 8 else (0, 2)
    mirror = np.transpose if flips == 8 else np.flipud
    for is_mirrored in (False, True):
        for turn in turns:
            copy = np.rot90(mirror(x) if is_mirrored else x, turn)
            answer = model(torch.from_numpy(copy.copy())[None, None])[0, 0].numpy()
            answer = np.rot90(answer, -turn)
            answers.append(mirror(answer) if is_mirrored else answer)
    return np.array(answers)


@torch.inference_mode()
@pytest.mark.parametrize("flips", [4, 8])
def test_disagreement_is_that_of_the_turned_and_mirrored_answers(model, flips):
    image = np.random.default_rng(10).integers(0, 255, (18, 27), dtype=np.uint8)
    x = network_input(image, model)[0, 0].numpy()
    answers = turned_and_mirrored_answers(model, x, flips)
    result = uh.segment(image, model, flips=flips, progress=False)
    np.testing.assert_allclose(result.foreground, answers.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(result.spread, answers.std(axis=0), atol=1e-5)
    assert result.spread.max() > 1e-3


def test_a_network_without_preference_agrees_with_itself(model):
    torch.nn.init.zeros_(model.conv.weight)
    volume = np.random.default_rng(11).integers(0, 255, (4, 16, 20), dtype=np.uint8)
    result = uh.segment(volume, model, flips=8, progress=False)
    assert result.spread.shape == (4, 16, 20)
    assert np.ptp(result.foreground) == 0
    assert result.spread.max() == 0


def test_the_disagreement_opens_where_the_answers_differ_most(model):
    volume = np.full((5, 16, 20), 100, np.uint8)
    # The only slice with anything to see.
    volume[3] = np.random.default_rng(12).integers(0, 255, (16, 20))
    figure = disagreement_figure(volume, model, flips=4)
    assert figure.axes[0].get_title().startswith("array, slice 3")

    spread = uh.segment(volume, model, flips=4, progress=False).spread
    shown = figure.axes[2].images[0].get_array()
    assert shown.shape == (5, 6)  # a third of each side
    sums = [spread[3, y : y + 5, x : x + 6].sum() for y in range(12) for x in range(15)]
    assert shown.sum() == pytest.approx(max(sums), rel=1e-5)


def test_one_copy_disagrees_with_nothing(model):
    image = np.random.default_rng(13).integers(0, 255, (16, 20), dtype=np.uint8)
    with pytest.raises(uh.ArgumentError, match="nothing to compare"):
        disagreement_figure(image, model, flips=1)


def test_the_busiest_window_may_touch_the_rim_but_not_reach_beyond():
    values = np.zeros((6, 9), np.float32)
    values[5, 8] = 1
    values[4, 7] = 1
    assert busiest_window(values) == (slice(4, 6), slice(6, 9))


def test_unsure_is_where_the_copies_differ_by_more_than_a_tenth():
    mask = np.array([True, True, True, True, False])
    spread = np.array([0.05, 0.1, 0.11, 0.5, 0.9])
    assert unsure_share(mask, spread) == 0.5
    assert unsure_share(np.zeros(5, bool), spread) == 0
