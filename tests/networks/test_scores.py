"""Scores are data, from which their texts are made."""

import json
from dataclasses import asdict, replace

import pytest

from unet_helpers import MODELS, ModelError, list_models
from unet_helpers.networks.cards import card_of
from unet_helpers.networks.scores import Score, score_texts

DICE = Score("Dice", 0.8, "CHASE_DB1", 2, "child 10, 2 eyes")


def test_a_score_says_metric_value_data_set_and_images():
    assert str(DICE) == "Dice 0.800 on CHASE_DB1 (child 10, 2 eyes)"


def test_a_data_set_is_not_named_twice():
    assert (
        str(Score("Rand V", 0.985, "ISBI", 3, "ISBI, slice 22")) == "Rand V 0.985 (ISBI, slice 22)"
    )


def test_a_data_set_is_named_where_there_are_several_and_a_metric_once():
    other = replace(DICE, value=0.808, data="HRF", images="3 eyes")
    assert score_texts([DICE]) == ("Dice 0.800 (child 10, 2 eyes)",)
    assert score_texts([DICE, other]) == (
        "Dice 0.800 on CHASE_DB1 (child 10, 2 eyes)",
        "0.808 on HRF (3 eyes)",
    )


def test_scores_of_the_same_images_are_one_text_with_the_data_set_in_front():
    first = Score("AJI", 0.602, "MoNuSeg", 3, "3 fields")
    second = Score("PQ", 0.573, "MoNuSeg", 3, "3 fields")
    assert score_texts([first, second, DICE])[0] == "MoNuSeg: AJI 0.602, PQ 0.573 (3 fields)"


def test_structures_are_named_after_their_figures():
    scores = [replace(DICE, structure="anterior"), replace(DICE, value=0.7, structure="posterior")]
    assert score_texts(scores) == ("Dice 0.800 anterior, 0.700 posterior (child 10, 2 eyes)",)


def test_a_mean_is_called_so_beside_a_median_only():
    median = replace(DICE, value=0.857, statistic="median")
    worst = replace(DICE, value=0.5, statistic="worst image", decimals=1)
    assert score_texts([DICE, median]) == ("Dice 0.800 mean, 0.857 median (child 10, 2 eyes)",)
    assert score_texts([DICE, worst]) == ("Dice 0.800, worst image 0.5 (child 10, 2 eyes)",)


def test_a_kind_of_image_stands_in_front():
    score = replace(DICE, subset="fluorescence", images="")
    assert score_texts([score]) == ("fluorescence alone: Dice 0.800",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": 1.1}, "value=1.1"),
        ({"value": -0.1}, "value=-0.1"),
        ({"value": "high"}, "value='high'"),
        ({"n": 0}, "n=0"),
        ({"decimals": 0}, "decimals=0"),
        ({"statistic": "medain"}, "Did you mean 'median'"),
    ],
)
def test_a_score_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ModelError, match=message):
        replace(DICE, **change)


@pytest.mark.parametrize("value", [0, 1])
def test_the_worst_and_the_best_value_are_scores(value):
    assert replace(DICE, value=value).value == value


def test_texts_of_an_old_card_stay_as_they_are():
    fields = asdict(MODELS["lungs"]) | {"scores": ["Dice 0.9 (3 images)"]}
    card = card_of(json.loads(json.dumps(fields)))
    assert card.score_texts == card.scores == ("Dice 0.9 (3 images)",)


def test_scores_go_through_a_file_and_back():
    for card in MODELS.values():
        assert card_of(json.loads(json.dumps(asdict(card)))) == card


def test_an_unknown_field_of_a_score_is_named():
    fields = asdict(MODELS["lungs"]) | {"scores": [asdict(DICE) | {"date": "today"}]}
    with pytest.raises(ModelError, match=r"Score has no field 'date'\. Did you mean 'data'"):
        card_of(fields)


def test_the_table_of_models_shows_the_texts():
    assert list_models().scores["nuclei"] == (
        "mean AP 0.58, AP50 0.83, Dice 0.91 (55 images); fluorescence alone: AP50 0.86"
    )
