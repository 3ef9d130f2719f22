"""Train the network of a card by its recipe: ``train(card, data)``, and ``unet-helpers train``.

Each step has its own seed, so that a run resumed from its checkpoint gives the same weights as one
without interruption.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional
from tqdm.auto import tqdm

from ..errors import TrainingError
from ..networks.cards import MODELS, ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet, network_of
from .examples import Example
from .fit import fit
from .recipes import Recipe, Task
from .tasks import read_cases, task_of

# The kernels of the first layer, in a network's state dict.
FIRST_KERNEL = "encoder1.enc1conv1.weight"

# Volumes of organs have few voxels: they are halved three times, and images four times.
LEVELS_OF_VOLUMES = 3

# The folder of checkpoints.
RUNS = Path("runs")


@dataclass(frozen=True)
class Choices:
    """What a training does in another way than its card and recipe say."""

    # A file of weights or the name of a card; None: random weights.
    start: str | None = None

    # In place of those of the recipe; ``rate`` is the highest learning rate.
    steps: int | None = None
    rate: float | None = None
    seed: int | None = None

    # Channels at full resolution, in place of the card's.
    features: int | None = None

    # Whether the network reads volumes as a whole, in place of the card's slices.
    volumes: bool = False

    # Whether the validation part is learnt from, too.
    refit: bool = False

    # The kind of images that is left out.
    without: str | None = None

    # Whether convolutions are computed in bfloat16.
    half: bool = False

    # In torch's words; None: 'cuda' if there is such a device, else 'cpu'.
    device: str | None = None

    def recipe_from(self, usual: Recipe) -> Recipe:
        """Return the usual recipe with what was chosen in its place."""
        return replace(
            usual,
            steps=usual.steps if self.steps is None else self.steps,
            learning_rate=usual.learning_rate if self.rate is None else self.rate,
            seed=usual.seed if self.seed is None else self.seed,
        )

    def card_from(self, usual: ModelCard) -> ModelCard:
        """Return the usual card with what was chosen in its place."""
        card = usual
        if self.features is not None:
            card = replace(card, features=self.features)
        if self.volumes:
            whole = replace(card.preprocessing, dims=3, axes=(0,), context=0)
            card = replace(card, preprocessing=whole, depth=LEVELS_OF_VOLUMES, int8_ranges=())
        return card


USUAL_CHOICES = Choices()


def train(card: str, data: Path, out: Path = RUNS, choices: Choices = USUAL_CHOICES) -> UNet:
    """Train the network of a card on its data set in the folder ``data``.

    Weights and checkpoints are written to ``out / card``, see ``fit``, which resumes from there.
    Returns the moving average of the weights. Raises TrainingError for a card without a task, for a
    folder without images of it, and for volumes if it learns from slices only.
    """
    task = task_of(card)
    if choices.volumes and task.volume_recipe is None:
        raise TrainingError(f"{card!r} learns from slices: leave out --volumes.")
    chosen = choices.card_from(MODELS[card])
    recipe = choices.recipe_from(task.recipe_for(chosen))
    examples = read_examples(task, data, chosen, refit=choices.refit, without=choices.without)
    return fit(
        starting_network(chosen, choices.start, recipe.seed),
        examples.train,
        examples.validation,
        recipe,
        out / card,
        half=choices.half,
        device=choices.device or usual_device(),
    )


def usual_device() -> str:
    """Return the device on which a training is fastest."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class ExamplesByPart:
    """The examples of a data set, without those of its test part."""

    train: list[Example]
    validation: list[Example]


def read_examples(
    task: Task,
    folder: Path,
    card: ModelCard,
    *,
    refit: bool = False,
    without: str | None = None,
) -> ExamplesByPart:
    """Read the examples of a data set for a card, never those of the test part.

    With ``refit`` the validation part is also used for training; the kind ``without`` is left out.
    """
    by_part = ExamplesByPart(train=[], validation=[])

    for case in tqdm(read_cases(task.card, folder), desc="reading", mininterval=10):
        if case.part == "test" or case.kind == without:
            continue

        examples = [
            replace(example, kind=case.kind, group=case.group_or_name)
            for example in task.examples(card, case)
        ]
        if case.part == "validation":
            by_part.validation.extend(examples)
        else:
            by_part.train.extend(examples)

    if refit:
        return ExamplesByPart(train=by_part.train + by_part.validation, validation=[])
    return by_part


def starting_network(card: ModelCard, start: str | None, seed: int) -> UNet:
    """Return the network to start from: with random weights, or those of a file or a card.

    If these are for other classes, the last layer is new. Raises TrainingError if one of the two
    networks reads volumes and the other slices.
    """
    torch.manual_seed(seed)
    network = network_of(card)
    if start:
        loaded = load_model(start, trainable=True)
        if loaded.dims != network.dims:
            raise TrainingError(
                f"{start} has kernels along {loaded.dims} axes, and the network to train along "
                f"{network.dims}: start from other weights, or from none."
            )
        start_from(network, loaded)
    return network


def start_from(network: UNet, loaded: UNet) -> None:
    """Copy the weights of a loaded network into ``network``, in place.

    A last layer for other classes is not copied. A network of colours starts from one that reads a
    single channel by reading its green, and one of more slices by reading the slices of the other.
    """
    tensors = loaded.state_dict()
    same_output = loaded.out_channels == network.out_channels
    if not same_output or loaded.overlapping != network.overlapping:
        tensors = {name: t for name, t in tensors.items() if not name.startswith("conv.")}
    new_channels = network.in_channels - loaded.in_channels
    if new_channels > 0:
        # Of colours the middle one is green, of slices the middle one is the one to segment.
        before = new_channels // 2
        beside = (0, 0, 0, 0, before, new_channels - before)
        tensors[FIRST_KERNEL] = functional.pad(tensors[FIRST_KERNEL], beside)
    network.load_state_dict(tensors, strict=False)
