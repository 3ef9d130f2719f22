"""One scale for many images, found from several of them."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np

from ..checks.view import View
from ..errors import ArgumentError, UNetHelpersError
from ..images.read import read_image
from ..networks.unet import UNet
from ..preprocessing.field_of_view import width_of
from ..preprocessing.resample import SPACING_TOLERANCE
from .folder_job import read_manifest
from .object_zoom import common_zoom, spread_over, zoom_of_view
from .sources import Source
from .working_size import MAX_ZOOM, aspect_of

# Scales that are found from the image. At the others, all images have one scale already.
FOUND_SCALES = ("objects", "field of view")


def common_scale(
    sources: Sequence[Source], network: UNet | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the option of ``segment`` that holds one scale for all images.

    It is a zoom; or a diameter in µm for objects in images whose spacing is known and differs. It
    is found from up to ``object_zoom.SEARCHED_SLICES`` images, evenly spread; {} if none of them
    can be read, or if ``options`` set the scale. Raises ArgumentError for cards of fixed scale, and
    without a network.
    """
    if network is None:
        raise ArgumentError("same_scale: name the network that all images are segmented with.")
    card = network.card
    scale = card.preprocessing.scale
    if scale not in FOUND_SCALES:
        raise ArgumentError(
            f"same_scale: {card.name} does not estimate a scale for each image. Leave it out."
        )
    if options.get("zoom") is not None or options.get("diameter") is not None:
        return {}

    views = views_of(sources, options)
    if not views:
        return {}
    if scale == "field of view":
        return {"zoom": float(np.median([zoom_of_field(view, network) for view in views]))}

    found = [zoom_of_view(network, view, aspect_of(view.stack.spacing)) for view in views]
    steps = [step_of(view) for view in views]
    known = [step for step in steps if step is not None]
    differ = bool(known) and max(known) > min(known) * (1 + SPACING_TOLERANCE)
    if differ and len(known) == len(steps):
        # Widths in mm: the zoom of each image follows from its own spacing.
        widths = [
            card.object_diameter / zoom.zoom * step
            for zoom, step in zip(found, known, strict=True)
            if zoom.objects is not None
        ]
        if widths:
            return {"diameter": f"{1e3 * float(np.median(widths)):.4g} µm"}
    return {"zoom": common_zoom(found).zoom}


def views_of(sources: Sequence[Source], options: Mapping[str, Any]) -> list[View]:
    """Read several of the images, evenly spread; those that cannot be read are left out."""
    names = signature(read_image).parameters
    reading = {name: value for name, value in options.items() if name in names}

    views = []
    for index in spread_over(len(sources)):
        source = sources[index]
        try:
            views.append(View(read_image(source.image, **{**reading, **source.options})))
        except UNetHelpersError:
            # Its own row of the summary will say why.
            continue
    return views


def step_of(view: View) -> float | None:
    """Return the side in mm of a square as large as a pixel; None if it is not known."""
    spacing = view.stack.spacing
    if not spacing:
        return None
    return float(np.sqrt(spacing[-2] * spacing[-1]))


def zoom_of_field(view: View, network: UNet) -> float:
    """Return the zoom at which the field of view of the middle slice has the card's width."""
    middle = len(view.stack.pixels) // 2
    return min(network.card.preprocessing.size / width_of(view.field_of_view(middle)), MAX_ZOOM)


def scale_of_earlier(sources: Sequence[Source], asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the scale of results of an earlier call with the same settings; None without any.

    So that images that were added to a folder later are seen at the scale of the others.
    """
    for source in sources:
        if not source.result.exists():
            continue
        earlier = dict(read_manifest(source.result).get("asked") or {})
        scale = earlier.pop("scale", None)
        if earlier == {**asked, **source.options} and isinstance(scale, dict):
            return scale
    return None


def with_one_scale(
    asked: Mapping[str, Any] | None,
    sources: Sequence[Source],
    network: UNet | None,
    options: Mapping[str, Any],
    overwrite: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is asked for with one scale, and the option of ``segment`` that holds it.

    It is that of earlier results, unless they are replaced.
    """
    wanted = {**(asked or {}), "same_scale": True}
    scale = None if overwrite else scale_of_earlier(sources, wanted)
    if scale is None:
        scale = common_scale(sources, network, options)
    return {**wanted, "scale": scale}, scale
