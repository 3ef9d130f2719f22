"""The three graphs of a page: an image is prepared, the network answers, the answer is put back.

Between the first two, a page cuts large images into tiles. They are the parts of the graph of
``export_onnx(raw=True)``, and are tested to be so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..errors import ModelError
from ..inference.onnx_illumination import Box
from ..inference.onnx_nodes import OPSET, Nodes, Value
from ..inference.onnx_resize import resized
from ..inference.raw_graph import (
    PixelType,
    Prepared,
    finished,
    inputs_of,
    prepare_in_graph,
    put_back,
)
from ..networks.cards import ModelCard
from ..networks.unet import UNet, fold_batch_norm, network_of

if TYPE_CHECKING:
    import onnx

# The largest difference of a probability that rounding of the weights to 16 bits may make.
LARGEST_ROUNDING = 0.02

# Smaller tensors are not rounded: they take no space.
LEAST_ROUNDED = 1024

# px: side of the drawn image on which rounded weights are checked.
CHECKED_SIDE = 128


@dataclass(frozen=True)
class Block:
    """A level of the contracting or expanding path: two convolutions."""

    name: str  # of the module: 'encoder1', ..., 'bottleneck', ..., 'decoder1'
    level: int  # 1 is full resolution
    channels: int


def blocks_of(model: UNet) -> list[Block]:
    """List the blocks in the order in which they are computed."""
    levels = range(1, model.depth + 1)
    down = [Block(f"encoder{n}", n, model.features * 2 ** (n - 1)) for n in levels]
    below = Block("bottleneck", model.depth + 1, model.features * 2**model.depth)
    up = [Block(f"decoder{block.level}", block.level, block.channels) for block in down[::-1]]
    return [*down, below, *up]


class OpenNetwork(nn.Module):
    """A U-Net whose inside can be seen: its maps, its kernels, and switches in its skips.

    Its outputs are the probabilities; for each block the maps that its second convolution reads,
    and those that it makes; then the kernel of one of its channels, (C, 3, 3), with the bias.
    """

    def __init__(self, model: UNet) -> None:
        super().__init__()
        self.model = model
        self.blocks = blocks_of(model)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in their order."""
        names = ["probabilities"]
        for kind in ("read", "made", "kernel", "bias"):
            names += [f"{kind}_{block.name}" for block in self.blocks]
        return names

    def forward(
        self, image: torch.Tensor, skips: torch.Tensor, channels: torch.Tensor
    ) -> list[torch.Tensor]:
        """Compute all outputs; ``skips`` (depth,) multiply skips, ``channels`` choose kernels."""
        model = self.model
        read: list[torch.Tensor] = []
        made: list[torch.Tensor] = []
        kept = []

        x = image
        for level in range(1, model.depth + 1):
            x = self.block(f"encoder{level}", x, read, made)
            kept.append(x * skips[level - 1])
            x = model.pool(x)
        x = self.block("bottleneck", x, read, made)
        for level in range(model.depth, 0, -1):
            x = model.get_submodule(f"upconv{level}")(x)
            x = torch.cat((x, kept.pop()), dim=1)
            x = self.block(f"decoder{level}", x, read, made)
        probabilities = model.probabilities(model.conv(x))

        kernels = []
        biases = []
        for number, block in enumerate(self.blocks):
            convolution = self.second_convolution(block.name)
            kernels.append(convolution.weight.index_select(0, channels[number : number + 1])[0])
            assert convolution.bias is not None
            biases.append(convolution.bias.index_select(0, channels[number : number + 1]))
        return [probabilities, *read, *made, *kernels, *biases]

    def block(
        self, name: str, x: torch.Tensor, read: list[torch.Tensor], made: list[torch.Tensor]
    ) -> torch.Tensor:
        """Compute a block, and keep what its second convolution reads and makes."""
        layers = list(self.model.get_submodule(name).children())
        half = len(layers) // 2
        for layer in layers[:half]:
            x = layer(x)
        read.append(x)
        for layer in layers[half:]:
            x = layer(x)
        made.append(x)
        return x

    def second_convolution(self, name: str) -> nn.Conv2d:
        """Return the second convolution of a block."""
        layers = list(self.model.get_submodule(name).children())
        convolution = layers[len(layers) // 2]
        assert isinstance(convolution, nn.Conv2d)
        return convolution


def open_network(model: UNet) -> onnx.ModelProto:
    """Convert a network whose batch norms are folded, with its inside; weights have 16 bits."""
    network = OpenNetwork(model).eval()
    step = 2**model.depth
    sizes = {2: step * torch.export.Dim("h"), 3: step * torch.export.Dim("w")}
    program = torch.onnx.export(
        network,
        (
            torch.zeros(1, model.in_channels, 64, 96),
            torch.ones(model.depth),
            torch.zeros(len(network.blocks), dtype=torch.int64),
        ),
        dynamo=True,
        dynamic_shapes={"image": sizes, "skips": None, "channels": None},
        input_names=["image", "skips", "channels"],
        output_names=network.output_names,
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    return with_weights_of_16_bits(program.model_proto)


def with_weights_of_16_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large weights in 16 bits; they are converted back when the graph is loaded."""
    import onnx
    from onnx import helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < LEAST_ROUNDED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_16"))
        casts.append(helper.make_node("Cast", [f"{name}_16"], [name], to=onnx.TensorProto.FLOAT))

    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    # Descriptions of values, with the lines of Python that made them, take space and serve nobody.
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return model


@torch.inference_mode()
def rounding_of(model: UNet) -> float:
    """Return the largest difference of a probability that weights of 16 bits make.

    It is measured on noise of all sizes, with dark and bright parts. Raises ModelError if it is so
    large that the page would give other answers.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.zeros(1, model.in_channels, CHECKED_SIDE, CHECKED_SIDE)
    for side in (4, 16, 64):
        coarse = torch.rand(1, model.in_channels, side, side, generator=generator)
        noise += nn.functional.interpolate(coarse, (CHECKED_SIDE, CHECKED_SIDE), mode="bilinear")
    noise /= 3

    rounded = with_rounded_weights(model)
    difference = float((model(noise) - rounded(noise)).abs().max())
    if difference > LARGEST_ROUNDING:
        raise ModelError(
            f"{model.card.name}: weights of 16 bits change a probability by {difference:.2g}, "
            "too much for a page."
        )
    return difference


def with_rounded_weights(model: UNet) -> UNet:
    """Copy a network whose batch norms are folded; large tensors are rounded to 16 bits."""
    weights = {}
    for name, tensor in model.state_dict().items():
        is_large = tensor.numel() >= LEAST_ROUNDED
        weights[name] = tensor.half().float() if is_large else tensor

    rounded = fold_batch_norm(network_of(model.card))
    rounded.load_state_dict(weights)
    return rounded


def preparing_graph(card: ModelCard, in_channels: int, pixel_type: PixelType) -> onnx.ModelProto:
    """Make the graph from pixels to what the network reads: ``image`` (C, h, w).

    Pixels of 16 bits are given as float32, because ONNX Runtime for browsers has no such integers.
    """
    nodes = Nodes("raw_")
    prepared = prepare_in_graph(inputs_of(nodes), card, in_channels, pixel_type)
    given_as: PixelType = "uint8" if pixel_type == "uint8" else "float32"
    return finished(nodes, card, given_as, {"image": prepared.image}, has_defaults=False)


def finishing_graph(card: ModelCard, out_channels: int) -> onnx.ModelProto:
    """Make the graph that puts an ``answer`` (K, h, w) back into an image of ``size`` (H, W)."""
    nodes = Nodes("back_")
    answer = nodes.input("answer")
    size = nodes.input("size")
    height, width = size.at(0), size.at(1)
    box = None
    inside = None
    if card.preprocessing.intensities == "local":
        whole = nodes.add("Expand", nodes.input("inside").as_float(), nodes.vector(height, width))
        box = Box.around(whole)
        cut = box.cut(nodes.add("Unsqueeze", whole, [0]))
        shape = nodes.length(answer, 1), nodes.length(answer, 2)
        inside = (resized(cut, *shape, nodes.constant(np.bool_(True))) > 0.0).as_float()

    never: Value = nodes.constant(np.bool_(False))
    prepared = Prepared(answer, never, height, width, box, inside)
    probabilities = put_back(answer, prepared, card, out_channels)
    return finished(nodes, card, "float32", {"probabilities": probabilities}, has_defaults=False)
