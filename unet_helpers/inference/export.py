"""Save a network as an ONNX file for other programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from ..errors import ArgumentError, SaveError
from ..files import written_whole
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from .onnx_nodes import OPSET
from .raw_graph import PIXEL_TYPES, check_raw, raw_model

if TYPE_CHECKING:
    import onnx


def export_onnx(
    model: str | Path | ModelCard | UNet,
    path: str | Path,
    raw: bool | Literal["uint8", "uint16", "float32"] = False,
) -> Path:
    """Save a network as an ONNX file, alone or with all that is done before and after it.

    The network alone has the input ``image``, float32 (n, C, [d,] h, w), which must be prepared as
    the card says, and the output ``probabilities``, (n, K, [d,] h, w). Sizes are multiples of 2 to
    the number of the card's levels, ``depth``.

    With ``raw`` the input ``pixels`` is a single image as it is stored, (H, W) or (H, W, 3) of any
    size, and ``probabilities`` are (K, H, W): those of `segment` but for 0.001. The graph chooses
    channels, scales intensities, resizes, pads, averages mirrored answers and resizes back. Two
    more inputs may be left out: ``zoom``, working px per px (float32), and ``inside``, the field of
    view of a photograph (bool, (H, W)). What `segment` does beyond that is listed in the metadata
    ``outside``, as JSON. The inputs have no fixed number of axes, which ONNX Runtime accepts.

    The card is stored in the file as JSON, in the metadata ``card``. If saving fails, no incomplete
    file is left. Needs the packages onnx and onnxscript.

    Parameters
    ----------
    model
        Name, card, file or network.
    path
        The file to write, which must not exist yet.
    raw
        Whether the graph reads pixels as they are. True or ``"uint8"``: of 8 bits; ``"uint16"``: of
        16 bits; ``"float32"``: all others, as `segment` reads arrays of that type.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If the packages are missing, or a graph cannot prepare images as the card says.
    SaveError
        If the file exists already.

    Examples
    --------
    >>> import tempfile
    >>> import unet_helpers as uh
    >>> path = uh.export_onnx("lungs", tempfile.mkdtemp() + "/lungs.onnx", raw=True)
    >>> path.name
    'lungs.onnx'
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ArgumentError("An ONNX file needs two more packages: pip install onnx onnxscript")
    path = Path(path).expanduser()
    if path.exists():
        raise SaveError(f"{path} is there already. Choose another name, or delete it first.")
    network = load_model(model, engine="torch")
    pixel_type = "uint8" if isinstance(raw, bool) else raw
    if pixel_type not in PIXEL_TYPES:
        raise ArgumentError(f"raw={raw!r}: choose True, False, 'uint8', 'uint16' or 'float32'.")
    if raw:
        check_raw(network.card)

    exported = network_model(network)
    if raw:
        exported = raw_model(network, exported, pixel_type)
    else:
        exported.metadata_props.add(key="card", value=json.dumps(asdict(network.card)))
    with written_whole(path) as unfinished:
        unfinished.write_bytes(exported.SerializeToString())
    return path


def network_model(model: UNet) -> onnx.ModelProto:
    """Convert the network alone: ``image`` (n, C, [d,] h, w) to ``probabilities``."""
    # The file accepts any number of images, and sizes that are multiples of 2**depth.
    step = 2**model.depth
    sizes = {0: torch.export.Dim("n")}
    for axis, name in enumerate("dhw"[-model.dims :], start=2):
        sizes[axis] = step * torch.export.Dim(name)
    example = torch.zeros(2, model.in_channels, *(32, 64, 96)[-model.dims :])
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        dynamic_shapes={"x": sizes},
        input_names=["image"],
        output_names=["probabilities"],
        opset_version=OPSET,
        verbose=False,
    )
    if program is None:
        raise SaveError(f"torch made no ONNX program of {model.card.name!r}.")
    return program.model_proto
