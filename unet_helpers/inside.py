"""A look inside a network: what its channels respond to, what the skip connections carry, what a wrong scale does.

All of it by PyTorch hooks: functions that watch or change what flows through a layer on a real forward pass.
Every hook is a context manager, so that it is off again when the block is left.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import matplotlib.pyplot as plt
import numpy as np
import torch

from .images import read_image
from .metrics import dice
from .models import load_model
from .plots import busiest_slice, plane
from .prepare import neighbours, prepare_slice, slice_levels
from .quality import foreground
from .result import Segmentation
from .scale import zoom_for_objects
from .segment import segment, working_shape
from .stacks import to_stack
from .tiles import TILE
from .unet import UNet


def as_seen(image, model, index: int | None = None) -> torch.Tensor:
    """(1, C, h, w): an image, or slice ``index`` (default: the middle one) of a volume, as the network reads it.

    Of an image larger than one tile, the centre.
    """
    image, model = to_stack(read_image(image)), load_model(model)
    reading, pixels, levels, around = model.card.reading, image.pixels, None, ()
    if image.axes not in ("YX", "YXC"):
        index = len(pixels) // 2 if index is None else index
        levels = slice_levels(pixels, reading)[index]
        around, pixels = neighbours(pixels, index, reading), pixels[index]
    prepared = prepare_slice(pixels, reading, working_shape(pixels, None, model), levels, around)
    margins = [max(0, int(n - TILE / z) // 2) for n, z in zip(prepared.pixels.shape, prepared.zoom, strict=False)]
    rows, columns = (slice(m, n - m) for m, n in zip(margins, prepared.pixels.shape, strict=False))
    return torch.tensor(prepared.tile(rows, columns, model.in_channels))[None]


@torch.inference_mode()
def activations(model: UNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """(C, h, w) output of each block in one forward pass of (1, C, h, w), in that order; last the 'answer'."""
    seen, training = {}, model.training

    def keep(name: str):
        return lambda block, inputs, output: seen.update({name: output[0]})

    with ExitStack() as hooks:
        for name, block in model.named_children():
            if name != "pool":
                hooks.enter_context(block.register_forward_hook(keep(name)))
        seen["answer"] = model.eval()(x)[0]
    model.train(training)
    return seen


def blocks_of(model: UNet) -> dict[str, int]:
    """Each block's level, in the order of computation; 1 is full resolution, the bottleneck is depth + 1."""
    down = {f"encoder{i}": i for i in range(1, model.depth + 1)}
    return down | {"bottleneck": model.depth + 1} | {f"decoder{i}": i for i in range(model.depth, 0, -1)}


def sizes(block: torch.Tensor) -> str:
    """'16 × 512 × 512': channels, height, width."""
    return " × ".join(str(n) for n in block.shape)


def feature_maps(image, model, levels=None, maps: int = 6, index: int | None = None):
    """The ``maps`` channels that vary most, of each block; ``levels`` (1: full resolution) picks some. The figure."""
    model = load_model(model)
    blocks = blocks_of(model)
    chosen = [name for name, level in blocks.items() if levels is None or level in levels]
    if not chosen:
        raise ValueError(f"Levels are 1 (full resolution) to {model.depth + 1} (the bottleneck), not {levels}.")
    seen = activations(model, as_seen(image, model, index))
    _, height, width = seen[chosen[0]].shape
    side = min(12.8 / len(chosen), 2.6)
    size = (max(6.5, side * len(chosen) + 0.2), maps * side * height / width + 1.3)
    figure, axes = plt.subplots(maps, len(chosen), figsize=size, layout="compressed", squeeze=False)
    for column, name in zip(axes.T, chosen, strict=True):
        block = seen[name].float()
        strongest = block.var(dim=(1, 2)).topk(min(maps, len(block))).indices
        for ax, channel in zip(column, block[strongest].numpy(), strict=False):
            low, high = np.percentile(channel, [1, 99])
            ax.imshow(channel, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        column[0].set_title(f"{name.replace('coder', 'coder ')}\n{sizes(block)}", fontsize=10)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.supxlabel(f"The {maps} channels that vary most at each level, strongest on top; bright: strong", fontsize=11)
    plt.close(figure)
    return figure


@contextmanager
def cut_skips(model: UNet, levels) -> Iterator[None]:
    """Within the block, zeros arrive over the skip connections of these levels (1: full resolution)."""
    if unknown := set(levels) - set(range(1, model.depth + 1)):
        raise ValueError(f"This network has skip connections at levels 1 to {model.depth}, not at {sorted(unknown)}.")

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
    if model.card.reading.scale == "objects" and options.get("zoom") is None:
        options["zoom"] = zoom_for_objects(model, image.pixels)  # as found by the network while it is whole
    with cut_skips(model, range(1, model.depth + 1) if levels is None else levels):
        return segment(image, model, **options)


def compare_skips(image, model, index: int | None = None):
    """The probability with all skip connections, with each one cut, and with none. Returns the figure."""
    image, model = read_image(image), load_model(model)
    whole = segment(image, model, flips=1, progress=False)
    zoom = whole.zoom if model.card.reading.scale == "objects" else None
    index = busiest_slice(whole) if index is None else index
    answers = {"all skip connections": whole}
    cuts = {f"without skip {i}": (i,) for i in range(1, model.depth + 1)} | {"without any": None}
    for name, levels in cuts.items():
        answers[name] = without_skips(image, model, levels, flips=1, zoom=zoom, progress=False)
    rows, (height, width) = -(-len(answers) // 3), plane(image, whole.labels, index).shape
    size = (13, min(5.0, 3.9 * height / width + 0.4) * rows + 0.5)
    figure, axes = plt.subplots(rows, 3, figsize=size, layout="constrained", squeeze=False)
    for ax, (name, answer) in zip(axes.flat, answers.items(), strict=False):
        heat = ax.imshow(plane(image, foreground(answer.probabilities), index), cmap="cividis", vmin=0, vmax=1)
        ax.set_title(name if answer is whole else f"{name}: Dice {dice(whole.labels, answer.labels):.2f}")
    for ax in axes.flat:
        ax.set_axis_off()
    figure.colorbar(heat, ax=axes, shrink=0.6, pad=0.02, label="probability")
    figure.supxlabel("Level 1 is full resolution; Dice: the overlap with the whole network's answer", fontsize=11)
    plt.close(figure)
    return figure


@contextmanager
def misread(model: UNet, divisor: float) -> Iterator[None]:
    """Within the block the network gets every image divided by ``divisor`` once too often."""

    def divide(network, inputs):
        return inputs[0] / divisor

    with model.register_forward_pre_hook(divide):
        yield


def as_if_misread(image, model, divisor: float = 255, **options) -> Segmentation:
    """The answer to values of 0 to 1 that were once more divided by 255: a near-constant image to the network.

    The commonest mistake around pretrained networks, also the other way round (statistics of 0 to 255 for values of
    0 to 1, as in a published example): everything runs, and the answer is meaningless. ``options`` go to ``segment``.
    """
    image, model = read_image(image), load_model(model)
    if model.card.reading.scale == "objects" and options.get("zoom") is None:
        options["zoom"] = zoom_for_objects(model, image.pixels)
    with misread(model, divisor):
        return segment(image, model, **options)
