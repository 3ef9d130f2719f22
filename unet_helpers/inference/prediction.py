"""Predict an image: slice by slice, as a volume, at the card's spacing, or in boxes.

A frame is one point in time: a stack of slices, (Z, Y, X[, C]). The spread is the standard
deviation of the probabilities over the augmentations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm.auto import tqdm

from ..checks.view import View
from ..doubt import Doubt
from ..images.stack import Stack
from ..networks.cards import ModelCard
from ..networks.unet import UNet
from ..preprocessing.field_of_view import FieldsOfView
from ..preprocessing.intensities import select_channels
from ..preprocessing.prepare import joined, prepare
from ..preprocessing.resample import Grid, at_spacing, at_step, resize_channels
from ..preprocessing.surroundings import Padding, VolumeBox, box_for, box_of_others, whole_box
from .localise import predict_boxes
from .object_size import check_scale_of_answer
from .scale import Slices, WorkingScale, choose_zoom, slices_of, working_scale
from .settings import Settings
from .tiles import background_answer, predict, predict_cubes
from .working_size import doubts_on_step, note_on_step

# Stacks with this many values or more get no spread, to save memory.
TOO_LARGE_FOR_SPREAD = 2**26

# No progress bar is shown for fewer slices.
FEW_SLICES = 4


@dataclass(frozen=True, eq=False)
class StackPrediction:
    """The prediction for a stack of slices."""

    # (K, Z, Y, X) float32 probabilities, or (K + 1, Z, Y, X) with the spread as the last channel.
    answers: np.ndarray

    zoom: float  # root of the working px per px of a slice
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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
    model: UNet, view: View, settings: Settings, progress: bool = False
) -> VolumePrediction:
    """Predict each frame on its own, all at one scale."""
    chosen = choose_zoom(model, view, settings)
    settings = replace(settings, zoom=chosen.zoom)

    predictions: list[VolumePrediction] = []
    for frame, fields_of_view in zip(view.frames, view.fields_of_view, strict=True):
        prediction = predict_volume(
            model, frame, settings, fields_of_view, padding=view.padding, progress=progress
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
    progress: bool = False,
) -> VolumePrediction:
    """Predict one frame: slice by slice, as a volume, at the card's spacing, or in boxes.

    ``fields_of_view`` are those of the slices of the stack; ``padding`` has been replaced in it.
    """
    card = model.card
    box = box_without_padding(stack, card, padding)
    content = replace(stack, pixels=stack.pixels[box])

    if card.localise is not None and card.localise.wanted(content):
        return predict_localised(model, stack, settings, progress)

    if content.spatial_shape != stack.spatial_shape:
        fields_of_view = FieldsOfView(content.pixels)
    prediction = predict_content(model, content, settings, fields_of_view, progress)
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
    progress: bool,
) -> StackPrediction:
    """Predict a stack without padding: at the card's spacing, or slice by slice."""
    card = model.card
    if card.preprocessing.dims == 3 and stack.pixels.ndim == 4:
        # A network for volumes reads grey values.
        grey = select_channels(stack.pixels, card.preprocessing.channels, colour=True)
        stack = replace(stack, pixels=grey)
    grid = working_grid(stack, card, settings)
    if grid is not None:
        return predict_on_grid(model, stack, grid, settings, progress)

    # A volume that is read along all its axes needs no resampling here: it has the card's spacing,
    # its spacing is not known, or the user has set the zoom.
    spacing = stack.spacing
    if is_read_as_volume(stack, card):
        spacing = None
    slices = Slices(stack.pixels, fields_of_view, spacing)
    prediction = predict_stack(model, slices, settings, progress=progress)

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
    model: UNet, stack: Stack, grid: Grid, settings: Settings, progress: bool
) -> StackPrediction:
    """Predict the stack resampled to a grid, and resample the answer back to the stack."""
    slices = slices_of(grid.cut(stack.pixels))
    on_grid = predict_stack(model, slices, replace(settings, zoom=None), progress=progress)

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


def predict_stack(
    model: UNet,
    slices: Slices,
    settings: Settings,
    axes: Sequence[int] | None = None,
    progress: bool = False,
) -> StackPrediction:
    """Predict each slice of a stack on its own, averaged over the axes it is sliced along.

    ``axes`` defaults to the card's axes; 0 is that of the slices as they are given. Axial slices of
    a volume with an affine are displayed with anterior up and the patient's right on the left. A
    network for volumes predicts the stack as a whole instead.
    """
    preprocessing = model.card.preprocessing
    pixels = slices.pixels
    box = box_for(pixels, preprocessing)
    if box != whole_box(pixels):
        rows, columns = box
        # The frame is background.
        inside = slices_of(pixels[:, rows, columns], slices.spacing)
        inner = predict_stack(model, inside, settings, progress=progress)
        return with_background(model, inner, (slice(None), rows, columns), pixels.shape[:3])

    if preprocessing.dims == 3:
        return predict_whole(model, slices, settings, progress)

    if len(pixels) == 1:
        axes = (0,)
    elif axes is None:
        axes = preprocessing.axes

    total = blank_answers(model, pixels, settings)
    count = sum(pixels.shape[axis] for axis in axes)
    scales = []
    with tqdm(total=count, desc="slices", disable=not progress or count < FEW_SLICES) as bar:
        for axis in axes:
            # A view of ``total``, to which the answers along each axis are added.
            out = np.moveaxis(total, axis + 1, 1)
            along = slices.along(axis)
            shows_tiles = progress and count == 1
            scale = add_answers(model, along, settings, out, 1 / len(axes), bar, shows_tiles)
            scales.append(scale)

    # The zoom of the result is that along the first of the axes.
    first_slice = slices.along(axes[0]).pixels[0]
    return StackPrediction(
        total,
        zoom=scales[0].zoom(first_slice),
        warnings=tuple(dict.fromkeys(text for scale in scales for text in scale.warnings)),
        notes=scales[0].notes,
    )


def predict_whole(
    model: UNet, slices: Slices, settings: Settings, progress: bool
) -> StackPrediction:
    """Predict a stack by a network that reads volumes, in overlapping cubes if it is large."""
    depth, height, width = slices.pixels.shape[:3]
    scale = working_scale(model, slices, depth // 2, settings.zoom)
    prepared = prepare(slices.pixels, model.card.preprocessing, scale.shape, slices.fields_of_view)
    answers = blank_answers(model, slices.pixels, settings)
    volume = joined(prepared)
    answer = predict_cubes(model, volume, len(answers), settings.flips, progress)
    for index in range(depth):
        answers[:, index] = resize_channels(answer[:, index], (height, width))
    warnings = scale.warnings
    if 1 in volume.shape[1:]:
        doubt = Doubt("a single slice, where the network reads volumes: it needs its neighbours.")
        warnings = (*warnings, doubt)
    return StackPrediction(
        answers, zoom=scale.zoom(slices.pixels[0]), warnings=warnings, notes=scale.notes
    )


def add_answers(
    model: UNet,
    slices: Slices,
    settings: Settings,
    out: np.ndarray,
    weight: float,
    bar: tqdm,
    shows_tiles: bool,
) -> WorkingScale:
    """Add the weighted answers for slices (N, H, W[, C]) to ``out`` (K, N, H, W), in place.

    The middle slice sets the scale for all, which is returned. ``bar`` counts slices, and with
    ``shows_tiles`` each slice has a bar of its own.
    """
    scale = working_scale(model, slices, len(slices.pixels) // 2, settings.zoom)
    all_prepared = prepare(
        slices.pixels, model.card.preprocessing, scale.shape, slices.fields_of_view
    )
    for index, prepared in enumerate(all_prepared):
        predict(model, prepared, out[:, index], settings.flips, weight=weight, progress=shows_tiles)
        bar.update()
    return scale


def blank_answers(model: UNet, pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """Return zeros for the answers to (Z, Y, X[, C]), with a last channel if the spread is kept."""
    channels = model.out_channels
    keeps_spread = settings.flips > 1 and pixels.size < TOO_LARGE_FOR_SPREAD
    if keeps_spread:
        channels += 1
    return np.zeros((channels, *pixels.shape[:3]), np.float32)


def with_background(
    model: UNet, inner: StackPrediction, box: VolumeBox, shape: tuple[int, ...]
) -> StackPrediction:
    """Return the prediction for a box of a stack as one for all (Z, Y, X), with background around.

    ``box`` are the slices, rows and columns of the stack that were predicted.
    """
    answers = np.zeros((len(inner.answers), *shape), np.float32)
    answers[: model.out_channels] = background_answer(model)[: model.out_channels, None]
    slices, rows, columns = box
    answers[:, slices, rows, columns] = inner.answers
    return replace(inner, answers=answers)
