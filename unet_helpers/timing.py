"""How the time of a session was spent: learning, segmenting, and everything else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import pandas as pd

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

# When this module was imported, which is when the package was.
STARTED = time.monotonic()

# Seconds by activity; the lock is for threads that add to them.
seconds: dict[str, float] = {"learning": 0.0, "segmenting": 0.0}
lock = threading.Lock()

# Whether this thread is inside a function whose time is counted.
inside = threading.local()


def counted(
    activity: str,
) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
    """Count the time of a function as spent with an activity, once if such functions are nested."""

    def decorate(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
        @wraps(function)
        def timed(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
            if getattr(inside, "counted", False):
                return function(*args, **kwargs)

            inside.counted = True
            started = time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                inside.counted = False
                with lock:
                    seconds[activity] += time.monotonic() - started

        return timed

    return decorate


def time_spent() -> pd.DataFrame:
    """Return how the time since the package was imported was spent.

    Returns
    -------
    pandas.DataFrame
        A row for each activity: 'learning' (``fine_tune``), 'segmenting' (``segment`` and whatever
        calls it) and 'everything else'; the columns are the seconds and their share of all, 0 to 1.
        Images that threads segment side by side are counted each.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> list(uh.time_spent().index)
    ['learning', 'segmenting', 'everything else']
    """
    import pandas as pd

    total = time.monotonic() - STARTED
    rest = max(0.0, total - sum(seconds.values()))
    table = pd.DataFrame({"seconds": {**seconds, "everything else": rest}})
    table["share"] = table["seconds"] / table["seconds"].sum()
    return table
