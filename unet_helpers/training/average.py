"""One network from several rounds of training: ``python -m unet_helpers average OUT WEIGHTS WEIGHTS...``.

The mean of weights that were trained on from the same start is often better than each of them, at no cost in time
(Wortsman et al. 2022, 'Model soups', ICML).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch.optim.swa_utils import AveragedModel

from ..errors import TrainingError
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..networks.weights import save_model


def average_weights(paths: Sequence[str | Path]) -> UNet:
    """The mean of all weights and batch statistics of ``save_model`` files of one card, the first one's.

    Raises TrainingError for files of different networks, ModelError for one that cannot be read.
    """
    models = [load_model(path, trainable=True) for path in paths]
    mean = AveragedModel(models[0], use_buffers=True)
    for path, model in zip(paths, models, strict=True):
        if network_of(model.card) != network_of(models[0].card):
            raise TrainingError(f"{path} is another network than {paths[0]}: only rounds of one card can be averaged.")
        mean.update_parameters(model)
    return mean.module  # type: ignore[return-value]


def network_of(card: ModelCard) -> tuple:
    return card.name, card.preprocessing, card.out_channels, card.features, card.depth


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="unet-helpers average", description=__doc__.split(":")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+", help=".safetensors files of the trainer")
    chosen = parser.parse_args(arguments)
    if chosen.out.exists():
        raise TrainingError(f"{chosen.out} is there already. Give another name.")
    save_model(average_weights(chosen.weights), chosen.out)


if __name__ == "__main__":
    main()
