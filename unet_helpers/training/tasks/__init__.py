"""One file for each network: its data set, examples, recipe and score.

Every module in this folder has a ``TASK`` and is found automatically: a new card needs only a new
file here. ``task_of`` finds the task of a card; ``read_cases`` reads its data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ...errors import TrainingError
from ...spelling import most_similar, question
from ..datasets import Case
from ..recipes import Task


def discover_tasks() -> dict[str, Task]:
    """Return the tasks of all modules in this folder by card, sorted by the modules' names."""
    names = sorted(module.name for module in iter_modules(__path__))
    tasks = [import_module(f".{name}", __name__).TASK for name in names]
    return {task.card: task for task in tasks}


TASKS = discover_tasks()


def task_of(card: str) -> Task:
    """Return the task of a card; raise TrainingError if it has none."""
    if card not in TASKS:
        raise TrainingError(
            f"There is no data set for {card!r}.{question(most_similar(card, TASKS))}"
            f" Choose one of: {', '.join(TASKS)}."
        )
    return TASKS[card]


def read_cases(card: str, folder: Path) -> Iterator[Case]:
    """Read all cases of a card's data set; TrainingError if the folder holds none."""
    is_empty = True
    for case in task_of(card).read(Path(folder)):
        check_shape(case)
        is_empty = False
        yield case

    if is_empty:
        raise TrainingError(
            f"{folder}: no images of {card!r} found. "
            "docs/training/data.md says how the folder is laid out."
        )


def check_shape(case: Case) -> None:
    """Raise TrainingError if truth and image have different shapes."""
    if case.truth.shape != case.image.spatial_shape:
        raise TrainingError(
            f"{case.name}: the mask is {case.truth.shape}, the image {case.image.spatial_shape}."
        )
