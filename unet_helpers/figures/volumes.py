"""Volumes turned for display: a stack of slices along any axis, in the proportions of the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..images.image import MedicalImage
from ..images.stack import as_displayed, to_stack
from ..results.overlay import picture, to_8_bits
from ..results.segmentation import Segmentation

# px: the longer side of a slice as it is shown.
LONGER_SIDE = 480


def image_of(shown: Segmentation | MedicalImage) -> MedicalImage:
    """Give the image of a result, or the image itself."""
    if isinstance(shown, Segmentation):
        return shown.image
    return shown


def reslice_image(image: MedicalImage, axis: int) -> MedicalImage:
    """Give a volume as a stack of its axial (0), coronal (1) or sagittal (2) slices, in 8 bits.

    The head is up. All slices share one range of brightness.
    """
    stack = to_stack(image).as_image()
    spacing = None
    if stack.spacing is not None:
        spacing = (stack.spacing[axis], *np.delete(stack.spacing, axis))
    pixels = to_8_bits(turn(image, image.pixels, axis))
    return replace(stack, pixels=pixels, spacing=spacing)


def reslice(result: Segmentation, axis: int) -> Segmentation:
    """Give the result of a volume along another axis, as ``reslice_image`` does with an image."""
    image = result.image
    classes = [turn(image, probability, axis) for probability in result.probabilities]
    resliced = replace(result, image=reslice_image(image, axis), probabilities=np.stack(classes))
    # Labels and objects are those that were found in the volume, not found once more.
    vars(resliced).update(
        labels=turn(image, result.labels, axis), objects=turn(image, result.objects, axis)
    )
    return resliced


def turn(image: MedicalImage, values: np.ndarray, axis: int) -> np.ndarray:
    """Turn an array of the image's shape to slices along ``axis`` of the stack as displayed."""
    values = np.moveaxis(as_displayed(image, values), axis, 0)

    # In the stack as displayed, the first slice is nearest to the feet.
    feet_are_up = axis > 0 and image.lies_in_space and image.oriented
    if feet_are_up:
        values = values[:, ::-1]
    return values


def render(shown: Segmentation | MedicalImage, index: int | None = None) -> np.ndarray:
    """Draw (H, W, 3) uint8: an image, a result, or a slice, its sides as long as in the body."""
    painted = paint_slice(shown, index)
    height, width = slice_extent(image_of(shown))
    zoom = LONGER_SIDE / max(height, width)
    new_width = max(1, round(width * zoom))
    new_height = max(1, round(height * zoom))

    interpolation = cv2.INTER_LINEAR
    if new_width < painted.shape[1]:
        interpolation = cv2.INTER_AREA
    return cv2.resize(painted, (new_width, new_height), interpolation=interpolation)


def paint_slice(shown: Segmentation | MedicalImage, index: int | None) -> np.ndarray:
    """Draw (h, w, 3) uint8, a px each voxel: a slice, with the answer over it if there is one."""
    if not isinstance(shown, Segmentation):
        return picture(shown, index)

    # Vessels keep the strong colour that they have by default.
    alpha: float | None = 0.6
    if shown.card.measures == "tree":
        alpha = None
    # Outlines are drawn only where touching objects have to be told apart.
    return shown.overlay(index, alpha, contours=shown.card.instance_method != "components")


def slice_extent(image: MedicalImage) -> tuple[float, float]:
    """Give height and width of a slice in mm, or in px where the spacing is not known."""
    rows, columns = image.spatial_shape[-2:]
    if image.spacing is None:
        return float(rows), float(columns)
    return rows * image.spacing[-2], columns * image.spacing[-1]


def centre(shown: Segmentation | MedicalImage) -> tuple[int, ...]:
    """Give (z, y, x) as displayed: in the midst of the largest object, or else of the volume."""
    image = image_of(shown)
    if isinstance(shown, Segmentation) and shown.objects.any():
        return midst_of_largest(as_displayed(image, shown.objects))
    return tuple(n // 2 for n in to_stack(image).spatial_shape)


def midst_of_largest(objects: np.ndarray) -> tuple[int, ...]:
    """Give the voxel of the largest object that lies nearest to its centre of mass."""
    sizes = np.bincount(objects.reshape(-1))[1:]
    largest = 1 + sizes.argmax()
    voxels = np.argwhere(objects == largest)
    squared_distances = ((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1)
    return tuple(int(i) for i in voxels[squared_distances.argmin()])


def displayed_point(image: MedicalImage, voxel: Sequence[int]) -> tuple[int, ...]:
    """Give (z, y, x) as displayed of a voxel in the file's order."""
    marker = np.zeros(image.spatial_shape, bool)
    marker[tuple(voxel)] = True
    return tuple(int(i) for i in np.argwhere(as_displayed(image, marker))[0])


def volume_by_class(result: Segmentation) -> dict[str, str]:
    """Give the colour of each 'Anterior 1.55 mL', in voxels where the spacing is not known."""
    card = result.card
    voxel_volume = result.image.voxel_volume
    counts = np.bincount(result.labels.reshape(-1), minlength=len(card.classes) + 1)[1:]

    colors = {}
    for name, color, count in zip(card.classes, card.colors, counts, strict=True):
        size = f"{count:,} voxels"
        if voxel_volume is not None:
            size = f"{count * voxel_volume / 1000:.3g} mL"
        colors[f"{name.capitalize()} {size}"] = color
    return colors
