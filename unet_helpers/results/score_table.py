"""Compare a result with the truth drawn by a person: each of ``METRICS``, class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .metrics import METRICS, Metric, same_shape
from .segmentation import Segmentation


def score_table(result: Segmentation, truth: np.ndarray) -> pd.DataFrame:
    """Score a result against the truth: Dice, IoU, sensitivity, precision, surface distance.

    Parameters
    ----------
    result : Segmentation
        The answer of a network.
    truth : numpy.ndarray
        Of the image's spatial shape and axis order. If the card has several classes: their ids, 0
        for background; or, if they overlap, the sum of 1, 2, 4, ... for the first, second, third
        class, ... For other cards, and for nuclei, whose classes only serve to separate objects:
        values above 0 are the structure.

    Returns
    -------
    pandas.DataFrame
        One row for each class, and one for all classes together if there are several. Distances are
        in mm if the image's spacing is known, else in px.

    Raises
    ------
    ArgumentError
        ``truth`` has another shape than the image.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> truth = uh.read_image(uh.sample("fluorescence", ground_truth=True)).pixels
    >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
    >>> table = uh.score_table(result, truth)
    >>> list(table.columns)[:4]
    ['Dice', 'IoU', 'Sensitivity', 'Precision']
    >>> table["Dice"].round(1).tolist()
    [0.9]
    """
    truth, labels = same_shape(truth, result.labels)
    masks = masks_by_name(result, truth, labels)

    spacing = None
    unit = "px"
    known = result.image.spacing
    if known is not None and len(known) >= truth.ndim:
        spacing = known[: truth.ndim]
        unit = "mm"

    columns = {}
    for name, metric in METRICS.items():
        heading = name
        if metric.needs == "masks and spacing":
            heading = f"{name} ({unit})"
        columns[heading] = [score(metric, pair, spacing) for pair in masks.values()]

    return pd.DataFrame(columns, index=pd.Index(list(masks), name="Class"))


def masks_by_name(
    result: Segmentation, truth: np.ndarray, labels: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the pairs of masks (truth, answer) to compare, by the name of their row."""
    card = result.card
    together = (truth > 0, labels > 0)

    # The classes of nuclei, interior and border, are parts of one structure.
    has_classes = len(card.classes) > 1 and card.instance_method != "interiors"
    if not has_classes:
        return {card.title: together}

    masks = {}
    for index, name in enumerate(card.classes):
        is_true = truth == index + 1
        if card.overlapping:
            is_true = (truth.astype(int) >> index) & 1 > 0
        masks[name.capitalize()] = (is_true, result.mask(name))
    masks["Together"] = together
    return masks


def score(
    metric: Metric, masks: tuple[np.ndarray, np.ndarray], spacing: Sequence[float] | None
) -> float:
    """Apply one metric to (truth, answer)."""
    if metric.needs == "masks and spacing":
        return metric.function(*masks, spacing)
    return metric.function(*masks)
