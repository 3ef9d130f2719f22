"""What the figures share: panels without frames, and the words above them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..images.image import MedicalImage
from ..results.measurements import in_words
from ..results.segmentation import Segmentation

# Inches: the width of a figure that fills a notebook's column.
FULL_WIDTH = 13.0

# Characters: longer names of files are cut in titles.
LONGEST_NAME = 28

# Of the numbers in a result's summary, so many stand in a title.
NUMBERS_IN_A_TITLE = 4


def panels(
    rows: int,
    columns: int,
    size: tuple[float, float],
    note: str = "",
    *,
    layout: str = "constrained",
    width_ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """Make a figure of ``size`` (width, height) in inches and its (rows, columns) axes, unframed.

    ``note`` is written below the panels; ``width_ratios`` are the relative widths of the columns.
    """
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout=layout, squeeze=False, width_ratios=width_ratios
    )
    # A cell shows the returned figure. If it were left open, the cell would show it twice.
    plt.close(figure)

    for ax in axes.flat:
        ax.set_axis_off()
    if note:
        figure.supxlabel(note, fontsize=11)
    return figure, axes


def headline(image: MedicalImage, index: int | None = None) -> str:
    """Name an image as in 'name', or a slice of a volume as in 'name, slice 12'."""
    name = image.name
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 1]}…"
    if index is None or image.is_single:
        return name
    return f"{name}, slice {index}"


def describe(result: Segmentation, width: int) -> str:
    """Say what was found, 'Cell nuclei: 117 objects, ...', in lines of ``width`` characters."""
    numbers = dict(islice(result.summary().items(), NUMBERS_IN_A_TITLE))
    return fill(f"{result.card.title}: {in_words(numbers)}", width)
