"""Images larger than memory: the network sees tile after tile, objects are told apart block by block, and joined."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import relabel_sequential

from ..errors import ArgumentError
from ..images.image import MedicalImage, checked, noted
from ..images.read import open_lazily
from ..images.tiff import write_ome_tiff
from ..networks.engine import COMPILED, INTEGERS, engine_of
from ..networks.load import load_model
from ..preprocessing.checks import check_input
from ..preprocessing.intensities import select_channels
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import highest_contrast_window
from ..results.exports import made_aside
from ..results.measurements import in_physical_units
from ..results.objects import split_interiors
from ..results.save import settings
from ..results.segmentation import Segmentation
from .scale import working_shape
from .segment import check_settings
from .tiles import predict

CHUNK, BLOCK = (
    512,
    1024,
)  # px: sides of the pieces that are stored, and of those in which objects are told apart
HALO, TILE = (
    256,
    768,
)  # working px: how far beyond a block its objects are seen; what the network sees at once
SAMPLE = 4096  # px: side of the window that stands for the whole


def segment_large(
    source,
    model,
    out="results",
    *,
    level: int = 0,
    region: tuple[int, ...] | None = None,
    channel=None,
    spacing=None,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    overwrite: bool = False,
    progress: bool = True,
    tell: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """Segment an image on disk that may be larger than memory; returns a row for each object.

    ``source``: a TIFF in tiles (BigTIFF, OME-TIFF, a slide) or a Zarr store, of which a ``region`` (top, left, height,
    width in px) of a ``level`` (0 is the finest) is seen. All or nothing is written to the folder ``out``: labels
    (uint8) and ids of the objects (int32) as OME-TIFF in tiles, the table (areas and centroids, in px of the region)
    as CSV, a manifest (JSON); meanwhile it holds up to 4 bytes a class and px more. Other options and errors: see
    ``segment``; SaveError for results that exist already.
    """
    model = load_model(model)
    card, known = model.card, model.card.preprocessing
    threshold, flips = check_settings(card, threshold, flips, zoom)
    if known.scale not in ("native", "objects") or known.context or card.min_component_share:
        raise ArgumentError(
            f"{card.name} has to see an image as a whole: give segment a coarser level of it."
        )
    stored = open_lazily(source, level, region, channel, spacing)
    import dask.array
    import zarr  # which open_lazily asks for

    pixels, shape = stored.pixels, stored.pixels.shape[:2]
    window = np.asarray(
        highest_contrast_window(pixels, SAMPLE)
    )  # scale and intensity levels are found in it
    image = checked(replace(stored, pixels=window))
    if max(shape) > SAMPLE:
        image = noted(
            image,
            f"scale and levels are those of {SAMPLE} × {SAMPLE} px, where contrast is highest",
        )
    image = noted(image, INTEGERS) if engine_of(model) == "int8" else image
    if image.channels < stored.channels:  # the same of all
        same = (i for i in range(stored.channels) if np.array_equal(window[..., i], image.pixels))
        pixels = pixels[..., slice(3) if image.channels == 3 else next(same)]
    warnings = check_input(image, card)
    seen = working_shape(model, image.pixels, zoom, image.spacing, warnings.append)
    for words in (*image.notes, *warnings):
        (tell or str)(f"{image.path}: {words}")
    prepared = prepare(image.pixels[None], known, seen)[0]
    pixels = select_channels(pixels, known.channels, pixels.ndim > 2)
    prepared = replace(
        prepared, pixels=pixels.max(-1) if pixels.ndim > prepared.pixels.ndim else pixels
    )
    found = threshold, prepared.zoom[0], flips, model.weights_sha256, tuple(warnings)
    like = Segmentation(image, card, np.zeros((1, 0, 0)), *found)
    folder, base = Path(out).expanduser(), f"{image.name}_{card.name}"
    with (
        made_aside(folder / f"{base}.json", folder, overwrite) as aside,
        TemporaryDirectory(dir=aside) as scratch,
    ):
        answer, labels, objects = (
            zarr.create_array(
                f"{scratch}/{kind}",
                shape=(*outer, *shape),
                dtype=kind,
                chunks=(*outer, CHUNK, CHUNK),
            )
            for kind, outer in (("float32", (model.out_channels,)), ("uint8", ()), ("int32", ()))
        )
        predict(model, prepared, answer, flips, progress=progress, tile=TILE)
        COMPILED.pop(model, None)  # would hold memory for its next image
        numbers, table = tell_apart(like, answer, labels, objects)
        for kind, array, ids in (
            ("labels", labels, np.arange(256, dtype=np.uint8)),
            ("objects", objects, numbers),
        ):
            options = {"shape": shape, "dtype": ids.dtype, "tile": (CHUNK, CHUNK), "bigtiff": True}
            tiles = (ids[np.asarray(tile)] for tile in dask.array.from_zarr(array).blocks.ravel())
            write_ome_tiff(
                replace(image, axes="YX"), tiles, aside / f"{base}_{kind}.ome.tif", **options
            )
        table.to_csv(aside / f"{base}_measurements.csv", index=False)
        record = settings(like) | {
            "level": level,
            "region": region,
            "channel": channel,
            "objects": len(table),
        }
        (aside / f"{base}.json").write_text(json.dumps(record, indent=2) + "\n")
    return table


def tell_apart(like: Segmentation, answer, labels, objects) -> tuple[np.ndarray, pd.DataFrame]:
    """Fill the ``labels`` and ``objects`` (H, W) of an ``answer`` (K, H, W), all Zarr arrays, by the settings of
    ``like``; returns the number of the object that each id in ``objects`` belongs to, and a row for each object.
    """
    from dask.array.core import from_zarr, normalize_chunks, slices_from_chunks

    method, usual, count = like.card.instance_method, None, 0
    if method == "interiors":
        certainty = 1 - from_zarr(answer)[0]
        usual = float(certainty[certainty > like.threshold].mean())
    sums, pairs, halo = [np.zeros((4, 0))], [np.zeros((2, 0), int)], int(HALO / like.zoom)
    for core in slices_from_chunks(normalize_chunks(BLOCK, objects.shape)):
        around = tuple(slice(max(0, at.start - halo), at.stop + halo) for at in core)
        inner = tuple(
            slice(at.start - seen.start, at.stop - seen.start) for at, seen in zip(core, around)
        )
        seen = answer[(slice(None), *around)]
        part = replace(like, image=MedicalImage(seen[0], "YX"), probabilities=seen)
        if (
            not part.labels.any() and method != "membranes"
        ):  # where there are none, all of it is a cell
            continue
        ids = (
            split_interiors(seen, like.threshold, like.zoom, usual)
            if method == "interiors"
            else part.objects
        )
        ids = relabel_sequential(np.where(np.isin(ids, ids[inner]), ids, 0), count + 1)[0].astype(
            np.int32
        )
        # one object: of what earlier blocks know of it more than half is seen again; of a component, anything
        both = np.stack([objects[around], ids])
        same, overlap = np.unique(both[:, both.all(axis=0)], axis=1, return_counts=True)
        pairs.append(
            same[
                :,
                overlap
                > 0.5 * (method != "components") * np.bincount(both[0].reshape(-1))[same[0]],
            ]
        )
        labels[core], objects[core] = part.labels[inner], ids[inner]
        y, x = np.nonzero(ids[inner])
        values = np.ones(len(y)), y + core[0].start, x + core[1].start, part.labels[inner][y, x]
        sums.append(np.array([np.bincount(ids[inner][y, x] - count - 1, each) for each in values]))
        count = max(count, int(ids.max()))
    edges = np.concatenate(pairs, axis=1) - 1
    total, joined = connected_components(
        coo_array((np.ones(len(edges.T)), edges), shape=(count, count)), False
    )
    area, y, x, classes = (
        np.bincount(joined, each, total) for each in np.concatenate(sums, axis=1)
    )
    table = pd.DataFrame({"object": range(1, total + 1), "area_px": area.astype(int)})
    table = table.assign(
        diameter_px=np.sqrt(4 / np.pi * area), centroid_y_px=y / area, centroid_x_px=x / area
    )
    if method == "components":
        table.insert(
            1, "class", np.array(like.card.classes)[np.rint(classes / area).astype(int) - 1]
        )
    return np.append(0, joined + 1).astype(np.int32), in_physical_units(table, like.image, "area")
