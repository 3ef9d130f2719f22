"""Pretrained networks, ready to use, from files of weights and into them."""

import hashlib
import json
from dataclasses import asdict
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ..download import fetch, home_url
from ..errors import ArgumentError, ModelError, SaveError
from ..files import did_you_mean, written_whole
from .cards import MODELS, WEIGHTS, ModelCard, card_of
from .engine import chosen
from .unet import UNet, fold_batch_norm


def load_model(
    model: str | Path | UNet | None = None, *, trainable: bool = False, engine: str = "auto"
) -> UNet:
    """A U-Net in eval mode, with its ``card`` and ``weights_sha256``: a card's name, or a file of ``save_model``.

    Takes the weights shipped beside the code; otherwise downloads them once and keeps them in the cache.
    ``trainable`` leaves batch normalisation as layers, for fine-tuning; otherwise it is folded away, which gives the
    same answers faster. ``engine``: 'torch'; 'openvino'; 'int8', OpenVINO with integers, where the card knows how;
    'auto' is 'openvino' where it is installed. Raises ModelError (unknown name, damaged weights), DownloadError and
    ArgumentError (an engine that is not there).
    """
    if isinstance(model, UNet):
        if not isinstance(getattr(model, "card", None), ModelCard):
            raise ModelError(
                "This UNet has no card that says how it reads an image: set model.card to a ModelCard."
            )
        return model
    if str(model).endswith(".safetensors"):
        card = read_card(path := Path(model).expanduser())
    else:
        if (name := str(model)) not in MODELS:
            near = "".join(
                f" Did you mean {known}?" for known in get_close_matches(name, MODELS, 1)
            )
            raise ModelError(
                f"There is no model called {name!r}.{near} Choose one of: {', '.join(MODELS)}."
            )
        path = weights_of(card := MODELS[name])
    network = read_weights(path, card)
    if not trainable:
        fold_batch_norm(network)
    network.engine = chosen(engine, card) if engine != "auto" or not trainable else "torch"
    return network.to(memory_format=torch.channels_last).eval()


def weights_of(card: ModelCard) -> Path:
    """The card's weights: shipped, else from the cache, else downloaded. Their sha256 is that of the card."""
    shipped = WEIGHTS / f"{card.name}.safetensors"
    if not shipped.exists():
        return fetch(
            card.url or home_url(f"unet_helpers/weights/{shipped.name}"),
            card.sha256,
            mirrors=card.mirrors,
        )
    if sha256_of(shipped) != card.sha256:
        raise ModelError(
            f"{shipped} is not the file its card describes. Delete it, and it is fetched anew."
        )
    return shipped


def list_models():
    """The networks, as a pandas.DataFrame, one row a card."""
    import pandas as pd

    rows = [
        (c.name, ", ".join(c.classes), c.modality, "; ".join(c.scores), c.licence)
        for c in MODELS.values()
    ]
    columns = ["model", "segments", "image", "scores", "licence of the data"]
    return pd.DataFrame(rows, columns=columns).set_index("model")


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path, card: ModelCard) -> UNet:
    """The card's network with the tensors of a file, in single precision: .safetensors, or .pt, a pickle, of which
    nothing but tensors is read. Raises ModelError where it is missing, damaged, or holds anything else.
    """
    try:
        safe = path.suffix != ".pt"
        tensors = (
            load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
        )
        with torch.device("meta"):  # takes no memory: a stranger's file may ask for any size
            network = UNet(card.in_channels, card.out_channels, card.features, card.depth)
        network.load_state_dict(tensors, assign=True)
        network = network.float()
    except (
        Exception
    ) as error:  # unpickling fails in many ways, on files made to break it in any way
        words = (
            " ".join(str(error).split())[:300] if safe else type(error).__name__
        )  # not torch's advice to run it
        advice = (
            "missing, damaged, or another network. Nothing in it was run: delete it and load again."
        )
        raise ModelError(f"{path} does not fit {card.name!r} ({words}): {advice}") from error
    network.card, network.weights_sha256 = card, sha256_of(path)
    return network


def read_card(path: Path) -> ModelCard:
    """The card inside a file of ``save_model``; ModelError where there is none."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file{did_you_mean(path)} ({Path.cwd()}).")
    try:
        with safe_open(path, "pt") as file:
            return card_of(json.loads(file.metadata()["card"]))
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} is no file of save_model ({error}). Give its full path, or a card's name."
        ) from error


def save_model(model: UNet, path: Path) -> None:
    """Weights and card in one .safetensors file that ``load_model(path)`` takes. Written atomically.
    Convolutions go in half precision; the few numbers of batch norm stay as they are.
    """
    tensors = {
        k: (v.half() if v.dim() == 4 else v).contiguous() for k, v in model.state_dict().items()
    }
    with written_whole(path) as part:
        save_file(tensors, part, metadata={"card": json.dumps(asdict(model.card))})


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
    sizes = {
        0: torch.export.Dim("n"),
        2: step * torch.export.Dim("h"),
        3: step * torch.export.Dim("w"),
    }
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        dynamic_shapes={"x": sizes},
        input_names=["image"],
        output_names=["probabilities"],
        verbose=False,
    )
    program.model.metadata_props["card"] = json.dumps(asdict(model.card))
    with written_whole(Path(path)) as part:
        program.save(part)
    return Path(path)
