"""Pretrained networks, ready to use: ``load_model`` and ``list_models``."""

from difflib import get_close_matches
from pathlib import Path

import torch

from ..download import fetch, home_url
from ..errors import ModelError
from .cards import MODELS, WEIGHTS, ModelCard
from .engines import with_engine
from .unet import UNet, fold_batch_norm
from .weights import read_card, read_published, read_weights, sha256_of


def load_model(model: str | Path | UNet | None = None, *, trainable: bool = False, engine: str = "torch") -> UNet:
    """A U-Net in eval mode, with its ``card`` and ``weights_sha256``: a card's name, or a file of ``save_model``.

    Takes the weights shipped beside the code; otherwise downloads them once and keeps them in the cache.
    ``trainable`` leaves batch normalisation as layers, for fine-tuning; otherwise it is folded away, which
    gives the same answers faster. ``engine``: see ``with_engine``. Raises ModelError (unknown name, damaged weights),
    DownloadError and ArgumentError (engine).
    """
    if isinstance(model, UNet):
        if not isinstance(getattr(model, "card", None), ModelCard):
            raise ModelError("This UNet has no card that says how it reads an image: set model.card to a ModelCard.")
        return model
    if str(model).endswith(".safetensors"):
        path = Path(model).expanduser()
        card = read_card(path)
    else:
        if (name := str(model)) not in MODELS:
            near = "".join(f" Did you mean {known}?" for known in get_close_matches(name, MODELS, 1))
            raise ModelError(f"There is no model called {name!r}.{near} Choose one of: {', '.join(MODELS)}.")
        card = MODELS[name]
        path = weights_of(card)
    network = (read_published if path.suffix == ".pt" else read_weights)(path, card)
    if not trainable:
        fold_batch_norm(network)
    return with_engine(network.to(memory_format=torch.channels_last).eval(), engine)


def weights_of(card: ModelCard) -> Path:
    """The card's weights: shipped, else from the cache, else downloaded. Their sha256 is that of the card."""
    if not card.sha256:
        advice = f"python -m unet_helpers train {card.name} --data DIR makes runs/{card.name}/best.safetensors to load"
        raise ModelError(f"{card.name!r} has a recipe but no weights yet: {advice}.")
    shipped = WEIGHTS / f"{card.name}.safetensors"
    if not shipped.exists():
        return fetch(card.url or home_url(f"unet_helpers/weights/{shipped.name}"), card.sha256, mirrors=card.mirrors)
    if sha256_of(shipped) != card.sha256:
        raise ModelError(f"{shipped} is not the file its card describes. Delete it, and it is fetched anew.")
    return shipped


def list_models():
    """The networks that have weights, as a pandas.DataFrame, one row a card."""
    import pandas as pd

    rows = {
        card.name: {
            "segments": ", ".join(card.classes), "image": card.modality,
            "scores": "; ".join(card.scores), "licence of the data": card.licence,
        }
        for card in MODELS.values() if card.sha256
    }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
