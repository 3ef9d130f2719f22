"""``diagram``: a network drawn as in figure 1 of the U-Net paper, with its real sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from .. import palette
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.labels import foreground_of
from .frames import mark
from .layout import FULL_WIDTH, panels
from .network import activations, block_levels, network_input

if TYPE_CHECKING:
    from ..images.read import ImageSource

# Colours of the arrows, one for each operation (as in figure 1 of Ronneberger et al. 2015).
CONVOLUTION = palette.BLUE
SKIP = "#7F7F7F"
POOLING = palette.VERMILION
UP_CONVOLUTION = palette.GREEN
ANSWER = palette.PURPLE
# px: sides of the zeros whose way is drawn without an image, by the axes that a network reads.
SIDES = {2: (256, 256), 3: (64, 64, 64)}

MAP_COLOR = "#A6D3F2"
LEVEL_COLOR = "#595959"

# Lengths below are in units of the drawing. Two neighbouring stacks of maps in a block are 1 apart.

# Height of the maps of level 1.
FIRST_HEIGHT = 1.7

# Height of a level / height of the level above. One half, as in the network, would make level 5
# invisible.
SHRINKING = 0.72

# Vertical gap between two levels.
GAP = 0.85

# Horizontal distance between the first maps of two successive blocks. A block is 2 wide, so a block
# starts at the x at which the one before it ends.
BLOCK_STEP = 2

# Width of the image and of the answer, which are shown beside the U.
PICTURE_WIDTH = 2.9

# Points (1/72 inch).
FONT_SIZE = 11


def operations(dims: int) -> dict[str, str]:
    """Return the colour of each operation by its name, for images of so many axes."""
    one, two, three = (" × ".join([str(length)] * dims) for length in (1, 2, 3))
    return {
        f"{three} convolution, ReLU": CONVOLUTION,
        "Copy: skip connection": SKIP,
        f"{two} max pooling": POOLING,
        f"{two} up-convolution": UP_CONVOLUTION,
        f"{one} convolution": ANSWER,
    }


@dataclass(frozen=True)
class Level:
    """The vertical position of the maps of one level, in units of the drawing; y points up."""

    top: float
    bottom: float

    @property
    def middle(self) -> float:
        """The y of the horizontal arrows of this level."""
        return (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Drawing:
    """A diagram being drawn."""

    ax: Axes
    levels: dict[int, Level]  # by number; 1 is full resolution

    def stack_of_maps(
        self, x: float, level: int, channels: int, part: str, white_half: bool = False
    ) -> float:
        """Draw a stack of maps with its centre at ``x``; return half its width.

        More channels make a wider stack. ``part`` names it in the drawing. ``white_half``: the left
        half, which stands for the maps from the skip connection, is white.
        """
        place = self.levels[level]
        height = place.top - place.bottom
        half = half_width(channels)

        left_color = "white" if white_half else MAP_COLOR
        left = Rectangle((x - half, place.bottom), half, height, facecolor=left_color)
        right = Rectangle((x, place.bottom), half, height, facecolor=MAP_COLOR)
        frame = Rectangle(
            (x - half, place.bottom), 2 * half, height, fill=False, edgecolor=CONVOLUTION
        )
        for patch in (left, right, frame):
            patch.set_gid(mark(part))
            self.ax.add_patch(patch)

        self.ax.text(x, place.top + 0.05, str(channels), ha="center", fontsize=FONT_SIZE)
        return half

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], color: str, part: str
    ) -> None:
        """Draw an arrow between two points (x, y); ``part`` names it in the drawing."""
        style = {
            "arrowstyle": "-|>",
            "color": color,
            "lw": 2,
            "shrinkA": 3,
            "shrinkB": 1,
            "gid": mark(part),
        }
        self.ax.annotate("", end, start, arrowprops=style)

    def size_below(self, x: float, level: int, shape: Sequence[int]) -> None:
        """Write ``shape`` (height, width) below the maps of a block."""
        words = " × ".join(str(n) for n in shape)
        y = self.levels[level].bottom - 0.08
        self.ax.text(x, y, words, ha="center", va="top", fontsize=FONT_SIZE)

    def level_name(self, x: float, level: int) -> None:
        """Write the name of a level above its skip connection."""
        y = self.levels[level].middle + 0.08
        words = f"Level {level}"
        self.ax.text(x, y, words, ha="center", fontsize=FONT_SIZE, color=LEVEL_COLOR)

    def picture(self, left: float, pixels: np.ndarray, colors: str, part: str) -> None:
        """Show ``pixels`` from 0 to 1, (h, w) or (h, w, C), beside level 1, from x = ``left``."""
        place = self.levels[1]
        box = (left, place.bottom, PICTURE_WIDTH, place.top - place.bottom)
        inset = self.ax.inset_axes(box, transform=self.ax.transData)
        shown = inset.imshow(pixels, cmap=colors, vmin=0, vmax=1)
        shown.set_gid(mark(part))
        inset.set_axis_off()


def half_width(channels: int) -> float:
    """Return half the drawn width of a stack of ``channels`` maps."""
    return 0.05 + 0.03 * float(np.log2(channels))


def place_levels(depth: int) -> dict[int, Level]:
    """Place the levels of a network below each other; the bottleneck is level depth + 1."""
    levels = {}
    top = 0.0
    height = FIRST_HEIGHT
    for level in range(1, depth + 2):
        levels[level] = Level(top=top, bottom=top - height)
        top -= height + GAP
        height *= SHRINKING
    return levels


def diagram(model: str | Path | ModelCard | UNet, image: ImageSource | None = None) -> Figure:
    """Draw a network as in figure 1 of the U-Net paper, with the sizes of a real forward pass.

    Parameters
    ----------
    model : str, path or UNet
        A network, or its name; also a ``UNet`` without a card.
    image : path, array or MedicalImage, optional
        The input of the forward pass. It is shown on the left, and the answer on the right. The
        default is zeros of 256 × 256 px, or 64 × 64 × 64 voxels, which are not shown.

    Returns
    -------
    matplotlib.figure.Figure
        The number above a box is its number of channels; below it is height × width, and before
        them the depth of a volume.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> figure = uh.diagram(uh.UNet(in_channels=1, out_channels=1, features=4, depth=2))
    >>> figure.get_supxlabel().split(". ")[1]
    '7,477 parameters.'
    """
    if not isinstance(model, UNet):
        model = load_model(model)
    x = torch.zeros(1, model.in_channels, *SIDES[model.dims])
    if image is not None:
        x = network_input(image, model)
    return draw_network(model, x, activations(model, x), shows_image=image is not None)


def draw_network(
    model: UNet, x: torch.Tensor, outputs: dict[str, torch.Tensor], shows_image: bool
) -> Figure:
    """Draw a network with the sizes of the ``outputs`` of its blocks for ``x``, (1, C, [d,] h, w).

    Each step of the computation is a part of the drawing, named as by ``steps_through`` of
    ``forward_pass``.
    """
    parameters = sum(p.numel() for p in model.parameters())
    size = "height × width" if model.dims == 2 else "depth × height × width"
    note = (
        f"Above a box its channels, below it {size}; "
        f"the white half came over the skip connection. {parameters:,} parameters."
    )
    figure, axes = panels(1, 1, (FULL_WIDTH, 6.8), note)
    ax = axes[0, 0]
    drawing = Drawing(ax, place_levels(model.depth))
    right_end = draw_blocks(drawing, model, x.shape[1], outputs)

    margin = 0.6
    if shows_image:
        margin = 3.4
        pixels = x[0].numpy().transpose(1, 2, 0).clip(0, 1)
        answer = foreground_of(outputs["answer"].numpy(), model.overlapping)
        drawing.picture(-3.3, pixels, "gray", part="image")
        drawing.picture(right_end + 0.4, answer, "cividis", part="answer")

    colors = operations(model.dims)
    lines = [Line2D([], [], color=color, lw=3) for color in colors.values()]
    ax.legend(lines, list(colors), loc="lower left", fontsize=FONT_SIZE)
    lowest = drawing.levels[model.depth + 1].bottom
    ax.set(xlim=(-margin, right_end + margin), ylim=(lowest - 0.4, 0.4))
    return figure


def draw_blocks(
    drawing: Drawing, model: UNet, in_channels: int, outputs: dict[str, torch.Tensor]
) -> float:
    """Draw all blocks and the arrows between them; return the x of the answer, at the right."""
    depth = model.depth
    for number, (name, level) in enumerate(block_levels(model).items()):
        x = BLOCK_STEP * number
        channels, *shape = outputs[name].shape
        is_decoder = number > depth
        if number == 0:
            incoming = in_channels
        elif is_decoder:
            incoming = 2 * channels
        else:
            incoming = channels // 2
        draw_block(drawing, name, x, level, incoming, channels, white_half=is_decoder)

        # The size stands where no arrow is: an encoder's pooling arrow is at its right, and the
        # up-convolution arrow that reaches a decoder is at its left.
        size_x = x + 1
        if number < depth:
            size_x = x
        elif is_decoder:
            size_x = x + 2
        drawing.size_below(size_x, level, shape)

        draw_arrows(drawing, depth, number, level, channels)
    return draw_answer(drawing, model, len(outputs["answer"]))


def draw_arrows(drawing: Drawing, depth: int, number: int, level: int, channels: int) -> None:
    """Draw what leaves a block: pooling and a skip connection, or an up-convolution.

    ``number`` counts the blocks from 0, in the order of the computation.
    """
    place = drawing.levels[level]
    output_x = BLOCK_STEP * number + 2.0
    if number < depth:
        below = drawing.levels[level + 1]
        start = (output_x, place.bottom)
        end = (output_x, below.top + 0.3)
        drawing.arrow(start, end, POOLING, part=f"pool{level}")

        decoder_x = BLOCK_STEP * (2 * depth - number)
        start = (output_x + half_width(channels), place.middle)
        end = (decoder_x - half_width(2 * channels) - 0.02, place.middle)
        drawing.arrow(start, end, SKIP, part=f"skip{level}")
        drawing.level_name(BLOCK_STEP * depth + 1, level)
    elif level > 1:
        above = drawing.levels[level - 1]
        start = (output_x, place.top + 0.3)
        end = (output_x, above.bottom)
        drawing.arrow(start, end, UP_CONVOLUTION, part=f"upconv{level - 1}")


def draw_answer(drawing: Drawing, model: UNet, channels: int) -> float:
    """Draw the answer at the right of the last block, and the arrow to it; return its x."""
    last_x = BLOCK_STEP * 2 * model.depth + 2
    answer_x = last_x + 1
    answer_half = drawing.stack_of_maps(answer_x, 1, channels, part="answer")
    middle = drawing.levels[1].middle
    start = (last_x + half_width(model.features), middle)
    end = (answer_x - answer_half, middle)
    drawing.arrow(start, end, ANSWER, part="answer")
    return answer_x


def draw_block(
    drawing: Drawing,
    name: str,
    x: float,
    level: int,
    incoming: int,
    channels: int,
    white_half: bool,
) -> None:
    """Draw the input maps of a block and its two convolutions, from ``x`` to ``x`` + 2."""
    halves = [
        drawing.stack_of_maps(x, level, incoming, f"{name}-input", white_half),
        drawing.stack_of_maps(x + 1, level, channels, name),
        drawing.stack_of_maps(x + 2, level, channels, name),
    ]
    middle = drawing.levels[level].middle
    for step in (1, 2):
        start = x + step - 1 + halves[step - 1]
        end = x + step - halves[step]
        drawing.arrow((start, middle), (end, middle), CONVOLUTION, part=name)
