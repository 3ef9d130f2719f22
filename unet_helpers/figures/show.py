"""``show`` and ``compare``: a result beside its image, and against the truth."""

from __future__ import annotations

from textwrap import fill

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..palette import FALSE_ALARM, HIT, MISS
from ..results.metrics import dice
from ..results.overlay import paint, picture, proportion, shrink, slice_of
from ..results.segmentation import Segmentation
from .layout import FULL_WIDTH, describe, headline, panels

# What a pixel is when the answer is compared with the truth, in the order of ``painted_errors``.
OUTCOMES = {"Hit": HIT, "Miss": MISS, "False alarm": FALSE_ALARM}


def show(result: Segmentation, index: int | None = None) -> Figure:
    """Show image, overlay and probability side by side.

    Parameters
    ----------
    result : Segmentation
        What ``segment`` returned.
    index : int, optional
        The slice of a volume, counted from 0 as displayed; by default the one with most pixels of
        the structure.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it if it is the last line of a cell. The assessment and the warnings are
        below the panels.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.MedicalImage(np.zeros((8, 8), np.uint8), "YX")
    >>> probabilities = np.zeros((1, 8, 8), np.float32)
    >>> probabilities[0, 2:6, 2:6] = 1
    >>> result = uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)
    >>> figure = uh.show(result)
    >>> figure.axes[2].get_title()
    'Probability, with the threshold 0.5 as a white line'
    """
    if index is None:
        index = result.busiest_slice()
    probability = slice_of(result.image, result.foreground, index)
    aspect = proportion(result.image)
    description = describe(result, width=60)

    height, width = probability.shape
    inches_of_title = 0.8 + 0.2 * len(description.splitlines())
    inches_of_panel = 4.0 * min(1, aspect * height / width)
    size = (FULL_WIDTH, inches_of_title + inches_of_panel)
    figure, axes = panels(1, 3, size)
    image_ax, overlay_ax, probability_ax = axes[0]

    # Shrink large pictures before drawing them, as ``overlay`` does, to save time and memory.
    image_ax.imshow(shrink(picture(result.image, index), cv2.INTER_AREA), aspect=aspect)
    image_ax.set_title(headline(result.image, index))

    overlay_ax.imshow(result.overlay(index), aspect=aspect)
    overlay_ax.set_title(description, fontsize=10)
    colors = dict(zip(result.card.classes, result.card.colors, strict=True))
    patches = [Patch(color=color, label=name.capitalize()) for name, color in colors.items()]
    overlay_ax.legend(handles=patches, loc="lower right", framealpha=0.8)

    heat = probability_ax.imshow(probability, cmap="cividis", vmin=0, vmax=1, aspect=aspect)
    probability_ax.contour(probability, levels=[result.threshold], colors="white", linewidths=0.6)
    title = f"Probability, with the threshold {result.threshold:g} as a white line"
    probability_ax.set_title(title, fontsize=11)
    figure.colorbar(heat, ax=probability_ax, shrink=0.8)

    words = fill(" ".join(cautions_of(result)), 150, break_on_hyphens=False)
    figure.supxlabel(words, fontsize=10, color=result.assessment.colour)
    return figure


def cautions_of(result: Segmentation) -> list[str]:
    """Return how good a result probably is, then its other warnings, each text once."""
    sentence = result.assessment.sentence
    others = [text for text in (result.explain(), *result.warnings) if text not in sentence]
    return [with_full_stop(text) for text in (sentence, *others)]


def with_full_stop(text: str) -> str:
    """End a sentence, so that the next one can follow."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def compare(result: Segmentation, truth: np.ndarray, index: int | None = None) -> Figure:
    """Show hits, misses and false alarms against the true labels.

    Parameters
    ----------
    result : Segmentation
        What ``segment`` returned.
    truth : numpy.ndarray
        The true labels, with the image's spatial shape and axis order; 0 is background.
    index : int, optional
        The slice of a volume, counted from 0 as displayed; by default the one with most pixels of
        the structure.

    Returns
    -------
    matplotlib.figure.Figure
        One panel; its title gives the Dice of the whole image or volume.

    Raises
    ------
    ArgumentError
        The shape of ``truth`` is not that of the image.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.MedicalImage(np.zeros((8, 8), np.uint8), "YX")
    >>> probabilities = np.zeros((1, 8, 8), np.float32)
    >>> probabilities[0, 2:6, 2:6] = 1
    >>> result = uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)
    >>> truth = np.zeros((8, 8), np.uint8)
    >>> truth[2:6, 4:8] = 1
    >>> uh.compare(result, truth).axes[0].get_title()
    'array, compared with the truth: Dice 0.500'
    """
    overlap = dice(truth, result.labels)
    if index is None:
        index = result.busiest_slice()

    figure, axes = panels(1, 1, (7, 6))
    ax = axes[0, 0]
    ax.imshow(painted_errors(result, truth, index), aspect=proportion(result.image))
    title = headline(result.image, index)
    ax.set_title(f"{title}, compared with the truth: Dice {overlap:.3f}")
    patches = [Patch(color=color, label=name) for name, color in OUTCOMES.items()]
    ax.legend(handles=patches, loc="lower right")
    return figure


def painted_errors(result: Segmentation, truth: np.ndarray, index: int) -> np.ndarray:
    """Return slice ``index`` of the image, (h, w, 3) uint8, with hits, misses and false alarms."""
    true_mask = slice_of(result.image, truth, index) > 0
    answer_mask = slice_of(result.image, result.labels, index) > 0

    outcome = np.zeros(true_mask.shape, np.uint8)
    outcome[true_mask & answer_mask] = 1
    outcome[true_mask & ~answer_mask] = 2
    outcome[~true_mask & answer_mask] = 3
    return paint(picture(result.image, index), outcome, list(OUTCOMES.values()), alpha=0.7)
