"""Turns volumes for display: slices along any axis, with the proportions of the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..images.image import MedicalImage
from ..images.stack import as_displayed, to_stack
from ..results.overlay import picture, to_8_bits
from ..results.segmentation import Segmentation

# px: longer side of a rendered slice.
LONGER_SIDE = 480


def image_of(shown: Segmentation | MedicalImage) -> MedicalImage:
    """Return the image of a result, or the image itself."""
    if isinstance(shown, Segmentation):
        return shown.image
    return shown


def reslice_image(image: MedicalImage, axis: int) -> MedicalImage:
    """Return a volume as a stack of slices along ``axis`` of the stack as displayed, in 8 bits.

    With a known orientation, axis 0 gives axial, 1 coronal and 2 sagittal slices, and the head is
    up in the latter two. All slices have the same range of brightness.
    """
    stack = to_stack(image).as_image()
    spacing = None
    if stack.spacing is not None and len(stack.spacing) == 3:
        spacing = (stack.spacing[axis], *np.delete(stack.spacing, axis))
    pixels = to_8_bits(turn(image, image.pixels, axis))
    return replace(stack, pixels=pixels, spacing=spacing)


def reslice(result: Segmentation, axis: int) -> Segmentation:
    """Return a result of a volume as slices along ``axis``; see ``reslice_image``."""
    image = result.image
    classes = [turn(image, probability, axis) for probability in result.probabilities]
    resliced = replace(result, image=reslice_image(image, axis), probabilities=np.stack(classes))

    # Labels and objects are cached properties. Set them to those of the volume, because computing
    # them again from the turned probabilities could give others.
    tracks = replace(result._tracks, ids=turn(image, result.objects, axis))
    vars(resliced).update(labels=turn(image, result.labels, axis), _tracks=tracks)
    if result.card.overlapping:
        vars(resliced).update(
            _masks=[turn(image, mask, axis) for mask in result._masks],
            _layers=[turn(image, layer, axis) for layer in result._layers],
        )
    return resliced


def turn(image: MedicalImage, values: np.ndarray, axis: int) -> np.ndarray:
    """Turn an array of the image's shape into slices along ``axis`` of the stack as displayed."""
    values = np.moveaxis(as_displayed(image, values), axis, 0)

    # The first slice of the stack as displayed is nearest to the feet. Flip the rows so that the
    # head is up.
    feet_are_up = axis > 0 and image.lies_in_space and image.orientation_known
    if feet_are_up:
        values = values[:, ::-1]
    return values


def render(shown: Segmentation | MedicalImage, index: int | None = None) -> np.ndarray:
    """Return an image, a result, or a slice as (H, W, 3) uint8, with the body's proportions."""
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
    """Return a slice as (h, w, 3) uint8, one px for each voxel, and the answer drawn over it."""
    if not isinstance(shown, Segmentation):
        return picture(shown, index)

    # Vessels (measured as a tree) are thin, so they keep the stronger default colour.
    alpha: float | None = 0.6
    if shown.card.measures == "tree":
        alpha = None
    # Outlines are needed only if objects can touch each other.
    return shown.overlay(index, alpha, contours=shown.card.instance_method != "components")


def slice_extent(image: MedicalImage) -> tuple[float, float]:
    """Return height and width of a slice in mm, or in px if the spacing is unknown."""
    rows, columns = image.spatial_shape[-2:]
    if image.spacing is None:
        return float(rows), float(columns)
    return rows * image.spacing[-2], columns * image.spacing[-1]


def centre(shown: Segmentation | MedicalImage) -> tuple[int, ...]:
    """Return the voxel (z, y, x) as displayed in the middle of the largest object or the volume."""
    image = image_of(shown)
    if isinstance(shown, Segmentation) and shown.objects.any():
        return midst_of_largest(as_displayed(image, shown.objects))
    return tuple(n // 2 for n in to_stack(image).spatial_shape)


def midst_of_largest(objects: np.ndarray) -> tuple[int, ...]:
    """Return the voxel of the largest object that is nearest to its centre of mass."""
    sizes = np.bincount(objects.reshape(-1))[1:]
    largest = 1 + sizes.argmax()
    voxels = np.argwhere(objects == largest)
    squared_distances = ((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1)
    return tuple(int(i) for i in voxels[squared_distances.argmin()])


def displayed_point(image: MedicalImage, voxel: Sequence[int]) -> tuple[int, ...]:
    """Return the position (z, y, x) as displayed of a voxel in the file's axis order."""
    # Mark the voxel and search for it, so that the turning is done by ``as_displayed`` alone.
    marker = np.zeros(image.spatial_shape, bool)
    marker[tuple(voxel)] = True
    return tuple(int(i) for i in np.argwhere(as_displayed(image, marker))[0])


def volume_by_class(result: Segmentation) -> dict[str, str]:
    """Return the colour of each class by a text such as 'Anterior 1.55 mL'.

    The volume is in voxels if the spacing is unknown.
    """
    card = result.card
    voxel_volume = result.image.voxel_volume
    counts = np.array([np.count_nonzero(result.mask(name)) for name in card.classes])

    colors = {}
    for name, color, count in zip(card.classes, card.colors, counts, strict=True):
        size = f"{count:,} voxels"
        if voxel_volume is not None:
            size = f"{count * voxel_volume / 1000:.3g} mL"
        colors[f"{name.capitalize()} {size}"] = color
    return colors
