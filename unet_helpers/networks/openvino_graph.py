"""Build the U-Net as a graph of OpenVINO's operations, optionally quantised to 8-bit integers."""

import copy
import sys
from typing import TYPE_CHECKING

import numpy as np
import torch

from .rounding import kernels_of, round_weights, rounded_to_steps, weights_of
from .unet import Convolution, UNet, UpConvolution, fold_batch_norm

if TYPE_CHECKING:
    import openvino as ov

# Number of values that an input rounded to 8 bits can have.
INPUT_LEVELS = 256

# A weight is rounded to -63 to 63 steps. With 127, processors without VNNI (AVX2, AVX-512 of before
# 2019) clip the sum of two products of 8 bits at 16 bits: vessels of the retina would cover 7 %
# more there.
LARGEST_WEIGHT = 63

# The steps of 8-bit integers, -127 to 127. OpenVINO computes in integers only with weights that are
# declared so; the outer ones of them are not used.
LARGEST_INTEGER = 127

# The smallest absolute maximum of a channel's weights: a channel of zeros must not be divided by 0.
SMALLEST_MAXIMUM = np.float32(1e-12)

# The first and the last convolution, whose weights and inputs are never rounded.
UNROUNDED_LAYERS = ("encoder1.enc1conv1", "conv")


def rounded_layers(model: UNet) -> list[str]:
    """List the convolutions whose inputs are rounded to 8 bits, in the order of a card's ranges.

    These are all convolutions except the last one and the first one of each encoder block and of
    the bottleneck. The first input of these blocks is the image, which is never rounded, or it was
    rounded before the pooling, with the range of the skip connection.
    """
    names = []
    for name, layer in model.named_modules():
        is_convolution = isinstance(layer, Convolution | UpConvolution)
        is_rounded = name.startswith(("upconv", "decoder")) or name.endswith("conv2")
        if is_convolution and is_rounded:
            names.append(name)
    return names


def compile_network(model: UNet, precision: str, threads: int) -> "ov.CompiledModel":
    """Compile ``UNet.logits`` for images or volumes of any size, with batch norm folded.

    With the engine 'int8', inputs (by the card's ranges) and weights of inner convolutions are
    quantised to 8 bits (Jacob et al. 2018, arXiv:1712.05877). ``precision``, 'bfloat16' or
    'float32', is independent of the engine: it is that of all other operations.
    """
    # OpenVINO sends telemetry on import, from another process. An entry of None makes the import of
    # its telemetry module fail, which OpenVINO handles.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # documented
    import openvino as ov

    folded = fold_batch_norm(copy.deepcopy(model))
    ranges: dict[str, tuple[float, float]] = {}
    if model.engine == "int8":
        ranges = dict(zip(rounded_layers(folded), model.card.int8_ranges, strict=True))
    elif precision == "bfloat16":
        round_weights(folded)

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        # With pinning, two processes would be put on the same core.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
    }
    return ov.Core().compile_model(GraphBuilder(folded, ranges).build(), "CPU", settings)


class GraphBuilder:
    """Builds the graph of a U-Net whose batch norms are folded.

    ``ranges`` holds the lowest and highest input of each convolution whose input is rounded to 8
    bits, by the convolution's name; if it is empty, nothing is rounded. Rounding is an operation
    FakeQuantize, which returns rounded floats; when OpenVINO compiles the graph, it replaces each
    convolution between FakeQuantize operations by one with 8-bit integers.
    """

    def __init__(self, model: UNet, ranges: dict[str, tuple[float, float]]) -> None:
        from openvino import opset13

        self.op = opset13
        self.model = model
        self.ranges = ranges

    def build(self) -> "ov.Model":
        """Make the graph from images (N, C, [D,] H, W) to logits (N, K, [D,] H, W)."""
        import openvino as ov

        any_size = [-1] * self.model.dims
        image = self.op.parameter([-1, self.model.in_channels, *any_size], np.float32)
        x: ov.Node | ov.Output = image

        skips = []
        for level in range(1, self.model.depth + 1):
            x = self.two_convolutions(x, f"encoder{level}")
            # The skip has the range of the decoder's input, so that both halves of the
            # concatenation below have the same scale.
            x = self.round_input(x, f"decoder{level}.dec{level}conv1")
            skips.append(x)
            x = self.max_pool(x)

        x = self.two_convolutions(x, "bottleneck")

        for level in range(self.model.depth, 0, -1):
            x = self.round_input(x, f"upconv{level}")
            x = self.convolution(x, f"upconv{level}")
            x = self.round_input(x, f"decoder{level}.dec{level}conv1")
            x = self.op.concat([x, skips.pop()], axis=1)
            x = self.two_convolutions(x, f"decoder{level}")

        logits = self.convolution(x, "conv")
        return ov.Model([logits], [image])

    def two_convolutions(self, x: "ov.Node | ov.Output", block: str) -> "ov.Node":
        """Append the two convolutions of a block, each with its ReLU."""
        children = self.model.get_submodule(block).named_children()
        first, second = (
            f"{block}.{name}" for name, layer in children if isinstance(layer, Convolution)
        )
        x = self.op.relu(self.convolution(x, first))
        x = self.round_input(x, second)
        return self.op.relu(self.convolution(x, second))

    def max_pool(self, x: "ov.Node | ov.Output") -> "ov.Output":
        """Append 2 x 2 (x 2) max pooling, which halves all axes."""
        dims = self.model.dims
        pooled = self.op.max_pool(
            x,
            strides=[2] * dims,
            dilations=[1] * dims,
            pads_begin=[0] * dims,
            pads_end=[0] * dims,
            kernel_shape=[2] * dims,
        )
        # The second output, not used here, holds the positions of the maxima.
        return pooled.output(0)

    def convolution(self, x: "ov.Node | ov.Output", name: str) -> "ov.Node":
        """Append the convolution of that name, with its bias.

        A transposed convolution doubles all axes, any other keeps them.
        """
        dims = self.model.dims
        layer = self.model.get_submodule(name)
        kernel = self.kernel(name)
        if isinstance(layer, UpConvolution):
            x = self.op.convolution_backprop_data(x, kernel, strides=[2] * dims)
        else:
            # 'Same' padding: a pixel at each side for 3 x 3 kernels, none for 1 x 1.
            pads = [size // 2 for size in values_of(self.model, f"{name}.weight").shape[2:]]
            x = self.op.convolution(
                x, kernel, strides=[1] * dims, pads_begin=pads, pads_end=pads, dilations=[1] * dims
            )
        bias = values_of(self.model, f"{name}.bias")
        return self.op.add(x, self.op.constant(bias.reshape(1, -1, *[1] * dims)))

    def kernel(self, name: str) -> "ov.Node":
        """Return the weights of a convolution, if int8 rounded with a scale per output channel."""
        layer = self.model.get_submodule(name)
        weights = values_of(self.model, f"{name}.weight")
        if not self.ranges or name in UNROUNDED_LAYERS:
            return self.op.constant(weights)

        assert isinstance(layer, Convolution | UpConvolution)
        # Weights are (out, in, [d,] h, w), those of a transposed convolution (in, out, [d,] h, w).
        axis_of_out = 1 if isinstance(layer, UpConvolution) else 0
        other_axes = tuple(axis for axis in range(weights.ndim) if axis != axis_of_out)
        largest = np.abs(weights).max(axis=other_axes, keepdims=True)
        largest = np.maximum(largest, SMALLEST_MAXIMUM)

        step = largest / LARGEST_WEIGHT
        steps = torch.from_numpy(step).expand(layer.weight.shape)
        steps_of_kernels = kernels_of(layer, steps)
        kernels = rounded_to_steps(kernels_of(layer, layer.weight.data), steps_of_kernels)
        rounded = self.op.constant(weights_of(layer, kernels).numpy())
        limit = step * LARGEST_INTEGER
        levels = 2 * LARGEST_INTEGER + 1
        return self.op.fake_quantize(rounded, -limit, limit, -limit, limit, levels=levels)

    def round_input(self, x: "ov.Node | ov.Output", name: str) -> "ov.Node | ov.Output":
        """Round ``x``, an input of the convolution of that name, to 8 bits if it has a range."""
        if name not in self.ranges:
            return x
        lowest, highest = self.ranges[name]
        steps = INPUT_LEVELS - 1
        step = (highest - lowest) / steps
        # The range starts at a whole number of steps from 0, so that 0 stays exactly 0.
        low = np.float32(round(lowest / step) * step)
        high = low + np.float32(steps * step)
        return self.op.fake_quantize(x, low, high, low, high, levels=INPUT_LEVELS)


def values_of(model: UNet, name: str) -> np.ndarray:
    """Return the values of a parameter, a view."""
    return model.get_parameter(name).detach().numpy()
