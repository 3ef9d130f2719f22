"""Time is counted by activity, once where functions call each other."""

import time

import pytest

import unet_helpers as uh
from unet_helpers import timing
from unet_helpers.timing import counted


@pytest.fixture(autouse=True)
def nothing_spent(monkeypatch):
    monkeypatch.setattr(timing, "seconds", {"learning": 0.0, "segmenting": 0.0})
    monkeypatch.setattr(timing, "STARTED", time.monotonic())


@counted("segmenting")
def segmenting(seconds: float) -> str:
    """Say so."""
    time.sleep(seconds)
    return "done"


@counted("learning")
def learning() -> None:
    segmenting(0.05)
    time.sleep(0.05)


def test_a_counted_function_is_as_before():
    assert segmenting(0) == "done"
    assert segmenting.__name__ == "segmenting"
    assert segmenting.__doc__ == "Say so."


def test_what_is_inside_another_is_counted_once():
    learning()
    segmenting(0.02)
    spent = uh.time_spent()["seconds"]
    assert 0.1 <= spent["learning"] < 0.2
    assert 0.02 <= spent["segmenting"] < 0.05


def test_time_is_counted_also_of_what_fails():
    @counted("segmenting")
    def failing() -> None:
        time.sleep(0.02)
        raise ValueError("it fails")

    with pytest.raises(ValueError, match="it fails"):
        failing()
    assert timing.seconds["segmenting"] >= 0.02
    segmenting(0.02)
    assert timing.seconds["segmenting"] >= 0.04


def test_the_shares_are_of_all_time():
    segmenting(0.02)
    spent = uh.time_spent()
    assert spent["share"].sum() == pytest.approx(1)
    assert spent.loc["everything else", "seconds"] >= 0


def test_segment_and_fine_tune_are_counted():
    uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
    assert timing.seconds["segmenting"] > 0
    assert hasattr(uh.fine_tune, "__wrapped__")
