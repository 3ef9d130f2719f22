"""Measured scores of networks, as data and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from .validation import check_types, require

Statistic = Literal["mean", "median", "worst image"]


@dataclass(frozen=True)
class Score:
    """One measured score of a network, on images that were not used for its training.

    Parameters
    ----------
    metric
        Name of the metric, such as ``"Dice"``, ``"AP50"`` or ``"Rand V"``.
    value
        Its value, from 0 to 1.
    data
        Name of the data set.
    n
        Number of images (or patients, volumes, slices, eyes, tiles).
    images
        Which images these are, in words; may be empty.
    subset
        The kind of images, if only one kind of the data set was measured.
    structure
        The class that was measured, if the network has several.
    statistic
        How ``value`` was computed from the scores of the single images.
    decimals
        Number of significant decimals of ``value``.
    """

    metric: str
    value: float
    data: str
    n: int
    images: str = ""
    subset: str = ""
    structure: str = ""
    statistic: Statistic = "mean"
    decimals: int = 3

    def __post_init__(self) -> None:
        check_types(self)
        require(0 <= self.value <= 1, self, "value", "a number from 0 to 1")
        require(self.n > 0, self, "n", "a number of images above 0")
        require(self.decimals > 0, self, "decimals", "a number of decimals above 0")

    def __str__(self) -> str:
        return "; ".join(score_texts([self], name_data=True))

    @property
    def figure(self) -> str:
        """The value with its significant decimals."""
        return f"{self.value:.{self.decimals}f}"


def score_texts(scores: Sequence[Score], name_data: bool | None = None) -> tuple[str, ...]:
    """Put scores into words: one text for each run of scores of the same images.

    ``name_data`` says whether the texts name the data set; by default they do if there are several.
    """
    if name_data is None:
        name_data = len({score.data for score in scores}) > 1

    texts = []
    metric_before = ""
    for _, same_images in groupby(scores, key=images_of):
        group = list(same_images)
        texts.append(group_text(group, metric_before, name_data))
        metric_before = group[-1].metric
    return tuple(texts)


def images_of(score: Score) -> tuple[str, str, str]:
    """Return a key that is equal for scores of the same images."""
    return score.data, score.subset, score.images


def group_text(group: list[Score], metric_before: str, name_data: bool) -> str:
    """Put the scores of the same images into words."""
    figures = []
    for score in group:
        figures.append(figure_text(score, group, metric_before))
        metric_before = score.metric
    text = ", ".join(figures)

    first = group[0]
    if first.subset:
        text = f"{first.subset} alone: {text}"
    elif name_data and first.data not in first.images:
        several_figures = len(group) > 1
        text = f"{first.data}: {text}" if several_figures else f"{text} on {first.data}"
    if first.images:
        text += f" ({first.images})"
    return text


def figure_text(score: Score, group: list[Score], metric_before: str) -> str:
    """Put one score into words.

    The metric is left out if it is ``metric_before``. A mean is only called so if the group also
    has a median.
    """
    words = []
    if score.metric != metric_before:
        words.append(score.metric)
    if score.statistic == "worst image":
        words.append(score.statistic)

    words.append(score.figure)
    if score.structure:
        words.append(score.structure)
    has_median = any(other.statistic == "median" for other in group)
    if score.statistic == "median" or (score.statistic == "mean" and has_median):
        words.append(score.statistic)
    return " ".join(words)
