"""The working scale: the size to which an image is resized before the network sees it.

It is computed from the card and from the image's spacing, its field of view, or the objects in it.
"Working px" are px after resizing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..checks.view import View
from ..doubt import Doubt
from ..errors import ArgumentError
from ..images.lengths import MILLIMETRES, length_of
from ..networks.cards import ModelCard
from ..networks.unet import UNet
from ..preprocessing.field_of_view import FieldsOfView, width_of
from ..preprocessing.resample import SPACING_TOLERANCE
from .object_size import looks_like_full_scale
from .object_zoom import ObjectZoom, find_object_zoom, zoom_for_small_objects, zoom_of_view
from .settings import Settings
from .working_size import (
    MAX_ZOOM,
    aspect_of,
    in_words,
    rounded_size,
    working_size,
    zoom_of_width,
)

# The spacing of a file counts if it differs from the card's by at most this factor. Beyond it, it
# is that of a screen or printer, or a number that a program wrote without knowing it.
MAX_SPACING_RATIO = 16.0

# A spacing of exactly 1 µm is looked at if it is coarser than the card's by more than this factor.
FULL_SCALE_RATIO = 2.0

# An image is shrunk by at most this factor for a diameter that is given.
SHRUNK_AT_MOST = 16.0


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of a stack, all seen at one scale, and what is known of them."""

    # (N, H, W) or (N, H, W, 3)
    pixels: np.ndarray

    fields_of_view: FieldsOfView

    # mm, the last two along rows and columns; None if it is unknown or not to be used.
    spacing: Sequence[float] | None = None

    def along(self, axis: int) -> "Slices":
        """Return the slices of the same stack along an axis, of which 0 is that of these."""
        if axis == 0:
            return self
        return slices_of(np.moveaxis(self.pixels, axis, 0), self.spacing)


def slices_of(pixels: np.ndarray, spacing: Sequence[float] | None = None) -> Slices:
    """Return slices (N, H, W) or (N, H, W, 3) whose fields of view are not known yet."""
    return Slices(pixels, FieldsOfView(pixels), spacing)


@dataclass(frozen=True)
class WorkingScale:
    """The size to which a slice is resized before the network sees it."""

    shape: tuple[int, int]  # (h, w) in working px
    warnings: tuple[str, ...] = ()

    # How the scale was found, in words.
    notes: tuple[str, ...] = ()

    def zoom(self, pixels: np.ndarray) -> float:
        """Return the zoom of (H, W[, C]): the root of the working px per px."""
        height, width = pixels.shape[:2]
        return float(np.sqrt(self.shape[0] / height * (self.shape[1] / width)))


def working_shape(
    model: UNet,
    pixels: np.ndarray,
    zoom: float | None = None,
    spacing: Sequence[float] | None = None,
) -> tuple[int, int]:
    """Return the (h, w) in working px of a slice (H, W) or (H, W, 3), see ``working_scale``."""
    return working_scale(model, slices_of(pixels[None], spacing), 0, zoom).shape


def working_scale(
    model: UNet, slices: Slices, index: int, zoom: float | None = None
) -> WorkingScale:
    """Find the working size of the slice ``index``.

    ``zoom``, in working px per px, replaces the zoom that would be found, except for cards of
    'square' scale, which ignore it. The spacing is used if the card has one; and, for all scales
    but 'square', to make pixels square that are not.
    """
    scale = usual_scale(model, slices, index, zoom)
    if not model.card.preprocessing.smallest_objects or zoom is not None:
        return scale
    return enlarged_for_small_objects(model, slices.pixels[index], scale, aspect_of(slices.spacing))


def enlarged_for_small_objects(
    model: UNet, pixels: np.ndarray, scale: WorkingScale, aspect: float
) -> WorkingScale:
    """Return the scale at which the small objects of a slice (H, W[, C]) are told apart."""
    usual_zoom = scale.zoom(pixels)
    found = zoom_for_small_objects(model, pixels, usual_zoom, aspect)
    if found.objects is None or found.zoom == usual_zoom:
        return scale

    factor = found.zoom / usual_zoom
    height, width = scale.shape
    note = (
        f"enlarged {factor:.3g} times, to zoom {found.zoom:.3g}: its objects are about"
        f" {found.objects.diameter:.2g} px wide, and {model.card.name} tells those from"
        f" {model.card.preprocessing.smallest_objects / usual_zoom:.2g} px apart better"
    )
    return replace(
        scale,
        shape=(round(height * factor), round(width * factor)),
        notes=(*scale.notes, note),
    )


def usual_scale(model: UNet, slices: Slices, index: int, zoom: float | None = None) -> WorkingScale:
    """Find the working size as ``working_scale`` does, without regard to small objects."""
    preprocessing = model.card.preprocessing
    if preprocessing.scale == "square":
        return WorkingScale((preprocessing.size, preprocessing.size))

    pixels = slices.pixels[index]
    spacing = slices.spacing
    aspect = aspect_of(spacing)
    notes: tuple[str, ...] = ()
    if aspect != 1:
        notes = (f"its pixels, {aspect:.3g} times as high as wide, were made square",)
    if zoom is not None:
        return WorkingScale(working_size(pixels, zoom, aspect), notes=notes)

    warnings: tuple[str, ...] = ()
    if preprocessing.spacing and spacing is not None and len(spacing) > 1:
        warnings = check_spacing(spacing, model.card, pixels)
        if not warnings:
            zooms = zooms_of_spacing(spacing, preprocessing.spacing)
            notes = notes_on_spacing(spacing, zooms, preprocessing.spacing)
            return WorkingScale(rounded_size(pixels, *zooms), notes=notes)

    if preprocessing.usual_spacing and preprocessing.spacing:
        usual_zoom = preprocessing.usual_spacing / preprocessing.spacing
        size = in_words(preprocessing.usual_spacing)
        note = f"zoom {usual_zoom:.3g}: its pixel size is not known, and was taken to be {size}"
        return WorkingScale(working_size(pixels, usual_zoom, aspect), warnings, (*notes, note))

    if preprocessing.scale == "field of view":
        zoom_of_field = zoom_of_width(width_of(slices.fields_of_view[index]), preprocessing)
        return WorkingScale(working_size(pixels, zoom_of_field, aspect), notes=notes)

    if preprocessing.scale == "objects":
        found = find_object_zoom(model, pixels, aspect)
        shape = working_size(pixels, found.zoom, aspect)
        return WorkingScale(shape, found.warnings, (*notes, *found.notes(preprocessing.size)))

    return WorkingScale(working_size(pixels, 1.0, aspect), warnings, notes)


def looks_for_objects(card: ModelCard) -> bool:
    """Return whether the zoom of an image follows from the objects that the network finds."""
    preprocessing = card.preprocessing
    return preprocessing.scale == "objects" or preprocessing.smallest_objects > 0


def zoom_by_objects(model: UNet, view: View) -> ObjectZoom:
    """Return the zoom at which ``segment`` sees an image, for cards that look for objects."""
    stack = view.stack
    aspect = aspect_of(stack.spacing)
    if model.card.preprocessing.scale == "objects":
        return zoom_of_view(model, view, aspect)

    middle = len(stack.pixels) // 2
    pixels = stack.pixels[middle]
    usual = usual_scale(model, slices_of(stack.pixels, stack.spacing), middle)
    return zoom_for_small_objects(model, pixels, usual.zoom(pixels), aspect)


@dataclass(frozen=True)
class ChosenZoom:
    """The zoom of a whole image; None if each slice finds its own, see ``working_scale``."""

    zoom: float | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose_zoom(model: UNet, view: View, settings: Settings) -> ChosenZoom:
    """Choose the zoom that is given, by a number or a diameter, or found from objects."""
    if settings.zoom is not None:
        return ChosenZoom(settings.zoom)

    card = model.card
    spacing = view.stack.spacing
    if settings.diameter is not None:
        diameter = diameter_in_pixels(settings.diameter, spacing)
        zoom = float(np.clip(card.object_diameter / diameter, 1 / SHRUNK_AT_MOST, MAX_ZOOM))
        note = (
            f"zoom {zoom:.3g}: its objects were given as {diameter:.3g} px wide, and the network"
            f" learnt those of {card.object_diameter} px"
        )
        return ChosenZoom(zoom, notes=(note,))

    if card.preprocessing.scale == "objects":
        found = zoom_of_view(model, view, aspect_of(spacing))
        return ChosenZoom(found.zoom, found.warnings, found.notes(card.object_diameter))
    return ChosenZoom()


def diameter_in_pixels(diameter: float | str, spacing: Sequence[float] | None) -> float:
    """Return a diameter in px, of one in px or of a length such as '8 µm'.

    ``spacing`` is in mm. Raises ArgumentError for a length if it is not known.
    """
    if not isinstance(diameter, str):
        return float(diameter)
    length = length_of(diameter)
    if length is None or spacing is None or len(spacing) < 2:
        raise ArgumentError(
            f"diameter={diameter!r}: the size of its pixels is not known. Give the diameter in px,"
            " or the pixel size by spacing= (mm)."
        )
    return length / float(np.sqrt(spacing[-2] * spacing[-1]))


def zooms_of_spacing(spacing: Sequence[float], working_spacing: float) -> tuple[float, float]:
    """Return the zooms of rows and columns that give the card's spacing, in mm per px."""
    zooms = np.clip(np.array(spacing[-2:]) / working_spacing, 1 / MAX_ZOOM, MAX_ZOOM)
    is_close = abs(zooms - 1) < SPACING_TOLERANCE
    rows, columns = np.where(is_close, 1, zooms)
    return float(rows), float(columns)


def check_spacing(spacing: Sequence[float], card: ModelCard, pixels: np.ndarray) -> tuple[str, ...]:
    """Return a doubt if (H, W[, C]) cannot have this spacing, so that it is not used."""
    known = card.preprocessing.spacing
    assert known is not None
    size = in_words(*spacing[-2:])
    seen = "It was seen as it is"
    if card.preprocessing.usual_spacing:
        seen = f"It was seen as at {in_words(card.preprocessing.usual_spacing)} a pixel"
    advice = f"{seen}; give the true size by spacing= (mm), or zoom=."

    ratios = np.array(spacing[-2:]) / known
    if ratios.max() > MAX_SPACING_RATIO or ratios.min() < 1 / MAX_SPACING_RATIO:
        return (
            Doubt(
                f"its pixel size in the file, {size}, cannot be right: {card.name} reads"
                f" {card.modality} at {in_words(known)} a pixel. {advice}"
            ),
        )

    # 1 px = 1 µm is what some programs write where nothing is known, and true of some images.
    is_unit = spacing[-2] == spacing[-1] == MILLIMETRES["µm"]
    if is_unit and ratios.max() > FULL_SCALE_RATIO and looks_like_full_scale(card, pixels):
        return (
            Doubt(
                f"its pixel size in the file, exactly {size}, seems to be a default: what it shows"
                f" is as large as at {in_words(known)} a pixel. {advice}"
            ),
        )
    return ()


def notes_on_spacing(
    spacing: Sequence[float], zooms: tuple[float, float], known: float
) -> tuple[str, ...]:
    """Return a note on the zooms that the spacing led to; none if both are 1."""
    rows, columns = zooms
    if rows == columns == 1:
        return ()
    zoom = f"{rows:.3g}" if rows == columns else f"{rows:.3g} × {columns:.3g}"
    return (
        f"zoom {zoom}: its pixel size is {in_words(*spacing[-2:])}, and the network learnt at"
        f" {in_words(known)} a step",
    )
