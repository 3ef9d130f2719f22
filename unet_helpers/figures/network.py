"""The inside of a network: its input, and the output of each block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn.modules.module import register_module_forward_hook

from ..errors import ArgumentError
from ..images.read import read_image
from ..images.stack import to_stack
from ..inference.scale import slices_of, working_scale
from ..inference.tiles import TILE
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..preprocessing.prepare import prepare
from .layout import FULL_WIDTH, panels

if TYPE_CHECKING:
    from ..images.read import ImageSource

# Inches: largest width of a column of feature maps. Without it, maps of a network with few blocks
# would fill the screen.
WIDEST_MAP = 2.6


def network_input(
    image: ImageSource, model: str | Path | ModelCard | UNet, index: int | None = None
) -> torch.Tensor:
    """Return the network's input (1, C, h, w) for an image, or for slice ``index`` of a volume.

    Slices are numbered as displayed; the default is the middle one. If the image is larger than a
    tile, only its centre is used. Raises ArgumentError for a network that reads volumes.
    """
    model = load_model(model)
    if model.dims == 3:
        raise ArgumentError(
            f"{model.card.name!r} reads volumes, whose maps are not drawn: choose a network for "
            "slices, such as 'brain_flair'."
        )
    stack = to_stack(read_image(image))
    if index is None:
        index = len(stack.pixels) // 2

    # Both the scale and the preprocessing use the fields of view, which are found on first use.
    slices = slices_of(stack.pixels, stack.spacing)
    scale = working_scale(model, slices, index)
    preprocessing = model.card.preprocessing
    prepared = prepare(slices.pixels, preprocessing, scale.shape, slices.fields_of_view)[index]

    height, width = prepared.pixels.shape[:2]
    zoom_down, zoom_right = prepared.zoom
    rows = central_part(height, at_most=TILE / zoom_down)
    columns = central_part(width, at_most=TILE / zoom_right)
    return torch.tensor(prepared.tile(rows, columns, model.in_channels))[None]


def central_part(length: int, at_most: float) -> slice:
    """Return the middle of ``length`` px as a slice of about ``at_most`` px."""
    margin = max(0, int(length - at_most) // 2)
    return slice(margin, length - margin)


@torch.inference_mode()
def activations(model: UNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the output (C, h, w) of each block in one forward pass of ``x`` (1, C, h, w).

    The outputs are in the order of computation. The last one, 'answer', holds probabilities.
    """
    block_names = {block: name for name, block in model.named_children() if name != "pool"}
    outputs: dict[str, torch.Tensor] = {}

    def keep(block: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        if block in block_names:
            outputs[block_names[block]] = output[0]

    was_training = model.training
    model.eval()
    with register_module_forward_hook(keep):
        outputs["answer"] = model(x)[0]
    model.train(was_training)
    return outputs


def block_levels(model: UNet) -> dict[str, int]:
    """Return the level of each block, in the order of computation; 1 is full resolution.

    Each further level has half the resolution of the one above it.
    """
    levels = {}
    for level in range(1, model.depth + 1):
        levels[f"encoder{level}"] = level
    levels["bottleneck"] = model.depth + 1
    for level in range(model.depth, 0, -1):
        levels[f"decoder{level}"] = level
    return levels


def feature_maps(
    image: ImageSource,
    model: str | Path | ModelCard | UNet,
    maps: int = 6,
    index: int | None = None,
) -> Figure:
    """Show the channels of each block of a network that vary most.

    Parameters
    ----------
    image : path, array or MedicalImage
        If it is larger than a tile (1280 px at the network's scale), only its centre is shown.
    model : str, path or UNet
        A network, or its name.
    maps : int
        Number of channels of each block, the one that varies most on top.
    index : int, optional
        The slice of a volume, counted from 0 as displayed; by default the middle one.

    Returns
    -------
    matplotlib.figure.Figure
        One column for each block, one row for each channel. Bright pixels are large values.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.arange(1024).reshape(32, 32).astype(np.uint8)
    >>> figure = uh.feature_maps(image, "lungs", maps=1)
    >>> print(figure.axes[4].get_title())
    Bottleneck
    256 × 16 × 16
    """
    model = load_model(model)
    blocks = list(block_levels(model))
    outputs = activations(model, network_input(image, model, index))

    _, height, width = outputs[blocks[0]].shape
    map_width = min((FULL_WIDTH - 0.2) / len(blocks), WIDEST_MAP)
    map_height = map_width * height / width
    size = (max(6.5, map_width * len(blocks) + 0.2), maps * map_height + 1.3)
    note = (
        f"The {maps} channels that vary most in each block, the strongest on top; bright is strong"
    )
    figure, axes = panels(maps, len(blocks), size, note, layout="compressed")

    for column, name in enumerate(blocks):
        block = outputs[name].float()
        title = name.replace("coder", "coder ").capitalize()
        shape = " × ".join(str(n) for n in block.shape)
        axes[0, column].set_title(f"{title}\n{shape}", fontsize=10)
        for row, channel in enumerate(most_varying(block, maps)):
            low, high = np.percentile(channel, [1, 99])
            axes[row, column].imshow(channel, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
    return figure


def most_varying(block: torch.Tensor, count: int) -> np.ndarray:
    """Return the ``count`` channels of (C, h, w) with the largest variance, the largest first."""
    variances = block.var(dim=(1, 2))
    strongest = variances.topk(min(count, len(block))).indices
    return block[strongest].numpy()
