"""The data sets that the shipped networks learn from, read from folders laid out as docs/TRAINING.md says."""

from collections.abc import Iterator
from pathlib import Path

from ..errors import TrainingError
from .cases import Case
from .tasks import TASKS


def read_cases(card: str, folder: Path) -> Iterator[Case]:
    """All cases of a card's data set; TrainingError where the folder holds none."""
    if card not in TASKS:
        raise TrainingError(f"There is no data set for {card!r}. Choose one of: {', '.join(TASKS)}.")
    empty = True
    for case in TASKS[card].read(Path(folder)):
        if case.truth.shape != case.image.spatial_shape:
            raise TrainingError(f"{case.name}: the mask is {case.truth.shape}, the image {case.image.spatial_shape}.")
        empty = False
        yield case
    if empty:
        raise TrainingError(f"{folder}: no images of {card!r} found. docs/TRAINING.md says how the folder is laid out.")
