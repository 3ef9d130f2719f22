"""Figures of volumes and of several results: three planes through a point, and a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import ImageError
from ..images.image import MedicalImage
from ..images.read import read_image
from ..palette import YELLOW
from ..results.segmentation import Segmentation
from .layout import FULL_WIDTH, describe, headline, panels
from .volumes import (
    centre,
    displayed_point,
    image_of,
    render,
    reslice,
    reslice_image,
    slice_extent,
    volume_by_class,
)

if TYPE_CHECKING:
    from ..images.read import ImageSource

# Largest number of panels in a row of the gallery.
COLUMNS = 3

# Positions (x, y) of the letters at the sides of a plane, in shares of its panel; (0, 0) is its
# lower left corner.
LEFT_SIDE = (0.04, 0.5)
RIGHT_SIDE = (0.96, 0.5)
TOP_SIDE = (0.5, 0.95)


@dataclass(frozen=True)
class Plane:
    """One of the three planes of a volume."""

    name: str

    # One letter each for the left, the right and the top of the panel; '' if they are unknown.
    # R, L: the patient's right and left; A, P: front and back; S: head.
    sides: str

    # Is the head on top? The stack as displayed begins at the feet, so ``turn`` flips the rows.
    upright: bool = False


BODY_PLANES = (
    Plane("Axial", sides="RLA"),
    Plane("Coronal", sides="RLS", upright=True),
    Plane("Sagittal", sides="APS", upright=True),
)
STACK_PLANES = (
    Plane("Along the stack", sides=""),
    Plane("Across its rows", sides=""),
    Plane("Across its columns", sides=""),
)


def three_planes(
    shown: Segmentation | ImageSource, at: tuple[int, int, int] | None = None
) -> Figure:
    """Show the three planes through one voxel of a volume.

    Parameters
    ----------
    shown : Segmentation, path, array or MedicalImage
        A result of a volume, or a volume alone.
    at : tuple of int, optional
        The voxel, in the axis order of the file and counted from 0. The default is the middle of
        the largest object, or of the volume if there is no object.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels with the same scale. Dotted lines mark the voxel. If the orientation is known,
        the patient's right is on the left of the axial and coronal planes.

    Raises
    ------
    ImageError
        The image is a single image, without slices.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> figure = uh.three_planes(np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6))
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['Along the stack, slice 2', 'Across its rows, slice 2']
    """
    if not isinstance(shown, Segmentation):
        shown = read_image(shown)
    image = image_of(shown)
    if image.is_single:
        raise ImageError(
            f"{image.name} is a single image, without slices: look at it with show(result)."
        )
    if at is None:
        point = centre(shown)
    else:
        point = displayed_point(image, at)

    stacks = [reslice_any(shown, axis) for axis in range(3)]
    extents = [slice_extent(image_of(stack)) for stack in stacks]
    heights, widths = zip(*extents, strict=True)
    # All three have the same scale, so that sizes can be compared.
    inches_high = min(max(heights) * 12.5 / sum(widths) + 1.2, 8)
    figure, axes = panels(1, 3, (FULL_WIDTH, inches_high), width_ratios=widths)

    planes = STACK_PLANES
    if image.lies_in_space and image.orientation_known:
        planes = BODY_PLANES
    for axis, plane in enumerate(planes):
        draw_plane(axes[0, axis], plane, stacks[axis], axis, point)

    figure.suptitle(headline(image))
    if isinstance(shown, Segmentation):
        legend = [Patch(color=color, label=text) for text, color in volume_by_class(shown).items()]
        figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), fontsize=11)
    return figure


def reslice_any(shown: Segmentation | MedicalImage, axis: int) -> Segmentation | MedicalImage:
    """Return a result or a volume as slices along ``axis`` of the stack as displayed."""
    if isinstance(shown, Segmentation):
        return reslice(shown, axis)
    return reslice_image(shown, axis)


def draw_plane(
    ax: Axes,
    plane: Plane,
    stack: Segmentation | MedicalImage,
    axis: int,
    point: Sequence[int],
) -> None:
    """Draw the slice through ``point`` (z, y, x), with dotted lines that cross there.

    ``stack`` has been resliced along ``axis``; ``point`` is a voxel of the stack as displayed.
    """
    height, width = slice_extent(image_of(stack))
    rows, columns = image_of(stack).spatial_shape[1:]
    row, column = np.delete(point, axis)

    # Shares of the height and width; 0.5 is added to reach the centre of the voxel.
    down = (row + 0.5) / rows
    right = (column + 0.5) / columns
    if plane.upright:
        down = 1 - down

    ax.imshow(render(stack, point[axis]), extent=(0, width, height, 0))
    ax.axhline(down * height, color=YELLOW, lw=1, ls=":")
    ax.axvline(right * width, color=YELLOW, lw=1, ls=":")
    ax.set_title(f"{plane.name}, slice {point[axis]}")

    box = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 2}
    for letter, place in zip(plane.sides, (LEFT_SIDE, RIGHT_SIDE, TOP_SIDE), strict=False):
        ax.text(
            *place,
            letter,
            ha="center",
            va="center",
            color="white",
            fontsize=12,
            transform=ax.transAxes,
            bbox=box,
        )


def gallery(results: Iterable[Segmentation]) -> Figure:
    """Show several results in one figure, three in each row.

    Parameters
    ----------
    results : iterable of Segmentation
        Of a volume, the slice with most pixels of the structure is shown.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each result: the overlay, and above it its name and the main measurements.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.MedicalImage(np.zeros((8, 8), np.uint8), "YX")
    >>> probabilities = np.zeros((1, 8, 8), np.float32)
    >>> probabilities[0, 2:6, 2:6] = 1
    >>> result = uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)
    >>> len(uh.gallery([result, result]).axes)
    2
    """
    results = list(results)
    columns = max(1, min(COLUMNS, len(results)))
    rows = max(1, -(-len(results) // columns))
    figure, axes = panels(rows, columns, (FULL_WIDTH * columns / COLUMNS, 4.7 * rows))

    for ax, result in zip(axes.flat, results, strict=False):
        index = result.busiest_slice()
        displayed = result
        if not result.image.is_single:
            displayed = reslice(result, axis=0)
        ax.imshow(render(displayed, index))

        if result.image.lies_in_space:
            text = fill(", ".join(volume_by_class(result)), 44)
        else:
            text = describe(result, width=44)
        ax.set_title(f"{headline(result.image, index)}\n{text}", fontsize=12)
    return figure
