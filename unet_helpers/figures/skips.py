"""Shows what skip connections contribute: answers of a network without some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure

from ..checks.view import View
from ..errors import ArgumentError
from ..images.read import read_image
from ..inference.scale import looks_for_objects, zoom_by_objects
from ..inference.segment import segment
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.metrics import dice
from ..results.overlay import slice_of
from ..results.segmentation import Segmentation
from .layout import FULL_WIDTH, panels

if TYPE_CHECKING:
    from ..images.read import ImageSource


@contextmanager
def cut_skips(model: UNet, levels: Collection[int]) -> Iterator[None]:
    """Replace what the skip connections of these levels carry by zeros; 1 is full resolution.

    The network works as before when the context ends.
    """
    unknown = set(levels) - set(range(1, model.depth + 1))
    if unknown:
        raise ArgumentError(
            f"Skip connections are at levels 1 to {model.depth}, not at {sorted(unknown)}."
        )

    def silence(decoder: torch.nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        from_below, over_skip = inputs[0].chunk(2, dim=1)
        return torch.cat((from_below, torch.zeros_like(over_skip)), dim=1)

    with ExitStack() as hooks:
        for level in set(levels):
            decoder = model.get_submodule(f"decoder{level}")
            hooks.enter_context(decoder.register_forward_pre_hook(silence))
        yield


def without_skips(
    image: ImageSource,
    model: str | Path | ModelCard | UNet,
    levels: Collection[int] | None = None,
    **options: Any,
) -> Segmentation:
    """Segment an image with some of the network's skip connections cut.

    Parameters
    ----------
    image : path, array or MedicalImage
        As for ``segment``.
    model : str, path or UNet
        A network, or its name. It is not changed.
    levels : collection of int, optional
        Levels of the skip connections that are cut: 1 is full resolution, 2 is half of it, and so
        on. By default all levels.
    **options
        Options of ``segment``.

    Returns
    -------
    Segmentation
        The answer, at the scale that the whole network uses for the image.

    Raises
    ------
    ArgumentError
        The network has no such level.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.arange(1024).reshape(32, 32).astype(np.uint8)
    >>> result = uh.without_skips(image, "lungs", levels=[1, 2])
    >>> result.labels.shape
    (32, 32)
    """
    image = read_image(image)
    model = load_model(model)
    if levels is None:
        levels = range(1, model.depth + 1)

    # If the scale is estimated from the objects in the image, estimate it with the whole network.
    is_given = options.get("zoom") is not None or options.get("diameter") is not None
    if looks_for_objects(model.card) and not is_given:
        options["zoom"] = zoom_by_objects(model, View(image)).zoom

    with cut_skips(model, levels):
        return segment(image, model, **options)


def compare_skips(
    image: ImageSource | Segmentation,
    model: str | Path | ModelCard | UNet,
    index: int | None = None,
) -> Figure:
    """Show the probability with all skip connections, without each one, and without any.

    Parameters
    ----------
    image : path, array, MedicalImage or Segmentation
        A ``Segmentation`` made with this network saves the time for segmenting the image again.
    model : str, path or UNet
        A network, or its name.
    index : int, optional
        The slice of a volume, counted from 0 as displayed; by default the one with most pixels of
        the structure.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels in each row. Titles give the Dice with the answer of the whole network.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.arange(1024).reshape(32, 32).astype(np.uint8)
    >>> figure = uh.compare_skips(image, "lungs")
    >>> figure.axes[0].get_title()
    'All skip connections'
    """
    model = load_model(model)
    if isinstance(image, Segmentation):
        whole = image
    else:
        whole = segment(image, model, flips=1, progress=False)
    if index is None:
        index = whole.busiest_slice()

    answers = {"All skip connections": whole}
    for level in range(1, model.depth + 1):
        answers[f"Without skip connection {level}"] = answer_again(whole, model, [level])
    answers["Without any"] = answer_again(whole, model, None)

    rows = -(-len(answers) // 3)
    height, width = slice_of(whole.image, whole.labels, index).shape
    row_height = min(5.0, 3.9 * height / width + 0.4)
    note = (
        "Skip connection 1 is at full resolution. "
        "Dice is the overlap with the answer of the whole network."
    )
    figure, axes = panels(rows, 3, (FULL_WIDTH, row_height * rows + 0.5), note)

    for ax, (name, answer) in zip(axes.flat, answers.items(), strict=False):
        probability = slice_of(whole.image, answer.foreground, index)
        heat = ax.imshow(probability, cmap="cividis", vmin=0, vmax=1)
        title = name
        if answer is not whole:
            title = f"{name}: Dice {dice(whole.labels, answer.labels):.2f}"
        ax.set_title(title)
    figure.colorbar(heat, ax=axes, shrink=0.6, pad=0.02, label="Probability")
    return figure


def answer_again(whole: Segmentation, model: UNet, levels: Collection[int] | None) -> Segmentation:
    """Segment the image of ``whole`` again, at the same scale, with skip connections cut."""
    zoom = None
    if looks_for_objects(model.card):
        zoom = whole.zoom
    return without_skips(whole.image, model, levels, flips=1, zoom=zoom, progress=False)
