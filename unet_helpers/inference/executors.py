"""Runs the same work for many images, one after another or on an executor."""

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import UNetHelpersError
from ..images.read import describe
from .sources import Source

# Seconds without an answer, after which we check that the executor still accepts work.
SILENCE = 10.0


def answers_of(
    work: Callable[[Source], Any], sources: list[Source], executor: Executor | None
) -> Iterator[tuple[Source, Any]]:
    """Yield each source with its answer, or with the error that was raised, as they finish.

    Raises UNetHelpersError if the executor ends before the work does.
    """
    if executor is None:
        for source in sources:
            yield source, answer_or_error(partial(work, source))
        return

    try:
        yield from answers_from(executor, work, sources)
    except Exception as error:
        raise UNetHelpersError(
            f"The executor stopped before the images were done: {describe(error)}. What is saved "
            "is kept: start it again and repeat the call, which goes on from there."
        ) from error


def answers_from(
    executor: Executor, work: Callable[[Source], Any], sources: list[Source]
) -> Iterator[tuple[Source, Any]]:
    """Yield each source with its answer or error, in the order in which they finish."""
    finished: SimpleQueue[Future] = SimpleQueue()
    waiting = {executor.submit(work, source): source for source in sources}
    for future in waiting:
        future.add_done_callback(finished.put)

    while waiting:
        try:
            future = finished.get(timeout=SILENCE)
        except Empty:
            # The futures of a Dask client that lost its scheduler never finish. But the client then
            # raises an error if it gets new work.
            executor.submit(bool).cancel()
            continue
        yield waiting.pop(future), answer_or_error(future.result)


def answer_or_error(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the error that it raises, so that other images go on."""
    try:
        return call()
    except (BrokenExecutor, CancelledError):
        raise
    except Exception as error:
        return error
