"""Inside a network, by PyTorch hooks: what its channels respond to, and what its skip connections carry."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_hook

from ..errors import ArgumentError
from ..images.orientation import to_stack
from ..images.read import read_image
from ..inference.scale import working_shape, zoom_for_objects
from ..inference.segment import segment
from ..inference.tiles import TILE
from ..networks.load import load_model
from ..networks.unet import UNet
from ..preprocessing.prepare import prepare
from ..results.metrics import dice
from ..results.overlay import slice_of
from ..results.segmentation import Segmentation
from .show import panels


def as_seen(image, model, index: int | None = None) -> torch.Tensor:
    """(1, C, h, w): an image, or slice ``index`` (default: the middle one) of a volume, as the network reads it.

    Of an image larger than one tile, the centre.
    """
    stack, model = to_stack(read_image(image)), load_model(model)
    slices = stack.pixels
    index = len(slices) // 2 if index is None else index
    shape = working_shape(model, slices[index], spacing=stack.spacing)
    prepared = prepare(slices, model.card.preprocessing, shape)[index]
    margins = [max(0, int(n - TILE / z) // 2) for n, z in zip(prepared.pixels.shape, prepared.zoom, strict=False)]
    rows, columns = (slice(m, n - m) for m, n in zip(margins, prepared.pixels.shape, strict=False))
    return torch.tensor(prepared.tile(rows, columns, model.in_channels))[None]


@torch.inference_mode()
def activations(model: UNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """(C, h, w) output of each block in one forward pass of (1, C, h, w), in that order; last the 'answer'."""
    seen, training = {}, model.training
    names = {block: name for name, block in model.named_children() if name != "pool"}

    def keep(block, inputs, output) -> None:
        if block in names:
            seen[names[block]] = output[0]

    with register_module_forward_hook(keep):
        seen["answer"] = model.eval()(x)[0]
    model.train(training)
    return seen


def blocks_of(model: UNet) -> dict[str, int]:
    """Each block's level, in the order of computation; 1 is full resolution, the bottleneck is depth + 1."""
    down = {f"encoder{i}": i for i in range(1, model.depth + 1)}
    return down | {"bottleneck": model.depth + 1} | {f"decoder{i}": i for i in range(model.depth, 0, -1)}


def feature_maps(image, model, levels=None, maps: int = 6, index: int | None = None):
    """The ``maps`` channels that vary most, of each block; ``levels`` (1: full resolution) picks some. The figure."""
    model = load_model(model)
    blocks = blocks_of(model)
    chosen = [name for name, level in blocks.items() if levels is None or level in levels]
    if not chosen:
        raise ArgumentError(f"Levels are 1 (full resolution) to {model.depth + 1} (the bottleneck), not {levels}.")
    seen = activations(model, as_seen(image, model, index))
    _, height, width = seen[chosen[0]].shape
    side = min(12.8 / len(chosen), 2.6)
    size = (max(6.5, side * len(chosen) + 0.2), maps * side * height / width + 1.3)
    note = f"The {maps} channels that vary most in each block, the strongest on top; bright is strong"
    figure, axes = panels(maps, len(chosen), size, note, layout="compressed")
    for column, name in zip(axes.T, chosen, strict=True):
        block = seen[name].float()
        strongest = block.var(dim=(1, 2)).topk(min(maps, len(block))).indices
        for ax, channel in zip(column, block[strongest].numpy(), strict=False):
            low, high = np.percentile(channel, [1, 99])
            ax.imshow(channel, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        title, shape = name.replace("coder", "coder ").capitalize(), " × ".join(map(str, block.shape))
        column[0].set_title(f"{title}\n{shape}", fontsize=10)
    return figure


@contextmanager
def cut_skips(model: UNet, levels) -> Iterator[None]:
    """Within the block, zeros arrive over the skip connections of these levels (1: full resolution)."""
    if unknown := set(levels) - set(range(1, model.depth + 1)):
        raise ArgumentError(f"Skip connections are at levels 1 to {model.depth}, not at {sorted(unknown)}.")

    def silence(decoder, inputs):
        from_below, over_skip = inputs[0].chunk(2, dim=1)
        return torch.cat((from_below, torch.zeros_like(over_skip)), dim=1)

    with ExitStack() as hooks:
        for level in set(levels):
            hooks.enter_context(model.get_submodule(f"decoder{level}").register_forward_pre_hook(silence))
        yield


def without_skips(image, model, levels=None, **options) -> Segmentation:
    """The answer with the skip connections of these levels (default: all) cut; ``options`` go to ``segment``."""
    image, model = read_image(image), load_model(model)
    if model.card.preprocessing.scale == "objects" and options.get("zoom") is None:  # as the whole network finds it
        options["zoom"] = zoom_for_objects(model, (slices := to_stack(image).pixels)[len(slices) // 2])
    with cut_skips(model, range(1, model.depth + 1) if levels is None else levels):
        return segment(image, model, **options)


def compare_skips(image, model, index: int | None = None):
    """The probability with all skip connections, with each one cut, and with none. Returns the figure."""
    image, model = read_image(image), load_model(model)
    whole = segment(image, model, flips=1, progress=False)
    zoom = whole.zoom if model.card.preprocessing.scale == "objects" else None
    index = whole.busiest_slice() if index is None else index
    cuts = {f"Without skip connection {i}": (i,) for i in range(1, model.depth + 1)} | {"Without any": None}
    answers = {"All skip connections": whole} | {
        name: without_skips(image, model, levels, flips=1, zoom=zoom, progress=False) for name, levels in cuts.items()
    }
    rows, (height, width) = -(-len(answers) // 3), slice_of(image, whole.labels, index).shape
    note = "Skip connection 1 is at full resolution. Dice is the overlap with the answer of the whole network."
    figure, axes = panels(rows, 3, (13, min(5.0, 3.9 * height / width + 0.4) * rows + 0.5), note)
    for ax, (name, answer) in zip(axes.flat, answers.items(), strict=False):
        heat = ax.imshow(slice_of(image, answer.foreground, index), cmap="cividis", vmin=0, vmax=1)
        ax.set_title(name if answer is whole else f"{name}: Dice {dice(whole.labels, answer.labels):.2f}")
    figure.colorbar(heat, ax=axes, shrink=0.6, pad=0.02, label="Probability")
    return figure
