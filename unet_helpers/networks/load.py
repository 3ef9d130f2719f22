"""Pretrained networks, ready to use, from files of weights and into them."""

import hashlib
import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ..download import fetch, home_url
from ..errors import ModelError
from ..files import did_you_mean, written_whole
from .cards import MODELS, WEIGHTS, ModelCard, card_of
from .engine import choose_engine
from .unet import UNet, fold_batch_norm

if TYPE_CHECKING:
    import pandas as pd

# The most characters of a library's error message that are passed on.
MAX_MESSAGE = 300


def load_model(
    model: str | Path | ModelCard | UNet | None = None,
    *,
    trainable: bool = False,
    engine: str = "auto",
) -> UNet:
    """Load a pretrained U-Net, in eval mode, with its ``card`` and ``weights_sha256``.

    Takes the weights shipped beside the code; where there are none, downloads them once and keeps
    them in the cache.

    Parameters
    ----------
    model
        Name of a card (``list_models`` shows them); a ModelCard, also a changed copy of one of
        ``MODELS``; a ``.safetensors`` file of ``save_model``; or a network, which is returned as
        it is.
    trainable
        True leaves batch normalisation as layers, for training; otherwise it is folded away, which
        gives the same answers faster.
    engine
        What computes the network: ``"torch"``; ``"openvino"``; ``"int8"``, OpenVINO with integers
        of 8 bits, where the card knows how; ``"auto"``, OpenVINO where it is installed.

    Returns
    -------
    UNet
        The network.

    Raises
    ------
    ModelError
        For an unknown name, a missing file, damaged weights, or a card that makes no sense.
    DownloadError
        Where the weights cannot be fetched.
    ArgumentError
        For an engine that is not there.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> model = uh.load_model("retinal_vessels")
    >>> model.card.title
    'Blood vessels of the retina'
    """
    if isinstance(model, UNet):
        if not isinstance(getattr(model, "card", None), ModelCard):
            raise ModelError(
                "This UNet has no card that says how it reads an image: "
                "set model.card to a ModelCard."
            )
        return model

    card, path = card_and_weights(model)
    network = read_weights(path, card)
    if not trainable:
        fold_batch_norm(network)

    # Hooks and gradients, which training needs, are torch's alone.
    if trainable and engine == "auto":
        engine = "torch"
    network.engine = choose_engine(engine, card)
    return network.to(memory_format=torch.channels_last).eval()


def card_and_weights(model: str | Path | ModelCard | None) -> tuple[ModelCard, Path]:
    """Find the card of a name, file or card, and the file with its weights."""
    if isinstance(model, ModelCard):
        return model, weights_of(model)

    name = str(model)
    if name.endswith(".safetensors"):
        path = Path(name).expanduser()
        return read_card(path), path

    if name not in MODELS:
        near = get_close_matches(name, list(MODELS), n=1)
        suggestion = f" Did you mean {near[0]}?" if near else ""
        raise ModelError(
            f"There is no model called {name!r}.{suggestion} Choose one of: {', '.join(MODELS)}."
        )
    return MODELS[name], weights_of(MODELS[name])


def weights_of(card: ModelCard) -> Path:
    """Find the file of the card's weights: shipped, else from the cache, else downloaded.

    Its SHA-256 is that of the card.
    """
    shipped = WEIGHTS / f"{card.name}.safetensors"
    if not card.sha256:
        raise ModelError(
            f"The card {card.name!r} does not say which weights are its own: "
            "give the file of save_model."
        )
    if not shipped.exists():
        url = card.url or home_url(f"unet_helpers/weights/{shipped.name}")
        return fetch(url, card.sha256, mirrors=card.mirrors)
    if sha256_of(shipped) != card.sha256:
        raise ModelError(
            f"{shipped} is not the file its card describes. Delete it, and it is fetched anew."
        )
    return shipped


def list_models() -> "pd.DataFrame":
    """List the pretrained networks.

    Returns
    -------
    pandas.DataFrame
        One row a card: its classes, kind of image, scores, and the licence of its training data.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.list_models().loc["lungs", "image"]
    'chest X-ray, frontal'
    """
    import pandas as pd

    rows = []
    for card in MODELS.values():
        row = {
            "model": card.name,
            "segments": ", ".join(card.classes),
            "image": card.modality,
            "scores": "; ".join(card.score_texts),
            "licence of the data": card.licence,
        }
        rows.append(row)
    return pd.DataFrame(rows).set_index("model")


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path, card: ModelCard) -> UNet:
    """Make the card's network with the tensors of a file, in single precision.

    The file is .safetensors, or .pt, a pickle, of which nothing but tensors is read. Raises
    ModelError where it is missing, damaged, or holds anything else.
    """
    is_pickle = path.suffix == ".pt"
    try:
        if is_pickle:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        else:
            tensors = load_file(path)
        # On the device 'meta' it takes no memory: a stranger's file may ask for any size.
        with torch.device("meta"):
            network = UNet(card.in_channels, card.out_channels, card.features, card.depth)
            if not any("norm" in name for name in tensors):
                fold_batch_norm(network)
        network.load_state_dict(tensors, assign=True)
        network = network.float()
    except (
        Exception
    ) as error:  # unpickling fails in many ways, on files made to break it in any way
        # torch's own message about a pickle advises to run it.
        reason = type(error).__name__
        if not is_pickle:
            reason = " ".join(str(error).split())[:MAX_MESSAGE]
        advice = (
            "missing, damaged, or another network. Nothing in it was run: delete it and load again."
        )
        raise ModelError(f"{path} does not fit {card.name!r} ({reason}): {advice}") from error

    network.card = card
    network.weights_sha256 = sha256_of(path)
    return network


def read_card(path: Path) -> ModelCard:
    """Read the card inside a file of ``save_model``; ModelError where there is none."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file{did_you_mean(path)} ({Path.cwd()}).")
    try:
        with safe_open(path, "pt") as file:
            return card_of(json.loads(file.metadata()["card"]))
    except ModelError as error:
        raise ModelError(f"The card in {path} makes no sense. {error}") from error
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} is no file of save_model ({error}). Give its full path, or a card's name."
        ) from error


def save_model(model: UNet, path: str | Path) -> None:
    """Save weights and card in one .safetensors file, which ``load_model(path)`` takes.

    The file is written whole or not at all; one of that name is replaced. A network with batch
    normalisation, which is made for training, keeps its convolutions in half precision; all other
    numbers are kept as they are.

    Parameters
    ----------
    model
        A network with a card, such as one of ``fine_tune``.
    path
        The file to write; its name ends with ``.safetensors``.

    Raises
    ------
    ModelError
        Where the network has no card.

    Examples
    --------
    >>> import tempfile
    >>> import unet_helpers as uh
    >>> folder = tempfile.mkdtemp()
    >>> uh.save_model(uh.load_model("lungs"), f"{folder}/mine.safetensors")
    >>> uh.load_model(f"{folder}/mine.safetensors").card.name
    'lungs'
    """
    network = load_model(model)
    has_batch_norm = any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    tensors = {}
    for name, tensor in network.state_dict().items():
        is_kernel = tensor.dim() == 4
        # Kernels into which batch norm was folded are not rounded a second time.
        kept = tensor.half() if is_kernel and has_batch_norm else tensor
        tensors[name] = kept.contiguous()

    metadata = {"card": json.dumps(asdict(network.card))}
    with written_whole(Path(path).expanduser()) as unfinished:
        save_file(tensors, unfinished, metadata=metadata)
