"""``MedicalImage``: pixels, axes, spacing and affine as stored in a file."""

import html
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .pixel_checks import check_pixels

# Endings of two parts; ``Path.stem`` would only cut off the last one.
DOUBLE_ENDINGS = (".nii.gz", ".ome.tiff", ".ome.tif", ".ome.zarr")


@dataclass(frozen=True)
class Position:
    """Where pixels lie in the finest level of an image pyramid, along rows and columns.

    Parameters
    ----------
    step : tuple of float
        px of the finest level per px of the image.
    start : tuple of float
        The first pixel's upper left corner, in px of the finest level.

    Examples
    --------
    >>> from unet_helpers.images.image import Position
    >>> Position(step=(4.0, 4.0)).start
    (0.0, 0.0)
    """

    step: tuple[float, float] = (1.0, 1.0)
    start: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """An image, stack or volume as stored in its file.

    Parameters
    ----------
    pixels : np.ndarray
        Values in the file's own dtype; nothing is rescaled silently.
    axes : str
        A letter for each axis of ``pixels``: 'YX', 'ZYX', 'TYX' or 'TZYX', with a last 'C' if in
        colour, or 'XYZ' as nibabel reads NIfTI.
    spacing : tuple of float, optional
        Distance in mm between neighbouring pixels along Z, Y and X, in the order of ``axes``; of Y
        and X alone if that of slices is unknown; None if nothing is known.
    affine : np.ndarray, optional
        (4, 4) matrix from indices (x, y, z) to positions in the header's unit (mm), with axes to
        the patient's right, front and head (RAS).
    header : optional
        For a NIfTI file, its header; for DICOM, a dict from slice index to the slice's file and
        frame.
    path : Path, optional
        The file or folder the image was read from.
    notes : tuple of str
        What the reader found and changed, one sentence each.
    modality : str
        For DICOM: 'MR', 'CT', ...
    description : str
        For DICOM: the name of the series, or else of its protocol.
    study : str
        For DICOM: the name of the procedure, or else of the study, which may have other series.
    oriented : bool
        False if a volume's file does not give its orientation in the body.
    body_part, view, image_type : str
        For DICOM: the body part that was examined, the direction of view of an X-ray image, and
        the values of ImageType, joined by '/'.
    all_channels : np.ndarray, optional
        (C, *spatial): all channels of the file, if ``pixels`` is one of several.
    channel_names : tuple of str
        The names of ``all_channels``, each '' if it has none.
    channel_contrasts : tuple of str
        How ``all_channels`` show the specimen, such as 'phase contrast', each '' if unknown.
    channel_index : int, optional
        Which of ``all_channels`` the ``pixels`` are.
    channel_asked : bool
        Whether this channel was asked for; else a network may take another one.
    position : Position
        Where the pixels lie in the finest level of an image pyramid.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> volume = uh.MedicalImage(np.zeros((9, 64, 48), np.int16), "ZYX", spacing=(5.0, 0.5, 0.5))
    >>> volume.spatial_shape
    (9, 64, 48)
    """

    pixels: np.ndarray
    axes: str
    spacing: tuple[float, ...] | None = None
    affine: np.ndarray | None = None
    header: Any = None
    path: Path | None = None
    notes: tuple[str, ...] = ()
    modality: str = ""
    description: str = ""
    study: str = ""
    oriented: bool = True
    body_part: str = ""
    view: str = ""
    image_type: str = ""
    all_channels: np.ndarray | None = None
    channel_names: tuple[str, ...] = ()
    channel_contrasts: tuple[str, ...] = ()
    channel_index: int | None = None
    channel_asked: bool = False
    position: Position = field(default_factory=Position)

    @property
    def spatial_axes(self) -> str:
        """The letters of all axes except colour, time included.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> uh.read_image(uh.sample("retina")).spatial_axes
        'YX'
        """
        return self.axes.rstrip("C")

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The lengths of all axes except colour, time included.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.read_image(np.zeros((64, 48, 3), np.uint8)).spatial_shape
        (64, 48)
        """
        return self.pixels.shape[: len(self.spatial_axes)]

    @property
    def channels(self) -> int:
        """Number of values of a pixel: 1 if the image is grey.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.read_image(np.zeros((64, 48))).channels
        1
        """
        if self.axes.endswith("C"):
            return self.pixels.shape[-1]
        return 1

    @property
    def is_single(self) -> bool:
        """Whether this is one slice, such as a photograph, not a stack, volume or movie.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.read_image(np.zeros((5, 64, 48))).is_single
        False
        """
        return self.spatial_axes == "YX"

    @property
    def lies_in_space(self) -> bool:
        """Whether this is a volume with an affine, or with axes in NIfTI's order.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.MedicalImage(np.zeros((48, 64, 9)), "XYZ").lies_in_space
        True
        """
        has_place = self.affine is not None and "Z" in self.axes
        return has_place or self.axes.startswith("XYZ")

    @property
    def orientation_known(self) -> bool:
        """Whether the file says which sides of a volume are the patient's left and right.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.read_image(np.zeros((9, 64, 48))).orientation_known
        False
        """
        return self.oriented and self.affine is not None and bool(np.isfinite(self.affine).all())

    @property
    def voxel_volume(self) -> float | None:
        """Volume of a voxel in mm³; None if the spacing is unknown.

        The steps of a sheared series (a tilted gantry) are not at right angles. The product of the
        spacing is therefore multiplied by det(steps) / product of the steps' lengths, from the
        affine.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.read_image(np.zeros((9, 64, 48)), spacing=(5.0, 0.5, 0.5)).voxel_volume
        1.25
        """
        if self.spacing is None or len(self.spacing) != 3:
            return None
        box = float(np.prod(self.spacing))
        if self.affine is None:
            return box

        # The affine is in the header's unit, which may not be mm, so only its ratio is used.
        steps = self.affine[:3, :3]
        lengths = float(np.prod(np.linalg.norm(steps, axis=0)))
        if not 0 < lengths < np.inf:
            return box
        return box * abs(float(np.linalg.det(steps))) / lengths

    @property
    def name(self) -> str:
        """The file's name without its ending(s), used to name results; 'array' without a file.

        Examples
        --------
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.MedicalImage(np.zeros((9, 9)), "YX", path=Path("scans/head.nii.gz")).name
        'head'
        """
        if self.path is None:
            return "array"
        return name_of(self.path)

    def facts(self) -> dict[str, str]:
        """List the most important properties, as a notebook's cell displays them.

        Returns
        -------
        dict of str to str
            Name, size, range of the values, channels and spacing; then each note and each warning.

        Examples
        --------
        >>> import numpy as np
        >>> import unet_helpers as uh
        >>> uh.read_image(np.zeros((64, 48), np.uint8)).facts()["size"]
        '64 × 48 (y, x)'
        """
        # Only the file's name, without its folders, because notebooks are shared.
        facts = {
            "image": self.path.name if self.path else "array",
            "size": self._size_in_words(),
            "values": self._values_in_words(),
            "channels": str(self.channels),
            "spacing": self._spacing_in_words(),
        }
        for number, note in enumerate(self.notes, 1):
            facts[f"note {number}"] = note
        for number, warning in enumerate(check_pixels(self.pixels, self.spatial_shape), 1):
            facts[f"warning {number}"] = warning
        return facts

    def _size_in_words(self) -> str:
        lengths = " × ".join(map(str, self.spatial_shape))
        letters = ", ".join(self.spatial_axes.lower())
        return f"{lengths} ({letters})"

    def _values_in_words(self) -> str:
        finite = self.pixels
        if self.pixels.dtype.kind == "f":
            finite = self.pixels[np.isfinite(self.pixels)]
        if finite.size == 0:
            return "none finite"
        return f"{self.pixels.dtype}, {finite.min():g} to {finite.max():g}"

    def _spacing_in_words(self) -> str:
        if not self.spacing:
            return "not in the file"
        steps = " × ".join(f"{step:.4g}" for step in self.spacing)
        return f"{steps} mm"

    def __repr__(self) -> str:
        return "\n".join(f"{key:10} {value}" for key, value in self.facts().items())

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for key, value in self.facts().items()
        ]
        return f"<table>{''.join(rows)}</table>"


def downsampling(finest: int, length: int) -> float:
    """Return how many px of the finest level make one px of a level with this length.

    Lengths are rounded to whole px, so that the ratio is a whole number if that explains both.
    """
    ratio = finest / length
    whole = round(ratio)
    if whole and finest // whole <= length <= math.ceil(finest / whole):
        return float(whole)
    return ratio


def name_of(path: Path) -> str:
    """Cut the ending(s) off a file's name."""
    for ending in DOUBLE_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def noted(image: MedicalImage, *notes: str, **changes: Any) -> MedicalImage:
    """Return the image with more notes, and with other fields changed."""
    return replace(image, notes=(*image.notes, *notes), **changes)
