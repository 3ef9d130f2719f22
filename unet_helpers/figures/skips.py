"""What the skip connections carry, by PyTorch hooks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from ..errors import ArgumentError
from ..images.orientation import to_stack
from ..images.read import read_image
from ..inference.scale import zoom_for_objects
from ..inference.segment import segment
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.metrics import dice
from ..results.overlay import slice_of
from ..results.segmentation import Segmentation
from .show import panels


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
