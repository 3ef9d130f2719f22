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
from .examples import IGNORED, Example, single_example, volume_example
from .losses import loss_for
from .pairs import Pair, read_example_image, read_mask
from .recipes import Recipe
from .tasks import TASKS

# Working px: the side at which a new structure is seen, if the card has no square of its own.
USUAL_SIDE = 128


@dataclass(frozen=True)
class Windows:
    """The windows of a batch for a new task."""

    # Working px: their side at most, a multiple of 16, because networks halve images four times.
    largest_side: int
    # Their number at least.
    fewest: int


# By the number of axes of what the network reads: slices or volumes.
WINDOWS = {
    2: Windows(largest_side=256, fewest=4),
    3: Windows(largest_side=48, fewest=2),
}

# Pixels or voxels of a batch, if that makes no fewer windows than ``fewest`` and no more than this.
BATCH_PIXELS = 8 * 128**2
MOST_WINDOWS = 8

# Learning rates for a card's own task: from its weights, and from random ones.
OWN_TASK_RATE = 5e-4
RANDOM_WEIGHTS_RATE = 2e-3

# Learning rates for a new task: with the old last layer, and with a new one, which would learn too
# slowly at the lower rate.
KEPT_HEAD_RATE = 1e-3
NEW_HEAD_RATE = 3e-3


def new_card(card: ModelCard, name: str, classes: tuple[str, ...], size: int | None) -> ModelCard:
    """Return the card of a new task, without what the old card says about its own data."""
    return replace(
        card,
        name=name,
        classes=classes,
        colors=palette.CLASSES[: len(classes)],
        preprocessing=preprocessing_of_new_task(card, size),
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


def preprocessing_of_new_task(card: ModelCard, size: int | None) -> Preprocessing:
    """Return how images of a new task are prepared: as squares, or volumes at the card's spacing.

    Raises TrainingError for the size of a square where volumes are read.
    """
    usual = card.preprocessing
    if usual.dims == 3:
        if size:
            raise TrainingError(f"{card.name!r} reads volumes, not squares: leave out size.")
        return usual

    side = size
    if not side:
        side = usual.size if usual.scale == "square" else USUAL_SIDE
    if card.in_channels == 3:
        # All colours, because the brown dye may be the new structure. A network that was trained on
        # three neighbouring slices gets the three colours instead.
        return Preprocessing(scale="square", size=side, channels="rgb")
    return Preprocessing(scale="square", size=side, channels=usual.channels, context=usual.context)


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
    check_axes(network, image)
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
    if network.dims == 3:
        return volume_example(
            network.card, Case(name=image.name, part="train", kind="", image=image, truth=target)
        )
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


def check_axes(network: UNet, image: MedicalImage) -> None:
    """Raise TrainingError for a volume where single images are read, and the other way round."""
    name = network.card.name
    if network.dims == 3:
        if image.channels > 1 or len(image.spatial_shape) != 3 or "T" in image.axes:
            raise TrainingError(
                f"{image.name}: its axes are {image.axes}, but {name!r} reads grey volumes: "
                "give volumes, or start from a network for slices, such as 'brain_flair'."
            )
    elif not image.is_single:
        raise TrainingError(
            f"{image.name}: a volume of {image.spatial_shape}, but {name!r} learns from single "
            "images; give its slices and theirs, images=list(volume), masks=list(truth)."
        )


def check_shapes(image: MedicalImage, mask: np.ndarray) -> None:
    """Raise TrainingError for a mask of another shape than its image."""
    if mask.shape[: len(image.spatial_shape)] != image.spatial_shape:
        raise TrainingError(
            f"{image.name}: the mask is {mask.shape}, the image {image.spatial_shape}; "
            "make them alike."
        )


def example_of_instances(card: ModelCard, image: MedicalImage, mask: np.ndarray) -> Example:
    """Make the example from instance ids or a plain mask, with the task's own classes."""
    from skimage.measure import label

    case = Case(name=image.name, part="train", kind="drawn", image=image, truth=label(mask))
    return next(TASKS[card.name].examples(card, case))


def recipe_for_own_task(card: ModelCard, pretrained: bool) -> Recipe:
    """Return the card's own recipe, for a few images, in minutes on a CPU."""
    task = TASKS[card.name]
    recipe = replace(task.recipe, crop=192, batch=4)
    if card.preprocessing.dims == 3 and task.volume_recipe is not None:
        recipe = task.volume_recipe
    return replace(
        recipe,
        consistency=0.0,
        shares={},
        learning_rate=OWN_TASK_RATE if pretrained else RANDOM_WEIGHTS_RATE,
    )


def recipe_for_new_task(example: Example, kept_head: bool, has_sides: bool = False) -> Recipe:
    """Return a general recipe with mild augmentation, for images like this example.

    Images are mirrored and turned, unless ``has_sides``: classes of the left and the right side.
    """
    dims = example.target.ndim
    windows = WINDOWS[dims]
    # No larger than the image.
    least_side = max(16, min(example.target.shape))
    crop = min(windows.largest_side, 16 * (least_side // 16))
    batch = min(MOST_WINDOWS, max(windows.fewest, BATCH_PIXELS // crop**dims))

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
