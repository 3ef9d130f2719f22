"""TIFF, of scanners and of microscopes: ImageJ and OME with their axes and spacing."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, refuse_if_bomb, refuse_if_huge
from .pillow import read_raster

MM = {
    "nm": 1e-6,
    "µm": 1e-3,
    "um": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "inch": 25.4,
}
COLOURS = {("S", 2), ("S", 3), ("S", 4), ("C", 3), ("C", 4)}  # TIFF axes; two channels are no grey and alpha


def read_tiff(path: Path, page: int | None = None, **_) -> MedicalImage:
    """TIFF, ImageJ and OME: 'YX' or 'YXC', or a stack; further axes give their first plane, with a note."""
    import tifffile

    with complaints() as heard, tifffile.TiffFile(path) as tif:
        series, notes = tif.series[0], []
        refuse_if_huge(path, series.shape)
        refuse_if_bomb(path, series.nbytes, path.stat().st_size)
        refuse_if_cut_off(path, series, heard)
        if len(tif.series) > 1:
            notes.append(f"took the first of {len(tif.series)} images of different shapes")
        first = series.keyframe
        try:
            pixels = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            if len(series.pages) == 1 and first.dtype == np.uint8:  # Pillow knows LZW and JPEG
                return read_raster(path)
            kind = first.compression.name
            raise ImageError(f"{path}: {kind} compression needs one more package: pip install imagecodecs") from error
        axes, spacing = series.axes, tiff_spacing(tif)
        photometric = first.photometric.name
        if photometric == "MINISWHITE" and pixels.dtype.kind in "bu":
            pixels = pixels ^ pixels.dtype.type(2**first.bitspersample - 1)
            notes.append("inverted: the file stores white as 0")
        if photometric == "PALETTE" and first.colormap is not None:
            pixels, axes = np.moveaxis(first.colormap[:, pixels] >> 8, 0, -1).astype(np.uint8), axes + "S"
            notes.append("expanded the colour palette")
    return arrange(pixels, axes, spacing, page, path, notes)


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What tifffile only logs, before it goes on with the pages it has."""
    heard, logger = [], logging.getLogger("tifffile")
    listener = logging.Handler()
    listener.emit = lambda record: heard.append(record.getMessage())
    logger.addHandler(listener)
    try:
        yield heard
    finally:
        logger.removeHandler(listener)


def refuse_if_cut_off(path: Path, series, heard: list[str]) -> None:
    """Where a page, a tag or pixels lie beyond the end; an offset of 0 is only sloppy."""
    pages = [page for page in series.pages if page is not None]
    ends = (at + size for page in pages for at, size in zip(page.dataoffsets, page.databytecounts))
    beyond = re.findall(r"invalid (?:page|value) offset (\d+)", " ".join(heard))
    if len(pages) < len(series.pages) or max(ends, default=0) > path.stat().st_size or any(int(n) > 8 for n in beyond):
        raise ImageError(f"{path}: some of its pages lie beyond its end: it is cut off. Copy it again.")


def arrange(pixels: np.ndarray, axes: str, spacing, page: int | None, path: Path, notes: list[str]) -> MedicalImage:
    """Any order of TIFF axes as 'YX', 'YXC', 'ZYX' or 'ZYXC'."""
    keep = [i for i, (letter, size) in enumerate(zip(axes, pixels.shape)) if size > 1 or letter in "YX"]
    pixels, axes = pixels.reshape([pixels.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    sizes = pixels.shape
    colour = [i for i, letter in enumerate(axes) if (letter, sizes[i]) in COLOURS][-1:]
    others = [i for i, letter in enumerate(axes) if letter not in "YX" and i not in colour]
    others.sort(key=lambda i: (axes[i] in "SC") - (axes[i] == "Z"))  # slices go before times, times before channels
    pixels = pixels.transpose([*others[::-1], axes.index("Y"), axes.index("X"), *colour])
    for i in others[:0:-1]:
        notes.append(f"took the first of {sizes[i]} along axis {axes[i]}")
        pixels = pixels[0]
    depth = axes[others[0]] if others else ""
    if depth and page is not None:
        if not 0 <= page < len(pixels):
            raise ImageError(f"{path}: has pages 0 to {len(pixels) - 1}, there is no page {page}.")
        notes.append(f"took page {page}")
        pixels, depth = pixels[page], ""
    elif depth and depth in "SC":
        notes.append(f"took the first of {len(pixels)} along axis {depth}")
        pixels, depth = pixels[0], ""
    if spacing is not None:
        spacing = spacing[-2:] if not depth else spacing if len(spacing) == 3 and depth != "T" else None
    final = ("Z" if depth else "") + "YX" + ("C" if colour else "")
    return MedicalImage(np.ascontiguousarray(pixels), final, spacing, notes=tuple(notes))


def tiff_spacing(tif) -> tuple[float, ...] | None:
    """mm per step (z, y, x), or (y, x); only from ImageJ and OME, since a plain dpi is a printer's."""
    if tif.is_ome:
        from xml.etree import ElementTree

        pixels = next(e for e in ElementTree.fromstring(tif.ome_metadata).iter() if e.tag.endswith("Pixels"))
        sizes = [(pixels.get(f"PhysicalSize{a}"), MM.get(pixels.get(f"PhysicalSize{a}Unit", "µm"))) for a in "ZYX"]
        known = [float(size) * unit for size, unit in sizes if size and unit]
        return tuple(known) if len(known) == len(sizes) or (len(known) == 2 and not sizes[0][0]) else None
    if tif.is_imagej:
        meta, tags = tif.imagej_metadata or {}, tif.pages[0].tags
        unit = MM.get(str(meta.get("unit", "")).replace("\\u00B5", "µ").replace("μ", "µ"))
        if unit is None or "XResolution" not in tags:
            return None
        across = [tags[name].value for name in ("YResolution", "XResolution")]
        steps = [unit * below / above for above, below in across if above]
        depth = [float(meta["spacing"]) * unit] if "spacing" in meta else []
        return (*depth, *steps) if len(steps) == 2 else None
    return None


def write_ome_tiff(image: MedicalImage, values: np.ndarray, path: Path) -> Path:
    import tifffile

    metadata = {"axes": "ZYX"[-values.ndim :]}
    for axis, step in zip(metadata["axes"], image.spacing or ()):
        metadata |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata=metadata, compression="zlib")
    return path
