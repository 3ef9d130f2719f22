"""The images and masks that are given to ``fine_tune``: folders, files, pictures or tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TrainingError
from ..images.formats import promises_image
from ..images.image import MedicalImage, name_of
from ..images.read import read_image

# Words at the end of a mask's name that its image does not have: cell_01_mask.png.
ENDINGS_OF_MASKS = r"[ _.-]*(?:masks?|labels?|seg|segmentation|gt|truth|ground_truth)$"

# Channels of the first axis of a tensor, as PyTorch stores grey and colour pictures.
CHANNELS_OF_TENSORS = (1, 3)


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and its mask, each an input of ``read_image``."""

    image: Any
    mask: Any


def list_pairs(images: Any, masks: Any) -> list[Pair]:
    """List the images with their masks; two folders are paired by the names of their files.

    Raises TrainingError if they do not fit together.
    """
    are_folders = [isinstance(given, str | os.PathLike) for given in (images, masks)]
    if all(are_folders):
        return pairs_of_folders(Path(images).expanduser(), Path(masks).expanduser())
    if any(are_folders):
        raise TrainingError(
            "Images and masks are lists, or two folders: one is a path here, the other is not. "
            "Write [...] around a single path."
        )

    image_list = as_list(images)
    mask_list = as_list(masks)
    if not image_list or len(image_list) != len(mask_list):
        raise TrainingError(
            f"{len(image_list)} images and {len(mask_list)} masks: give one mask for each image."
        )
    return [Pair(image, mask) for image, mask in zip(image_list, mask_list)]


def as_list(given: Iterable[Any]) -> list[Any]:
    """Return the images, masks or classes; TrainingError for a single one."""
    if isinstance(given, str | MedicalImage) or not isinstance(given, Iterable):
        raise TrainingError("Images, masks and classes are lists: write [...] around a single one.")
    return list(given)


def pairs_of_folders(images: Path, masks: Path) -> list[Pair]:
    """Pair the files of two folders by name; the mask's may end in a word such as '_mask'."""
    image_paths = images_in(images)
    masks_by_name = {}
    for path in images_in(masks):
        masks_by_name[name_of(path)] = path
        without_ending = re.sub(ENDINGS_OF_MASKS, "", name_of(path), flags=re.IGNORECASE)
        masks_by_name.setdefault(without_ending, path)

    missing = [path.name for path in image_paths if name_of(path) not in masks_by_name]
    if missing:
        raise TrainingError(
            f"{masks}: there is no mask of the same name for {', '.join(missing[:3])} "
            f"({len(missing)} of {len(image_paths)} images). Name each mask like its image."
        )
    return [Pair(path, masks_by_name[name_of(path)]) for path in image_paths]


def images_in(folder: Path) -> list[Path]:
    """List the image files of a folder, by name; TrainingError if there are none."""
    if folder.is_file():
        raise TrainingError(f"{folder}: a file. Give a folder, or a list: [{str(folder)!r}].")
    if not folder.is_dir():
        raise TrainingError(f"{folder}: there is no such folder ({Path.cwd()}).")

    paths = sorted(path for path in folder.iterdir() if is_image(path))
    if not paths:
        raise TrainingError(f"{folder}: there are no images in this folder.")
    return paths


def is_image(path: Path) -> bool:
    """Return whether a path is a file that is named as an image, and is not hidden."""
    return path.is_file() and promises_image(path) and not path.name.startswith(".")


def read_example_image(image: Any) -> MedicalImage:
    """Read an image; a tensor may have its channels first."""
    return read_image(channels_last(image))


def read_mask(mask: Any) -> np.ndarray:
    """Read the values ([D,] H, W) of a mask, see ``read_mask_image``."""
    return read_mask_image(mask).pixels


def read_mask_image(mask: Any) -> MedicalImage:
    """Read a mask; of a picture with a palette, its indices, which are the classes."""
    indices = palette_indices(mask)
    if indices is not None:
        return read_image(indices)

    read = read_image(channels_last(mask))
    if read.channels == 1:
        return read
    # It was saved as a colour image.
    return replace(read, pixels=read.pixels[..., :3].max(-1), axes=read.spatial_axes)


def channels_last(given: Any) -> Any:
    """Turn a tensor (C, H, W) of one or three channels to (H, W) or (H, W, C)."""
    import torch

    if not isinstance(given, torch.Tensor) or given.ndim != 3:
        return given
    if given.shape[0] not in CHANNELS_OF_TENSORS or given.shape[-1] in CHANNELS_OF_TENSORS:
        return given
    return given[0] if given.shape[0] == 1 else given.permute(1, 2, 0)


def palette_indices(mask: Any) -> np.ndarray | None:
    """Return the indices of a picture with a palette, as Pillow reads it; None for others."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(mask, Image.Image):
        return np.asarray(mask) if mask.mode == "P" else None
    if not isinstance(mask, str | os.PathLike):
        return None
    try:
        with Image.open(Path(mask).expanduser()) as picture:
            return np.asarray(picture) if picture.mode == "P" else None
    except (OSError, UnidentifiedImageError):
        # Not a picture, or not there: the reader says so.
        return None
