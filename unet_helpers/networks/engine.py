"""What computes a network: torch or OpenVINO, in single precision, bfloat16 or 8 bits."""

import os
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from threading import get_ident
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from ..errors import ArgumentError
from .cards import ModelCard
from .openvino_graph import compile_network
from .unet import UNet, pad_by_reflection

if TYPE_CHECKING:
    import openvino as ov

# torch asks for this at its first large tensor: pages of 2 MB are filled faster than those of 4 kB.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

ENGINES = ("torch", "openvino", "int8", "auto")

# The first release of OpenVINO that this package was tried with.
OLDEST_OPENVINO = "2025"

# The process that imported this module; one that was forked from it has another number.
PROCESS = os.getpid()

# The note about results that were computed by the engine 'int8'.
INT8_NOTE = "computed with integers of 8 bits (engine int8)"


@dataclass(frozen=True)
class TensorState:
    """By what a change of a tensor's values is noticed."""

    address: int
    version: int  # counts changes, but not those through .data
    sum: float  # notices those through .data


@dataclass(frozen=True)
class CompiledFor:
    """What a network was compiled for: where any of it differs now, it is compiled again."""

    engine: str
    precision: str
    threads: int
    weights: tuple[TensorState, ...]


@dataclass(frozen=True)
class CompiledNetwork:
    """A network as OpenVINO computes it, and what it was compiled for."""

    key: CompiledFor
    network: "ov.CompiledModel"


# By network and thread, since OpenVINO computes the images of one compiled network in turn.
COMPILED: WeakKeyDictionary[UNet, dict[int, CompiledNetwork]] = WeakKeyDictionary()


def choose_engine(engine: str, card: ModelCard) -> str:
    """Resolve 'auto' to OpenVINO where it is installed, else torch.

    Raises ArgumentError for an engine that is not there, or that the card cannot be computed by.
    """
    if engine not in ENGINES:
        raise ArgumentError(
            f"There is no engine {engine!r}: choose 'torch', 'openvino', 'int8' or 'auto'."
        )

    has_openvino = find_spec("openvino") is not None and version("openvino") >= OLDEST_OPENVINO
    if engine == "auto":
        return "openvino" if has_openvino else "torch"

    if engine in ("openvino", "int8") and not has_openvino:
        raise ArgumentError("This engine needs one more package: pip install -U openvino")
    if engine == "int8" and not card.int8_ranges:
        raise ArgumentError(
            f"{card.name!r} loses too much with 8 bits, or was not tried: choose 'openvino'."
        )
    return engine


def precision() -> str:
    """Return 'bfloat16' where the processor computes in it natively, else 'float32'.

    The environment variable UNET_HELPERS_PRECISION overrules this.
    """
    asked_for = os.environ.get("UNET_HELPERS_PRECISION")
    if asked_for is not None:
        return "bfloat16" if asked_for == "bfloat16" else "float32"

    # torch has this function since 2.11.
    get_capabilities = getattr(torch.cpu, "get_capabilities", dict)
    capabilities: dict[str, object] = get_capabilities()
    if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
        return "bfloat16"
    return "float32"


def engine_of(model: UNet) -> str:
    """Return what computes the network now: torch in some cases, whatever the model's engine.

    A hook is to see what its layer computes; and in a forked process OpenVINO would wait for ever
    for threads that only its parent has.
    """
    is_forked = os.getpid() != PROCESS
    has_hooks = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    if is_forked or has_hooks:
        return "torch"
    return model.engine


@torch.inference_mode()
def run(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """Compute probabilities, (N, K, H, W) float32, of (N, C, H, W) by the model's engine."""
    if engine_of(model) == "torch":
        with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bfloat16"):
            return model(x)

    padded = pad_by_reflection(x, 2**model.depth).contiguous()
    request = compiled_for_this_thread(model).create_infer_request()
    logits = torch.from_numpy(request.infer([padded.numpy()])[0])

    height, width = x.shape[-2:]
    return model.probabilities(logits[..., :height, :width])


def compiled_for_this_thread(model: UNet) -> "ov.CompiledModel":
    """Return this thread's OpenVINO network, compiled again where weights or settings changed."""
    key = CompiledFor(
        engine=model.engine,
        precision=precision(),
        threads=torch.get_num_threads(),
        weights=tuple(tensor_state(tensor) for tensor in model.state_dict().values()),
    )
    by_thread = COMPILED.setdefault(model, {})
    cached = by_thread.get(get_ident())
    if cached is None or cached.key != key:
        network = compile_network(model, key.precision, key.threads)
        cached = CompiledNetwork(key, network)
        by_thread[get_ident()] = cached
    return cached.network


def forget_compiled(model: UNet) -> None:
    """Free the memory that a compiled network holds for its next image."""
    COMPILED.pop(model, None)


def tensor_state(tensor: torch.Tensor) -> TensorState:
    """Note by what a later change of the tensor will be noticed."""
    # Tensors made in inference mode count no versions.
    changes = 0 if tensor.is_inference() else tensor._version
    return TensorState(tensor.data_ptr(), changes, float(tensor.sum()))
