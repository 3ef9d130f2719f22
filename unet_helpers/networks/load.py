"""Load pretrained networks, and save networks as files of weights."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ..download import fetch, home_url
from ..errors import ArgumentError, ModelError, SaveError
from ..files import did_you_mean, written_whole
from ..spelling import most_similar, question
from .cards import MODELS, WEIGHTS, ModelCard, card_of
from .engine import choose_engine
from .foreign import CONVERT, card_for, load_foreign, refuse_program
from .pixel_classifier import empty_classifier
from .unet import BatchNorm, UNet, fold_batch_norm, network_of

if TYPE_CHECKING:
    import pandas as pd

# Endings of files of other programs, see ``foreign``.
FOREIGN_ENDINGS = (".onnx", ".zip", ".pt", ".pth")

# The most characters of a library's error message that are repeated in a ModelError.
MAX_MESSAGE = 300


def load_model(
    model: str | Path | ModelCard | UNet | None = None,
    *,
    card: ModelCard | str | None = None,
    trainable: bool = False,
    engine: str = "auto",
) -> UNet:
    """Load a pretrained U-Net, in eval mode, with its ``card`` and ``weights_sha256``.

    Uses the weights shipped with the code. If there are none, they are downloaded once and kept in
    the cache.

    Parameters
    ----------
    model
        Name of a card (``list_models`` shows them); a ModelCard, also a changed copy of one of
        ``MODELS``; a ``.safetensors`` file of ``save_model``; or a network, which is returned as
        it is. Networks of other programs: an ``.onnx`` file; a BioImage.IO package (``.zip``) with
        ONNX weights; or a ``.pt`` file of the tensors of a ``UNet``. Nothing in a file is run as a
        program, so pickles and TorchScript are refused.
    card
        For a network of another program: how it reads an image and what its classes are; a
        ModelCard, or the name of a card that says so. Files of ``export_onnx`` and packages have
        their own.
    trainable
        True keeps batch normalisation as layers, for training; otherwise it is folded into the
        convolutions, which gives the same answers faster.
    engine
        The library that runs the network: ``"torch"``; ``"openvino"``; ``"int8"``, OpenVINO with
        8-bit integers, if the card has ranges for it; ``"auto"``, OpenVINO if it is installed, else
        torch.

    Returns
    -------
    UNet
        The network.

    Raises
    ------
    ModelError
        For an unknown name, a missing file, damaged weights, or an invalid card.
    DownloadError
        If the weights cannot be fetched.
    ArgumentError
        For an engine that does not exist, is not installed, or is not supported by the card.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> model = uh.load_model("retinal_vessels")
    >>> model.card.title
    'Blood vessels of the retina'
    """
    if isinstance(model, str | Path) and str(model).endswith(FOREIGN_ENDINGS):
        return of_other_program(Path(model).expanduser(), card)
    if card is not None:
        raise ArgumentError("card= is for networks of other programs: .onnx, .zip and .pt files.")

    if isinstance(model, UNet):
        if not isinstance(getattr(model, "card", None), ModelCard):
            raise ModelError(
                "This UNet has no card that says how it reads an image: "
                "set model.card to a ModelCard."
            )
        return model

    own_card, path = card_and_weights(model)
    network = read_weights(path, own_card)
    if not trainable:
        fold_batch_norm(network)

    # Training needs hooks and gradients, which only torch has.
    if trainable and engine == "auto":
        engine = "torch"
    network.engine = choose_engine(engine, own_card)
    return network.to_fastest().eval()


def of_other_program(path: Path, card: ModelCard | str | None) -> UNet:
    """Load a network that another program wrote."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file{did_you_mean(path)} ({Path.cwd()}).")
    if path.suffix in (".onnx", ".zip"):
        return load_foreign(path, card)

    refuse_program(path)
    chosen = card_for(path, card)
    if chosen is None:
        raise ModelError(f"{path}: pass card=..., which says what network its tensors are of.")
    try:
        network = read_weights(path, chosen)
    except ModelError as error:
        advice = f"Only tensors of a UNet are read from such a file. {CONVERT}"
        raise ModelError(f"{error} {advice}") from error
    return fold_batch_norm(network).to_fastest().eval()


def card_and_weights(model: str | Path | ModelCard | None) -> tuple[ModelCard, Path]:
    """Return the card for a name, file or card, and the path of its weights."""
    if isinstance(model, ModelCard):
        return model, weights_of(model)

    name = str(model)
    if name.endswith(".safetensors"):
        path = Path(name).expanduser()
        return read_card(path), path

    if name not in MODELS:
        suggestion = question(most_similar(name, MODELS))
        raise ModelError(
            f"There is no model called {name!r}.{suggestion} Choose one of: {', '.join(MODELS)}."
        )
    return MODELS[name], weights_of(MODELS[name])


def weights_of(card: ModelCard) -> Path:
    """Return the path of the card's weights: shipped, else from the cache, else downloaded.

    Raises ModelError if the SHA-256 of the shipped file is not that of the card.
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
        One row per card: its classes, kind of image, scores, and the licence of its training data.

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

    The file is .safetensors, or .pt, a pickle, from which only tensors are read. Raises ModelError
    if it is missing, damaged, or holds anything else.
    """
    is_pickle = path.suffix in (".pt", ".pth")
    try:
        if is_pickle:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        else:
            tensors = load_file(path)
        # On the device 'meta' the network takes no memory until the tensors are assigned: the card
        # in a stranger's file may ask for any size.
        with torch.device("meta"):
            network = empty_network(card, tensors)
        network.load_state_dict(tensors, assign=True)
        network = network.float()
    # Unpickling raises many kinds of errors on damaged files.
    except Exception as error:
        # torch's own message about a pickle is left out: it advises to run the pickle's code.
        reason = type(error).__name__
        if not is_pickle:
            reason = " ".join(str(error).split())[:MAX_MESSAGE]
        advice = (
            "missing, damaged, or another network. Nothing in it was run: delete it and load again."
        )
        raise ModelError(f"{path} does not fit {card.name!r} ({reason}): {advice}") from error

    network.weights_sha256 = sha256_of(path)
    return network


def empty_network(card: ModelCard, tensors: dict[str, torch.Tensor]) -> UNet:
    """Make the network of a card, to which the tensors of its file are then given."""
    if card.pixel_features:
        classifier = empty_classifier(card, tensors)
        classifier.card = card
        return classifier

    network = network_of(card)
    if not any("norm" in name for name in tensors):
        fold_batch_norm(network)
    return network


def read_card(path: Path) -> ModelCard:
    """Read the card inside a file of ``save_model``; raise ModelError if there is none."""
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
    """Save weights and card in one .safetensors file, for ``load_model(path)``.

    An existing file is replaced. If saving fails, no incomplete file is left. The kernels of a
    network with batch normalisation (one that can be trained) are saved in half precision; all
    other numbers keep their precision.

    Parameters
    ----------
    model
        A network with a card, such as one of ``fine_tune``.
    path
        The file to write; its name ends with ``.safetensors``.

    Raises
    ------
    ModelError
        If the network has no card.
    SaveError
        If the file cannot be written.

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
    has_batch_norm = any(isinstance(layer, BatchNorm) for layer in network.modules())
    tensors = {}
    for name, tensor in network.state_dict().items():
        is_kernel = tensor.dim() >= 4
        # Kernels into which batch norm was folded keep their precision.
        kept = tensor.half() if is_kernel and has_batch_norm else tensor
        tensors[name] = kept.contiguous()

    metadata = {"card": json.dumps(asdict(network.card))}
    path = Path(path).expanduser()
    try:
        with written_whole(path) as unfinished:
            save_file(tensors, unfinished, metadata=metadata)
    except (SafetensorError, OSError) as error:
        raise SaveError(f"{path}: nothing was saved ({error}). Does the folder exist?") from error
