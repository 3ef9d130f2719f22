"""Weights and cards in files: .safetensors of this package, and the published .pt, of which only tensors are read."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ..errors import ModelError
from ..files import did_you_mean, written_whole
from .cards import ModelCard, card_of
from .unet import UNet


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
    if not path.exists():
        raise ModelError(f"{path}: there is no such file{did_you_mean(path)} ({Path.cwd()}).")
    try:
        with safe_open(path, "pt") as file:
            return card_of(json.loads(file.metadata()["card"]))
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is no file of save_model ({error}). Give its full path, or a card's name.") from error


def save_model(model: UNet, path: Path) -> None:
    """Weights and card in one .safetensors file that ``load_model(path)`` takes. Written atomically.

    Convolutions go in half precision; the few numbers of batch norm stay as they are.
    """
    tensors = {k: (v.half() if v.dim() == 4 else v).contiguous() for k, v in model.state_dict().items()}
    with written_whole(path) as part:
        save_file(tensors, part, metadata={"card": json.dumps(asdict(model.card))})


def read_published(path: Path, card: ModelCard) -> UNet:
    """The card's network with the tensors of a .pt file, a pickle, of which nothing but tensors is read.

    Raises ModelError where the file is missing, damaged, holds anything else than tensors, or other ones.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways, on files made to break it in any way
        what = f"{path} is no file of tensors ({type(error).__name__}): missing, damaged, or made to run code."
        raise ModelError(f"{what} Nothing in it was run. Delete it and load {card.name!r} again.") from error
    network = UNet(card.in_channels, card.out_channels, card.features, card.depth)
    try:
        network.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError, ValueError, KeyError) as error:
        words = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} holds another network than {card.name!r}: {words}. Load it again.") from error
    network.card, network.weights_sha256 = card, sha256_of(path)
    return network.eval()
