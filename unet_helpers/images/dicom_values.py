"""Stored values of a DICOM file become those that are displayed (DICOM PS3.4, N.2).

In this order: units (Modality LUT, or slope and intercept), display (VOI LUT), inversion where low
values are white; and padding, which is not part of the image, becomes the darkest other value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError
from .dicom_tables import table_of
from .dicom_tags import (
    contents_of_frames,
    first_given,
    photometric_of,
    samples_of,
    shared_contents,
)
from .image import MedicalImage, noted

if TYPE_CHECKING:
    from pydicom import Dataset

# Modalities whose values are measured, such as Hounsfield units: the curve of a display (VOI LUT)
# is not applied to them. In X-ray images it is part of what a viewer shows.
MEASURED = ("CT", "MR", "PT", "NM")

# Packages with which pydicom decodes all compressions, as written behind ``pip install``.
DECODERS = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"

# Elements of the first and last padding value, for pixels in integers and in floats.
PADDING_ELEMENTS = (
    ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
)

# A slope and intercept that leave stored values as they are.
AS_STORED = (1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a file, all frames in their order."""

    # ([frames,] rows, columns[, 3]).
    pixels: np.ndarray

    # True where a pixel is padding, with the same shape; None if there is none.
    padding: np.ndarray | None = None

    # (slope, intercept) of each frame; one pair if it is the same for all.
    scalings: tuple[tuple[float, float], ...] = (AS_STORED,)

    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """The lowest and the highest value that pixels may have."""

    low: float
    high: float


def values_of(data: Dataset, path: Path) -> Values:
    """Decode the pixels of a file to values for display, or to colours."""
    stored = decoded(data, path)
    samples = samples_of(data)
    if samples not in (1, 3):
        raise ImageError(f"{path}: has {samples} values a pixel. Export it as grey or as RGB.")

    photometric = photometric_of(data)
    if photometric == "PALETTE COLOR":
        return Values(with_palette(stored, data), notes=("expanded the colour palette",))
    if samples == 3:
        # pydicom converts it when it decodes the pixels.
        is_converted = photometric.startswith("YBR")
        return Values(stored, notes=("converted from YBR to RGB",) if is_converted else ())

    notes: list[str] = []
    padding = padding_of(stored, data)
    scaled = in_units(stored, data, notes)
    pixels, limits = with_display_curve(scaled.pixels, scaled.limits, data, notes)
    if stores_white_as_lowest(data):
        pixels = inverted(pixels, limits)
        notes.append("inverted: the file stores white as the lowest value")
    return Values(pixels, padding, scaled.scalings, tuple(notes))


def decoded(data: Dataset, path: Path) -> np.ndarray:
    """Decompress the stored values with pydicom; raise ImageError if it lacks a plug-in."""
    try:
        return data.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        lacks_decoder = "plugin" in str(error) or "package" in str(error)
        if not lacks_decoder:
            raise
        compression = data.file_meta.TransferSyntaxUID.name
        raise ImageError(
            f"{path}: its compression ({compression}) needs more packages: pip install {DECODERS}"
        ) from error


def with_palette(pixels: np.ndarray, data: Dataset) -> np.ndarray:
    """Replace the stored indices by the palette's colours, (..., 3), without alpha."""
    from pydicom.pixels import apply_color_lut

    return apply_color_lut(pixels, data)[..., :3]


@dataclass(frozen=True, eq=False)
class Scaled:
    """Pixels in units, such as Hounsfield's."""

    pixels: np.ndarray
    limits: Range

    # The slope and intercept of each frame, or one pair for all of them.
    scalings: tuple[tuple[float, float], ...] = (AS_STORED,)


def in_units(stored: np.ndarray, data: Dataset, notes: list[str]) -> Scaled:
    """Map stored values to units, by a table or by slopes; ``notes`` are added to."""
    limits = stored_range(stored, data)
    if data.get("ModalityLUTSequence"):
        pixels, limits = looked_up(stored, limits, data, "ModalityLUTSequence", notes)
        return Scaled(pixels, limits)

    try:
        scalings = scalings_of(data)
    except ValueError as error:
        notes.append(f"its slope or intercept is no number and is not applied ({error})")
        return Scaled(stored, limits)
    if set(scalings) == {AS_STORED}:
        return Scaled(stored, limits)

    slopes, intercepts = np.array(scalings, np.float32).T
    if len(scalings) > 1:
        # One for each frame, for all rows and columns.
        slopes = slopes[:, None, None]
        intercepts = intercepts[:, None, None]
    ends = [end * slopes + intercepts for end in (limits.low, limits.high)]
    limits = Range(float(np.min(ends)), float(np.max(ends)))
    return Scaled(stored.astype(np.float32) * slopes + intercepts, limits, scalings)


def stored_range(stored: np.ndarray, data: Dataset) -> Range:
    """Return the range that the file's bits can store; of floats, the range of the image.

    All slices of a series have the same bits, and so they are inverted in the same way.
    """
    if stored.dtype.kind == "f":
        finite = stored[np.isfinite(stored)]
        return Range(float(finite.min()), float(finite.max())) if finite.size else Range(0, 0)

    levels = 2 ** int(data.BitsStored)
    if data.PixelRepresentation:
        return Range(-levels // 2, levels // 2 - 1)
    return Range(0, levels - 1)


def scalings_of(data: Dataset) -> tuple[tuple[float, float], ...]:
    """Read the slope and intercept of each frame; one pair if it is the same for all."""
    frames = contents_of_frames(data) or [[*shared_contents(data), data]]
    scalings = []
    for contents in frames:
        slope = float(first_given(contents, "RescaleSlope") or 1)
        intercept = float(first_given(contents, "RescaleIntercept") or 0)
        scalings.append((slope, intercept))

    if len(set(scalings)) == 1:
        return (scalings[0],)
    return tuple(scalings)


def with_display_curve(
    pixels: np.ndarray, limits: Range, data: Dataset, notes: list[str]
) -> tuple[np.ndarray, Range]:
    """Apply the file's display curve, unless values are measured; ``notes`` are added to.

    A curve is a VOI LUT or a sigmoid window. Linear windows only cut values off, so they are not
    applied.
    """
    has_table = bool(data.get("VOILUTSequence"))
    is_sigmoid = str(data.get("VOILUTFunction") or "").upper() == "SIGMOID"
    has_window = data.get("WindowCenter") is not None and data.get("WindowWidth") is not None
    is_grey = photometric_of(data) in ("MONOCHROME1", "MONOCHROME2")
    has_sigmoid = is_sigmoid and has_window and is_grey
    if not has_table and not has_sigmoid:
        return pixels, limits

    if data.get("Modality") in MEASURED:
        notes.append(f"its display curve is not applied: values of {data.Modality} are measured")
        return pixels, limits
    if has_table:
        return looked_up(pixels, limits, data, "VOILUTSequence", notes)

    from pydicom.pixels import apply_windowing

    notes.append("applied its display curve (a sigmoid window)")
    return apply_windowing(pixels, data).astype(np.float32), limits


def looked_up(
    pixels: np.ndarray, limits: Range, data: Dataset, sequence: str, notes: list[str]
) -> tuple[np.ndarray, Range]:
    """Apply the table in a sequence; one that cannot be read is left out, and ``notes`` say so."""
    name = sequence.replace("LUTSequence", " LUT")
    try:
        table = table_of(data, sequence, limits.low)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        notes.append(f"its {name} cannot be read and is not applied ({error})")
        return pixels, limits

    count = len(data[sequence].value)
    which = f"the first of its {count} {name}s" if count > 1 else f"its {name}"
    notes.append(f"applied {which}")
    return table(pixels), Range(0, table.highest)


def stores_white_as_lowest(data: Dataset) -> bool:
    """Return whether low values are to be displayed bright."""
    photometric = photometric_of(data)
    if photometric == "MONOCHROME1":
        return True
    is_inverse = str(data.get("PresentationLUTShape", "")) == "INVERSE"
    return photometric == "MONOCHROME2" and is_inverse


def inverted(pixels: np.ndarray, limits: Range) -> np.ndarray:
    """Map each value to lowest + highest - value, of the values that pixels may have."""
    lowest_plus_highest = limits.low + limits.high
    return pixels.dtype.type(lowest_plus_highest) - pixels


def padding_of(stored: np.ndarray, data: Dataset) -> np.ndarray | None:
    """Mark the pixels whose stored value the file calls padding; None if there are none.

    The value is often written without the sign of the pixels (63536 for -2000), or with more bits
    than they have.
    """
    for first_name, last_name in PADDING_ELEMENTS:
        first = number_of(data, first_name)
        if first is None:
            continue
        last = number_of(data, last_name)
        ends = [first, first if last is None else last]
        if stored.dtype.kind == "f":
            return marked(stored, ends)

        bits = (8 * stored.itemsize, int(data.BitsStored))
        for count in bits:
            padding = marked(stored, [wrapped(end, count, stored.dtype) for end in ends])
            if padding is not None:
                return padding
    return None


def number_of(data: Dataset, name: str) -> float | None:
    """Read a number; None if it is missing or no number."""
    try:
        return float(data.get(name))
    except (TypeError, ValueError):
        return None


def wrapped(value: float, bits: int, dtype: np.dtype) -> int:
    """Return the integer that has the lowest ``bits`` bits of ``value`` and the dtype's sign."""
    rest = int(value) % 2**bits
    if dtype.kind == "i" and rest >= 2 ** (bits - 1):
        rest -= 2**bits
    return rest


def marked(stored: np.ndarray, ends: list[float] | list[int]) -> np.ndarray | None:
    """Mark values from the lower to the higher end; None if there are none."""
    padding = (stored >= min(ends)) & (stored <= max(ends))
    return padding if padding.any() else None


def finished(
    image: MedicalImage, padding: np.ndarray | None, scalings: set[tuple[float, float]]
) -> MedicalImage:
    """Return the image with padding replaced by its smallest other value, and with notes.

    ``padding`` has the shape of the pixels; ``scalings`` are those of all frames or slices.
    """
    if scalings != {AS_STORED}:
        image = noted(image, note_on_scalings(scalings))
    if padding is None or padding.all():
        return image

    others = image.pixels[~padding]
    if others.dtype.kind == "f":
        others = others[np.isfinite(others)]
    if not others.size:
        return image
    pixels = np.where(padding, others.min(), image.pixels)
    note = (
        f"{padding.mean():.1%} of the pixels are padding (PixelPaddingValue): "
        "replaced by the smallest other value"
    )
    return noted(replace(image, pixels=pixels), note)


def note_on_scalings(scalings: set[tuple[float, float]]) -> str:
    """Write by how much values were scaled and shifted: the same everywhere, or by frame."""
    if len(scalings) == 1:
        ((slope, intercept),) = scalings
        return f"values scaled by {slope:g} and shifted by {intercept:g}, as the file says"

    slopes, intercepts = zip(*scalings, strict=True)
    return (
        f"values scaled by {in_words(slopes)} and shifted by {in_words(intercepts)}, "
        "each slice as the file says"
    )


def in_words(numbers: tuple[float, ...]) -> str:
    """Write the range of some numbers, or the number that they all are."""
    if min(numbers) == max(numbers):
        return f"{numbers[0]:g}"
    return f"{min(numbers):g} to {max(numbers):g}"
