"""What a person looks at: overlays, comparisons, probabilities. Colours are safe for the colour-blind."""

from textwrap import fill

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Patch
from torchvision.utils import draw_segmentation_masks

from ..images.image import MedicalImage
from ..palette import FALSE_ALARM, HIT, MISS
from ..results.measurements import in_words
from ..results.metrics import dice
from ..results.overlay import picture, proportion, shrink, slice_of
from ..results.segmentation import Segmentation


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
    tall = 0.9 + 3.7 * min(1, ratio * probability.shape[0] / probability.shape[1])
    figure, axes = plt.subplots(1, 3, figsize=(13, tall), layout="constrained")
    axes[0].imshow(shrink(picture(result.image, index), cv2.INTER_AREA), aspect=ratio)
    axes[0].set_title(headline(result.image, index))
    axes[1].imshow(result.overlay(index), aspect=ratio)
    axes[1].set_title(found(result, 48), fontsize=11)
    axes[1].legend(
        handles=[Patch(color=c, label=n.capitalize()) for c, n in zip(card.colors, card.classes, strict=True)],
        loc="lower right",
        framealpha=0.8,
    )
    heat = axes[2].imshow(probability, cmap="cividis", vmin=0, vmax=1, aspect=ratio)
    axes[2].contour(probability, levels=[result.threshold], colors="white", linewidths=0.6)
    axes[2].set_title(f"Probability, with the threshold {result.threshold:g} as a white line", fontsize=11)
    figure.colorbar(heat, ax=axes[2], shrink=0.8)
    for ax in axes:
        ax.set_axis_off()
    if caution := " ".join(filter(None, (result.explain(), *result.warnings))):
        figure.supxlabel(fill(caution, 150), fontsize=10, color=FALSE_ALARM)
    plt.close(figure)  # a cell shows the returned figure once, not twice
    return figure


def compare(result: Segmentation, truth: np.ndarray, index: int | None = None):
    """Hits, misses and false alarms against the true labels (the image's shape). Returns the figure."""
    index = result.busiest_slice() if index is None else index
    real, found = (slice_of(result.image, mask, index) > 0 for mask in (truth, result.labels))
    image = torch.from_numpy(picture(result.image, index)).permute(2, 0, 1)
    masks = torch.from_numpy(np.stack([real & found, real & ~found, found & ~real]))
    painted = draw_segmentation_masks(image, masks, 0.7, [HIT, MISS, FALSE_ALARM]).permute(1, 2, 0)
    figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
    ax.imshow(painted, aspect=proportion(result.image))
    ax.set_title(f"{headline(result.image, index)}, compared with the truth: Dice {dice(truth, result.labels):.3f}")
    names = {"Hit": HIT, "Miss": MISS, "False alarm": FALSE_ALARM}
    ax.legend(handles=[Patch(color=c, label=n) for n, c in names.items()], loc="lower right")
    ax.set_axis_off()
    plt.close(figure)
    return figure
