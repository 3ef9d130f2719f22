"""The history of a learning keeps the answer at each point of the curve, and says how it went."""

import re
from html import unescape

import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.figures.learning import LearningHistory, Moment
from unet_helpers.training.fit import CurvePoint


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (32, 48), dtype=np.uint8)


@pytest.fixture
def history(image) -> LearningHistory:
    return LearningHistory(image, image > 100)


def with_losses(history: LearningHistory, losses: list[float]) -> LearningHistory:
    """The history as if these losses had been measured at steps 5, 10, ..."""
    for number, loss in enumerate(losses, 1):
        history.moments.append(Moment(5 * number, loss, 0.5, 0.1 * number, b"picture"))
    return history


def test_an_answer_is_scored_and_kept_as_a_picture_alone(history, image):
    network = make_network()
    history.add(network, CurvePoint(step=7, loss=0.5, validation_dice=0.25))
    (moment,) = history.moments
    labels = uh.segment(image, network, progress=False).labels
    assert moment.dice_unseen == uh.dice(image > 100, labels)
    assert (moment.step, moment.loss, moment.dice_learnt) == (7, 0.5, 0.25)
    assert len(moment.picture) < 10_000


def test_the_table_has_a_row_for_each_point(history):
    table = with_losses(history, [2.0, 1.0]).table()
    assert list(table["step"]) == [5, 10]
    assert list(table["Dice, unseen"]) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("losses", "settled"),
    [
        ([2.0, 1.0, 0.5, 0.4, 0.31, 0.3, 0.3, 0.3], True),
        ([2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.6], False),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], False),
        ([2.0, 1.0, 0.5, 0.4, 0.3, 0.3, 0.6, 1.2], False),
        ([2.0], False),
    ],
)
def test_only_a_loss_that_fell_and_then_stayed_has_settled(history, losses, settled):
    history = with_losses(history, losses)
    assert history.has_settled() is settled
    assert ("the loss has settled" in history.sentence()) is settled


def test_the_sentence_has_the_measured_numbers(history):
    sentence = with_losses(history, [2.0, 1.0, 0.5]).sentence()
    assert sentence.startswith("From step 5 to step 15 the Dice on the unseen image went from 0.10")


def test_the_page_has_a_frame_and_a_marked_point_for_each_moment(history):
    page = unescape(with_losses(history, [2.0, 1.0, 0.5])._repr_html_())
    assert re.findall(r"<strong>(After step \d+)", page) == [f"After step {n}" for n in (5, 10, 15)]
    # Three curves and a line at each point.
    assert page.count('data-part="step1"') == 4


def test_before_the_learning_there_is_a_sentence(history):
    assert history._repr_html_() == "<p>Nothing was learnt yet.</p>"


def test_a_truth_of_another_shape_is_refused(image):
    with pytest.raises(uh.ArgumentError, match=r"\(48, 32\), but the image has \(32, 48\)"):
        LearningHistory(image, image.T > 100)


@pytest.mark.filterwarnings("ignore:Not converged")
def test_fine_tune_hands_over_every_point_of_its_curve(image):
    history = LearningHistory(image, image > 100)
    network = uh.fine_tune(
        "lungs",
        [image],
        [image > 100],
        classes=["bright"],
        size=32,
        steps=9,
        at_check=history.add,
    )
    curve = network.curve
    assert len(curve) == 8
    table = history.table()
    assert list(table["step"]) == list(curve["step"])
    np.testing.assert_array_equal(table["loss"], curve["loss"])
    np.testing.assert_array_equal(table["Dice, learnt"], curve["Dice"])
    # The last answer is that of the network which is returned.
    labels = uh.segment(image, network, progress=False).labels
    assert table["Dice, unseen"].iloc[-1] == pytest.approx(uh.dice(image > 100, labels), abs=0.01)
