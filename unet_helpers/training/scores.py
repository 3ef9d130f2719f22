"""The score of a card with nothing peculiar to it: Dice by class."""

from ..results.metrics import dice
from ..results.segmentation import Segmentation
from .cases import Case


def score_classes(case: Case, result: Segmentation) -> dict[str, float]:
    names = result.card.classes
    return {f"Dice {name}": dice(case.truth == i, result.labels == i) for i, name in enumerate(names, 1)}
