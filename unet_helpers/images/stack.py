"""Turn images to stacks (Z, Y, X[, C]) as displayed, and answers back to the file's order.

A single image is a stack of one slice. A volume that lies in space is turned to axial slices as
radiologists see them: front at the top, the patient's right on the left, the first slice nearest to
the feet. Other stacks keep their order. Answers are only reordered, never resampled, so each voxel
gets its own answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .image import MedicalImage


@dataclass(frozen=True, eq=False)
class Stack:
    """An image as displayed, with its slices one after the other."""

    # The image as stored, from which the stack was made.
    image: MedicalImage

    # (Z, Y, X) or (Z, Y, X, C), in the image's dtype. Points in time follow one another along Z.
    pixels: np.ndarray

    # mm along (Z, Y, X), or along (Y, X) if the image has no depth; None if unknown.
    spacing: tuple[float, ...] | None

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """(Z, Y, X), without the colours."""
        depth, height, width = self.pixels.shape[:3]
        return depth, height, width

    @property
    def frames(self) -> list["Stack"]:
        """The stack of each point in time; the stack itself if it has no time."""
        if not self.image.axes.startswith("T"):
            return [self]

        images = list(frames(self.image))
        depth = len(self.pixels) // len(images)
        return [
            Stack(image, self.pixels[i * depth : (i + 1) * depth], self.spacing)
            for i, image in enumerate(images)
        ]

    def in_file_order(self, answers: np.ndarray) -> np.ndarray:
        """Turn answers (K, Z, Y, X) for this stack to (K, *spatial_shape) in the image's order."""
        return from_stack(self.image, answers)

    def as_image(self) -> MedicalImage:
        """Make an image of the stack, with the axes ZYX or ZYXC and without an affine."""
        axes = "ZYXC" if self.pixels.ndim == 4 else "ZYX"
        return replace(self.image, pixels=self.pixels, axes=axes, spacing=self.spacing, affine=None)


def frames(image: MedicalImage) -> Iterator[MedicalImage]:
    """Yield an image for each point in time; the image itself if it has no time."""
    if not image.axes.startswith("T"):
        yield image
        return

    for pixels in image.pixels:
        yield replace(image, pixels=pixels, axes=image.axes[1:])


def to_stack(image: MedicalImage) -> Stack:
    """Turn an image to the stack that is displayed; a view of its pixels if possible."""
    if not image.lies_in_space:
        slice_and_colours = image.pixels.shape[len(image.spatial_shape) - 2 :]
        return Stack(image, image.pixels.reshape(-1, *slice_and_colours), image.spacing)

    if image.axes.startswith("T"):
        volumes = [to_stack(frame) for frame in frames(image)]
        pixels = np.concatenate([volume.pixels for volume in volumes])
        return Stack(image, pixels, volumes[0].spacing)

    return Stack(image, to_axial_slices(image), spacing_of_axial_slices(image))


def to_axial_slices(image: MedicalImage) -> np.ndarray:
    """Turn a volume that lies in space to (Z, Y, X[, C]), a view.

    The indices z, y and x grow towards the patient's head, back and left.
    """
    from nibabel.orientations import apply_orientation

    # Axes to the patient's right, front and head (RAS).
    canonical = apply_orientation(in_affine_order(image, image.pixels), orientation(image))
    left_back_head = canonical[::-1, ::-1]
    return np.moveaxis(left_back_head, (0, 1, 2), (2, 1, 0))


def spacing_of_axial_slices(image: MedicalImage) -> tuple[float, ...] | None:
    """Return the spacing (Z, Y, X) in mm of ``to_axial_slices``; None if unknown."""
    if not image.spacing:
        return image.spacing

    by_affine_axis = image.spacing if image.axes.startswith("X") else image.spacing[::-1]
    axis_of_right_front_head = np.argsort(orientation(image)[:, 0])
    return tuple(by_affine_axis[int(axis)] for axis in axis_of_right_front_head[::-1])


def from_stack(image: MedicalImage, answers: np.ndarray) -> np.ndarray:
    """Turn (K, Z, Y, X) for ``to_stack(image)`` to (K, *spatial_shape) in the image's order."""
    if not image.lies_in_space:
        return answers.reshape(len(answers), *image.spatial_shape)

    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    from_canonical = ornt_transform(axcodes2ornt("RAS"), orientation(image))
    canonical = answers.transpose(0, 3, 2, 1)[:, ::-1, ::-1]
    volumes = [apply_orientation(volume, from_canonical) for volume in canonical]
    return np.stack([in_affine_order(image, volume) for volume in volumes])


def as_displayed(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Turn an array in the image's shape and order to (Z, Y, X[, C]), as ``to_stack`` does."""
    axes = image.axes.rstrip("C")
    if values.ndim > len(image.spatial_shape):
        axes += "C"
    return to_stack(replace(image, pixels=values, axes=axes)).pixels


def in_affine_order(image: MedicalImage, values: np.ndarray) -> np.ndarray:
    """Turn (Z, Y, X[, C]) to (X, Y, Z[, C]), the order of an affine's columns, or back; a view.

    If the image is stored as (X, Y, Z), the values are returned unchanged.
    """
    if image.axes.startswith("X"):
        return values
    return np.moveaxis(values, (0, 1, 2), (2, 1, 0))


def orientation(image: MedicalImage) -> np.ndarray:
    """Return nibabel's (3, 2) orientation of the axes (X, Y, Z): body axis and sign (1 or -1).

    Without a usable affine it is RAS: axes to the right, front and head.
    """
    from nibabel.orientations import axcodes2ornt, io_orientation

    affine = image.affine
    if affine is None or not np.isfinite(affine).all():
        affine = np.eye(4)

    axes = io_orientation(affine)
    if np.isnan(axes).any():
        return axcodes2ornt("RAS")
    return axes
