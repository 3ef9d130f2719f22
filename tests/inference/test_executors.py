"""Answers come from any executor, and its end is noticed."""

from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ThreadPoolExecutor,
)
from typing import Any

import pytest

import unet_helpers as uh
from unet_helpers.inference import executors
from unet_helpers.inference.executors import answer_or_error, answers_of
from unet_helpers.inference.sources import Source

SOURCES = [Source(number) for number in range(5)]


def squared(source: Source) -> int:
    """Stands for work on an image; the third one fails."""
    if source.image == 3:
        raise uh.ImageError("no image")
    return source.image**2


def test_without_an_executor_answers_and_errors_come_in_order():
    answers = list(answers_of(squared, SOURCES, None))
    assert [source for source, _ in answers] == SOURCES
    values = [answer for _, answer in answers]
    assert values[:3] == [0, 1, 4]
    assert isinstance(values[3], uh.ImageError)
    assert values[4] == 16


def test_an_executor_gives_the_same_answers_to_the_same_sources():
    with ThreadPoolExecutor(3) as executor:
        answers = dict(answers_of(squared, SOURCES, executor))
    assert set(answers) == set(SOURCES)
    error = answers.pop(SOURCES[3])
    assert str(error) == "no image"
    assert answers == {source: source.image**2 for source in SOURCES if source.image != 3}


def test_answers_come_as_they_are_ready_and_not_in_order():
    class LastFirst(ThreadPoolExecutor):
        """Finishes nothing before all is submitted, and then the last first."""

        def __init__(self) -> None:
            super().__init__(1)
            self.work: list[Callable[[], None]] = []

        def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
            future: Future = Future()
            self.work.insert(0, lambda: future.set_result(work(*arguments)))
            if len(self.work) == 3:
                for finish in self.work:
                    finish()
            return future

    sources = SOURCES[:3]
    with LastFirst() as executor:
        order = [source.image for source, _ in answers_of(squared, sources, executor)]
    assert sorted(order) == [0, 1, 2]


@pytest.mark.parametrize("error", [BrokenExecutor, CancelledError])
def test_the_end_of_an_executor_is_no_answer_of_an_image(error):
    def ended() -> None:
        raise error("gone")

    with pytest.raises(error):
        answer_or_error(ended)


def test_an_executor_that_takes_no_work_is_an_error_that_says_what_to_do():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(uh.UNetHelpersError, match="repeat the call, which goes on from there"):
        list(answers_of(squared, SOURCES, executor))


def test_an_executor_that_falls_silent_is_asked_whether_it_still_takes_work(monkeypatch):
    """As Dask's: the futures of a client that lost its scheduler never end."""
    monkeypatch.setattr(executors, "SILENCE", 0.1)
    asked = []

    class Silent(ThreadPoolExecutor):
        def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
            asked.append(work)
            if len(asked) > len(SOURCES) + 2:
                raise RuntimeError("closed")
            return Future()

    stopped = r"The executor stopped before the images were done: RuntimeError: closed\."
    with Silent(1) as executor, pytest.raises(uh.UNetHelpersError, match=stopped):
        list(answers_of(squared, SOURCES, executor))
    assert asked == [squared] * 5 + [bool] * 3  # twice it still took work, and was waited for
