"""The inside of a network: the U of the 2015 paper with the sizes of a real forward pass, what its channels respond to,
and what its skip connections carry (by PyTorch hooks).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch.nn.modules.module import register_module_forward_hook

from .. import palette
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
from ..results.segmentation import Segmentation, foreground_of
from .show import panels


def as_seen(image, model, index: int | None = None) -> torch.Tensor:
    """(1, C, h, w) as the network reads it: an image, of a large one the centre, or slice ``index`` of a volume."""
    stack, model = to_stack(read_image(image)), load_model(model)
    slices = stack.pixels
    index = len(slices) // 2 if index is None else index
    shape = working_shape(model, slices[index], spacing=stack.spacing)
    prepared = prepare(slices, model.card.preprocessing, shape)[index]
    margins = [
        max(0, int(n - TILE / z) // 2)
        for n, z in zip(prepared.pixels.shape, prepared.zoom, strict=False)
    ]
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
    return (
        down
        | {"bottleneck": model.depth + 1}
        | {f"decoder{i}": i for i in range(model.depth, 0, -1)}
    )


def feature_maps(image, model, maps: int = 6, index: int | None = None):
    """The ``maps`` channels that vary most, of each block. Returns the figure."""
    model = load_model(model)
    chosen, seen = [*blocks_of(model)], activations(model, as_seen(image, model, index))
    _, height, width = seen[chosen[0]].shape
    side = min(12.8 / len(chosen), 2.6)
    size = (max(6.5, side * len(chosen) + 0.2), maps * side * height / width + 1.3)
    note = (
        f"The {maps} channels that vary most in each block, the strongest on top; bright is strong"
    )
    figure, axes = panels(maps, len(chosen), size, note, layout="compressed")
    for column, name in zip(axes.T, chosen, strict=True):
        block = seen[name].float()
        strongest = block.var(dim=(1, 2)).topk(min(maps, len(block))).indices
        for ax, channel in zip(column, block[strongest].numpy(), strict=False):
            low, high = np.percentile(channel, [1, 99])
            ax.imshow(channel, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        title, shape = (
            name.replace("coder", "coder ").capitalize(),
            " × ".join(map(str, block.shape)),
        )
        column[0].set_title(f"{title}\n{shape}", fontsize=10)
    return figure


@contextmanager
def cut_skips(model: UNet, levels) -> Iterator[None]:
    """Within the block, zeros arrive over the skip connections of these levels (1: full resolution)."""
    if unknown := set(levels) - set(range(1, model.depth + 1)):
        raise ArgumentError(
            f"Skip connections are at levels 1 to {model.depth}, not at {sorted(unknown)}."
        )

    def silence(decoder, inputs):
        from_below, over_skip = inputs[0].chunk(2, dim=1)
        return torch.cat((from_below, torch.zeros_like(over_skip)), dim=1)

    with ExitStack() as hooks:
        for level in set(levels):
            hooks.enter_context(
                model.get_submodule(f"decoder{level}").register_forward_pre_hook(silence)
            )
        yield


def without_skips(image, model, levels=None, **options) -> Segmentation:
    """The answer with the skip connections of these levels (default: all) cut; ``options`` go to ``segment``."""
    image, model = read_image(image), load_model(model)
    if (
        model.card.preprocessing.scale == "objects" and options.get("zoom") is None
    ):  # as the whole network finds it
        options["zoom"] = zoom_for_objects(
            model, (slices := to_stack(image).pixels)[len(slices) // 2]
        )
    with cut_skips(model, range(1, model.depth + 1) if levels is None else levels):
        return segment(image, model, **options)


def compare_skips(image, model, index: int | None = None):
    """The probability with all skip connections, each one cut, and none, of an image or a Segmentation. The figure."""
    model = load_model(model)
    whole = (
        image if isinstance(image, Segmentation) else segment(image, model, flips=1, progress=False)
    )
    image = whole.image
    zoom = whole.zoom if model.card.preprocessing.scale == "objects" else None
    index = whole.busiest_slice() if index is None else index
    cuts = {f"Without skip connection {i}": (i,) for i in range(1, model.depth + 1)} | {
        "Without any": None
    }
    answers = {"All skip connections": whole} | {
        name: without_skips(image, model, levels, flips=1, zoom=zoom, progress=False)
        for name, levels in cuts.items()
    }
    rows, (height, width) = -(-len(answers) // 3), slice_of(image, whole.labels, index).shape
    note = "Skip connection 1 is at full resolution. Dice is the overlap with the answer of the whole network."
    figure, axes = panels(rows, 3, (13, min(5.0, 3.9 * height / width + 0.4) * rows + 0.5), note)
    for ax, (name, answer) in zip(axes.flat, answers.items(), strict=False):
        heat = ax.imshow(slice_of(image, answer.foreground, index), cmap="cividis", vmin=0, vmax=1)
        ax.set_title(
            name if answer is whole else f"{name}: Dice {dice(whole.labels, answer.labels):.2f}"
        )
    figure.colorbar(heat, ax=axes, shrink=0.6, pad=0.02, label="Probability")
    return figure


LIGHT_BLUE, GREY = "#A6D3F2", "#7F7F7F"
ARROWS = {  # as in the legend of the paper's figure 1
    "3 × 3 convolution, ReLU": palette.BLUE,
    "Copy: skip connection": GREY,
    "2 × 2 max pooling": palette.VERMILION,
    "2 × 2 up-convolution": palette.GREEN,
    "1 × 1 convolution": palette.PURPLE,
}
CONVOLVE, SKIP, POOL, GROW, ANSWER = ARROWS.values()


def diagram(model, image=None):
    """The U of the paper's figure 1, with the sizes of a real forward pass (of zeros where there is no image)."""
    model = (
        model if isinstance(model, UNet) else load_model(model)
    )  # a network without a card can be drawn too
    x = torch.zeros(1, model.in_channels, 256, 256) if image is None else as_seen(image, model)
    seen, depth = activations(model, x), model.depth
    heights = 1.7 * 0.72 ** np.arange(depth + 1)  # as drawn, from level 1 to the bottleneck
    tops = -np.cumsum(np.append(0, heights[:-1] + 0.85))
    middles, bottoms = tops - heights / 2, tops - heights
    about = "Above a box its channels, below it height × width; the white half came over the skip connection."
    figure, ((ax,),) = panels(
        1, 1, (13, 6.8), f"{about} {sum(p.numel() for p in model.parameters()):,} parameters."
    )

    def bar(column: float, row: int, channels: int, white: bool = False) -> float:
        """Draws a map, wider with more channels, its left half white if so; returns half its width."""
        half = 0.05 + 0.03 * np.log2(channels)
        for left, color in (
            (column - half, "white" if white else LIGHT_BLUE),
            (column, LIGHT_BLUE),
        ):
            ax.add_patch(Rectangle((left, bottoms[row]), half, heights[row], facecolor=color))
        ax.add_patch(
            Rectangle(
                (column - half, bottoms[row]),
                2 * half,
                heights[row],
                fill=False,
                edgecolor=CONVOLVE,
            )
        )
        ax.text(column, tops[row] + 0.05, channels, ha="center", fontsize=11)
        return half

    def arrow(start: tuple[float, float], end: tuple[float, float], color: str) -> None:
        ax.annotate(
            "",
            end,
            start,
            arrowprops=dict(arrowstyle="-|>", color=color, lw=2, shrinkA=3, shrinkB=1),
        )

    for i, (name, level) in enumerate(blocks_of(model).items()):
        row, column, (channels, *shape) = level - 1, 2 * i, seen[name].shape
        incoming = x.shape[1] if i == 0 else channels // 2 if i <= depth else 2 * channels
        halves = [
            bar(column, row, incoming, white=i > depth),
            *(bar(column + s, row, channels) for s in (1, 2)),
        ]
        for step in (1, 2):
            ends = column + step - 1 + halves[step - 1], column + step - halves[step]
            arrow((ends[0], middles[row]), (ends[1], middles[row]), CONVOLVE)
        place = column + 1 + np.sign(i - depth)
        ax.text(
            place,
            bottoms[row] - 0.08,
            " × ".join(str(n) for n in shape),
            ha="center",
            va="top",
            fontsize=11,
        )
        if i < depth:  # down, and over to the decoder of the same level
            arrow((column + 2, bottoms[row]), (column + 2, tops[row + 1] + 0.3), POOL)
            arrow(
                (column + 2 + halves[2], middles[row]),
                (2 * (2 * depth - i) - halves[2] - 0.05, middles[row]),
                SKIP,
            )
            ax.text(
                2 * depth + 1,
                middles[row] + 0.08,
                f"Level {level}",
                ha="center",
                fontsize=11,
                color="#595959",
            )
        elif level > 1:
            arrow((column + 2, tops[row] + 0.3), (column + 2, bottoms[row - 1]), GROW)
    half = bar(column + 3, 0, len(seen["answer"]))
    arrow((column + 2 + halves[2], middles[0]), (column + 3 - half, middles[0]), ANSWER)
    if image is not None:
        answer = foreground_of(seen["answer"].numpy())
        shown = [
            (-3.3, x[0].numpy().transpose(1, 2, 0).clip(0, 1), "gray"),
            (column + 3.4, answer, "cividis"),
        ]
        for left, pixels, colors in shown:
            inset = ax.inset_axes([left, bottoms[0], 2.9, heights[0]], transform=ax.transData)
            inset.imshow(pixels, cmap=colors, vmin=0, vmax=1)
            inset.set_axis_off()
    ax.legend(
        [Line2D([], [], color=c, lw=3) for c in ARROWS.values()],
        ARROWS,
        loc="lower left",
        fontsize=11,
    )
    margin = 0.6 if image is None else 3.4
    ax.set(xlim=(-margin, column + 3 + margin), ylim=(bottoms[-1] - 0.4, 0.4))
    return figure
