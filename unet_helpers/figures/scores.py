"""How good is an answer, and how sure? Scores, what the threshold does, where turned copies disagree."""

import cv2
import numpy as np

from ..errors import ArgumentError
from ..images.read import read_image
from ..images.stack import as_displayed
from ..inference.segment import segment
from ..networks.load import load_model
from ..palette import FALSE_ALARM, HIT, MISS
from ..results.metrics import dice, iou, same_shape, sensitivity, surface_distance
from ..results.overlay import picture, proportion, slice_of
from ..results.segmentation import Segmentation
from .show import headline, panels

THRESHOLDS = np.arange(5, 100, 5) / 100


def score_table(result: Segmentation, truth: np.ndarray):
    """Dice, IoU, sensitivity, precision, 95 % surface distance: a pandas.DataFrame, one row per class.

    ``truth`` has the image's shape. Of a card with several classes it holds their ids, 0 background; of any other
    (and of nuclei, whose classes only serve to tell objects apart) whatever is not 0 counts.
    """
    import pandas as pd

    truth, labels = same_shape(truth, result.labels)
    classes, spacing = result.card.classes, result.image.spacing
    several = len(classes) > 1 and result.card.instance_method != "interiors"
    masks = (
        {name.capitalize(): (truth == i, labels == i) for i, name in enumerate(classes, 1)}
        if several
        else {}
    )
    masks["Together" if several else result.card.title] = (truth > 0, labels > 0)
    step = None if spacing is None else spacing[: truth.ndim]
    columns = [
        "Dice",
        "IoU",
        "Sensitivity",
        "Precision",
        f"Surface distance, 95 % ({'px' if step is None else 'mm'})",
    ]
    rows = [
        (
            dice(*pair),
            iou(*pair),
            sensitivity(*pair),
            sensitivity(*pair[::-1]),
            surface_distance(*pair, step),
        )
        for pair in masks.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(masks, name="Class"), columns=columns)


def threshold_scores(result: Segmentation, truth: np.ndarray, thresholds=THRESHOLDS):
    """Dice, sensitivity and precision of the foreground at each threshold: a pandas.DataFrame.
    Of the pixels alone, before a card's small regions are dropped.
    """
    import pandas as pd

    real, probability = same_shape(np.asarray(truth) > 0, result.foreground)
    masks = (probability >= np.float32(threshold) for threshold in thresholds)
    rows = [
        (dice(real, found), sensitivity(real, found), sensitivity(found, real)) for found in masks
    ]
    return pd.DataFrame(rows, index=thresholds, columns=["Dice", "Sensitivity", "Precision"])


def threshold_curve(result: Segmentation, truth: np.ndarray):
    """Dice, sensitivity and precision over the threshold; the one in use and the best marked. Returns the figure."""
    scores = threshold_scores(result, truth, np.union1d(THRESHOLDS, result.threshold))
    used, best = result.threshold, scores.Dice.idxmax()
    note = "Choose a threshold on other images than the one you report: the best one here flatters itself."
    figure, ((ax,),) = panels(1, 1, (8, 4.8), note)
    ax.set_axis_on()
    scores.plot(
        ax=ax,
        style=["-", "--", "-."],
        color=[HIT, MISS, FALSE_ALARM],
        lw=2.5,
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    ax.axvline(used, color="black", lw=1, ls=":")
    ax.plot(
        used, scores.Dice[used], "ko", ms=8, label=f"In use: {used:g}, Dice {scores.Dice[used]:.3f}"
    )
    ax.plot(
        best,
        scores.Dice[best],
        "k*",
        ms=14,
        mfc="none",
        label=f"Best: {best:g}, Dice {scores.Dice[best]:.3f}",
    )
    ax.set(xlabel="Threshold", title=f"What the threshold does to {headline(result.image)!r}")
    ax.legend(loc="lower center")
    ax.grid(alpha=0.3)
    return figure


def most_of(values: np.ndarray, share: int = 3) -> tuple[slice, slice]:
    """Rows and columns of the window, a ``share``-th of each side, with the largest sum of (H, W) values."""
    height, width = (max(1, n // share) for n in values.shape)
    sums = cv2.boxFilter(values, cv2.CV_64F, (width, height), anchor=(0, 0), normalize=False)
    inside = sums[: len(values) - height + 1, : values.shape[1] - width + 1]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return slice(row, row + height), slice(column, column + width)


def calibration(result: Segmentation, truth: np.ndarray, bins: int = 10):
    """Of the pixels in each interval of probability: the mean probability, and the share that is true. A DataFrame."""
    import pandas as pd

    real, probability = same_shape(np.asarray(truth) > 0, result.foreground)
    pixels = pd.DataFrame(
        {"Mean probability": probability.reshape(-1), "Share that is true": real.reshape(-1)}
    )
    groups = pixels.astype(float).groupby(
        np.minimum((probability * bins).astype(int), bins - 1).reshape(-1)
    )
    return groups.mean().assign(Pixels=groups.size())


def disagreement_figure(image, model, flips: int = 8, index: int | None = None):
    """Image, mean probability and disagreement side by side: how sure is it? Returns the figure.

    The disagreement is the standard deviation over ``flips`` turned and mirrored copies: where it is large the answer
    depends on which way up the image lies, which it should not.
    """
    image = read_image(image)
    result = segment(image, load_model(model), flips=flips, progress=False)
    mean, spread = result.foreground, result.spread
    if spread is None:
        raise ArgumentError(
            f"{image.name}: flips={flips}, or an image this large, leaves nothing to compare. Cut it."
        )
    index = (
        int(as_displayed(image, spread).sum((1, 2)).argmax()) if index is None else index
    )  # where it is largest
    means, spreads = (slice_of(image, values, index) for values in (mean, spread))
    part, top = most_of(spreads), max(0.01, float(np.percentile(spreads[most_of(spreads)], 99.5)))
    found = mean >= result.threshold
    unsure = np.count_nonzero(found & (spread > 0.1)) / max(1, np.count_nonzero(found))
    note = f"{flips} copies, turned and mirrored. In {unsure:.0%} of all that was found they differ by more than 0.1."
    figure, ((first, *others),) = panels(1, 3, (13, 4.8), note)
    first.imshow(picture(image, index)[part], aspect=proportion(image))
    first.set_title(f"{headline(image, index)}: where the copies differ most")
    heats = {
        "Mean probability": (means, "cividis", 1),
        "Disagreement (standard deviation)": (spreads, "viridis", top),
    }
    for ax, (title, (values, colors, high)) in zip(others, heats.items(), strict=True):
        heat = ax.imshow(values[part], cmap=colors, vmin=0, vmax=high, aspect=proportion(image))
        figure.colorbar(heat, ax=ax, shrink=0.7, extend="neither" if high == 1 else "max")
        ax.set_title(title)
    return figure
