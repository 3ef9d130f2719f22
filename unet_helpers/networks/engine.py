"""What computes a network: torch, in bfloat16 where the processor has it, or OpenVINO, also with integers of 8 bits."""

import copy
import os
import sys
from importlib.metadata import version
from importlib.util import find_spec
from threading import get_ident
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from ..errors import ArgumentError
from .cards import ModelCard
from .unet import UNet, fold_batch_norm, pad_by_reflection

os.environ.setdefault(
    "THP_MEM_ALLOC_ENABLE", "1"
)  # torch asks at its first large tensor: 2 MB pages are filled faster
PROCESS = os.getpid()
INTEGERS = "computed with integers of 8 bits (engine int8)"
# by network and thread, as OpenVINO computes the images of one in turn: what it is compiled for, and that
COMPILED: WeakKeyDictionary = WeakKeyDictionary()


def chosen(engine: str, card: ModelCard) -> str:
    """'torch', 'openvino' or 'int8'; of 'auto', OpenVINO where it is. ArgumentError where the engine is not there."""
    if engine not in ("torch", "openvino", "int8", "auto"):
        raise ArgumentError(
            f"There is no engine {engine!r}: choose 'torch', 'openvino', 'int8' or 'auto'."
        )
    there = bool(find_spec("openvino")) and version("openvino") >= "2025"
    if engine in ("openvino", "int8") and not there:
        raise ArgumentError("This engine needs one more package: pip install -U openvino")
    if engine == "int8" and not card.int8_ranges:
        raise ArgumentError(
            f"{card.name!r} loses too much with 8 bits, or was not tried: choose 'openvino'."
        )
    return engine if engine != "auto" else "openvino" if there else "torch"


def precision() -> str:
    """'bfloat16' where the processor computes in it natively, else 'float32'; UNET_HELPERS_PRECISION overrules."""
    found: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # torch 2.11 and later
    native = "bfloat16" if found.get("avx512_bf16") or found.get("amx_bf16") else "float32"
    return (
        "bfloat16" if os.environ.get("UNET_HELPERS_PRECISION", native) == "bfloat16" else "float32"
    )


def engine_of(model: UNet) -> str:
    """What computes the network now: torch where a hook is to see what its layer computes, and in a forked process,
    where OpenVINO would wait for ever for threads that only its parent has.
    """
    hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    return "torch" if hooked or os.getpid() != PROCESS else model.engine


@torch.inference_mode()
def run(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """Probabilities, (N, K, H, W) float32, of (N, C, H, W) on the CPU, by the model's engine."""
    if engine_of(model) == "torch":
        with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bfloat16"):
            return model(x)
    state = (
        model.state_dict().values()
    )  # the sum, since changes through .data count as no other version
    weights = ((w.data_ptr(), 0 if w.is_inference() else w._version, float(w.sum())) for w in state)
    wanted = (model.engine, precision(), torch.get_num_threads(), *weights)
    mine, me = COMPILED.setdefault(model, {}), get_ident()
    if mine.get(me, ((),))[0] != wanted:
        mine[me] = wanted, compiled(model)
    logits = (
        mine[me][1]
        .create_infer_request()
        .infer([pad_by_reflection(x, 2**model.depth).contiguous().numpy()])[0]
    )
    return model.probabilities(torch.from_numpy(logits)[..., : x.shape[-2], : x.shape[-1]])


def rounded_layers(model: UNet) -> list[str]:
    """The convolutions whose inputs are rounded to 8 bits: all but the first and last, and those after a pooling, since
    what comes over a skip connection is rounded before both.
    """
    names = (
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    )
    return [
        name for name in names if name.startswith(("upconv", "decoder")) or name.endswith("conv2")
    ]


def compiled(model: UNet):
    """``UNet.logits`` for images of any size by OpenVINO, batch norm folded. By the engine 'int8' inputs (within the
    card's ranges) and weights of inner convolutions have 8 bits (Jacob et al. 2018, arXiv:1712.05877).
    """
    sys.modules.setdefault(
        "openvino_telemetry", None
    )  # else its import reports to a server, by another process
    import openvino as ov
    from openvino import opset13 as op

    model, ranges = fold_batch_norm(copy.deepcopy(model)), {}
    if model.engine == "int8":
        ranges = dict(zip(rounded_layers(model), model.card.int8_ranges, strict=True))

    def rounded(x, name: str):
        if name not in ranges:
            return x
        step = (ranges[name][1] - ranges[name][0]) / 255
        low = np.float32(round(ranges[name][0] / step) * step)  # so that 0 is a whole number
        return op.fake_quantize(
            x, low, low + np.float32(255 * step), low, low + np.float32(255 * step), 256
        )

    def convolution(x, name: str):
        layer = model.get_submodule(name)
        weight, up = layer.weight.detach().numpy(), isinstance(layer, nn.ConvTranspose2d)
        kernel = op.constant(weight)
        if ranges and name not in ("encoder1.enc1conv1", "conv"):
            most = np.maximum(
                np.abs(weight).max((0, 2, 3) if up else (1, 2, 3), keepdims=True), np.float32(1e-12)
            )
            kernel = op.fake_quantize(
                kernel, -most, most, -most, most, 255
            )  # a scale for each output channel
        how = ([2, 2],) if up else ([1, 1], layer.padding, layer.padding, [1, 1])
        x = (op.convolution_backprop_data if up else op.convolution)(x, kernel, *how)
        return op.add(x, op.constant(layer.bias.detach().numpy()[None, :, None, None]))

    def two_convolutions(x, block: str):
        layers = model.get_submodule(block).named_children()
        first, second = (
            f"{block}.{name}" for name, layer in layers if isinstance(layer, nn.Conv2d)
        )
        return op.relu(convolution(rounded(op.relu(convolution(x, first)), second), second))

    x, skips = (image := op.parameter([-1, model.in_channels, -1, -1], np.float32)), []
    for level in range(1, model.depth + 1):
        skips.append(
            rounded(two_convolutions(x, f"encoder{level}"), f"decoder{level}.dec{level}conv1")
        )
        x = op.max_pool(skips[-1], [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    x = two_convolutions(x, "bottleneck")
    for level in range(model.depth, 0, -1):
        x = convolution(rounded(x, f"upconv{level}"), f"upconv{level}")
        x = op.concat([rounded(x, f"decoder{level}.dec{level}conv1"), skips.pop()], 1)
        x = two_convolutions(x, f"decoder{level}")
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,
    }  # else to one core
    settings["INFERENCE_PRECISION_HINT"] = "bf16" if precision() == "bfloat16" else "f32"
    return ov.Core().compile_model(ov.Model([convolution(x, "conv")], [image]), "CPU", settings)
