"""``fine_tune`` trains a network on your own structure: a few images, minutes on a CPU."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from ..errors import TrainingError
from ..networks.cards import MODELS, ModelCard
from ..networks.load import load_model, save_model
from ..networks.unet import BatchNorm, UNet, fold_batch_norm, network_of
from ..timing import counted
from .examples import IGNORED, Example, around_structure
from .fit import CurvePoint, fit
from .new_task import (
    keep_better_head,
    make_examples,
    new_card,
    read_pairs,
    recipe_for_new_task,
    recipe_for_own_task,
)
from .pairs import as_list, list_pairs
from .recipes import Recipe
from .tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd

# Without a given number of steps, training runs in rounds of STEPS_PER_ROUND steps, MAX_ROUNDS at
# most.
STEPS_PER_ROUND = 60
MAX_ROUNDS = 5

# Number of points of the learning curve in each round.
CHECKS_PER_ROUND = 8

# The Dice has settled if it rises by no more than this in the last quarter of a round.
SETTLED_RISE = 0.02

# Voxels around what is marked in a volume, in which its Dice is measured.
MARGIN_SCORED = 16

# A Dice below this on the training images means that something is wrong.
POOR_DICE = 0.5


# What a caller of ``fine_tune`` may do at each point of the learning curve.
AtCheck = Callable[[UNet, CurvePoint], object]


@dataclass(frozen=True)
class Limits:
    """When fine-tuning ends; if both are None it ends when the Dice has settled."""

    steps: int | None
    minutes: float | None


@counted("learning")
def fine_tune(
    start: str | Path | ModelCard | UNet,
    images: Sequence[Any] | str | Path,
    masks: Sequence[Any] | str | Path,
    *,
    classes: Sequence[str] | None = None,
    size: int | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    name: str = "fine_tuned",
    pretrained: bool = True,
    save_to: str | Path | None = None,
    seed: int = 0,
    at_check: AtCheck | None = None,
) -> UNet:
    """Train a network on your own structure, from a few images with masks.

    Training runs in rounds until the Dice on ``images`` settles or ``minutes`` are over, or for
    exactly ``steps``. If the Dice has not settled by then, there is a UserWarning. Keep some images
    with masks aside to test the network, because it is scored here on its training images.

    Parameters
    ----------
    start : str, pathlib.Path, ModelCard or UNet
        The network to start from: a card or its name, a file of ``save_model``, or a network,
        which is not changed.
    images : sequence, str or pathlib.Path
        Single images, each an input of ``read_image``: a path, an array (H, W) or (H, W, 3), a
        PIL image, a tensor (also (3, H, W)) or a MedicalImage. Or a folder of image files. For a
        network that reads volumes: grey volumes, such as NIfTI files or arrays (D, H, W).
    masks : sequence, str or pathlib.Path
        One mask (H, W), or (D, H, W), for each image, of its shape; or a folder of files with the
        images' names, perhaps with a last word such as '_mask'. The values are 0 for background, 1,
        2, ... for the classes; if there is one class, all values above 0 are 1. Sparse masks, of
        strokes for example, have 255 where the class is not known: 255 means that if there are
        several classes, or if a mask also has another value above 0. For the cards of nuclei
        without ``classes``: an id for each nucleus, or a plain mask, whose connected components are
        nuclei. For a card whose classes overlap, without ``classes``: the sum of 1, 2, 4, ... for
        the first, second, third class, ...
    classes : sequence of str, optional
        Names of the new classes. The network gets a new last layer for them, unless the old one
        has a lower loss before training. Without ``classes`` it continues with the card's own task.
    size : int, optional
        Working px: side of the square to which images are resized, with ``classes``. Default: the
        card's own if it has one, else 128. Volumes are seen at the median of their spacings
        instead, or at the card's for its own task; at their own voxels if none is known.
    minutes : float, optional
        Train for about this many minutes.
    steps : int, optional
        Train for exactly this many steps.
    name : str, default 'fine_tuned'
        The name of the new card.
    pretrained : bool, default True
        False starts from random weights, for comparison.
    save_to : str or pathlib.Path, optional
        Save the network to this file, for ``load_model``.
    seed : int, default 0
        Seed of the new last layer and of the choice of training windows.
    at_check : callable, optional
        Called at each point of the learning curve with the network as it is then, ready for
        ``segment`` and not to be changed, and with the point: its ``step``, ``loss`` and
        ``validation_dice``, which is the Dice on ``images`` (in volumes, around what is marked).
        For example ``LearningHistory.add``.

    Returns
    -------
    UNet
        The network, ready for ``segment``. Its ``curve`` is a pandas.DataFrame of step, loss and
        Dice on ``images``.

    Raises
    ------
    TrainingError
        Images, masks or classes do not fit together, or the network has no recipe of its own and no
        ``classes`` are given.
    ImageError
        An image or a mask cannot be read.
    ModelError
        There is no such network.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.full((64, 64), 40, np.uint8)
    >>> image[16:48, 16:48] = 200
    >>> mask = image > 100
    >>> network = uh.fine_tune("nuclei", [image], [mask], classes=["square"], size=64, steps=10)
    >>> network.card.classes
    ('square',)
    >>> result = uh.segment(image, network, progress=False)
    >>> bool(uh.dice(mask, result.labels) > 0.5)
    True
    """
    listed = list_pairs(images, masks)
    class_names = None if classes is None else tuple(as_list(classes))
    pairs = read_pairs(listed)

    torch.manual_seed(seed)
    network = trainable_network(start)
    old_head = network.conv
    if class_names is None:
        check_own_task(start, network.card)
    else:
        seen = [pair.image for pair in pairs]
        give_new_task(network, new_card(network.card, name, class_names, size, seen))
    if not pretrained:
        network = with_random_weights(network)

    examples = make_examples(network, pairs)
    check_something_is_marked(examples)
    scored = examples
    if network.dims == 3:
        # Whole heads would take longer to score than to learn from.
        scored = [around_structure(example, MARGIN_SCORED) for example in examples]
    if class_names is None:
        recipe = recipe_for_own_task(network.card, pretrained)
    else:
        kept_head = pretrained and keep_better_head(network, old_head, scored)
        recipe = recipe_for_new_task(examples[0], kept_head, network.card.has_sided_classes)

    card = network.card
    limits = Limits(steps=steps, minutes=minutes)
    recipe = replace(recipe, seed=seed)
    network = fit_in_rounds(network, examples, scored, recipe, name, limits, at_check)
    doubt = doubts(network.curve)
    if doubt:
        # The caller of ``fine_tune``, which is decorated.
        warnings.warn(doubt, stacklevel=3)

    network.card = own_card(card, name)
    network.weights_sha256 = ""
    if save_to is not None:
        save_model(network, Path(save_to))
    return fold_batch_norm(network)


def trainable_network(start: str | Path | ModelCard | UNet) -> UNet:
    """Load the network to start from with its batch normalisation; a network is copied."""
    if not isinstance(start, UNet):
        return load_model(start, trainable=True)

    network = copy.deepcopy(load_model(start, trainable=True))
    network.engine = "torch"
    if has_batch_norm(network):
        return network

    # Folding batch normalisation cannot be undone, but shipped weights can be loaded again.
    card = network.card
    if card.name in MODELS:
        shipped = load_model(card.name, trainable=True)
        if is_folded_copy(network, shipped):
            shipped.card = card
            return shipped
    raise TrainingError(
        "The batch normalisation of this network was folded away, which is for segmenting. "
        "Give its file, or load it by load_model(..., trainable=True)."
    )


def has_batch_norm(network: UNet) -> bool:
    """Return whether the network still has its batch normalisation."""
    return any(isinstance(layer, BatchNorm) for layer in network.modules())


def is_folded_copy(network: UNet, original: UNet) -> bool:
    """Return whether ``network`` is ``original`` after ``fold_batch_norm``."""
    folded = fold_batch_norm(copy.deepcopy(original)).state_dict()
    own = network.state_dict()
    if folded.keys() != own.keys():
        return False
    return all(torch.equal(tensor, own[name]) for name, tensor in folded.items())


def check_own_task(start: str | Path | ModelCard | UNet, card: ModelCard) -> None:
    """Raise TrainingError if the card has no recipe of its own, and no classes were named."""
    if card.name in TASKS:
        return
    named = start if isinstance(start, str | Path) else card.name
    raise TrainingError(
        f"{named} has no recipe of its own: name the classes, or start from {', '.join(TASKS)}."
    )


def give_new_task(network: UNet, card: ModelCard) -> None:
    """Give the network a new card, with a new last layer for its classes."""
    network.card = card
    network.out_channels = card.out_channels
    network.overlapping = card.overlapping
    network.conv = network.new_head(card.out_channels)


def with_random_weights(network: UNet) -> UNet:
    """Return an untrained network of the same shape."""
    return network_of(network.card)


def check_something_is_marked(examples: Sequence[Example]) -> None:
    """Raise TrainingError if no mask marks anything."""
    for example in examples:
        is_marked = (example.target > 0) & (example.target != IGNORED)
        if is_marked.any():
            return
    raise TrainingError(
        "All masks are empty: mark the structure that is to be learnt with values above 0."
    )


def fit_in_rounds(
    network: UNet,
    examples: Sequence[Example],
    scored: Sequence[Example],
    recipe: Recipe,
    name: str,
    limits: Limits,
    at_check: AtCheck | None = None,
) -> UNet:
    """Train until the limits are reached, or the Dice has settled; the curve is that of all rounds.

    The Dice is that of the ``scored`` examples.

    Each round has its own seed, and its learning rate rises and falls again.
    """
    import pandas as pd

    started = time.monotonic()
    steps = limits.steps or STEPS_PER_ROUND
    curves: list[pd.DataFrame] = []

    while True:
        rounds_done = len(curves)
        steps_before = steps * rounds_done
        round_recipe = replace(recipe, steps=steps, seed=recipe.seed + rounds_done)
        with TemporaryDirectory() as folder:
            network = fit(
                network,
                examples,
                scored,
                round_recipe,
                Path(folder) / name,
                checks=CHECKS_PER_ROUND,
                at_check=after_steps(steps_before, at_check),
            )

        curve = network.curve.set_axis(["step", "loss", "Dice"], axis=1)
        curve["step"] += steps_before
        curves.append(curve)
        network.curve = pd.concat(curves, ignore_index=True)

        if is_done(limits, network.curve, len(curves), time.monotonic() - started):
            return network


def after_steps(steps_before: int, at_check: AtCheck | None) -> AtCheck | None:
    """Return ``at_check`` for a round that begins after the steps of earlier rounds."""
    if at_check is None:
        return None

    def at_check_of_round(network: UNet, point: CurvePoint) -> None:
        at_check(network, replace(point, step=steps_before + point.step))

    return at_check_of_round


def is_done(limits: Limits, curve: pd.DataFrame, rounds: int, seconds: float) -> bool:
    """Return whether fine-tuning ends after this round."""
    if limits.steps:
        return True
    if limits.minutes:
        return seconds > 60 * limits.minutes
    return rounds == MAX_ROUNDS or not doubts(curve)


def doubts(curve: pd.DataFrame) -> str:
    """Return why the training may not have converged, and what to do; '' if it has."""
    dice = curve["Dice"].to_numpy()
    steps = curve["step"].iloc[-1]
    advice = f"Give it more steps, for example steps={2 * steps}."

    quarter = CHECKS_PER_ROUND // 4
    is_short = len(dice) < CHECKS_PER_ROUND
    if is_short or dice[-1] - dice[-1 - quarter] > SETTLED_RISE:
        return f"Not converged after {steps} steps: Dice on its own images {dice[-1]:.2f}. {advice}"
    if dice[-1] < POOR_DICE:
        return (
            f"It fits its own images badly (Dice {dice[-1]:.2f}): look at the masks, "
            f"try another start or size. {advice}"
        )
    return ""


def own_card(card: ModelCard, name: str) -> ModelCard:
    """Return the card under its new name, without the data of the old weights."""
    return replace(
        card,
        name=name,
        title=name.replace("_", " ").capitalize(),
        scores=(),
        int8_ranges=(),
        file="",
        sha256="",
        url="",
    )
