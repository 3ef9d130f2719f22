"""Images and volumes as the networks see them, a stack of slices (Z, Y, X[, C]), and back.

A single image is a stack of one slice. A volume that lies in space is turned to axial slices as radiologists see them:
front at the top, the patient's right on the left, the first slice nearest to the feet. Other stacks are taken as they
are. Every answer comes back in the file's own order, voxel for voxel.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .image import MedicalImage


def frames(image: MedicalImage) -> Iterator[MedicalImage]:
    """Each point in time as an image or volume of its own; the image itself where it has no time."""
    if not image.axes.startswith("T"):
        return iter([image])
    return (replace(image, pixels=pixels, axes=image.axes[1:]) for pixels in image.pixels)


def to_stack(image: MedicalImage) -> MedicalImage:
    """(Z, Y, X) or (Z, Y, X, C) view of an image, with the spacing in that order; points in time follow one another."""
    pixels, spacing, colour = image.pixels, image.spacing, "C" if image.axes.endswith("C") else ""
    if image.axes.startswith("T") and image.lies_in_space:
        volumes = [to_stack(frame) for frame in frames(image)]
        return replace(volumes[0], pixels=np.concatenate([volume.pixels for volume in volumes]))
    if image.lies_in_space:
        from nibabel.orientations import apply_orientation

        turn = orientation(image)
        order = np.argsort(turn[:, 0])
        pixels = apply_orientation(
            in_file_order(image, pixels), turn
        )  # (R, A, S): to the right, front and head
        pixels = np.moveaxis(pixels[::-1, ::-1], (0, 1, 2), (2, 1, 0))
        along = spacing and (spacing if image.axes.startswith("X") else spacing[::-1])
        spacing = along and tuple(along[int(i)] for i in order[::-1])
    else:
        pixels = pixels.reshape(-1, *pixels.shape[len(image.spatial_shape) - 2 :])
    return replace(image, pixels=pixels, axes=f"ZYX{colour}", spacing=spacing, affine=None)


def from_stack(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """(K, Z, Y, X) answers for ``to_stack(image)`` as (K, *spatial) in the image's own order."""
    if not image.lies_in_space:
        return values.reshape(len(values), *image.spatial_shape)
    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    back = ornt_transform(axcodes2ornt("RAS"), orientation(image))
    canonical = values.transpose(0, 3, 2, 1)[:, ::-1, ::-1]
    return np.stack([in_file_order(image, apply_orientation(volume, back)) for volume in canonical])


def as_displayed(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Any array of an image's own shape and order as (Z, Y, X[, C]), like ``to_stack``."""
    colour = "C" if values.ndim > len(image.spatial_shape) else ""
    return to_stack(replace(image, pixels=values, axes=image.axes.rstrip("C") + colour)).pixels


def in_file_order(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """(Z, Y, X[, C]) to (X, Y, Z[, C]), the order in which an affine counts, and back; (X, Y, Z) as it is."""
    return values if image.axes.startswith("X") else np.moveaxis(values, (0, 1, 2), (2, 1, 0))


def orientation(image: MedicalImage) -> np.ndarray:
    """Nibabel's (3, 2) orientation of the axes in the affine's order; RAS+ where it says nothing sensible."""
    from nibabel.orientations import axcodes2ornt, io_orientation

    sound = image.affine is not None and np.isfinite(image.affine).all()
    turn = io_orientation(image.affine if sound else np.eye(4))
    return axcodes2ornt("RAS") if np.isnan(turn).any() else turn
