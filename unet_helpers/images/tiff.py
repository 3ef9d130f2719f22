"""TIFF, of scanners and of microscopes: ImageJ and OME with their axes and spacing."""

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..errors import ImageError
from .image import MAX_VALUES, MedicalImage, colour_alone, index_of, refuse_if_huge
from .pillow import read_raster

MM = {
    "nm": 1e-6,
    "nanometer": 1e-6,
    "µm": 1e-3,
    "um": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
    "mm": 1.0,
    "millimeter": 1.0,
    "cm": 10.0,
    "centimeter": 10.0,
    "m": 1000.0,
    "in": 25.4,
    "inch": 25.4,
    "å": 1e-7,
    "angstrom": 1e-7,
}
COLOUR = (
    "RGB",
    "YCBCR",
    "PALETTE",
    "CIELAB",
    "SEPARATED",
)  # photometrics whose samples are colours
PRINTERS = 500  # px per cm: a lower resolution is a printer's (up to 1200 dpi), not a microscope's
NUCLEAR = ("dapi", "hoechst", "draq", "nucle", "h2b")  # what channels of nuclei are called
CLEARLY = (
    0.3  # how much more its neighbouring pixels correlate, where another channel is worth a hint
)


def read_tiff(path: Path, page=None, channel=None, frame=None, level=None) -> MedicalImage:
    """TIFF, ImageJ and OME: 'YX', 'ZYX', 'TYX' or 'TZYX', with 'C' where the photometric says colour."""
    import tifffile

    with complaints() as heard, tifffile.TiffFile(path) as tif:
        series, notes, shrunk, _ = pick_level(path, tif, level)
        refuse_if_huge(path, series.shape, series.nbytes, path.stat().st_size)
        refuse_if_cut_off(path, series, heard)
        first = series.keyframe
        try:
            pixels = series.asarray()
        except (
            ValueError,
            ModuleNotFoundError,
        ) as error:  # of Python's own zstd, which comes with 3.14
            if isinstance(error, ValueError) and "imagecodecs" not in str(error):
                raise
            if len(series.pages) == 1 and first.dtype == np.uint8:  # Pillow knows LZW and JPEG
                return read_raster(path)
            kind = getattr(first.compression, "name", "this")
            raise ImageError(
                f"{path}: {kind} compression needs one more package: pip install imagecodecs"
            ) from error
        ome = ElementTree.fromstring(tif.ome_metadata).find(".//{*}Image") if tif.is_ome else None
        axes, names = series.axes, channel_names(tif, ome)
        spacing = {
            a: step * (1 if a == "Z" else shrunk) for a, step in tiff_spacing(tif, ome).items()
        }
        photometric = getattr(first.photometric, "name", "")
        alpha = any(
            getattr(extra, "name", "") in ("ASSOCALPHA", "UNASSALPHA")
            for extra in first.extrasamples or ()
        )
        colour = (
            photometric in COLOUR
            or alpha
            or (first.dtype == np.uint8 and first.samplesperpixel == 3)
        )
        if photometric == "MINISWHITE" and pixels.dtype.kind in "bu":
            pixels = pixels ^ pixels.dtype.type(2**first.bitspersample - 1)
            notes.append("inverted: the file stores white as 0")
        if photometric == "PALETTE" and first.colormap is not None:
            pixels, axes = (
                np.moveaxis(first.colormap[:, pixels] >> 8, 0, -1).astype(np.uint8),
                axes + "S",
            )
            notes.append("expanded the colour palette")
        if (turn := first.tags.valueof("Orientation", 1)) in range(2, 9) and "YX" in axes:
            y, x = axes.index("Y"), axes.index("X")
            if turn > 4:
                pixels, spacing = (
                    pixels.swapaxes(y, x),
                    {{"Y": "X", "X": "Y"}.get(a, a): spacing[a] for a in spacing},
                )
            pixels = np.flip(pixels, [y] * (turn in (3, 4, 7, 8)) + [x] * (turn in (2, 3, 6, 7)))
            notes.append("turned as the file's orientation says")
    chosen = {"page": page, "channel": channel, "frame": frame}
    return arrange(pixels, axes, spacing, chosen, path, notes, colour, names)


def pick_level(path: Path, tif, level: int | None):
    """One resolution of the largest image (the finest that fits), notes, how much smaller it is, and which image."""
    len(tif.pages)  # counted first: tifffile would follow a circle of pages for ever
    number = max(range(len(tif.series)), key=lambda i: math.prod(tif.series[i].shape))
    levels = tif.series[number].levels
    if level is None:
        level = next((i for i, held in enumerate(levels) if math.prod(held.shape) <= MAX_VALUES), 0)
    level = index_of(path, "level", level, len(levels))
    widths = [held.shape[held.axes.index("X")] for held in levels]
    sizes = ", ".join(f"{i} ({width} px wide)" for i, width in enumerate(widths))
    notes = (
        [f"took level {level} of {sizes}; choose another one with level="]
        if len(levels) > 1
        else []
    )
    if len(tif.series) > 1:
        notes.append(f"took the largest of {len(tif.series)} images of different shapes")
    return levels[level], notes, widths[0] / widths[level], number


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What tifffile only logs, before it goes on with the pages it has."""
    heard, logger, listener = [], logging.getLogger("tifffile"), logging.Handler()
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
    if (
        len(pages) < len(series.pages)
        or max(ends, default=0) > path.stat().st_size
        or any(int(n) > 8 for n in beyond)
    ):
        raise ImageError(
            f"{path}: some of its pages lie beyond its end: it is cut off. Copy it again."
        )


def arrange(
    pixels,
    axes: str,
    spacing: dict,
    chosen: dict,
    path: Path,
    notes: list[str],
    colour=False,
    names=(),
):
    """Any order of TIFF axes as 'YX', 'ZYX', 'TYX' or 'TZYX', with 'C' last where the samples are colours."""
    held = dict(zip(axes, pixels.shape))
    colours = "S" if colour and held.get("S", 0) in (2, 3, 4) else ""
    rename = {a: "C" for a in "S" if a in held and a not in colours and "C" not in held}
    if "Z" not in held:  # plain pages are slices
        rename |= dict.fromkeys([a for a in axes if a in "IQ"][:1], "Z")
        notes += [
            f"{held[a]} pages read as slices of a stack; page= takes one"
            for a in rename
            if a in "IQ"
        ]
    axes = "".join(rename.get(a, a) for a in axes)
    order = sorted(
        range(len(axes)), key=lambda i: ("TZYX" + colours).find(axes[i])
    )  # what is none of these first
    pixels, axes = pixels.transpose(order), "".join(axes[i] for i in order)
    for axis in [a for a in axes if a not in "TZYX" + colours]:
        count, index, channel = len(pixels), 0, chosen.get("channel")
        if axis == "C":
            index = channel_index(channel, count, names, path)
            notes += channel_notes(pixels, index, names, channel is None) if count > 1 else []
        elif count > 1:
            notes.append(f"took the first of {count} along axis {axis}")
        pixels, axes = pixels[index], axes[1:]
    if chosen.get("frame") is not None and "T" not in axes:
        pixels, axes = pixels[None], "T" + axes
    for axis, what in (("T", "frame"), ("Z" if "Z" in axes else "T", "page")):
        if chosen.get(what) is not None and axis in axes:
            at, count = axes.index(axis), pixels.shape[axes.index(axis)]
            index = index_of(path, what, chosen[what], count)
            notes.append(f"took {what} {index} of {count}")
            pixels, axes = pixels.take(index, at), axes.replace(axis, "")
    for axis in "TZ":
        if axis in axes and pixels.shape[axes.index(axis)] == 1:
            pixels, axes = pixels.take(0, axes.index(axis)), axes.replace(axis, "")
    steps = [spacing.get(a) for a in axes if a in "ZYX"]
    if None in steps and steps[-1] is not None:
        notes.append("the spacing of its slices is not in the file: give it with spacing=")
    known, final = None if None in steps else tuple(steps), axes.replace("S", "C")
    image = MedicalImage(np.ascontiguousarray(pixels), final, known, path=path, notes=tuple(notes))
    among_colours = (
        chosen.get("channel") is not None and "C" not in held and "C" not in rename.values()
    )
    return colour_alone(image, chosen["channel"]) if among_colours else image


def channel_index(channel, count: int, names: tuple[str, ...], path: Path) -> int:
    """Of a channel given by index, name or the beginning of one name; where none is given that of a nuclear dye, or
    the first.
    """
    called = [*map(str.lower, names[:count])]
    dyed = next((i for i, name in enumerate(called) if any(dye in name for dye in NUCLEAR)), 0)
    wanted = str(dyed if channel is None else channel).lower()
    known = {name: called.index(name) for name in called} | {str(i): i for i in range(count)}
    begin = {name for name in called if name.startswith(wanted)}
    index = known.get(wanted, known[begin.pop()] if len(begin) == 1 else None)
    if index is None:
        listed = ", ".join(names[:count]) or f"0 to {count - 1}, without names"
        raise ImageError(f"{path}: has no channel {channel!r}; its channels are {listed}.")
    return index


def channel_notes(pixels: np.ndarray, index: int, names: tuple[str, ...], hint: bool) -> list[str]:
    """Which channels there were and which was taken; and whether another one has clearly more structure."""
    called = [f"{i} ({names[i]})" if i < len(names) else f"{i}" for i in range(len(pixels))]
    notes = [
        f"took channel {called[index]} of {', '.join(called)}; choose another one with channel="
    ]
    found = [structure(channel) for channel in pixels]
    best = int(np.argmax(found))
    if hint and found[best] > found[index] + CLEARLY:
        notes.append(f"channel {called[best]} has clearly more structure than the one taken")
    return notes


def structure(pixels: np.ndarray) -> float:
    """Correlation of neighbouring pixels in the middle plane: about 0 of noise, about 1 of an image."""
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    plane = np.nan_to_num(planes[len(planes) // 2]).astype(float)
    left, right = plane[:, :-1].ravel(), plane[:, 1:].ravel()
    return (
        float(np.corrcoef(left, right)[0, 1])
        if left.size > 2 and left.std() > 0 and right.std() > 0
        else 0.0
    )


def channel_names(tif, ome) -> tuple[str, ...]:
    """As OME's Image element or ImageJ calls them."""
    if tif.is_ome:
        names = [channel.get("Name") for channel in ome.iterfind(".//{*}Channel")]
        return tuple(names) if all(names) else ()
    labels = (tif.imagej_metadata or {}).get("Labels") if tif.is_imagej else None
    return tuple(map(str, labels)) if isinstance(labels, list | tuple) else ()


def millimetres(unit: str) -> float | None:
    """Of one ``unit``, in any of its spellings."""
    unit = (
        unit.strip().strip("\0").replace("\\u00B5", "µ").replace("μ", "µ").replace("metre", "meter")
    )
    return MM.get(unit.lower().rstrip("s") if len(unit) > 2 else unit.lower())


def tiff_spacing(tif, ome) -> dict[str, float]:
    """Mm per step along 'Z', 'Y' and 'X', of those that ImageJ, OME, Aperio or fine centimetre tags give."""
    page = tif.pages[0]
    if tif.is_ome:
        pixels = ome.find(".//{*}Pixels")
        sizes = {
            a: (pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm"))
            for a in "ZYX"
        }
        return {
            a: float(size) * millimetres(unit)
            for a, (size, unit) in sizes.items()
            if size and millimetres(unit)
        }
    if mpp := re.search(
        r"\bMPP\s*=\s*([\d.]+)", page.description if page.description.startswith("Aperio") else ""
    ):
        return dict.fromkeys("YX", float(mpp[1]) * 1e-3)
    resolution = {a: page.tags.valueof(f"{a}Resolution") for a in "YX"}
    per_unit = {
        a: value[0] / value[1] for a, value in resolution.items() if value and value[0] and value[1]
    }
    meta = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    unit = millimetres(str(meta.get("unit", "")))
    if (
        not tif.is_imagej
        and page.tags.valueof("ResolutionUnit") == 3
        and min(per_unit.values(), default=0) > PRINTERS
    ):
        unit = 10.0
    if unit is None or len(per_unit) < 2:
        return {}
    depth = {"Z": float(meta["spacing"]) * unit} if "spacing" in meta else {}
    return depth | {a: unit / n for a, n in per_unit.items()}


def write_ome_tiff(image: MedicalImage, values, path: Path, **options) -> Path:
    import tifffile  # takes an array; or its tiles one by one, and ``options`` that say what they make up

    metadata: dict = {
        "axes": image.axes.rstrip("C") if image.axes[0] != "X" else "ZYX"[-values.ndim :]
    }
    for axis, step in zip(metadata["axes"].lstrip("T"), image.spacing or ()):
        metadata |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    tifffile.imwrite(
        path,
        values,
        ome=True,
        photometric="minisblack",
        metadata=metadata,
        compression="zlib",
        **options,
    )
    return path
