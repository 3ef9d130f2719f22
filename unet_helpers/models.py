"""Pretrained networks, ready to use: ``load_model`` and ``list_models``."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from .cards import MODELS, ModelCard
from .download import fetch, home_url
from .errors import ModelError
from .unet import UNet, fold_batch_norm

WEIGHTS = Path(__file__).parent / "weights"


def find_card(name: str) -> ModelCard:
    """The card of that name; ModelError names the known ones."""
    if name not in MODELS:
        raise ModelError(f"There is no model called {name!r}. Choose one of: {', '.join(MODELS)}.")
    return MODELS[name]


def load_model(model: str | UNet = "retinal_vessels", *, trainable: bool = False) -> UNet:
    """A pretrained U-Net in eval mode, with its ``card`` and ``weights_sha256``.

    Takes the weights shipped beside the code; otherwise downloads them once and keeps them in the cache.
    ``trainable`` leaves batch normalisation as layers, for fine-tuning; otherwise it is folded away, which
    gives the same answers faster. Raises ModelError (unknown name, damaged weights) and DownloadError.
    """
    if isinstance(model, UNet):
        return model
    card = find_card(model)
    shipped = WEIGHTS / f"{card.name}.safetensors"
    path = shipped
    if not shipped.exists():
        path = fetch(card.url or home_url(f"unet_helpers/weights/{shipped.name}"), card.sha256, mirrors=card.mirrors)
    network = read_weights(path, card)
    network.weights_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if not network.weights_sha256.startswith(card.sha256):
        raise ModelError(f"{path} is not the file that the card {card.name!r} describes. Delete it and load again.")
    if not trainable:
        fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last).eval()


def read_weights(path: Path, card: ModelCard) -> UNet:
    """The card's network with the tensors of a .safetensors file, in single precision."""
    network = UNet(card.in_channels, card.out_channels, card.features, card.depth)
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ModelError(f"{path} does not fit {card.name!r}: {error}. Delete it and load again.") from error
    network.card = card
    return network


def list_models():
    """All pretrained networks as a pandas.DataFrame, one row a card."""
    import pandas as pd

    rows = {
        card.name: {
            "segments": ", ".join(card.classes),
            "image": card.modality,
            "scores": "; ".join(card.scores),
            "licence of the data": card.licence,
        }
        for card in MODELS.values()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
