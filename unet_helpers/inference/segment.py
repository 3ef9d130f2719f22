"""``segment(image, model)`` computes a ``Segmentation`` from any image and a network."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..checks.checks import run_checks
from ..checks.expected_dice import outweighs_statistics
from ..checks.suggest import suggest
from ..checks.view import View
from ..doubt import OtherKind, Unlikeness
from ..images.image import MedicalImage, noted
from ..images.read import read_image
from ..networks.cards import MODELS, ModelCard
from ..networks.engine import INT8_NOTE, engine_of
from ..networks.load import load_model
from ..networks.unet import UNet
from ..results.anatomy import findings_on_parts
from ..results.segmentation import Segmentation
from ..timing import counted
from .prediction import choose_orientation, predict_frames
from .settings import check_reading_options, check_settings

# The last networks given by their names are kept, so that a loop over images does not load one each
# time: so many, because the images of a folder may be of several kinds.
KEPT_NETWORKS = 4
load_named = lru_cache(KEPT_NETWORKS)(load_model)

# Images that the network sees shrunk at least so much are of another magnification than those that
# it learnt from: in training they were at 0.5 to 2 times their own scale.
LEAST_SHRUNK = 0.6


@counted("segmenting")
def segment(
    image: Any,
    model: str | Path | ModelCard | UNet | None = None,
    *,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    diameter: float | str | None = None,
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
    diameter : float or str, optional
        Width of a typical object, which sets the zoom instead: a number is px of the image; a text
        is a length with its unit, such as ``"8 µm"``, for images whose pixel size is known.
    progress : bool
        Show a progress bar if there are several slices or tiles.
    tell : callable, optional
        Called with each note and warning, a string: those of the image before the network runs,
        those of the answer after it.
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
    view = view.for_card(model.card)
    settings = check_settings(model.card, threshold, flips, zoom, diameter)

    orientation = choose_orientation(model, view, settings)
    checked = orientation.turn.of_view(view)
    warnings = [*run_checks(checked, model.card), *orientation.doubts]
    own_notes = (*suggestion_notes, *view.notes(model.card), *orientation.notes)

    # An unusual image may still get a usual answer: this doubt waits for the answer.
    certain = [text for text in warnings if not isinstance(text, Unlikeness)]
    told_at_once = (*view.image.notes, *own_notes, *certain)
    tell_all(tell, view.image, told_at_once)

    prediction = predict_frames(model, view, settings, orientation.turn, progress=progress)

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
        asked=options_given(image, zoom=zoom, diameter=diameter, **reading),
    )
    result = with_notes_on_measures(reconsidered(with_findings(result)))

    texts = (*result.image.notes, *result.warnings)
    tell_all(tell, view.image, [text for text in texts if text not in told_at_once])
    return result


def tell_all(
    tell: Callable[[str], object] | None, image: MedicalImage, texts: Iterable[str]
) -> None:
    """Call ``tell`` with each text and the file that it is about."""
    if tell is not None:
        for text in texts:
            tell(f"{image.path or 'array'}: {text}")


def reconsidered(result: Segmentation) -> Segmentation:
    """Drop the doubt about unusual statistics, with a note, if it turns out to be none.

    Images of another laboratory have unusual statistics, too: at another magnification, or although
    the answer is as good as is usual.
    """
    unlike = [text for text in result.warnings if isinstance(text, Unlikeness)]
    if not unlike:
        return result

    others = tuple(text for text in result.warnings if not isinstance(text, Unlikeness))
    without = replace(result, warnings=others)
    score = result.view.likeness.score(result.card.name)
    words = f"its statistics are unusual (out-of-distribution score {score:.1f}), but "
    if is_usual_as_seen(result):
        words += f"usual at the zoom of {result.zoom:.2g} at which the network saw it"
        return replace(without, image=noted(result.image, words))

    is_of_other_kind = any(isinstance(text, OtherKind) for text in unlike)
    if not is_of_other_kind and outweighs_statistics(without.expected_dice, result.card):
        words += "the answer is about as certain as is usual"
        return replace(without, image=noted(result.image, words))

    return result


def is_usual_as_seen(result: Segmentation) -> bool:
    """Return whether an image of large objects is usual at the zoom at which it was shrunk."""
    finds_zoom = result.card.preprocessing.scale == "objects"
    if not finds_zoom or result.zoom > LEAST_SHRUNK:
        return False
    likeness = result.view.likeness_at(result.zoom)
    return likeness is not None and likeness.score(result.card.name) <= 1


def options_given(image: Any, **options: Any) -> dict[str, Any] | None:
    """Return the options that were given; None for an image that was read or made before."""
    if not isinstance(image, str | os.PathLike):
        return None
    return {name: value for name, value in options.items() if value is not None}


def with_findings(result: Segmentation) -> Segmentation:
    """Say first which parts of the answer cannot be, if any."""
    if not result.card.expected_parts:
        return result

    findings = [finding.text for finding in findings_on_parts(result)]
    if not findings:
        return result
    warnings = dict.fromkeys((*findings, *result.warnings))
    return replace(result, warnings=tuple(warnings))


def with_notes_on_measures(result: Segmentation) -> Segmentation:
    """Say which measures are missing from the result's summary, and why."""
    if result.card.measures != "tree":
        return result
    # Loads scikit-image, which `import unet_helpers` must not.
    from ..results.central_vessels import notes_on_central_vessels

    notes = notes_on_central_vessels(result)
    if not notes:
        return result
    return replace(result, image=noted(result.image, *notes))


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
