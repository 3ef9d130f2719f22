"""Teach a pretrained network your own structure, from a few images with masks, in minutes on a CPU."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from .. import palette
from ..errors import TrainingError
from ..images.read import read_image
from ..inference.scale import working_shape
from ..networks.cards import ModelCard, Preprocessing
from ..networks.load import load_model, save_model
from ..networks.unet import UNet, fold_batch_norm
from .fit import fit, loss_of
from .recipes import IGNORED, Case, Example, Recipe, single_example
from .tasks import TASKS

ROUND, ROUNDS, CHECKS = (
    60,
    5,
    8,
)  # steps of a round, rounds at most where no steps are given, checks in a round
SETTLED = 0.02  # a Dice that rises by less in the last quarter of a round has converged


def fine_tune(
    start: str | Path,
    images: Sequence,
    masks: Sequence,
    *,
    classes: Sequence[str] | None = None,
    size: int | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    name: str = "fine_tuned",
    pretrained: bool = True,
    save_to: str | Path | None = None,
    seed: int = 0,
) -> UNet:
    """A network that has learnt from ``images`` and ``masks``, starting from ``start``.

    ``start``: a card's name, or a file of ``save_model``. ``images``: 2D paths or arrays; ``masks``: paths or (H, W)
    arrays of the same shapes, 0 background, then 1, 2, ... (any value above 0 is 1 where there is one class). With
    ``classes`` the network gets a new last layer for them, unless its old one does better from the start, and sees each
    image at ``size`` x ``size`` px (the card's own where it has one, else 128); without, it goes on with the card's
    own task and scale, and the masks of nuclei are ids, one per nucleus (or their connected components).
    It learns in rounds until its Dice on ``images`` settles, or ``minutes`` are over; or for so many ``steps``. Where
    it has not settled a UserWarning says so. The network's ``curve`` is a pandas.DataFrame of step, loss and Dice (on
    the images learnt from: keep others to test). ``pretrained=False`` starts from random weights, to compare.
    ``save_to`` keeps the result as a file for ``load_model``. Raises TrainingError, ImageError.
    """
    import pandas as pd

    if any(isinstance(given, str | Path) for given in (images, masks, classes)):
        raise TrainingError("Images, masks and classes are lists: write [...] around a single one.")
    if not images or len(images) != len(masks):
        raise TrainingError(
            f"{len(images)} images and {len(masks)} masks: give one mask for each image."
        )
    torch.manual_seed(seed)
    network = load_model(start, trainable=True)
    head = network.conv
    if classes is None and network.card.name not in TASKS:
        raise TrainingError(
            f"{start} has no recipe of its own: name the classes, or start from {', '.join(TASKS)}."
        )
    if classes is not None:
        network.card = new_card(network.card, name, tuple(classes), size)
        network.out_channels = network.card.out_channels
        network.conv = nn.Conv2d(network.features, network.out_channels, kernel_size=1)
    card = network.card
    if not pretrained:
        network = UNet(network.in_channels, network.out_channels, network.features, network.depth)
        network.card = card
    examples = [
        make_example(network, image, mask) for image, mask in zip(images, masks, strict=True)
    ]
    kept = pretrained and classes is not None and keep_better_head(network, head, examples)
    recipe = recipe_for(card.name, examples, classes is None, pretrained, kept)
    if not any(((e.target > 0) & (e.target != IGNORED)).any() for e in examples):
        raise TrainingError(
            "All masks are empty: mark the structure that is to be learnt with values above 0."
        )
    started, curves = time.monotonic(), list[pd.DataFrame]()
    while True:
        part = replace(recipe, steps=steps or ROUND, seed=seed + len(curves))
        with TemporaryDirectory() as folder:
            network = fit(network, examples, examples, part, Path(folder) / name, checks=CHECKS)
        network.curve["step"] += part.steps * len(curves)
        curves.append(network.curve.set_axis(["step", "loss", "Dice"], axis=1))
        network.curve = pd.concat(curves, ignore_index=True)
        doubt, over = doubts(network.curve), time.monotonic() - started > 60 * (minutes or 0)
        if steps or (over if minutes else not doubt or len(curves) == ROUNDS):
            break
    if doubt:
        warnings.warn(doubt, stacklevel=2)
    title, network.weights_sha256 = name.replace("_", " ").capitalize(), ""
    network.card = replace(
        card, name=name, title=title, scores=(), int8_ranges=(), file="", sha256="", url=""
    )
    if save_to is not None:
        save_model(network, Path(save_to))
    return fold_batch_norm(network)


def doubts(curve) -> str:
    """Why the training may not have come to its end, and what to do; '' where its Dice has settled."""
    dice, done, said = curve.Dice.to_numpy(), curve.step.iloc[-1], ""
    if len(dice) < CHECKS or dice[-1] - dice[-1 - CHECKS // 4] > SETTLED:
        said = f"Not converged after {done} steps: Dice on its own images {dice[-1]:.2f}."
    elif dice[-1] < 0.5:
        said = f"It fits its own images badly (Dice {dice[-1]:.2f}): look at the masks, try another start or size."
    return said and f"{said} Give it more steps, for example steps={2 * done}."


def new_card(card: ModelCard, name: str, classes: tuple[str, ...], size: int | None) -> ModelCard:
    """The card of a new task: what the old one says of its own data no longer holds."""
    size = size or (card.preprocessing.size if card.preprocessing.scale == "square" else 128)
    colours = {"channels": "rgb"}  # the new structure may be the brown dye
    as_before = {"channels": card.preprocessing.channels, "context": card.preprocessing.context}
    preprocessing = Preprocessing(
        scale="square", size=size, **(colours if card.in_channels == 3 else as_before)
    )
    return replace(
        card,
        name=name,
        classes=classes,
        colors=palette.CLASSES[: len(classes)],
        preprocessing=preprocessing,
        localise=None,
        instance_method="components",
        objects="volumes",
        measures="objects",
        prevalence=0.0,
        out_channels=1 if len(classes) == 1 else 1 + len(classes),
        threshold=0.5,
        flips=4,
        min_component_share=0.0,
        data="your own images",
        licence="yours",
        citation="",
        limits="as good as the masks it learnt from",
    )


@torch.inference_mode()
def keep_better_head(network: UNet, old: nn.Conv2d, examples: Sequence[Example]) -> bool:
    """Put the ``old`` last layer back where it fits the classes and comes closer to the masks than the new one; did it?
    Who outlines dark lungs in a bright chest already outlines many a dark spot on the skin.
    """

    def loss(head: nn.Conv2d) -> float:
        network.conv = head
        logits = (network.logits(torch.from_numpy(e.pixels).float()[None]) for e in examples)
        return float(
            np.mean(
                [
                    loss_of(x, torch.from_numpy(e.target)[None].long())
                    for x, e in zip(logits, examples)
                ]
            )
        )

    network.eval()
    network.conv = min(
        [head for head in (network.conv, old) if head.out_channels == network.out_channels],
        key=loss,
    )
    return network.conv is old


def make_example(network: UNet, image, mask) -> Example:
    image, mask = read_image(image), read_image(mask).pixels
    sizes = f"{image.name}: the mask is {mask.shape}, the image {image.spatial_shape}"
    if not image.is_single:
        advice = "give its slices and theirs, images=list(volume), masks=list(truth)"
        raise TrainingError(
            f"{sizes}: a volume, but fine-tuning learns from single images; {advice}."
        )
    if mask.shape[:2] != image.spatial_shape:
        raise TrainingError(f"{sizes}; make them alike.")
    mask = mask if mask.ndim == 2 else mask.max(-1)
    if (
        network.card.instance_method == "interiors"
    ):  # ids, of which the task makes interiors and borders
        from skimage.measure import label

        case = Case(image.name, "train", "drawn", image, label(mask))
        return next(iter(TASKS[network.card.name].examples(network.card, case)))
    target = (mask > 0) if network.out_channels == 1 else mask
    if target.max() >= max(2, network.out_channels):
        names = ", ".join(network.card.classes)
        raise TrainingError(
            f"{image.name}: the mask holds class {target.max()}, but the classes are {names}."
        )
    shape = working_shape(network, image.pixels, spacing=image.spacing)
    return single_example(network.card, image.pixels, target.astype(np.uint8), shape)


def recipe_for(
    card: str, examples: Sequence[Example], same_task: bool, pretrained: bool, kept_head: bool
) -> Recipe:
    """The card's own augmentation for its own task, a gentle general one for a new task."""
    if same_task:
        same = {
            "crop": 192,
            "batch": 4,
            "consistency": 0.0,
            "shares": {},
        }  # for a few images, in minutes on a CPU
        return replace(TASKS[card].recipe, **same, learning_rate=5e-4 if pretrained else 2e-3)
    crop = min(256, 16 * (max(16, min(examples[0].target.shape)) // 16))
    return Recipe(
        steps=1,
        crop=crop,
        batch=min(8, max(4, 8 * 128**2 // crop**2)),
        weight_decay=1e-3,
        ema=0.98,
        rotation=30,
        learning_rate=1e-3
        if kept_head
        else 3e-3,  # a new last layer would learn too slowly at 1e-3
        colour=0.2 if len(examples[0].pixels) == 3 else 0.0,
        gamma=0.2,
        contrast=0.2,
        zoom=(0.9, 1.4),
    )
