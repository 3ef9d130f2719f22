"""Scores agree with metrics.py, and the disagreement with eight answers computed one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.network import as_seen
from unet_helpers.figures.scores import (
    disagreement_figure,
    score_table,
    threshold_curve,
    threshold_scores,
)
from unet_helpers.results import metrics


def result_of(
    probabilities, card="retinal_vessels", spacing=None, threshold=0.5
) -> uh.Segmentation:
    shape = probabilities.shape[1:]
    image = uh.MedicalImage(
        np.zeros(shape, np.uint8), "YX" if len(shape) == 2 else "ZYX", spacing=spacing
    )
    return uh.Segmentation(image, uh.MODELS[card], probabilities.astype(np.float32), threshold)


@pytest.fixture
def binary():
    rng = np.random.default_rng(5)
    probabilities = rng.random((1, 40, 50)).astype(np.float32)
    probabilities[0, :10] = np.float32(0.35)  # exactly on a threshold: counts as found
    truth = (rng.random((40, 50)) < probabilities[0]).astype(np.uint8) * 255
    return result_of(probabilities), truth


def softmax(shape, seed=6) -> np.ndarray:
    weights = np.random.default_rng(seed).random((3, *shape)) ** 3
    return weights / weights.sum(0)


def test_threshold_scores_equal_metrics_at_every_threshold(binary):
    result, truth = binary
    scores = threshold_scores(result, truth)
    assert len(scores) == 19
    for threshold, row in scores.iterrows():
        found = replace(result, threshold=threshold).labels
        assert row.Dice == pytest.approx(metrics.dice(truth, found), abs=1e-12)
        assert row.Sensitivity == pytest.approx(metrics.sensitivity(truth, found), abs=1e-12)
        assert row.Precision == pytest.approx(metrics.sensitivity(found, truth), abs=1e-12)


def test_threshold_scores_of_several_classes_are_those_of_the_foreground():
    result = result_of(softmax((20, 30)), "nuclei")
    truth = np.random.default_rng(7).integers(0, 5, (20, 30))
    scores = threshold_scores(result, truth, [0.3, 0.7])
    for threshold in (0.3, 0.7):
        found = replace(result, threshold=threshold).labels
        assert scores.Dice[threshold] == pytest.approx(metrics.dice(truth, found), abs=1e-12)


@pytest.mark.parametrize(("filled", "dice"), [(0.0, 1.0), (1.0, 0.0)])
def test_threshold_scores_where_there_is_nothing_to_find(filled, dice):
    scores = threshold_scores(result_of(np.full((1, 4, 4), filled)), np.zeros((4, 4)))
    assert (scores.Dice == dice).all()
    assert (scores.Sensitivity == 1).all()
    assert (scores.Precision == dice).all()


def test_threshold_curve_marks_the_threshold_in_use_and_the_best(binary):
    result, truth = binary
    result = replace(result, threshold=0.62)
    figure = threshold_curve(result, truth)
    entries = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    scores = threshold_scores(result, truth)
    assert f"In use: 0.62, Dice {metrics.dice(truth, result.labels):.3f}" in entries
    assert f"Best: {scores.Dice.idxmax():g}, Dice {scores.Dice.max():.3f}" in entries
    assert "other images" in figure.get_supxlabel()


def test_score_table_has_a_row_for_each_class_and_mm_where_known():
    result = result_of(softmax((6, 20, 30)), "hippocampus", spacing=(3.0, 1.0, 0.5))
    truth = np.roll(result.labels, 2, axis=1)
    table = score_table(result, truth)
    assert list(table.index) == ["Anterior", "Posterior", "Together"]
    row = table.loc["Posterior"]
    assert row.Dice == metrics.dice(truth == 2, result.labels == 2)
    assert row.IoU == metrics.iou(truth == 2, result.labels == 2)
    assert row.Precision == metrics.sensitivity(result.labels == 2, truth == 2)
    expected = metrics.surface_distance(truth == 2, result.labels == 2, (3.0, 1.0, 0.5))
    assert row["Surface distance, 95 % (mm)"] == expected
    assert table.loc["Together"].Dice == metrics.dice(truth, result.labels)
    assert "Surface distance, 95 % (px)" in score_table(
        result_of(softmax((6, 20, 30)), "hippocampus"), truth
    )


def test_score_table_takes_any_marking_of_a_single_structure(binary):
    result, truth = binary
    assert len(score_table(result, truth)) == 1
    ids = np.random.default_rng(8).integers(0, 9, (20, 30))
    nuclei = result_of(softmax((20, 30)), "nuclei")
    assert score_table(nuclei, ids).Dice.tolist() == [metrics.dice(ids, nuclei.labels)]
    with pytest.raises(ValueError, match="resize"):
        score_table(nuclei, ids[1:])


@pytest.fixture
def model() -> uh.UNet:
    return make_network()


@torch.inference_mode()
@pytest.mark.parametrize("flips", [4, 8])
def test_disagreement_is_that_of_the_turned_and_mirrored_answers(model, flips):
    image = np.random.default_rng(10).integers(0, 255, (18, 27), dtype=np.uint8)
    seen, answers = as_seen(image, model)[0, 0].numpy(), []
    for mirror in (False, True):
        for turn in ((0, 2), (0, 1, 2, 3))[flips == 8]:
            turned = np.rot90(
                seen.T if mirror else seen, turn
            )  # eight ways, enumerated in another way than in tiles.py
            if flips == 4:
                turned = np.rot90(np.flipud(seen) if mirror else seen, turn)
            answer = np.rot90(
                model(torch.from_numpy(turned.copy())[None, None])[0, 0].numpy(), -turn
            )
            answers.append((np.flipud(answer) if flips == 4 else answer.T) if mirror else answer)
    result = uh.segment(image, model, flips=flips, progress=False)
    mean, spread = result.foreground, result.spread
    np.testing.assert_allclose(mean, np.mean(answers, axis=0), atol=1e-5)
    np.testing.assert_allclose(spread, np.std(answers, axis=0), atol=1e-5)
    assert spread.max() > 1e-3


def test_a_network_without_preference_agrees_with_itself(model):
    torch.nn.init.zeros_(model.conv.weight)
    volume = np.random.default_rng(11).integers(0, 255, (4, 16, 20), dtype=np.uint8)
    result = uh.segment(volume, model, flips=8, progress=False)
    mean, spread = result.foreground, result.spread
    assert mean.shape == spread.shape == (4, 16, 20)
    assert np.ptp(mean) == 0
    assert spread.max() == 0


def test_disagreement_figure_opens_where_the_answers_differ_most(model):
    volume = np.full((5, 16, 20), 100, np.uint8)
    volume[3] = np.random.default_rng(12).integers(
        0, 255, (16, 20)
    )  # the only slice with anything to see
    figure = disagreement_figure(volume, model, flips=4)
    assert figure.axes[0].get_title().startswith("array, slice 3")
    spread = uh.segment(volume, model, flips=4, progress=False).spread
    shown = figure.axes[2].images[0].get_array()  # a third of each side
    assert shown.shape == (5, 6)
    sums = [spread[3, y : y + 5, x : x + 6].sum() for y in range(12) for x in range(15)]
    assert shown.sum() == pytest.approx(max(sums), rel=1e-5)


def test_one_copy_disagrees_with_nothing(model):
    with pytest.raises(uh.ArgumentError, match="nothing to compare"):
        disagreement_figure(
            np.random.default_rng(13).integers(0, 255, (16, 20), dtype=np.uint8), model, flips=1
        )


def test_calibration_counts_what_is_true_in_each_interval():
    random = np.random.default_rng(14)
    probabilities = random.random((1, 200, 300)).astype(np.float32)
    truth = random.random((200, 300)) < probabilities[0] ** 2  # it says p, and p squared is true
    table = uh.calibration(result_of(probabilities), truth)
    assert len(table) == 10
    assert table.Pixels.sum() == truth.size
    np.testing.assert_allclose(
        table["Share that is true"], table["Mean probability"] ** 2, atol=0.03
    )
