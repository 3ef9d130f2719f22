"""What a person looks at: overlays, comparisons, probabilities. Colours are safe for the colour-blind."""

from textwrap import fill

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from ..images.image import MedicalImage
from ..palette import FALSE_ALARM, HIT, MISS
from ..results.measurements import in_words
from ..results.metrics import dice
from ..results.overlay import paint, picture, proportion, shrink, slice_of
from ..results.segmentation import Segmentation


def panels(rows: int, columns: int, size: tuple[float, float], note: str = "", **options):
    """A figure of ``size`` inches, with a note below, and its (rows, columns) axes, without frames."""
    figure, axes = plt.subplots(
        rows, columns, figsize=size, **{"layout": "constrained", "squeeze": False} | options
    )
    plt.close(figure)  # a cell shows the returned figure once, not twice
    for ax in axes.flat:
        ax.set_axis_off()
    if note:
        figure.supxlabel(note, fontsize=11)
    return figure, axes


def headline(image: MedicalImage, index: int | None = None) -> str:
    """'name, slice 12' of a volume, 'name' of a single image; a long name cut."""
    name = image.name if len(image.name) <= 28 else f"{image.name[:27]}…"
    return name if index is None or image.is_single else f"{name}, slice {index}"


def found(result: Segmentation, width: int) -> str:
    """'Cell nuclei: 117 objects, median area 480 px, ...' in lines of ``width``: the first four of its numbers."""
    return fill(f"{result.card.title}: {in_words(dict(list(result.summary().items())[:4]))}", width)


def show(result: Segmentation, index: int | None = None):
    """Image, overlay and probability side by side; ``index`` picks the slice of a volume. Returns the figure."""
    index = result.busiest_slice() if index is None else index
    card, probability = result.card, slice_of(result.image, result.foreground, index)
    ratio = proportion(result.image)
    words = found(result, 60)
    tall = (
        0.8
        + 0.2 * len(words.splitlines())
        + 4.0 * min(1, ratio * probability.shape[0] / probability.shape[1])
    )
    figure, ((left, middle, right),) = panels(1, 3, (13, tall))
    left.imshow(shrink(picture(result.image, index), cv2.INTER_AREA), aspect=ratio)
    left.set_title(headline(result.image, index))
    middle.imshow(result.overlay(index), aspect=ratio)
    middle.set_title(words, fontsize=10)
    patches = [
        Patch(color=c, label=n.capitalize()) for c, n in zip(card.colors, card.classes, strict=True)
    ]
    middle.legend(handles=patches, loc="lower right", framealpha=0.8)
    heat = right.imshow(probability, cmap="cividis", vmin=0, vmax=1, aspect=ratio)
    right.contour(probability, levels=[result.threshold], colors="white", linewidths=0.6)
    right.set_title(
        f"Probability, with the threshold {result.threshold:g} as a white line", fontsize=11
    )
    figure.colorbar(heat, ax=right, shrink=0.8)
    if caution := " ".join(filter(None, (result.explain(), *result.warnings))):
        figure.supxlabel(fill(caution, 150), fontsize=10, color=FALSE_ALARM)
    return figure


def compare(result: Segmentation, truth: np.ndarray, index: int | None = None):
    """Hits, misses and false alarms against the true labels (the image's shape). Returns the figure."""
    index = result.busiest_slice() if index is None else index
    real, found = (slice_of(result.image, mask, index) > 0 for mask in (truth, result.labels))
    colors = {"Hit": HIT, "Miss": MISS, "False alarm": FALSE_ALARM}
    kinds = np.select([real & found, real, found], [1, 2, 3]).astype(np.uint8)
    painted = paint(picture(result.image, index), kinds, [*colors.values()], alpha=0.7)
    figure, ((ax,),) = panels(1, 1, (7, 6))
    ax.imshow(painted, aspect=proportion(result.image))
    ax.set_title(
        f"{headline(result.image, index)}, compared with the truth: Dice {dice(truth, result.labels):.3f}"
    )
    ax.legend(
        handles=[Patch(color=color, label=name) for name, color in colors.items()],
        loc="lower right",
    )
    return figure
