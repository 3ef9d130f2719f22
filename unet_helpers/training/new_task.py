"""Prepares fine-tuning: a card for the new task, examples, and a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from .. import palette
from ..errors import TrainingError
from ..images.image import MedicalImage
from ..inference.scale import working_shape
from ..networks.card import name_sides
from ..networks.cards import ModelCard, Preprocessing
from ..networks.unet import Convolution, UNet
from .datasets import Case
from .examples import IGNORED, Example, single_example
from .losses import loss_for
from .pairs import Pair, read_example_image, read_mask
from .recipes import Recipe
from .tasks import TASKS

# Working px: the side at which a new structure is seen, if the card has no square of its own.
USUAL_SIDE = 128

# Learning rates for a card's own task: from its weights, and from random ones.
OWN_TASK_RATE = 5e-4
RANDOM_WEIGHTS_RATE = 2e-3

# Learning rates for a new task: with the old last layer, and with a new one, which would learn too
# slowly at the lower rate.
KEPT_HEAD_RATE = 1e-3
NEW_HEAD_RATE = 3e-3


def new_card(card: ModelCard, name: str, classes: tuple[str, ...], size: int | None) -> ModelCard:
    """Return the card of a new task, without what the old card says about its own data."""
    side = size
    if not side:
        side = card.preprocessing.size if card.preprocessing.scale == "square" else USUAL_SIDE

    if card.in_channels == 3:
        # All colours, because the brown dye may be the new structure. A network that was trained on
        # three neighbouring slices gets the three colours instead.
        preprocessing = Preprocessing(scale="square", size=side, channels="rgb")
    else:
        preprocessing = Preprocessing(
            scale="square",
            size=side,
            channels=card.preprocessing.channels,
            context=card.preprocessing.context,
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
        out_channels=1 if len(classes) == 1 else 1 + len(classes),
        overlapping=False,
        threshold=0.5,
        flips=1 if name_sides(classes) else 4,
        min_component_share=0.0,
        expected_parts=(),
        data="your own images",
        licence="yours",
        citation="",
        limits="as good as the masks it learnt from",
    )


@torch.inference_mode()
def keep_better_head(network: UNet, old_head: Convolution, examples: Sequence[Example]) -> bool:
    """Put the old last layer back if it fits the classes and has a lower loss than the new one.

    Returns whether it did. For example, a network that outlines dark lungs in a bright chest
    already outlines many dark spots on skin.
    """
    if old_head.out_channels != network.out_channels:
        return False

    network.eval()
    new_head = network.conv
    new_loss = mean_loss(network, examples)
    network.conv = old_head
    if mean_loss(network, examples) < new_loss:
        return True

    network.conv = new_head
    return False


def mean_loss(network: UNet, examples: Sequence[Example]) -> float:
    """Return the mean loss over the examples."""
    losses = []
    for example in examples:
        logits = network.logits(torch.from_numpy(example.pixels).float()[None])
        target = torch.from_numpy(example.target)[None].long()
        losses.append(float(loss_for(network)(logits, target)))
    return float(np.mean(losses))


@dataclass(frozen=True, eq=False)
class ReadPair:
    """An image and its mask, both read."""

    image: MedicalImage
    mask: np.ndarray


def make_examples(network: UNet, pairs: Sequence[Pair]) -> list[Example]:
    """Make the examples of images with masks, which may be sparse."""
    read = [ReadPair(read_example_image(pair.image), read_mask(pair.mask)) for pair in pairs]
    sparse = are_sparse(network, [pair.mask for pair in read])
    return [example_of(network, pair, sparse) for pair in read]


def are_sparse(network: UNet, masks: Sequence[np.ndarray]) -> bool:
    """Return whether 255 in these masks means that the class is not known.

    With one class, 255 alone is the white of a plain mask: it means unknown only if one of the
    masks also has another value above 0. Ids of nuclei, and sums of classes that overlap, have no
    value for unknown.
    """
    if network.card.instance_method == "interiors" or network.card.overlapping:
        return False
    for mask in masks:
        values = np.unique(mask)
        if IGNORED in values and (
            network.out_channels > 1 or ((values > 0) & (values < 255)).any()
        ):
            return True
    return False


def example_of(network: UNet, pair: ReadPair, sparse: bool) -> Example:
    """Make the example of an image and its mask; ``sparse``: 255 is not known."""
    image, mask = pair.image, pair.mask
    check_shapes(image, mask)
    if network.card.instance_method == "interiors":
        return example_of_instances(network.card, image, mask)

    is_known = np.ones(mask.shape, bool)
    if sparse:
        is_known = mask != IGNORED
    target = np.where(is_known, mask, 0)
    if network.out_channels == 1:
        target = target > 0
    check_values(network.card, image, target)

    target = np.where(is_known, target, IGNORED).astype(np.uint8)
    shape = working_shape(network, image.pixels, spacing=image.spacing)
    return single_example(network.card, image.pixels, target, shape)


def check_values(card: ModelCard, image: MedicalImage, target: np.ndarray) -> None:
    """Raise TrainingError for a mask with a value that stands for no class of the card."""
    names = ", ".join(card.classes)
    highest = int(target.max())
    if card.overlapping and highest >= 2 ** len(card.classes):
        raise TrainingError(
            f"{image.name}: the mask holds {highest}, but {names} overlap: "
            "give the sum of 1, 2, 4, ... for the first, second, third class, ..."
        )
    if not card.overlapping and highest > len(card.classes):
        raise TrainingError(
            f"{image.name}: the mask holds class {highest}, but the classes are {names}."
        )


def check_shapes(image: MedicalImage, mask: np.ndarray) -> None:
    """Raise TrainingError for a volume, and for a mask of another shape than its image."""
    sizes = f"{image.name}: the mask is {mask.shape}, the image {image.spatial_shape}"
    if not image.is_single:
        raise TrainingError(
            f"{sizes}: a volume, but fine-tuning learns from single images; "
            "give its slices and theirs, images=list(volume), masks=list(truth)."
        )
    if mask.shape[:2] != image.spatial_shape:
        raise TrainingError(f"{sizes}; make them alike.")


def example_of_instances(card: ModelCard, image: MedicalImage, mask: np.ndarray) -> Example:
    """Make the example from instance ids or a plain mask, with the task's own classes."""
    from skimage.measure import label

    case = Case(name=image.name, part="train", kind="drawn", image=image, truth=label(mask))
    return next(TASKS[card.name].examples(card, case))


def recipe_for_own_task(card: str, pretrained: bool) -> Recipe:
    """Return the card's own recipe, for a few images, in minutes on a CPU."""
    return replace(
        TASKS[card].recipe,
        crop=192,
        batch=4,
        consistency=0.0,
        shares={},
        learning_rate=OWN_TASK_RATE if pretrained else RANDOM_WEIGHTS_RATE,
    )


def recipe_for_new_task(example: Example, kept_head: bool, has_sides: bool = False) -> Recipe:
    """Return a general recipe with mild augmentation, for images like this example.

    Images are mirrored and turned, unless ``has_sides``: classes of the left and the right side.
    """
    # A multiple of 16 px, because the network halves the image four times, and no larger than the
    # image.
    least_side = max(16, min(example.target.shape))
    crop = min(256, 16 * (least_side // 16))

    # As many pixels as eight windows of 128 px, but at least four windows and at most eight.
    batch = min(8, max(4, 8 * 128**2 // crop**2))

    has_colours = len(example.pixels) == 3
    return Recipe(
        steps=1,
        crop=crop,
        batch=batch,
        weight_decay=1e-3,
        ema_decay=0.98,
        rotation=30,
        symmetry="none" if has_sides else "all",
        learning_rate=KEPT_HEAD_RATE if kept_head else NEW_HEAD_RATE,
        colour=0.2 if has_colours else 0.0,
        gamma=0.2,
        contrast=0.2,
        zoom=(0.9, 1.4),
        # Of a sparse mask, any window with something known will do.
        least_known=0.0 if is_sparse(example) else Recipe.least_known,
    )


def is_sparse(example: Example) -> bool:
    """Return whether the class of most pixels is not known."""
    return bool((example.target == IGNORED).mean() > 1 - Recipe.least_known)
