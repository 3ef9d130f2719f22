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
from .pairs import Pair, read_example_image, read_mask_image
from .recipes import Recipe
from .tasks import TASKS

# Working px: the side at which a new structure is seen, if the card has no square of its own.
USUAL_SIDE = 128


@dataclass(frozen=True)
class Windows:
    """The windows of a batch for a new task."""

    # Working px: their side, at least and at most, multiples of 16, because networks halve images
    # up to four times. Beyond the border of a smaller image is its mirror image.
    smallest_side: int
    largest_side: int
    # Their number, at least.
    fewest: int


# By the number of axes of what the network reads: slices or volumes.
WINDOWS = {
    2: Windows(smallest_side=16, largest_side=256, fewest=4),
    3: Windows(smallest_side=32, largest_side=48, fewest=2),
}


@dataclass(frozen=True)
class OwnWindows:
    """The windows of a batch for a card's own task, learnt further from a few images."""

    # Working px.
    side: int
    # In a batch.
    count: int


OWN_WINDOWS = {2: OwnWindows(side=192, count=4), 3: OwnWindows(side=40, count=2)}

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


def new_card(
    card: ModelCard,
    name: str,
    classes: tuple[str, ...],
    size: int | None,
    images: Sequence[MedicalImage] = (),
) -> ModelCard:
    """Return the card of a new task, without what the old card says about its own data.

    ``images`` are those it is to learn from; their spacing is that of volumes.
    """
    return replace(
        card,
        name=name,
        classes=classes,
        colors=palette.CLASSES[: len(classes)],
        preprocessing=preprocessing_of_new_task(card, size, images),
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


def preprocessing_of_new_task(
    card: ModelCard, size: int | None, images: Sequence[MedicalImage]
) -> Preprocessing:
    """Return how images of a new task are prepared: as squares, or volumes at their usual spacing.

    Raises TrainingError for the size of a square where volumes are read.
    """
    usual = card.preprocessing
    if usual.dims == 3:
        if size:
            raise TrainingError(f"{card.name!r} reads volumes, not squares: leave out size.")
        return replace(usual, spacing=usual_spacing(images))

    side = size
    if not side:
        side = usual.size if usual.scale == "square" else USUAL_SIDE
    if card.in_channels == 3:
        # All colours, because the brown dye may be the new structure. A network that was trained on
        # three neighbouring slices gets the three colours instead.
        return Preprocessing(scale="square", size=side, channels="rgb")
    return Preprocessing(scale="square", size=side, channels=usual.channels, context=usual.context)


def usual_spacing(images: Sequence[MedicalImage]) -> float | None:
    """Return the mm of a cubic voxel as large as those of the volumes, their median.

    None if a spacing is not known: then all are seen at their own voxels.
    """
    sizes = []
    for image in images:
        if image.spacing is None or len(image.spacing) != 3:
            return None
        sizes.append(np.prod(image.spacing) ** (1 / 3))
    return float(np.median(sizes)) if sizes else None


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


def read_pairs(pairs: Sequence[Pair]) -> list[ReadPair]:
    """Read images with their masks.

    Raises TrainingError for a mask that lies elsewhere in space.
    """
    read = []
    for pair in pairs:
        image = read_example_image(pair.image)
        mask = read_mask_image(pair.mask)
        check_place(image, mask)
        read.append(ReadPair(image, mask.pixels))
    return read


def whole_numbers(mask: np.ndarray, name: str) -> np.ndarray:
    """Return a mask in whole numbers; TrainingError for values between them."""
    if mask.dtype.kind != "f":
        return mask
    rounded = np.rint(mask)
    if not np.allclose(mask, rounded, rtol=0, atol=1e-3):
        raise TrainingError(f"{name}: the values of its mask are not whole numbers, but classes.")
    return rounded.astype(np.int32)


def check_place(image: MedicalImage, mask: MedicalImage) -> None:
    """Raise TrainingError for a mask with an affine that is not that of its image."""
    if not (image.orientation_known and mask.orientation_known):
        return
    assert image.affine is not None
    assert mask.affine is not None
    # Programs write affines with few decimals. The step is the smallest, in mm.
    step = np.linalg.norm(image.affine[:3, :3], axis=0).min()
    difference = np.abs(image.affine[:3] - mask.affine[:3]) / step
    if (difference[:, :3] > 0.01).any() or (difference[:, 3] > 0.5).any():
        raise TrainingError(
            f"{image.name}: its mask {mask.name} lies elsewhere or is turned (their affines "
            "differ). Save the mask on the image's own grid."
        )


def make_examples(network: UNet, read: Sequence[ReadPair]) -> list[Example]:
    """Make the examples of images with masks, which may be sparse."""
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
        return example_of_instances(network.card, image, whole_numbers(mask, image.name))

    is_known = np.ones(mask.shape, bool)
    if sparse:
        is_known = mask != IGNORED
    target = np.where(is_known, mask, 0)
    # Of one class, all values above 0 are the class, as of masks with soft edges.
    target = target > 0 if network.out_channels == 1 else whole_numbers(target, image.name)
    check_values(network.card, image, target)

    target = np.where(is_known, target, IGNORED)
    if network.dims == 3:
        return volume_example(
            network.card, Case(name=image.name, part="train", kind="", image=image, truth=target)
        )
    shape = working_shape(network, image.pixels, spacing=image.spacing)
    return single_example(network.card, image.pixels, target.astype(np.uint8), shape)


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
    is_grey_volume = image.channels == 1 and sorted(image.axes) == ["X", "Y", "Z"]
    if network.dims == 3 and not is_grey_volume:
        raise TrainingError(
            f"{image.name}: its axes are {image.axes}, but the network reads grey volumes: "
            "give volumes, or start from a network for slices, such as 'brain_flair'."
        )
    if network.dims == 2 and not image.is_single:
        raise TrainingError(
            f"{image.name}: a volume of {image.spatial_shape}, but the network learns from single "
            "images; give its slices and theirs, images=list(volume), masks=list(truth)."
        )


def check_shapes(image: MedicalImage, mask: np.ndarray) -> None:
    """Raise TrainingError for a mask of another shape than its image."""
    if mask.shape != image.spatial_shape:
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
    windows = OWN_WINDOWS[card.preprocessing.dims]
    return replace(
        TASKS[card.name].recipe_for(card),
        crop=windows.side,
        batch=windows.count,
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
    whole_steps = 16 * (min(example.target.shape) // 16)
    crop = min(windows.largest_side, max(windows.smallest_side, whole_steps))
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
