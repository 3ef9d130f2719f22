"""Pretrained networks, ready to use: ``load_model`` and ``list_models``."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from .cards import MODELS, ModelCard, Reading
from .download import fetch, home_url
from .errors import ModelError
from .hub import read_published
from .unet import UNet, fold_batch_norm

WEIGHTS = Path(__file__).parent / "weights"


def find_card(name: str) -> ModelCard:
    """The card of that name; ModelError names the known ones."""
    if name not in MODELS:
        raise ModelError(f"There is no model called {name!r}. Choose one of: {', '.join(MODELS)}.")
    return MODELS[name]


def load_model(model: str | Path | UNet = "retinal_vessels", *, trainable: bool = False) -> UNet:
    """A U-Net in eval mode, with its ``card`` and ``weights_sha256``: a card's name, or a file of ``save_model``.

    Takes the weights shipped beside the code; otherwise downloads them once and keeps them in the cache.
    ``trainable`` leaves batch normalisation as layers, for fine-tuning; otherwise it is folded away, which
    gives the same answers faster. Raises ModelError (unknown name, damaged weights) and DownloadError.
    """
    if isinstance(model, UNet):
        return model
    if str(model).endswith(".safetensors"):
        path = Path(model)
        card = read_card(path)
    else:
        card = find_card(str(model))
        path = weights_of(card)
    network = (read_published if path.suffix == ".pt" else read_weights)(path, card)
    if not trainable:
        fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last).eval()


def weights_of(card: ModelCard) -> Path:
    """The card's weights: shipped, else from the cache, else downloaded. Their sha256 is that of the card."""
    if not card.sha256:
        advice = f"python -m unet_helpers.train {card.name} --data DIR makes runs/{card.name}/best.safetensors to load"
        raise ModelError(f"{card.name!r} has a recipe but no weights yet: {advice}.")
    shipped = WEIGHTS / f"{card.name}.safetensors"
    if not shipped.exists():
        return fetch(card.url or home_url(f"unet_helpers/weights/{shipped.name}"), card.sha256, mirrors=card.mirrors)
    if sha256_of(shipped) != card.sha256:
        raise ModelError(f"{shipped} is not the file its card describes. Delete it, and it is fetched anew.")
    return shipped


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path, card: ModelCard) -> UNet:
    """The card's network with the tensors of a .safetensors file, in single precision."""
    try:
        with torch.device("meta"):  # takes no memory: a stranger's file may ask for any size
            network = UNet(card.in_channels, card.out_channels, card.features, card.depth)
        network.load_state_dict(load_file(path), assign=True)
        network = network.float()
    except (SafetensorError, RuntimeError, OSError, TypeError, ValueError, OverflowError) as error:
        words = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} does not fit {card.name!r}: {words}. Delete it and load again.") from error
    network.card, network.weights_sha256 = card, sha256_of(path)
    return network


def read_card(path: Path) -> ModelCard:
    """The card inside a file of ``save_model``; ModelError where there is none."""
    try:
        with safe_open(path, "pt") as file:
            words = json.loads(file.metadata()["card"])
        reading = Reading(**{k: tuple(v) if isinstance(v, list) else v for k, v in words.pop("reading").items()})
        return ModelCard(**{k: tuple(v) if isinstance(v, list) else v for k, v in words.items()}, reading=reading)
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is no file of save_model ({error}). Give its full path, or a card's name.") from error


def save_model(model: UNet, path: Path) -> None:
    """Weights and card in one .safetensors file that ``load_model(path)`` takes. Written atomically.

    Convolutions go in half precision; the few numbers of batch norm stay as they are.
    """
    tensors = {k: (v.half() if v.dim() == 4 else v).contiguous() for k, v in model.state_dict().items()}
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata={"card": json.dumps(asdict(model.card))})
    part.replace(path)


def list_models():
    """The networks that have weights, as a pandas.DataFrame, one row a card."""
    import pandas as pd

    rows = {
        card.name: {
            "segments": ", ".join(card.classes),
            "image": card.modality,
            "scores": "; ".join(card.scores),
            "licence of the data": card.licence,
        }
        for card in MODELS.values()
        if card.sha256
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
