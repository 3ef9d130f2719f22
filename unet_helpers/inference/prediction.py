"""What a network answers for an image: slice by slice, at the card's spacing, or in boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm.auto import tqdm

from ..checks.view import View
from ..images.stack import Stack
from ..networks.cards import ModelCard
from ..networks.unet import UNet
from ..preprocessing.field_of_view import FieldsOfView
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import Grid, at_spacing
from .localise import predict_boxes
from .scale import working_scale
from .settings import Settings
from .tiles import predict

# Values of a stack from which on the disagreement of augmentations is not kept, to save memory.
TOO_LARGE_FOR_SPREAD = 2**26

# Slices below which no bar is shown.
FEW_SLICES = 4

# mm: below this a spacing is given in nm.
SMALLEST_STEP_IN_MM = 1e-3


@dataclass(frozen=True, eq=False)
class StackPrediction:
    """What the network answered for a stack of slices."""

    # (K, Z, Y, X) float32 probabilities; (K + 1, Z, Y, X) with the spread of augmentations last.
    answers: np.ndarray

    zoom: float  # working px per px, along rows
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """What the network answered for an image, before thresholding."""

    # (K, *spatial) float32, in the image's own order.
    probabilities: np.ndarray

    # (*spatial) standard deviation over augmentations; None of a single answer.
    spread: np.ndarray | None

    zoom: float  # working px per px
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    # By name of a localised structure: the voxel (z, y, x) as displayed.
    places: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def predict_frames(
    model: UNet, view: View, settings: Settings, progress: bool = False
) -> VolumePrediction:
    """Predict each point in time on its own, all at one scale if objects tell it."""
    predictions: list[VolumePrediction] = []
    for frame, fields_of_view in zip(view.frames, view.fields_of_view, strict=True):
        prediction = predict_volume(model, frame, settings, fields_of_view, progress)
        predictions.append(prediction)

        # A movie has one scale, and it is told from its first frame.
        if model.card.preprocessing.scale == "objects":
            settings = replace(settings, zoom=predictions[0].zoom)
    return join_frames(predictions, view.image.spatial_shape)


def join_frames(
    predictions: Sequence[VolumePrediction], spatial_shape: tuple[int, ...]
) -> VolumePrediction:
    """Put the predictions for all points in time together, in the shape of the image."""
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
    progress: bool = False,
) -> VolumePrediction:
    """Predict one point in time: as it is, at the card's spacing, or in boxes around structures.

    ``fields_of_view`` are those of the slices of the stack.
    """
    card = model.card
    if card.localise is not None and card.localise.wanted(stack):
        return predict_localised(model, stack, settings, progress)

    grid = working_grid(stack, card, settings)
    if grid is not None:
        return predict_on_grid(model, stack, grid, settings, progress)

    # A volume that is seen along several axes has the card's spacing, or none that is known.
    spacing = stack.spacing
    if is_seen_along_axes(stack, card):
        spacing = None
    prediction = predict_stack(
        model,
        stack.pixels,
        settings,
        spacing=spacing,
        fields_of_view=fields_of_view,
        progress=progress,
    )

    notes: tuple[str, ...] = ()
    is_resized = settings.zoom is None and prediction.zoom != 1
    if is_resized:
        notes = notes_on_spacing(card)
    return volume_prediction(model, stack, prediction, notes)


def predict_localised(
    model: UNet, stack: Stack, settings: Settings, progress: bool
) -> VolumePrediction:
    """Predict boxes around the structures that the card localises in the stack."""
    card = model.card
    assert card.localise is not None
    warnings: list[str] = []

    def predict_box(pixels: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
        prediction = predict_stack(model, pixels, settings, axes=axes, progress=progress)
        warnings.extend(prediction.warnings)
        return prediction.answers

    boxes = predict_boxes(stack, card, predict_box)
    names = " and the ".join(boxes.places)
    note = f"registered to {card.localise.template}; the network saw a box on the {names}"
    return VolumePrediction(
        probabilities=stack.in_file_order(boxes.probabilities),
        spread=None,
        zoom=boxes.zoom,
        warnings=(*boxes.warnings, *warnings),
        notes=(note,),
        places=boxes.places,
    )


def predict_on_grid(
    model: UNet, stack: Stack, grid: Grid, settings: Settings, progress: bool
) -> VolumePrediction:
    """Predict the stack as resampled to the voxels of a grid, and bring the answer back."""
    on_grid = predict_stack(model, grid.cut(stack.pixels), settings, progress=progress)

    answers = np.zeros((len(on_grid.answers), *stack.pixels.shape), np.float32)
    grid.put_back(on_grid.answers, answers)
    zoom_of_rows = float(1 / grid.matrix[1, 1])
    prediction = StackPrediction(answers, zoom_of_rows, on_grid.warnings)
    return volume_prediction(model, stack, prediction, notes_on_spacing(model.card))


def volume_prediction(
    model: UNet, stack: Stack, prediction: StackPrediction, notes: tuple[str, ...]
) -> VolumePrediction:
    """Bring the prediction for a stack to the image's own order, the spread apart."""
    answers = stack.in_file_order(prediction.answers)
    spread = None
    if len(answers) > model.out_channels:
        spread = answers[-1]
    return VolumePrediction(
        probabilities=answers[: model.out_channels],
        spread=spread,
        zoom=prediction.zoom,
        warnings=prediction.warnings,
        notes=notes,
    )


def working_grid(stack: Stack, card: ModelCard, settings: Settings) -> Grid | None:
    """Lay the grid of the card's spacing over a volume seen along several axes, if it differs."""
    if settings.zoom is not None or not is_seen_along_axes(stack, card):
        return None
    return at_spacing(stack, card.preprocessing.spacing)


def is_seen_along_axes(stack: Stack, card: ModelCard) -> bool:
    """Tell whether the stack is sliced along several axes, so that its spacing counts along all."""
    is_grey_volume = len(stack.pixels) > 1 and stack.pixels.ndim == 3
    return is_grey_volume and len(card.preprocessing.axes) > 1


def notes_on_spacing(card: ModelCard) -> tuple[str, ...]:
    """Say at which spacing the network saw the image, for a card that has one."""
    spacing = card.preprocessing.spacing
    if not spacing:
        return ()
    step = f"{spacing:g} mm"
    if spacing <= SMALLEST_STEP_IN_MM:
        step = f"{1e6 * spacing:g} nm"
    return (f"the network saw it at {step} a step, as it learnt it",)


def predict_stack(
    model: UNet,
    pixels: np.ndarray,
    settings: Settings,
    *,
    axes: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    fields_of_view: FieldsOfView | None = None,
    progress: bool = False,
) -> StackPrediction:
    """Predict each slice of (Z, Y, X[, C]) on its own, averaged over the axes it is sliced along.

    ``axes`` are the card's where they are None. ``spacing``: mm, the last two along rows and
    columns. ``fields_of_view`` are those of the slices along the first axis, where they are known.
    Of a volume that lies in space, front is at the top, the patient's right on the left.
    """
    preprocessing = model.card.preprocessing
    if len(pixels) == 1:
        axes = (0,)
    elif axes is None:
        axes = preprocessing.axes

    channels = model.out_channels
    keeps_spread = settings.flips > 1 and pixels.size < TOO_LARGE_FOR_SPREAD
    if keeps_spread:
        channels += 1
    total = np.zeros((channels, *pixels.shape[:3]), np.float32)

    zooms = []
    warnings: list[str] = []
    count = sum(pixels.shape[axis] for axis in axes)
    hide_bar = not progress or count < FEW_SLICES
    with tqdm(total=count, desc="slices", disable=hide_bar) as bar:
        for axis in axes:
            slices = np.moveaxis(pixels, axis, 0)
            out = np.moveaxis(total, axis + 1, 1)
            fields = fields_of_view
            if fields is None or axis != 0:
                fields = FieldsOfView(slices)

            scale = working_scale(
                model,
                slices,
                index=len(slices) // 2,
                zoom=settings.zoom,
                spacing=spacing,
                fields_of_view=fields,
            )
            zooms.append(scale.shape[0] / slices.shape[1])
            warnings += scale.warnings

            all_prepared = prepare(slices, preprocessing, scale.shape, fields)
            for i, prepared in enumerate(all_prepared):
                predict(
                    model,
                    prepared,
                    out[:, i],
                    settings.flips,
                    weight=1 / len(axes),
                    progress=progress and count == 1,
                )
                bar.update()
    return StackPrediction(total, zooms[0], tuple(warnings))
