"""Several results in one figure."""

from textwrap import fill

import matplotlib.pyplot as plt

from ..results.measurements import in_words
from .volumes import facing, headline, view


def gallery(results):
    """Several results in one figure, three a row: overlay, name and number of objects. Returns the figure."""
    results = list(results)
    columns = max(1, min(3, len(results)))
    rows = max(1, -(-len(results) // columns))
    size = (13 * columns / 3, 4.7 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for ax, result in zip(axes.flat, results, strict=False):
        index = result.busiest_slice()
        ax.imshow(view(result if result.image.is_single else facing(result, 0), index))
        text = f"{result.card.title.lower()}: {in_words(result.summary())}"
        title = f"{headline(result.image, index)}\n{fill(text, 52)}"
        ax.set_title(title, fontsize=11)
    for ax in axes.flat:
        ax.set_axis_off()
    plt.close(figure)
    return figure
