"""``segment(image, model)`` computes a ``Segmentation`` from any image and a network."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..checks.checks import run_checks
from ..checks.suggest import suggest
from ..checks.view import View
from ..images.image import noted
from ..images.read import read_image
from ..networks.cards import MODELS, ModelCard
from ..networks.engine import INT8_NOTE, engine_of
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.anatomy import findings_on_parts
from ..results.segmentation import Segmentation
from .prediction import predict_frames
from .prevalence import match_prevalence
from .settings import check_reading_options, check_settings

# The last network given by its name is kept, so that a loop over images does not load it each time.
load_named = lru_cache(1)(load_model)


def segment(
    image: Any,
    model: str | Path | ModelCard | UNet | None = None,
    *,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    progress: bool = True,
    tell: Callable[[str], object] | None = None,
    **reading: Any,
) -> Segmentation:
    """Segment an image with a network.

    Parameters
    ----------
    image : path, numpy.ndarray or MedicalImage
        An input of ``read_image``: a file, or (H, W), (H, W, 3), (Z, H, W) or (Z, H, W, 3).
    model : str, Path, ModelCard or UNet, optional
        An input of ``load_model``. Without it the first network of ``suggest_model`` is used, and a
        note names it.
    threshold : float, optional
        Pixels of this probability, 0 to 1, or more are foreground; the card's by default.
    flips : int, optional
        The number of turned and mirrored copies whose answers are averaged: 1, 2, 4 or 8; the
        card's by default.
    zoom : float, optional
        Working px per image px, instead of the scale found from the image.
    progress : bool
        Show a progress bar if there are several slices or tiles.
    tell : callable, optional
        Called with each note and warning, a string, before the network runs.
    **reading
        Options of ``read_image``, such as ``channel`` or ``spacing``.

    Returns
    -------
    Segmentation
        The answer, in the image's own shape and axis order.

    Raises
    ------
    ImageError
        The image cannot be read.
    ModelError, DownloadError
        There is no such network, none fits, or it cannot be fetched.
    ArgumentError
        A setting makes no sense.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
    >>> result.labels.shape == result.image.spatial_shape
    True
    >>> bool(result.objects.max() > 50)
    True
    """
    check_reading_options(reading)

    # The view keeps measurements of the image (its stack, fields of view, similarity to training
    # images), so that each is made only once.
    view = View(read_image(image, **reading))

    model, suggestion_notes = resolve_model(model, view)
    settings = check_settings(model.card, threshold, flips, zoom)

    warnings = run_checks(view, model.card)
    own_notes = (*suggestion_notes, *view.notes(model.card))
    notes = (*view.image.notes, *own_notes)
    if tell is not None:
        for text in (*notes, *warnings):
            tell(f"{view.image.path or 'array'}: {text}")

    prediction = predict_frames(model, view, settings, progress)
    prediction = match_prevalence(prediction, model.card, view)

    result = Segmentation(
        image=noted(view.image, *own_notes, *prediction.notes, *notes_on_engine(model)),
        card=model.card,
        probabilities=prediction.probabilities,
        threshold=settings.threshold,
        zoom=prediction.zoom,
        flips=settings.flips,
        weights_sha256=model.weights_sha256,
        warnings=(*warnings, *prediction.warnings),
        spread=prediction.spread,
        places=dict(prediction.places),
        measured=view,
    )
    return with_findings(result)


def with_findings(result: Segmentation) -> Segmentation:
    """Say first which parts of the answer cannot be, if any."""
    if not result.card.expected_parts:
        return result

    findings = [finding.text for finding in findings_on_parts(result)]
    if not findings:
        return result
    warnings = dict.fromkeys((*findings, *result.warnings))
    return replace(result, warnings=tuple(warnings))


def resolve_model(
    model: str | Path | ModelCard | UNet | None, view: View
) -> tuple[UNet, tuple[str, ...]]:
    """Load the network, or one that fits the image, with a note that names it."""
    if model is None:
        suggestion = suggest(view)
        return load_named(suggestion.model), (suggestion.note,)
    if isinstance(model, str) and model in MODELS:
        return load_named(model), ()
    return load_model(model), ()


def notes_on_engine(model: UNet) -> tuple[str, ...]:
    """Return a note if the network computes with integers."""
    if engine_of(model) == "int8":
        return (INT8_NOTE,)
    return ()
