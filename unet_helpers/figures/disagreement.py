"""How sure is an answer? Where the turned and mirrored copies of an image disagree."""

import matplotlib.pyplot as plt
import numpy as np

from ..images.orientation import as_displayed
from ..images.read import read_image
from ..inference.segment import segment
from ..networks.load import load_model
from ..results.overlay import picture, slice_of
from .show import headline


def disagreement_figure(image, model, flips: int = 8, index: int | None = None):
    """Image, mean probability and disagreement side by side: how sure is it? Returns the figure.

    The disagreement is the standard deviation over ``flips`` turned and mirrored copies: where it is large the answer
    depends on which way up the image lies, which it should not.
    """
    image = read_image(image)
    result = segment(image, load_model(model), flips=flips, progress=False)
    mean, spread = result.foreground, result.spread
    if index is None:
        index = int(as_displayed(image, spread).sum((1, 2)).argmax())  # the slice with most of it
    figure, axes = plt.subplots(1, 3, figsize=(13, 5), layout="constrained")
    axes[0].imshow(picture(image, index))
    axes[0].set_title(headline(image, index))
    heats = {"mean probability": (mean, "cividis", 1), "disagreement (standard deviation)": (spread, "viridis", 0.25)}
    for ax, (title, (values, colors, top)) in zip(axes[1:], heats.items(), strict=True):
        heat = ax.imshow(slice_of(image, values, index), cmap=colors, vmin=0, vmax=top)
        figure.colorbar(heat, ax=ax, shrink=0.7, extend="neither" if top == 1 else "max")
        ax.set_title(title)
    for ax in axes:
        ax.set_axis_off()
    found = mean >= result.threshold
    unsure = np.count_nonzero(found & (spread > 0.1)) / max(1, np.count_nonzero(found))
    note = f"{flips} copies, turned and mirrored. In {unsure:.0%} of what was found they differ by more than 0.1."
    figure.supxlabel(note, fontsize=11)
    plt.close(figure)
    return figure
