"""Predict a stack of slices, all at one scale: slice by slice, or as a whole.

The spread is the standard deviation of the probabilities over the augmentations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm.auto import tqdm

from ..doubt import Doubt
from ..networks.unet import UNet
from ..preprocessing.prepare import joined, prepare
from ..preprocessing.resample import resize_channels
from ..preprocessing.surroundings import VolumeBox, box_for, whole_box
from .orientation import axes_to_read
from .scale import Slices, WorkingScale, slices_of, working_scale
from .settings import Settings
from .tiles import background_answer, predict, predict_cubes

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


def predict_stack(
    model: UNet,
    slices: Slices,
    settings: Settings,
    axes: Sequence[int] | None = None,
    progress: bool = False,
) -> StackPrediction:
    """Predict each slice of a stack on its own, averaged over the axes it is sliced along.

    ``axes`` defaults to those of the card along which slices are wide; 0 is that of the slices as
    they are given. Axial slices of a volume with an affine are displayed with anterior up and the
    patient's right on the left. A network for volumes predicts the stack as a whole instead.
    """
    preprocessing = model.card.preprocessing
    pixels = slices.pixels
    box = box_for(pixels, preprocessing)
    if box != whole_box(pixels):
        rows, columns = box
        # The frame is background.
        inside = slices_of(pixels[:, rows, columns], slices.spacing)
        inner = predict_stack(model, inside, settings, axes, progress)
        return with_background(model, inner, (slice(None), rows, columns), pixels.shape[:3])

    if preprocessing.dims == 3:
        return predict_whole(model, slices, settings, progress)

    if axes is None:
        axes = axes_to_read(pixels.shape[:3], preprocessing.axes, settings.zoom)

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
