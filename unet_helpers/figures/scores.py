"""Figures and tables of quality: the threshold, calibration, and disagreement of copies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..errors import ArgumentError
from ..images.read import read_image
from ..images.stack import as_displayed
from ..inference.segment import segment
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..palette import FALSE_ALARM, HIT, MISS
from ..results.metrics import dice, same_shape, sensitivity
from ..results.overlay import picture, proportion, slice_of
from ..results.segmentation import Segmentation
from .layout import FULL_WIDTH, headline, panels

if TYPE_CHECKING:
    from ..images.read import ImageSource

# Thresholds of the curve: 0.05, 0.10, ... 0.95.
THRESHOLDS = np.arange(5, 100, 5) / 100

# A pixel is unsure if the standard deviation over turned and mirrored copies is above this.
UNSURE_FROM = 0.1

# The window where the copies differ most has 1/3 of each side of the image.
WINDOW_SHARE = 3


def threshold_scores(
    result: Segmentation, truth: np.ndarray, thresholds: Iterable[float] = THRESHOLDS
) -> pd.DataFrame:
    """Score the foreground at each threshold: Dice, sensitivity and precision, one row each.

    Small regions are not removed from the mask here, unlike in the labels of some cards.
    """
    true_mask, probability = same_shape(np.asarray(truth) > 0, result.foreground)

    rows = {}
    for threshold in thresholds:
        # Compare in single precision, as ``labels`` does.
        mask = probability >= np.float32(threshold)
        rows[threshold] = {
            "Dice": dice(true_mask, mask),
            "Sensitivity": sensitivity(true_mask, mask),
            "Precision": sensitivity(mask, true_mask),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def threshold_curve(result: Segmentation, truth: np.ndarray) -> Figure:
    """Draw Dice, sensitivity and precision over the threshold.

    Parameters
    ----------
    result : Segmentation
        What ``segment`` returned.
    truth : numpy.ndarray
        The true labels, with the image's spatial shape and axis order; 0 is background.

    Returns
    -------
    matplotlib.figure.Figure
        Three curves. A dot marks the threshold in use, a star the best one for this image.

    Raises
    ------
    ArgumentError
        The shape of ``truth`` is not that of the image.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.MedicalImage(np.zeros((8, 8), np.uint8), "YX")
    >>> probabilities = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    >>> result = uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)
    >>> figure = uh.threshold_curve(result, truth=probabilities[0] > 0.7)
    >>> figure.axes[0].get_legend().get_texts()[-1].get_text()
    'Best: 0.7, Dice 1.000'
    """
    used = result.threshold
    scores = threshold_scores(result, truth, np.union1d(THRESHOLDS, used))
    best = float(scores.index[int(scores["Dice"].to_numpy().argmax())])
    dice_used = scores["Dice"][used]
    dice_best = scores["Dice"][best]

    note = (
        "Choose a threshold on other images than the one you report: "
        "the best one here flatters itself."
    )
    figure, axes = panels(1, 1, (8, 4.8), note)
    ax = axes[0, 0]
    ax.set_axis_on()
    colors = [HIT, MISS, FALSE_ALARM]
    scores.plot(ax=ax, style=["-", "--", "-."], color=colors, lw=2.5, xlim=(0, 1), ylim=(0, 1.02))
    ax.axvline(used, color="black", lw=1, ls=":")
    ax.plot(used, dice_used, "ko", ms=8, label=f"In use: {used:g}, Dice {dice_used:.3f}")
    best_label = f"Best: {best:g}, Dice {dice_best:.3f}"
    ax.plot(best, dice_best, "k*", ms=14, mfc="none", label=best_label)
    ax.set(xlabel="Threshold", title=f"What the threshold does to {headline(result.image)!r}")
    ax.legend(loc="lower center")
    ax.grid(alpha=0.3)
    return figure


def calibration(result: Segmentation, truth: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Compare the probabilities with the share of pixels that belong to the structure.

    A network is calibrated if 8 of 10 pixels with a probability of 0.8 belong to the structure.

    Parameters
    ----------
    result : Segmentation
        What ``segment`` returned.
    truth : numpy.ndarray
        The true labels, with the image's spatial shape and axis order; 0 is background.
    bins : int
        Number of intervals of equal width from 0 to 1 into which the probabilities are sorted.

    Returns
    -------
    pandas.DataFrame
        One row for each interval that contains pixels: their mean probability, the share of them
        that belongs to the structure, and their number. The index is the interval, from 0.

    Raises
    ------
    ArgumentError
        The shape of ``truth`` is not that of the image.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.MedicalImage(np.zeros((8, 8), np.uint8), "YX")
    >>> probabilities = np.full((1, 8, 8), 0.75, np.float32)
    >>> result = uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)
    >>> truth = np.arange(64).reshape(8, 8) < 32
    >>> uh.calibration(result, truth).loc[7].tolist()
    [0.75, 0.5, 64.0]
    """
    true_mask, probability = same_shape(np.asarray(truth) > 0, result.foreground)
    probability = probability.reshape(-1)
    interval = np.minimum((probability * bins).astype(int), bins - 1)

    pixels = pd.DataFrame(
        {"Mean probability": probability, "Share that is true": true_mask.reshape(-1)}
    )
    groups = pixels.astype(float).groupby(interval)
    return groups.mean().assign(Pixels=groups.size())


def disagreement_figure(
    image: ImageSource,
    model: str | Path | ModelCard | UNet,
    flips: int = 8,
    index: int | None = None,
) -> Figure:
    """Show how sure a network is: image, mean probability and disagreement side by side.

    The network runs on turned and mirrored copies of the image. The disagreement is the standard
    deviation of the probabilities. Where it is large, the answer depends on how the image is
    turned.

    Parameters
    ----------
    image : path, array or MedicalImage
        As for ``segment``.
    model : str, path or UNet
        A network, or its name.
    flips : int
        Number of copies that are compared: 2, 4 or 8.
    index : int, optional
        The slice of a volume, counted from 0 as displayed; by default the one with the largest
        disagreement.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels of the part of the image where the copies differ most: 1/3 of each side.

    Raises
    ------
    ArgumentError
        There is no disagreement: ``flips`` is 1, or the image is too large.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.arange(1024).reshape(32, 32).astype(np.uint8)
    >>> figure = uh.disagreement_figure(image, "lungs", flips=2)
    >>> figure.axes[1].get_title()
    'Mean probability'
    """
    image = read_image(image)
    result = segment(image, load_model(model), flips=flips, progress=False)
    if result.spread is None:
        raise ArgumentError(
            f"{image.name}: flips={flips}, or an image this large, leaves nothing to compare. "
            "Cut it."
        )
    if index is None:
        index = int(as_displayed(image, result.spread).sum((1, 2)).argmax())

    mean = slice_of(image, result.foreground, index)
    spread = slice_of(image, result.spread, index)
    window = busiest_window(spread)

    unsure = unsure_share(result.foreground >= result.threshold, result.spread)
    note = (
        f"{flips} copies, turned and mirrored. "
        f"In {unsure:.0%} of all that was found they differ by more than 0.1."
    )
    figure, axes = panels(1, 3, (FULL_WIDTH, 4.8), note)
    image_ax, mean_ax, spread_ax = axes[0]
    aspect = proportion(image)

    image_ax.imshow(picture(image, index)[window], aspect=aspect)
    image_ax.set_title(f"{headline(image, index)}: where the copies differ most")

    heat = mean_ax.imshow(mean[window], cmap="cividis", vmin=0, vmax=1, aspect=aspect)
    figure.colorbar(heat, ax=mean_ax, shrink=0.7)
    mean_ax.set_title("Mean probability")

    # The colour scale ends near the largest value, but not below 0.01: noise would look important.
    top = max(0.01, float(np.percentile(spread[window], 99.5)))
    heat = spread_ax.imshow(spread[window], cmap="viridis", vmin=0, vmax=top, aspect=aspect)
    figure.colorbar(heat, ax=spread_ax, shrink=0.7, extend="max")
    spread_ax.set_title("Disagreement (standard deviation)")
    return figure


def busiest_window(values: np.ndarray, share: int = WINDOW_SHARE) -> tuple[slice, slice]:
    """Return rows and columns of the window with the largest sum: 1 / ``share`` of each side."""
    rows, columns = values.shape
    height = max(1, rows // share)
    width = max(1, columns // share)
    sums = cv2.boxFilter(values, cv2.CV_64F, (width, height), anchor=(0, 0), normalize=False)

    # sums[row, column] is that of the window whose top left corner is there. Windows that extend
    # beyond the image do not count.
    sums = sums[: rows - height + 1, : columns - width + 1]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return slice(top, top + height), slice(left, left + width)


def unsure_share(mask: np.ndarray, spread: np.ndarray) -> float:
    """Return the share of a mask in which the copies differ by more than UNSURE_FROM."""
    pixels = int(np.count_nonzero(mask))
    unsure_pixels = int(np.count_nonzero(mask & (spread > UNSURE_FROM)))
    return unsure_pixels / max(1, pixels)
