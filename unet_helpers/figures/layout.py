"""What all figures use: panels without axes, and texts for their titles."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..images.image import MedicalImage
from ..results.measurements import measured_in_words
from ..results.segmentation import Segmentation

# Inches: width of a figure that fills the column of a notebook.
FULL_WIDTH = 13.0

# Characters: longer file names are cut in titles.
LONGEST_NAME = 28

# A title shows this many measured numbers, and the expected Dice.
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
    """Make a figure of ``size`` (width, height) in inches, and its (rows, columns) axes.

    The axes have no frames and ticks. ``note`` is written below the panels. ``width_ratios`` are
    the relative widths of the columns.
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
    """Return the title of an image, 'name', or of a slice of a volume, 'name, slice 12'."""
    name = image.name
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 1]}…"
    if index is None or image.is_single:
        return name
    return f"{name}, slice {index}"


def describe(result: Segmentation, width: int) -> str:
    """Describe a result, 'Cell nuclei: 117 objects, ...', in lines of ``width`` characters."""
    numbers = measured_in_words(result, NUMBERS_IN_A_TITLE)
    return fill(f"{result.card.title}: {numbers}, {result.assessment.number}", width)
