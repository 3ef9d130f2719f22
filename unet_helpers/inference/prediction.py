"""Predict an image: slice by slice, as a volume, at the card's spacing, or in boxes.

A frame is one point in time: a stack of slices, (Z, Y, X[, C]).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..checks.view import View
from ..images.stack import Stack
from ..networks.cards import ModelCard
from ..networks.unet import UNet
from ..preprocessing.field_of_view import FieldsOfView
from ..preprocessing.intensities import select_channels
from ..preprocessing.resample import Grid, at_spacing, at_step
from ..preprocessing.surroundings import Padding, VolumeBox, box_of_others
from .localise import predict_boxes
from .object_size import check_scale_of_answer
from .orientation import (
    AS_GIVEN,
    MOST_PIXELS,
    Orientation,
    Turn,
    axes_to_read,
    find_orientation,
    is_to_be_found,
)
from .scale import Slices, choose_zoom, slices_of
from .settings import Settings
from .stack_prediction import StackPrediction, predict_stack, with_background
from .working_size import doubts_on_step, note_on_step


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """The prediction for an image or one of its frames, before thresholding."""

    # (K, *spatial) float32 probabilities, in the image's own axis order.
    probabilities: np.ndarray

    # (*spatial); None if computed without augmentation or if the stack is too large.
    spread: np.ndarray | None

    zoom: float  # working px per px
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    # The centre voxel (z, y, x), as displayed, of each localised structure, by name.
    places: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def predict_frames(
    model: UNet,
    view: View,
    settings: Settings,
    turn: Turn = AS_GIVEN,
    *,
    progress: bool = False,
) -> VolumePrediction:
    """Predict each frame on its own, all at one scale, and turned to one orientation."""
    chosen = choose_zoom(model, view, settings)
    settings = replace(settings, zoom=chosen.zoom)

    predictions: list[VolumePrediction] = []
    for frame, fields_of_view in zip(view.frames, view.fields_of_view, strict=True):
        prediction = predict_volume(
            model,
            frame,
            settings,
            fields_of_view,
            padding=view.padding,
            turn=turn,
            progress=progress,
        )
        predictions.append(prediction)

    joined = join_frames(predictions, view.image.spatial_shape)
    return replace(
        joined,
        notes=(*chosen.notes, *joined.notes),
        warnings=(*chosen.warnings, *joined.warnings),
    )


def join_frames(
    predictions: Sequence[VolumePrediction], spatial_shape: tuple[int, ...]
) -> VolumePrediction:
    """Join the predictions for all frames, in the shape of the image."""
    first = predictions[0]
    warnings = dict.fromkeys(text for prediction in predictions for text in prediction.warnings)
    if len(predictions) == 1:
        return replace(first, warnings=tuple(warnings))

    probabilities = np.stack([prediction.probabilities for prediction in predictions], axis=1)
    spreads = [prediction.spread for prediction in predictions if prediction.spread is not None]
    spread = None
    if spreads:
        spread = np.stack(spreads).reshape(spatial_shape)
    return replace(
        first,
        probabilities=probabilities.reshape(len(probabilities), *spatial_shape),
        spread=spread,
        warnings=tuple(warnings),
    )


def predict_volume(
    model: UNet,
    stack: Stack,
    settings: Settings,
    fields_of_view: FieldsOfView,
    *,
    padding: Padding | None = None,
    turn: Turn = AS_GIVEN,
    progress: bool = False,
) -> VolumePrediction:
    """Predict one frame: slice by slice, as a volume, at the card's spacing, or in boxes.

    ``fields_of_view`` are those of the slices of the stack; ``padding`` has been replaced in it.
    ``turn`` is that to the orientation that the network learnt.
    """
    card = model.card
    box = box_without_padding(stack, card, padding)
    content = replace(stack, pixels=stack.pixels[box])

    if card.localise is not None and card.localise.wanted(content):
        return predict_localised(model, stack, settings, progress)

    if content.spatial_shape != stack.spatial_shape:
        fields_of_view = FieldsOfView(content.pixels)
    prediction = predict_content(model, content, settings, fields_of_view, turn, progress)
    if content.spatial_shape != stack.spatial_shape:
        prediction = with_background(model, prediction, box, stack.spatial_shape)
    return volume_prediction(model, stack, prediction)


def box_without_padding(stack: Stack, card: ModelCard, padding: Padding | None) -> VolumeBox:
    """Return the slices, rows and columns of a stack that the network of a card reads.

    Networks for volumes learnt crops that are filled up to their border.
    """
    if padding is None or not is_read_as_volume(stack, card):
        return slice(None), slice(None), slice(None)
    return box_of_others(stack.pixels, padding.lowest)


def predict_content(
    model: UNet,
    stack: Stack,
    settings: Settings,
    fields_of_view: FieldsOfView,
    turn: Turn,
    progress: bool,
) -> StackPrediction:
    """Predict a stack without padding, which is turned before."""
    card = model.card
    if card.preprocessing.dims == 3 and stack.pixels.ndim == 4:
        # A network for volumes reads grey values.
        grey = select_channels(stack.pixels, card.preprocessing.channels, colour=True)
        stack = replace(stack, pixels=grey)
    if turn == AS_GIVEN:
        return predict_upright(model, stack, settings, fields_of_view, None, progress)
    turned = turn.of(stack)
    fields_of_turned = FieldsOfView(turned.pixels)
    prediction = predict_upright(model, turned, settings, fields_of_turned, None, progress)
    return replace(prediction, answers=turn.back(prediction.answers))


def choose_orientation(model: UNet, view: View, settings: Settings) -> Orientation:
    """Find how an image lies, if its file does not say so and the card's structure is expected.

    The first frame decides for all.
    """
    card = model.card
    stack = view.frames[0]
    content = replace(stack, pixels=stack.pixels[box_without_padding(stack, card, view.padding)])
    if not is_to_be_found(content, card):
        return Orientation(AS_GIVEN)

    # One copy is enough, and turned copies would be other orientations.
    settings = replace(settings, flips=1)
    grid = working_grid(content, card, settings)
    if grid is not None:
        step = card.preprocessing.spacing or 1.0
        content = replace(content, pixels=grid.cut(content.pixels), spacing=(step, step, step))
    if np.prod(content.spatial_shape) > MOST_PIXELS:
        return Orientation(AS_GIVEN)

    def see(turn: Turn) -> np.ndarray:
        turned = turn.of(content)
        seen = predict_upright(model, turned, settings, FieldsOfView(turned.pixels), axes=(0,))
        return turn.back(seen.answers[int(card.has_background) :])

    axes = axes_to_read(content.spatial_shape, card.preprocessing.axes, settings.zoom)
    return find_orientation(axes, see)


def predict_upright(
    model: UNet,
    stack: Stack,
    settings: Settings,
    fields_of_view: FieldsOfView,
    axes: tuple[int, ...] | None,
    progress: bool = False,
) -> StackPrediction:
    """Predict a stack at the card's spacing, or slice by slice; ``axes``: see `predict_stack`."""
    card = model.card
    grid = working_grid(stack, card, settings)
    if grid is not None:
        return predict_on_grid(model, stack, grid, settings, axes, progress)

    # A volume that is read along all its axes needs no resampling here: it has the card's spacing,
    # its spacing is not known, or the user has set the zoom.
    spacing = stack.spacing
    if is_read_as_volume(stack, card):
        spacing = None
    slices = Slices(stack.pixels, fields_of_view, spacing)
    prediction = predict_stack(model, slices, settings, axes, progress)

    doubts = check_scale_of_stack(card, stack, prediction, settings)
    return replace(prediction, warnings=(*prediction.warnings, *doubts))


def check_scale_of_stack(
    card: ModelCard, stack: Stack, prediction: StackPrediction, settings: Settings
) -> tuple[str, ...]:
    """Return doubts about the scale, from the middle slice of a stack."""
    middle = len(stack.pixels) // 2
    return check_scale_of_answer(
        card,
        stack.pixels[middle],
        prediction.answers[:, middle],
        prediction.zoom,
        stack.spacing,
        is_given=settings.zoom is not None,
    )


def predict_localised(
    model: UNet, stack: Stack, settings: Settings, progress: bool
) -> VolumePrediction:
    """Predict only boxes around the structures that the card localises in the stack."""
    card = model.card
    assert card.localise is not None
    warnings: list[str] = []

    # A box is at the card's spacing already.
    settings = replace(settings, zoom=None)

    def predict_box(pixels: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
        prediction = predict_stack(model, slices_of(pixels), settings, axes, progress)
        warnings.extend(prediction.warnings)
        return prediction.answers

    boxes = predict_boxes(stack, card, predict_box)
    notes: tuple[str, ...] = ()
    if boxes.places:
        names = " and the ".join(boxes.places)
        notes = (f"registered to {card.localise.template}; the network saw a box on the {names}",)
    return VolumePrediction(
        probabilities=boxes.probabilities,
        spread=None,
        zoom=boxes.zoom,
        warnings=(*boxes.warnings, *warnings),
        notes=notes,
        places=boxes.places,
    )


def predict_on_grid(
    model: UNet,
    stack: Stack,
    grid: Grid,
    settings: Settings,
    axes: tuple[int, ...] | None,
    progress: bool,
) -> StackPrediction:
    """Predict the stack resampled to a grid, and resample the answer back to the stack."""
    slices = slices_of(grid.cut(stack.pixels))
    on_grid = predict_stack(model, slices, replace(settings, zoom=None), axes, progress)

    answers = np.zeros((len(on_grid.answers), *stack.pixels.shape), np.float32)
    grid.put_back(on_grid.answers, list(answers))

    # The matrix maps voxels of the grid to voxels of the stack, (z, y, x), so the zoom is 1 / step.
    zoom_of_rows = float(1 / grid.matrix[1, 1])
    notes: tuple[str, ...] = ()
    warnings = on_grid.warnings
    if settings.zoom is None:
        known = model.card.preprocessing.spacing or 0.0
        seen = np.diag(grid.matrix) * np.array(stack.spacing)
        notes = (note_on_step(seen, known),)
        warnings = (*warnings, *doubts_on_step(seen, known))
    return StackPrediction(answers, zoom_of_rows, warnings, notes)


def volume_prediction(model: UNet, stack: Stack, prediction: StackPrediction) -> VolumePrediction:
    """Return a prediction in the image's own axis order, with the spread separated."""
    answers = stack.in_file_order(prediction.answers)
    spread = None
    if len(answers) > model.out_channels:
        spread = answers[-1]
    return VolumePrediction(
        probabilities=answers[: model.out_channels],
        spread=spread,
        zoom=prediction.zoom,
        warnings=prediction.warnings,
        notes=prediction.notes,
    )


def working_grid(stack: Stack, card: ModelCard, settings: Settings) -> Grid | None:
    """Return the grid to which a volume is resampled, or None if none is needed.

    A zoom that is given counts along all axes of a network for volumes; of one for slices, it is
    that of each slice.
    """
    if not is_read_as_volume(stack, card):
        return None
    if settings.zoom is None:
        return at_spacing(stack, card.preprocessing.spacing)
    if card.preprocessing.dims == 3 and settings.zoom != 1:
        return at_step(stack, 1 / settings.zoom)
    return None


def is_read_as_volume(stack: Stack, card: ModelCard) -> bool:
    """Return whether it is a grey volume that the card reads along all its axes."""
    is_grey_volume = len(stack.pixels) > 1 and stack.pixels.ndim == 3
    return is_grey_volume and card.preprocessing.reads_volumes
