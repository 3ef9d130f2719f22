"""Run a network with torch or OpenVINO, in single precision, bfloat16 or 8-bit integers."""

import copy
import os
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from threading import get_ident
from typing import Any
from weakref import WeakKeyDictionary

import torch

from ..errors import ArgumentError
from .cards import ModelCard
from .openvino_graph import compile_network
from .rounding import round_weights
from .unet import UNet, cropped, fold_batch_norm, pad_by_reflection

# torch reads this variable when it first allocates a large tensor: memory pages of 2 MB are filled
# faster than pages of 4 kB.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

ENGINES = ("torch", "openvino", "int8", "auto")

# Values of the environment variable UNET_HELPERS_PRECISION.
PRECISIONS = ("float32", "bfloat16")

# The first release of OpenVINO that this package was tried with.
OLDEST_OPENVINO = 2025

# The process that imported this module; a process forked from it has a different id.
IMPORTING_PID = os.getpid()

# The note about results that were computed by the engine 'int8'.
INT8_NOTE = "computed with integers of 8 bits (engine int8)"


@dataclass(frozen=True)
class TensorState:
    """A fingerprint of a tensor, by which a change of its values is noticed."""

    address: int
    version: int  # counts changes, but not those through .data
    sum: float  # notices those through .data


@dataclass(frozen=True)
class CompiledFor:
    """What a network was compiled for; when any of it changes, it is compiled again."""

    engine: str
    precision: str
    threads: int
    weights: tuple[TensorState, ...]


@dataclass(frozen=True)
class CompiledNetwork:
    """A network compiled by OpenVINO, or its copy with rounded weights, and for what it is."""

    key: CompiledFor
    network: Any


# By network and thread, because a compiled network computes one image after the other.
COMPILED: WeakKeyDictionary[UNet, dict[int, CompiledNetwork]] = WeakKeyDictionary()


def choose_engine(engine: str, card: ModelCard) -> str:
    """Resolve 'auto' to OpenVINO if it is installed, else torch.

    Raises ArgumentError for an engine that is not installed, or that the card does not support.
    """
    if engine not in ENGINES:
        raise ArgumentError(
            f"There is no engine {engine!r}: choose 'torch', 'openvino', 'int8' or 'auto'."
        )

    # The filters of a classifier of pixels are no part of a graph that OpenVINO compiles.
    if card.pixel_features:
        if engine in ("auto", "torch"):
            return "torch"
        raise ArgumentError(f"{card.name!r} was taught by strokes and runs with engine='torch'.")

    has_openvino = openvino_is_installed()
    if engine == "auto":
        return "openvino" if has_openvino else "torch"

    if engine in ("openvino", "int8") and not has_openvino:
        raise ArgumentError("This engine needs one more package: pip install -U openvino")
    if engine == "int8" and not card.int8_ranges:
        raise ArgumentError(
            f"{card.name!r} loses too much with 8 bits, or was not tried: choose 'openvino'."
        )
    return engine


def openvino_is_installed() -> bool:
    """Return whether OpenVINO is installed, in a release that is new enough."""
    if find_spec("openvino") is None:
        return False
    year = int(version("openvino").split(".")[0])
    return year >= OLDEST_OPENVINO


def precision_of(card: ModelCard) -> str:
    """Return the precision in which a card's network is computed, 'bfloat16' or 'float32'."""
    wanted = precision()
    return wanted if card.bfloat16 else "float32"


def precision() -> str:
    """Return 'bfloat16' if the processor computes in it natively, else 'float32'.

    The environment variable UNET_HELPERS_PRECISION overrules this. Raises ArgumentError if it is
    neither of the two.
    """
    asked_for = os.environ.get("UNET_HELPERS_PRECISION")
    if asked_for:
        if asked_for not in PRECISIONS:
            raise ArgumentError(
                f"UNET_HELPERS_PRECISION is {asked_for!r}: set it to {' or '.join(PRECISIONS)}, or "
                "unset it."
            )
        return asked_for

    # torch has this function since 2.11.
    get_capabilities = getattr(torch.cpu, "get_capabilities", dict)
    capabilities: dict[str, object] = get_capabilities()
    if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
        return "bfloat16"
    return "float32"


def engine_of(model: UNet) -> str:
    """Return the engine that runs the network now; in two cases torch, whatever the model says.

    Hooks need the layers of torch. In a forked process OpenVINO would wait for ever for threads
    that only the parent process has.
    """
    is_forked = os.getpid() != IMPORTING_PID
    if is_forked or has_hooks(model):
        return "torch"
    return model.engine


def has_hooks(model: UNet) -> bool:
    """Return whether any layer of a network has hooks, which see what it computes."""
    return any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())


@torch.inference_mode()
def run(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """Compute probabilities (N, K, [D,] H, W) of (N, C, [D,] H, W), float32."""
    if engine_of(model) == "torch":
        return run_torch(model, x)

    # The compiled network begins behind the padding that ``model(x)`` does by itself.
    padded = pad_by_reflection(x, 2**model.depth).contiguous()
    request = compiled_for_this_thread(model, model.engine).create_infer_request()
    logits = torch.from_numpy(request.infer([padded.numpy()])[0])

    return model.probabilities(cropped(logits, x.shape[2:]))


def run_torch(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """Compute probabilities by torch; in bfloat16 by a copy of the network with rounded weights."""
    if model_precision(model) == "float32":
        return model(x)
    # Hooks see the network itself.
    network = model if has_hooks(model) else compiled_for_this_thread(model, "torch")
    with torch.autocast("cpu", torch.bfloat16):
        return network(x)


def model_precision(model: UNet) -> str:
    """Return the precision of a network; one without a card is computed as any is by default."""
    card = getattr(model, "card", None)
    return precision() if card is None else precision_of(card)


def compiled_for_this_thread(model: UNet, engine: str) -> Any:
    """Return this thread's network for an engine, made again if weights or settings changed.

    It is OpenVINO's, or for the engine 'torch' a ``UNet`` with weights rounded to bfloat16.
    """
    key = CompiledFor(
        engine=engine,
        precision=model_precision(model),
        threads=torch.get_num_threads(),
        weights=tuple(tensor_state(tensor) for tensor in model.state_dict().values()),
    )
    by_thread = COMPILED.setdefault(model, {})
    cached = by_thread.get(get_ident())
    if cached is None or cached.key != key:
        if engine == "torch":
            network: Any = round_weights(fold_batch_norm(copy.deepcopy(model)))
        else:
            network = compile_network(model, key.precision, key.threads)
        cached = CompiledNetwork(key, network)
        by_thread[get_ident()] = cached
    return cached.network


def forget_compiled(model: UNet) -> None:
    """Free the compiled copies of a network, and the memory that they keep for the next image."""
    COMPILED.pop(model, None)


def tensor_state(tensor: torch.Tensor) -> TensorState:
    """Take the fingerprint of a tensor."""
    # Tensors made in inference mode count no versions.
    changes = 0 if tensor.is_inference() else tensor._version
    return TensorState(tensor.data_ptr(), changes, float(tensor.sum()))
