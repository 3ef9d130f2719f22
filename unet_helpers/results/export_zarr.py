"""OME-Zarr (NGFF 0.4): the image, with the labels and objects beside it.

https://ngff.openmicroscopy.org/0.4: arrays of Zarr version 2, one folder for each resolution, with
metadata in ``.zattrs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SaveError
from ..images.stack import as_displayed, to_stack
from .measurements import classes_of, slices_per_frame
from .named_labels import named_labels

if TYPE_CHECKING:
    from .segmentation import Segmentation

NGFF = "0.4"

# px: the longest side of the coarsest resolution, and the side of chunks.
COARSEST = 512
CHUNK = 512

# mm per unit, of the names that the format takes from UDUNITS-2.
MILLIMETRES = {"micrometer": 1e-3, "millimeter": 1.0}


def write_ome_zarr(result: Segmentation, path: Path) -> None:
    """Write the displayed image, and in ``labels/`` the classes and the objects, as pyramids.

    Needs the package zarr, version 3.
    """
    try:
        import zarr

        zarr.create_array  # noqa: B018
    except (ImportError, AttributeError) as error:
        raise SaveError(
            f"{path.name}: this format needs one more package: pip install 'zarr>=3'"
        ) from error

    store = zarr.open_group(path, mode="w", zarr_format=2)
    pixels = five_axes(result, as_displayed(result.image, result.image.pixels))
    write_pyramid(store, pixels, axes_of(result), scale_of(result), name=result.image.name)
    store.attrs["omero"] = {"channels": channels_of_omero(pixels)}

    labels = store.create_group("labels")
    named = named_labels(result)
    colours = [
        {"label-value": label, "rgba": [*colour, 255]}
        for label, colour in enumerate(named.colours, 1)
    ]
    properties: list[dict[str, Any]] = [
        {"label-value": label, "class": name} for label, name in enumerate(named.names, 1)
    ]
    write_labels(labels, "classes", named.values, result, colours, properties)

    classes = classes_of(result)
    properties = []
    if classes is not None:
        names = ("", *result.card.classes)
        properties = [
            {"label-value": number, "class": names[int(label)]}
            for number, label in enumerate(classes)
            if number
        ]
    write_labels(labels, "objects", result.objects, result, [], properties)
    labels.attrs["labels"] = ["classes", "objects"]


def axes_of(result: Segmentation) -> list[dict[str, Any]]:
    """Return the axes t, c, z, y and x with their units."""
    unit = unit_of(result)
    space = {"type": "space"} if unit is None else {"type": "space", "unit": unit}
    return [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        *({"name": name, **space} for name in "zyx"),
    ]


def unit_of(result: Segmentation) -> str | None:
    """Return the unit of lengths: micrometres below 10 µm a pixel; None if unknown."""
    spacing = to_stack(result.image).spacing
    if not spacing:
        return None
    return "micrometer" if max(spacing[-2:]) < 0.01 else "millimeter"


def scale_of(result: Segmentation) -> list[float]:
    """Return the length of a step along t, c, z, y and x, in the unit of the axes."""
    spacing = to_stack(result.image).spacing
    unit = unit_of(result)
    if not spacing or unit is None:
        return [1.0] * 5
    steps = [float(step) / MILLIMETRES[unit] for step in spacing]
    return [1.0, 1.0, *([1.0] * (3 - len(steps))), *steps]


def five_axes(result: Segmentation, displayed: np.ndarray) -> np.ndarray:
    """Return a displayed stack (T Z, Y, X[, C]) as (T, C, Z, Y, X)."""
    colours = displayed if displayed.ndim == 4 else displayed[..., None]
    depth = slices_per_frame(result.image, len(colours))
    frames = colours.reshape(-1, depth, *colours.shape[1:])
    return np.moveaxis(frames, -1, 1)


def write_labels(
    group: Any,
    name: str,
    values: np.ndarray,
    result: Segmentation,
    colours: list[dict[str, Any]],
    properties: list[dict[str, Any]],
) -> None:
    """Write a label image, (*spatial), with the colours and properties of its values."""
    shaped = five_axes(result, as_displayed(result.image, values))
    own = group.create_group(name)
    write_pyramid(own, shaped, axes_of(result), scale_of(result), name)
    described: dict[str, Any] = {"version": NGFF, "source": {"image": "../../"}}
    if colours:
        described["colors"] = colours
    if properties:
        described["properties"] = properties
    own.attrs["image-label"] = described


def write_pyramid(
    group: Any,
    pixels: np.ndarray,
    axes: list[dict[str, Any]],
    scale: list[float],
    name: str,
) -> None:
    """Write (T, C, Z, Y, X) at full resolution, and at halves down to ``COARSEST`` px.

    Every second pixel is kept, without averaging, so that labels stay labels.
    """
    datasets: list[dict[str, Any]] = []
    factor = 1
    while True:
        level = pixels[..., ::factor, ::factor]
        group.create_array(
            str(len(datasets)),
            data=np.ascontiguousarray(level),
            chunks=(1, 1, 1, *(min(CHUNK, length) for length in level.shape[-2:])),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        own_steps = [*scale[:3], scale[3] * factor, scale[4] * factor]
        transformations: list[dict[str, Any]] = [{"type": "scale", "scale": own_steps}]
        datasets.append({"path": str(len(datasets)), "coordinateTransformations": transformations})
        if max(level.shape[-2:]) <= COARSEST:
            break
        factor *= 2
    group.attrs["multiscales"] = [
        {"version": NGFF, "name": name, "axes": axes, "datasets": datasets}
    ]


def channels_of_omero(pixels: np.ndarray) -> list[dict[str, Any]]:
    """Return how a viewer shows each channel: its colour and range."""
    channels = pixels.shape[1]
    colours = ["FFFFFF"] if channels == 1 else ["FF0000", "00FF00", "0000FF"][:channels]
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    window = {"start": low, "end": high, "min": low, "max": max(high, low + 1)}
    return [{"active": True, "color": colour, "window": window} for colour in colours]
