"""What computes a network: torch, in bfloat16 where the processor has it, or OpenVINO; and ``export_onnx``."""

import json
import os
import warnings
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import torch

from ..errors import ArgumentError, SaveError
from ..files import written_whole
from .unet import UNet, pad_by_reflection


def precision() -> str:
    """'bfloat16' where the processor computes in it natively, else 'float32'; UNET_HELPERS_PRECISION overrules."""
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 and later
    native = "bfloat16" if found.get("avx512_bf16") or found.get("amx_bf16") else "float32"
    return "bfloat16" if os.environ.get("UNET_HELPERS_PRECISION", native) == "bfloat16" else "float32"


@torch.inference_mode()
def run(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """Probabilities, (N, K, H, W) float32, of (N, C, H, W) on the CPU, by the model's engine."""
    if model.engine is not None:
        return model.engine(x)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bfloat16"):
        return model(x)


TRACING = Lock()  # torch traces one network at a time


class OpenVINO:
    """A network compiled by OpenVINO for images of any size, with as many threads as torch has now."""

    def __init__(self, model: UNet):
        import openvino as ov

        sizes = [ov.PartialShape([-1, model.in_channels, -1, -1])]
        with TRACING, warnings.catch_warnings():  # the tracer's, about sizes
            warnings.simplefilter("ignore")
            graph = ov.convert_model(model, input=sizes, example_input=torch.zeros(1, model.in_channels, 64, 64))
        hint = {"float32": "f32", "bfloat16": "bf16"}[precision()]
        settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": hint}
        self.compiled, self.multiple = ov.Core().compile_model(graph, "CPU", settings), 2**model.depth

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        padded = pad_by_reflection(x, self.multiple).contiguous().numpy()
        answer = self.compiled.create_infer_request().infer([padded])[0]  # one request a call: threads may share it
        return torch.from_numpy(answer.copy())[..., : x.shape[-2], : x.shape[-1]]

    def __reduce__(self):
        return type(None), ()  # a copy of the network may be given other weights: torch computes it


def with_engine(model: UNet, engine: str) -> UNet:
    """The same network, computed by 'torch', or by 'openvino', which takes a second or two to prepare; 'auto' is
    OpenVINO where it is installed. In place. Raises ArgumentError where the engine is not there."""
    if engine not in ("torch", "openvino", "auto"):
        raise ArgumentError(f"There is no engine {engine!r}: choose 'torch', 'openvino' or 'auto'.")
    if engine == "openvino" and not find_spec("openvino"):
        raise ArgumentError("This engine needs one more package: pip install openvino")
    model.engine = OpenVINO(model) if engine != "torch" and find_spec("openvino") else None
    return model


def export_onnx(model: UNet, path: str | Path) -> Path:
    """The network as an ONNX file, written atomically: 'image' (n, C, 16 h, 16 w) float32 to 'probabilities'.

    The image must have been prepared as the card says, which goes along as JSON in the metadata. Needs onnx and
    onnxscript; raises ArgumentError where they are missing, and SaveError where there is a file already.
    """
    if not (find_spec("onnx") and find_spec("onnxscript")):
        raise ArgumentError("An ONNX file needs two more packages: pip install onnx onnxscript")
    if Path(path).exists():
        raise SaveError(f"{path} is there already. Choose another name, or delete it first.")
    step, example = 2**model.depth, torch.zeros(2, model.in_channels, 64, 96)
    sizes = {0: torch.export.Dim("n"), 2: step * torch.export.Dim("h"), 3: step * torch.export.Dim("w")}
    program = torch.onnx.export(
        model, (example,), dynamo=True, dynamic_shapes={"x": sizes}, input_names=["image"],
        output_names=["probabilities"], verbose=False,
    )  # fmt: skip
    program.model.metadata_props["card"] = json.dumps(asdict(model.card))
    with written_whole(Path(path)) as part:
        program.save(part)
    return Path(path)
