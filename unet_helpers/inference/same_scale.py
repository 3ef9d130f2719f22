"""One scale for many images, found from several of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from ..checks.view import View
from ..errors import ArgumentError, UNetHelpersError
from ..images.read import read_image
from ..networks.unet import UNet
from ..preprocessing.field_of_view import width_of
from ..preprocessing.resample import SPACING_TOLERANCE
from ..results.request import read_manifest
from .folder_job import requested_settings
from .object_zoom import common_zoom, spread_over
from .scale import looks_for_objects, zoom_by_objects
from .sources import Source
from .working_size import zoom_of_width


@dataclass(frozen=True)
class HeldScale:
    """The scale that is held over all images of a folder."""

    # Options of ``segment``: a zoom or a diameter; {} if none was found.
    scale: Mapping[str, Any]
    # What manifests say of it.
    asked: Mapping[str, Any]


def known_network(network: UNet | None) -> UNet:
    """Return the network; ArgumentError if each image has one of its own."""
    if network is None:
        raise ArgumentError("same_scale needs one network for all images: name it.")
    return network


def held_scale(
    sources: Sequence[Source], network: UNet, options: Mapping[str, Any], overwrite: bool
) -> HeldScale:
    """Return the scale of earlier results of a folder, or else the scale found from its images."""
    asked = requested_settings(network, options) | {"same_scale": True}
    scale = None
    if not overwrite:
        scale = scale_of_earlier(sources, asked)
    if scale is None:
        scale = common_scale(sources, network, options)
    return HeldScale(scale, {"same_scale": True, "scale": scale})


def common_scale(
    sources: Sequence[Source], network: UNet, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the option of ``segment`` that holds one scale for all images.

    It is a zoom; or a diameter in µm for objects in images whose spacing is known and differs. It
    is found from up to ``object_zoom.SEARCHED_SLICES`` images, evenly spread; {} if none of them
    can be read, or if ``options`` set the scale. Raises ArgumentError for cards of fixed scale.
    """
    card = network.card
    scale = card.preprocessing.scale
    if scale != "field of view" and not looks_for_objects(card):
        raise ArgumentError(
            f"same_scale: {card.name} does not estimate a scale for each image. Leave it out."
        )
    if options.get("zoom") is not None or options.get("diameter") is not None:
        return {}

    views = [view.for_card(card) for view in views_of(sources, options)]
    if not views:
        return {}
    if scale == "field of view":
        return {"zoom": float(np.median([zoom_of_field(view, network) for view in views]))}

    found = [zoom_by_objects(network, view) for view in views]
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
    return zoom_of_width(width_of(view.field_of_view(middle)), network.card.preprocessing)


def scale_of_earlier(sources: Sequence[Source], asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the scale of results of an earlier call with the same settings; None without any.

    So that images that were added to a folder later are seen at the scale of the others.
    """
    for source in sources:
        if not source.result.exists():
            continue
        earlier = dict(read_manifest(source.result).get("asked") or {})
        scale = earlier.pop("scale", None)
        if earlier == asked and isinstance(scale, dict):
            return scale
    return None
