"""One file a network: its data set, its examples, its recipe and its score. ``read_cases`` reads any of them."""

from pathlib import Path

from ...errors import TrainingError
from ..recipes import Cases
from . import brain_flair, em_membranes, hippocampus, lungs, nuclei, nuclei_he, retinal_vessels

MODULES = (retinal_vessels, nuclei, nuclei_he, em_membranes, lungs, brain_flair, hippocampus)
TASKS = {module.TASK.card: module.TASK for module in MODULES}


def read_cases(card: str, folder: Path) -> Cases:
    """All cases of a card's data set; TrainingError where the folder holds none."""
    if card not in TASKS:
        raise TrainingError(
            f"There is no data set for {card!r}. Choose one of: {', '.join(TASKS)}."
        )
    case = None
    for case in TASKS[card].read(Path(folder)):
        if case.truth.shape != case.image.spatial_shape:
            raise TrainingError(
                f"{case.name}: the mask is {case.truth.shape}, the image {case.image.spatial_shape}."
            )
        yield case
    if case is None:
        raise TrainingError(
            f"{folder}: no images of {card!r} found. docs/TRAINING.md says how the folder is laid out."
        )
