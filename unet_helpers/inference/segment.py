"""``segment(image, model)``: the one way from any image and a network to a ``Segmentation``."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from inspect import signature

import numpy as np
import scipy
from tqdm.auto import tqdm

from ..errors import ArgumentError, ModelError
from ..images.image import MedicalImage
from ..images.read import read_image
from ..images.stack import frames, from_stack, to_stack
from ..networks.cards import MODELS
from ..networks.engine import INTEGERS, engine_of
from ..networks.load import load_model
from ..networks.unet import UNet
from ..preprocessing.checks import check_input
from ..preprocessing.out_of_distribution import distances, suggest_model
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import at_spacing
from ..results.segmentation import Segmentation
from .localise import predict_boxes
from .scale import working_shape
from .tiles import FLIPS, predict

# distances, in limits of the card, below which photographs of cameras learnt from lie, and above which most others; and
# how far probabilities are shifted at most, in logit, since eyes differ, too
FAMILIAR, MOST = (0.45, 0.55), 0.75
load_named = lru_cache(1)(load_model)  # of a name: not read and compiled again for each image


def segment(
    image,
    model=None,
    *,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    progress: bool = True,
    tell: Callable[[str], object] | None = None,
    **reading,
) -> Segmentation:
    """Segment an image (path, array or MedicalImage) with a network (name or UNet of ``load_model``).

    Without a ``model`` the first of ``suggest_model`` is taken, which a note says; ModelError where none fits.
    ``threshold`` (0 to 1) and ``flips`` (1, 2, 4 or 8 answers averaged) replace the card's own; ``zoom`` (working
    px per image px) replaces the scale found from the image. ``progress`` shows a bar where it takes longer; ``tell``
    is called with each note and warning before the network runs; ``reading`` are options of ``read_image``.
    Raises ImageError (no image), ModelError and DownloadError (the network), ArgumentError (senseless settings).
    """
    if model is None:
        (image, model), reading = with_suggestion(read_image(image, **reading)), {}
    model = load_named(model) if isinstance(model, str) and model in MODELS else load_model(model)
    threshold, flips = check_settings(model.card, threshold, flips, zoom, **reading)
    image = read_image(image, **reading)
    warnings = tuple(check_input(image, model.card))
    for words in (*image.notes, *warnings):
        (tell or str)(f"{image.path or 'array'}: {words}")
    seen: list[tuple] = []
    for frame in frames(image):
        seen.append(predict_volume(model, frame, flips, zoom, progress))
        if (
            model.card.preprocessing.scale == "objects"
        ):  # a movie has one scale, and it is told from its first frame
            zoom = seen[0][1]
    parts, zooms, doubts, notes, places = zip(*seen)
    values = np.stack(parts, axis=1) if len(parts) > 1 else parts[0]
    values = values.reshape(len(values), *image.spatial_shape)
    spread = values[-1] if len(values) > model.out_channels else None
    warnings += tuple(dict.fromkeys(words for part in doubts for words in part))
    values[0], shifted = at_prevalence(values[0], image, model.card)
    integers = (INTEGERS,) * (engine_of(model) == "int8")
    image = replace(image, notes=(*image.notes, *notes[0], *shifted, *integers))
    found = (threshold, zooms[0], flips, model.weights_sha256, warnings, spread, places[0])
    return Segmentation(image, model.card, values[: model.out_channels], *found)


def with_suggestion(image: MedicalImage) -> tuple[MedicalImage, str]:
    """The image with a note about the network chosen for it, and its name."""
    names = suggest_model(image)
    if not names:
        known = "; ".join(f"{card.name} ({card.modality})" for card in MODELS.values())
        words = "like no images that the networks know. Name one to use it all the same"
        raise ModelError(f"{image.name}: {words}: {known}.")
    fits = f" (would fit, too: {', '.join(names[1:])})" if names[1:] else ""
    note = f"no network was named: {names[0]} knows images like this one{fits}"
    return replace(image, notes=(*image.notes, note)), names[0]


def at_prevalence(
    probability: np.ndarray, image: MedicalImage, card
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Probabilities of an image unlike those learnt from, shifted in logit towards a mean that is the card's prevalence
    (Saerens et al. 2002, Neural Comput. 14:21), and a note; what is exactly 0, outside the field of view, stays so.
    """
    inside = probability > 0
    away = distances(image).get(card.name, 0) if card.prevalence and inside.any() else 0
    if not (share := float(np.interp(away, FAMILIAR, (0, 1)))):
        return probability, ()
    logit, expit = scipy.special.logit, scipy.special.expit
    z = logit(probability[inside][::7].astype(float).clip(1e-6, 1 - 1e-6))  # some stand for all
    shift = scipy.optimize.brentq(lambda shift: expit(z + shift).mean() - card.prevalence, -20, 20)
    if abs(shift := share * float(np.clip(shift, -MOST, MOST))) < 0.05:
        return probability, ()
    usual = f"{card.prevalence:.0%} of {card.classes[0]}, as is usual"
    note = f"unlike most images learnt from: probabilities are shifted by {shift:+.2f} in logit, towards {usual}"
    with np.errstate(divide="ignore"):
        return expit(logit(probability) + np.float32(shift)), (note,)


def check_settings(card, threshold=None, flips=None, zoom=None, **reading) -> tuple[float, int]:
    """(threshold, flips), the card's own where they are None; ArgumentError for what makes no sense."""
    threshold = card.threshold if threshold is None else threshold
    flips = card.flips if flips is None else flips
    if unknown := reading.keys() - signature(read_image).parameters.keys():
        raise ArgumentError(f"There is no option {', '.join(sorted(unknown))}.")
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ArgumentError(
            f"threshold={threshold!r} is no probability: give a number from 0 to 1."
        )
    if flips not in (1, 2, 4, len(FLIPS)):
        raise ArgumentError(
            f"flips={flips!r} is not among 1, 2, 4 and 8, the numbers of copies that are averaged."
        )
    if zoom is not None and (not isinstance(zoom, int | float) or not 0 < zoom < 100):
        raise ArgumentError(
            f"zoom={zoom!r} is no scale: give working px per image px, for example 0.5 or 2."
        )
    return threshold, flips


def predict_volume(model: UNet, image, flips: int, zoom: float | None, progress: bool) -> tuple:
    """(values, zoom, warnings, notes, places): seen as it is, at the card's spacing, or in boxes that it localises.
    ``values``: (K, *shape) float32 in the image's order; with ``flips`` > 1 one more, the spread over the copies.
    """
    stack, card, said = to_stack(image), model.card, list[str]()
    warnings, notes, places = (), (), {}
    look = partial(
        predict_stack, model, flips=flips, zoom=zoom, progress=progress, tell=said.append
    )
    grid = (
        at_spacing(stack, card.preprocessing.spacing)
        if volumetric(stack, card) and zoom is None
        else None
    )
    if card.localise and card.localise.wanted(stack):
        boxes = predict_boxes(stack, card, lambda pixels, axes: look(pixels, axes=axes)[0])
        values, used, warnings, places = (
            boxes.probabilities,
            boxes.zoom,
            boxes.warnings,
            boxes.places,
        )
        notes = (
            f"registered to {card.localise.template}; the network saw a box on the {' and the '.join(places)}",
        )
    elif grid is not None:
        answer = look(grid.cut(stack.pixels))[0]
        values, used = (
            np.zeros((len(answer), *stack.pixels.shape), np.float32),
            float(1 / grid.matrix[1, 1]),
        )
        grid.put_back(answer, values)
    else:
        values, used = look(
            stack.pixels, spacing=None if volumetric(stack, card) else stack.spacing
        )
    size = card.preprocessing.spacing
    if size and not notes and (grid is not None or (zoom is None and used != 1)):
        step = f"{size:g} mm" if size > 1e-3 else f"{1e6 * size:g} nm"
        notes = (f"the network saw it at {step} a step, as it learnt it",)
    return from_stack(image, values), used, (*warnings, *said), notes, places


def volumetric(stack, card) -> bool:
    """Is the stack seen along more than one axis, so that its spacing counts along all?"""
    return len(stack.pixels) > 1 and stack.pixels.ndim == 3 and len(card.preprocessing.axes) > 1


def predict_stack(
    model: UNet,
    stack: np.ndarray,
    flips: int,
    zoom: float | None,
    progress: bool,
    spacing=None,
    axes=None,
    tell: Callable[[str], object] = str,
) -> tuple[np.ndarray, float]:
    """(K, Z, Y, X) float32 for (Z, Y, X[, C]), and the zoom: each slice on its own, averaged over the ``axes``.
    Without ``axes``, over the card's. Of a volume that lies in space, front is at the top, the patient's right left.
    """
    preprocessing, shape = model.card.preprocessing, stack.shape[:3]
    axes = (axes or preprocessing.axes) if len(stack) > 1 else (0,)
    total, zooms = (
        np.zeros((model.out_channels + (flips > 1 and stack.size < 2**26), *shape), np.float32),
        [],
    )
    count = sum(shape[axis] for axis in axes)
    with tqdm(total=count, desc="slices", disable=not progress or count < 4) as bar:
        for axis in axes:
            slices, out = np.moveaxis(stack, axis, 0), np.moveaxis(total, axis + 1, 1)
            size = working_shape(model, slices[len(slices) // 2], zoom, spacing, tell)
            zooms.append(size[0] / slices.shape[1])
            for i, prepared in enumerate(prepare(slices, preprocessing, size)):
                predict(model, prepared, out[:, i], flips, 1 / len(axes), progress and count == 1)
                bar.update()
    return total, zooms[0]
