"""``forward_pass``: the way of an image down and up a network, step by step, with its maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.labels import foreground_of
from .diagram import draw_network
from .frames import Frame, framed, page_of_frames, webp
from .network import activations, most_varying, network_input

if TYPE_CHECKING:
    from IPython.display import HTML

    from ..images.read import ImageSource

# Feature maps in the picture of a step, those that vary most; their height and gap in px.
MAPS = 3
MAP_HEIGHT = 120
GAP = 6

# px: a convolution of 3 x 3 reaches one pixel further to each side; a block has two.
REACH_OF_A_BLOCK = 4


@dataclass(frozen=True)
class Step:
    """One step of the computation."""

    title: str
    text: str
    maps: np.ndarray  # (n, h, w): what comes out, or the channels of it that vary most
    parts: tuple[str, ...]  # of the drawing by ``draw_network``


def forward_pass(
    model: str | Path | ModelCard | UNet, image: ImageSource, height: int = 830
) -> HTML:
    """Show how an image goes down and up a network, step by step.

    The page needs neither a running kernel nor the internet, also in a saved notebook. It has
    buttons, a slider, the keyboard, and all steps as text.

    Parameters
    ----------
    model : str, path or UNet
        A network, or its name.
    image : path, array or MedicalImage
        If it is larger than a tile (1280 px at the network's scale), only its centre is used.
    height : int
        Height of the page in the notebook, in px.

    Returns
    -------
    IPython.display.HTML
        The page; a notebook shows it if it is the last line of a cell.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.arange(1024).reshape(32, 32).astype(np.uint8)
    >>> page = uh.forward_pass("lungs", image)
    >>> page.data[:12]
    '<div><iframe'
    """
    model = load_model(model)
    x = network_input(image, model)
    outputs = activations(model, x)
    steps = list(steps_through(model, x, outputs))

    title = f"{model.card.title}: the way of an image through the network"
    page = page_of_frames(
        title,
        draw_network(model, x, outputs, shows_image=True),
        description="The network as a U: on the left down to few pixels, on the right up again",
        frames=[frame_of(step) for step in steps],
    )
    return framed(page, title, height)


def steps_through(model: UNet, x: torch.Tensor, outputs: dict[str, torch.Tensor]) -> Iterator[Step]:
    """Describe all steps in the order of computation; ``outputs`` are those of the blocks."""
    height, width = x.shape[-2:]
    yield Step(
        "The image",
        f"What the network reads: {in_words(len(x[0]), 'channel')} of {height} × {width} numbers.",
        x[0].numpy(),
        ("image", "encoder1-input"),
    )
    yield from steps_down(model, outputs)
    yield from steps_up(model, outputs)

    answer = outputs["answer"]
    yield Step(
        "The answer",
        f"A 1 × 1 convolution weighs the {model.features} maps of each pixel against each other: "
        f"{in_words(len(answer), 'number')} a pixel. Brought between 0 and 1, "
        "they are probabilities; bright is likely.",
        foreground_of(answer.numpy(), model.overlapping)[None],
        ("answer",),
    )


def steps_down(model: UNet, outputs: dict[str, torch.Tensor]) -> Iterator[Step]:
    """Describe the contracting path, with the bottleneck."""
    # px: side of the square of the image on which a value depends, and px of the image per px here.
    seen = 1
    stride = 1
    for level in range(1, model.depth + 1):
        name = f"encoder{level}"
        maps = outputs[name]
        seen += REACH_OF_A_BLOCK * stride
        yield Step(
            f"Down, level {level}: two convolutions",
            f"{size_of(maps)}. Each value depends on a square of {seen} px of the image.",
            strongest(maps),
            (name,),
        )

        pooled = model.pool(maps[None])[0]
        seen += stride
        stride *= 2
        below = f"encoder{level + 1}" if level < model.depth else "bottleneck"
        yield Step(
            f"Down, from level {level} to {level + 1}: max pooling",
            f"Of each 2 × 2 values the largest stays: {size_of(pooled)}. "
            "What is lost is where exactly it was.",
            strongest(pooled),
            (f"pool{level}", f"{below}-input"),
        )

    maps = outputs["bottleneck"]
    seen += REACH_OF_A_BLOCK * stride
    yield Step(
        "At the bottom: two convolutions",
        f"{size_of(maps)}: few pixels, many maps. Each value depends on a square of {seen} px of "
        "the image: the network sees most of the surroundings here, and least of the detail.",
        strongest(maps),
        ("bottleneck",),
    )


def steps_up(model: UNet, outputs: dict[str, torch.Tensor]) -> Iterator[Step]:
    """Describe the expanding path."""
    for level in range(model.depth, 0, -1):
        raised = outputs[f"upconv{level}"]
        name = f"decoder{level}"
        yield Step(
            f"Up, from level {level + 1} to {level}: up-convolution",
            f"Each value becomes 2 × 2: {size_of(raised)}. They are larger, not yet sharper.",
            strongest(raised),
            (f"upconv{level}", f"{name}-input"),
        )

        handed = outputs[f"encoder{level}"]
        yield Step(
            f"Across, level {level}: the skip connection",
            f"The {len(handed)} maps from the way down are put beside them, "
            f"{len(handed) + len(raised)} in all: they know where the edges are.",
            strongest(handed),
            (f"skip{level}", f"{name}-input"),
        )

        maps = outputs[name]
        yield Step(
            f"Up, level {level}: two convolutions",
            f"What and where are joined: {size_of(maps)}.",
            strongest(maps),
            (name,),
        )


def in_words(count: int, thing: str) -> str:
    """Return '1 channel' or '3 channels'."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def size_of(maps: torch.Tensor) -> str:
    """Return '16 maps of 64 × 48 px' for (16, 64, 48)."""
    count, height, width = maps.shape
    return f"{in_words(count, 'map')} of {height} × {width} px"


def strongest(maps: torch.Tensor) -> np.ndarray:
    """Return the channels of (C, h, w) that vary most, as many as a picture shows."""
    return most_varying(maps.float(), MAPS)


def frame_of(step: Step) -> Frame:
    """Draw the maps of a step beside each other."""
    description = step.title
    if len(step.maps) > 1:
        description += f": the {len(step.maps)} maps that vary most"
    return Frame(
        title=step.title,
        text=step.text,
        picture=webp(picture_of(step.maps)),
        description=description,
        parts=step.parts,
    )


def picture_of(maps: np.ndarray) -> np.ndarray:
    """Draw maps (n, h, w) beside each other, each from its darkest to its brightest value."""
    _, height, width = maps.shape
    size = (max(1, round(width * MAP_HEIGHT / height)), MAP_HEIGHT)
    # Pixels of coarse maps stay visible as squares.
    method = cv2.INTER_NEAREST if height < MAP_HEIGHT else cv2.INTER_AREA

    gap = np.full((MAP_HEIGHT, GAP), 255, np.uint8)
    row: list[np.ndarray] = []
    for values in maps:
        low, high = np.percentile(values, [1, 99])
        brightness = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
        shown = cv2.resize((255 * brightness).astype(np.uint8), size, interpolation=method)
        row += [shown, gap]
    return cv2.cvtColor(np.hstack(row[:-1]), cv2.COLOR_GRAY2RGB)
