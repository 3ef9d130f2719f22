"""The U of the 2015 paper, drawn from a live network with the sizes of a real forward pass."""

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from .. import palette
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.segmentation import foreground_of
from .feature_maps import activations, as_seen, blocks_of
from .show import panels

LIGHT_BLUE, GREY = "#A6D3F2", "#7F7F7F"
ARROWS = {  # as in the legend of the paper's figure 1
    "3 × 3 convolution, ReLU": palette.BLUE, "Copy: skip connection": GREY, "2 × 2 max pooling": palette.VERMILION,
    "2 × 2 up-convolution": palette.GREEN, "1 × 1 convolution": palette.PURPLE,
}  # fmt: skip
CONVOLVE, SKIP, POOL, GROW, ANSWER = ARROWS.values()


def diagram(model, image=None):
    """The U of the paper's figure 1, with the sizes of a real forward pass (of zeros where there is no image)."""
    model = model if isinstance(model, UNet) else load_model(model)  # a network without a card can be drawn too
    x = torch.zeros(1, model.in_channels, 256, 256) if image is None else as_seen(image, model)
    seen, depth = activations(model, x), model.depth
    heights = 1.7 * 0.72 ** np.arange(depth + 1)  # as drawn, from level 1 to the bottleneck
    tops = -np.cumsum(np.append(0, heights[:-1] + 0.85))
    middles, bottoms = tops - heights / 2, tops - heights
    about = "Above a box its channels, below it height × width; the white half came over the skip connection."
    parameters = sum(p.numel() for p in model.parameters())
    figure, ((ax,),) = panels(1, 1, (13, 6.8), f"{about} {parameters:,} parameters.")

    def bar(column: float, row: int, channels: int, white: bool = False) -> float:
        """Draws a map, wider with more channels, its left half white if so; returns half its width."""
        half = 0.05 + 0.03 * np.log2(channels)
        for left, color in ((column - half, "white" if white else LIGHT_BLUE), (column, LIGHT_BLUE)):
            ax.add_patch(Rectangle((left, bottoms[row]), half, heights[row], facecolor=color))
        ax.add_patch(Rectangle((column - half, bottoms[row]), 2 * half, heights[row], fill=False, edgecolor=CONVOLVE))
        ax.text(column, tops[row] + 0.05, channels, ha="center", fontsize=11)
        return half

    def arrow(start: tuple[float, float], end: tuple[float, float], color: str) -> None:
        ax.annotate("", end, start, arrowprops=dict(arrowstyle="-|>", color=color, lw=2, shrinkA=3, shrinkB=1))

    for i, (name, level) in enumerate(blocks_of(model).items()):
        row, column, (channels, *shape) = level - 1, 2 * i, seen[name].shape
        incoming = x.shape[1] if i == 0 else channels // 2 if i <= depth else 2 * channels
        halves = [bar(column, row, incoming, white=i > depth), *(bar(column + s, row, channels) for s in (1, 2))]
        for step in (1, 2):
            ends = column + step - 1 + halves[step - 1], column + step - halves[step]
            arrow((ends[0], middles[row]), (ends[1], middles[row]), CONVOLVE)
        place = column + 1 + np.sign(i - depth)
        ax.text(place, bottoms[row] - 0.08, " × ".join(str(n) for n in shape), ha="center", va="top", fontsize=11)
        if i < depth:  # down, and over to the decoder of the same level
            arrow((column + 2, bottoms[row]), (column + 2, tops[row + 1] + 0.3), POOL)
            across = 2 * (2 * depth - i)
            arrow((column + 2 + halves[2], middles[row]), (across - halves[2] - 0.05, middles[row]), SKIP)
            ax.text(2 * depth + 1, middles[row] + 0.08, f"Level {level}", ha="center", fontsize=11, color="#595959")
        elif level > 1:
            arrow((column + 2, tops[row] + 0.3), (column + 2, bottoms[row - 1]), GROW)
    half = bar(column + 3, 0, len(seen["answer"]))
    arrow((column + 2 + halves[2], middles[0]), (column + 3 - half, middles[0]), ANSWER)
    if image is not None:
        answer = foreground_of(seen["answer"].numpy())
        shown = [(-3.3, x[0].numpy().transpose(1, 2, 0).clip(0, 1), "gray"), (column + 3.4, answer, "cividis")]
        for left, pixels, colors in shown:
            inset = ax.inset_axes([left, bottoms[0], 2.9, heights[0]], transform=ax.transData)
            inset.imshow(pixels, cmap=colors, vmin=0, vmax=1)
            inset.set_axis_off()
    ax.legend([Line2D([], [], color=c, lw=3) for c in ARROWS.values()], ARROWS, loc="lower left", fontsize=11)
    margin = 0.6 if image is None else 3.4
    ax.set(xlim=(-margin, column + 3 + margin), ylim=(bottoms[-1] - 0.4, 0.4))
    return figure
