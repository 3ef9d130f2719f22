"""Save a network as an ONNX file for other programs."""

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch

from ..errors import ArgumentError, SaveError
from ..files import written_whole
from .cards import ModelCard
from .load import load_model
from .unet import UNet


def export_onnx(model: str | Path | ModelCard | UNet, path: str | Path) -> Path:
    """Save a network as an ONNX file: float32 pixels in, probabilities out.

    The input ``image`` is (n, C, 16 h, 16 w) and must be prepared as the card says. The card is
    stored in the file as JSON, in the metadata ``card``. The output ``probabilities`` is
    (n, K, 16 h, 16 w). If saving fails, no incomplete file is left. Needs the packages onnx and
    onnxscript.

    Parameters
    ----------
    model
        Name, card, file or network.
    path
        The file to write, which must not exist yet.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If the packages are missing.
    SaveError
        If the file exists already.

    Examples
    --------
    >>> import tempfile
    >>> import unet_helpers as uh
    >>> path = uh.export_onnx("lungs", tempfile.mkdtemp() + "/lungs.onnx")
    >>> path.name
    'lungs.onnx'
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ArgumentError("An ONNX file needs two more packages: pip install onnx onnxscript")
    path = Path(path).expanduser()
    if path.exists():
        raise SaveError(f"{path} is there already. Choose another name, or delete it first.")
    network = load_model(model, engine="torch")

    # The file accepts any number of images, and sizes that are multiples of 2**depth.
    example = torch.zeros(2, network.in_channels, 64, 96)
    step = 2**network.depth
    sizes = {
        0: torch.export.Dim("n"),
        2: step * torch.export.Dim("h"),
        3: step * torch.export.Dim("w"),
    }
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        dynamic_shapes={"x": sizes},
        input_names=["image"],
        output_names=["probabilities"],
        verbose=False,
    )
    if program is None:
        raise SaveError(f"{path}: torch made no ONNX program of {network.card.name!r}.")

    program.model.metadata_props["card"] = json.dumps(asdict(network.card))
    with written_whole(path) as unfinished:
        program.save(unfinished)
    return path
