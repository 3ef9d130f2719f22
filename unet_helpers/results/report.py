"""A result as one HTML file that works alone: without a server, a kernel or the internet."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import SaveError
from ..files import written_whole
from ..images.image import MedicalImage
from ..images.stack import as_displayed, to_stack
from ..preprocessing.resample import resize
from .labels import component_share
from .measurements import SIZES, measured_in_words, physical_factors, slices_per_frame
from .occupied import occupied_box
from .output import made_aside, output_path
from .overlay import to_8_bits
from .save import manifest

if TYPE_CHECKING:
    from .segmentation import Segmentation

PAGE = Path(__file__).with_name("report_page")
TEMPLATES = Environment(loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined)

# The JavaScript that shows an answer, in the order in which it is put together; other pages use it,
# too. The last one is that of a report.
VIEW_SCRIPTS = ("mask.js", "files.js", "table.js", "page.js")
SCRIPTS = (*VIEW_SCRIPTS, "report.js")

# Bytes of all arrays in base64: a page of an image stays below 5 MB, one of a volume below 8 MB.
MAX_BYTES_OF_IMAGE = 4_500_000
MAX_BYTES_OF_VOLUME = 7_500_000

# Factors by which the displayed image may be shrunk to keep the page small; the first that fits is
# taken.
SHRINKS = (1, 2, 3, 4, 6, 8, 12, 16)

# The packed size of a volume is estimated from about this many slices. If that is more than
# FAR_TOO_LARGE times what fits, the whole volume is not packed.
SAMPLED_SLICES = 16
FAR_TOO_LARGE = 1.5

# Steps of the slider from 0 to 1; the result's own threshold is one more.
SLIDER_STEPS = 200

# Most rows of the table in the page; the CSV file that ``save`` writes has all rows.
MAX_ROWS = 2000

# Text in every index that `report_index` writes: a file without it is another program's.
INDEX_MARK = "unet_helpers report index"

MAX_UINT16 = 65535


def write_report(result: Segmentation, path: str | Path, overwrite: bool) -> Path:
    """Write the page; SaveError if it exists and may not be replaced, or cannot be written."""
    path = output_path(path)
    with made_aside(path, path.parent, overwrite) as aside:
        (aside / path.name).write_text(page_of(result), encoding="utf-8")
    return path


def page_of(result: Segmentation) -> str:
    """Return one HTML text that shows all of a result and needs no other file."""
    image = result.image
    card = result.card
    table = result.measure()
    sentence = result.assessment.sentence

    levels = Levels.of(result)
    arrays = mask_arrays(result, levels)
    shown = image_that_fits(image, bytes_taken=sum(len(packed) for packed in arrays.values()))
    arrays["pixels"] = shown.packed

    script = "".join((PAGE / name).read_text("utf-8") for name in SCRIPTS)
    style = (PAGE / "page.css").read_text("utf-8")
    return TEMPLATES.get_template("report.html.j2").render(
        result=result,
        image=image,
        card=card,
        style=style,
        script=script,
        arrays=arrays,
        facts=facts_of_arrays(result, levels, shown) | facts_of_table(result, table),
        summary=measured_in_words(result),
        assessment=result.assessment,
        manifest=manifest(result, objects=len(table)),
        warnings=[text for text in (result.explain(), *result.warnings) if text not in sentence],
        notes=[*image.notes, *notes_on_page(shown, table)],
        script_hash=digest(script),
        style_hash=digest(style),
        shape=" × ".join(str(length) for length in image.spatial_shape),
    )


def slider_steps(threshold: float) -> np.ndarray:
    """Return the thresholds of the page's slider, float32: even steps, and one of its own."""
    slider = np.arange(SLIDER_STEPS + 1) / SLIDER_STEPS
    return np.unique(np.append(slider, threshold)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Levels:
    """Probabilities of the foreground, quantised to the steps of the page's slider."""

    steps: np.ndarray  # (N,) float32, ascending: the thresholds of the slider
    # (layers, Z, Y, X) uint8: the index of the highest step that a pixel reaches. There is one
    # layer, of the foreground; or one of each class where classes overlap.
    values: np.ndarray

    @classmethod
    def of(cls, result: Segmentation) -> Levels:
        """Compare in float32, as ``Segmentation.labels`` does, so that masks are exact."""
        steps = slider_steps(result.threshold)
        layers = result.probabilities if result.card.overlapping else result.foreground[None]
        values = [last_steps(as_displayed(result.image, layer), steps) for layer in layers]
        return cls(steps, np.stack(values))


def last_steps(probabilities: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return uint8, the index of the highest of the ascending steps that a probability reaches."""
    values = np.zeros(probabilities.shape, np.uint8)

    # Where the probability is 0, it reaches the first step, 0, and no other.
    box = occupied_box(probabilities)
    last_step = np.searchsorted(steps, probabilities[box], side="right") - 1
    values[box] = np.clip(last_step, 0, None)
    return values


@dataclass(frozen=True, eq=False)
class ShownImage:
    """The image as the page shows it."""

    packed: str  # its pixels (Z, y, x[, C]) uint8, zlib-compressed, in base64
    size: tuple[int, int]  # y, x in px
    channels: int
    shrink: int  # length of the image's sides / length of its own sides


def mask_arrays(result: Segmentation, levels: Levels) -> dict[str, str]:
    """Return the packed arrays, as displayed: probabilities, objects and, if several, classes."""
    image = result.image
    arrays = {"levels": pack(levels.values)}

    if result.card.has_background and len(result.probabilities) > 2:
        most_likely = np.ones(result.labels.shape, np.uint8)
        box = occupied_box(result.foreground)
        most_likely[box] = 1 + result.probabilities[(slice(1, None), *box)].argmax(axis=0)
        # Segments of vessels, and corrections by hand, have the class of the answer.
        most_likely = np.where(result.labels > 0, result.labels, most_likely)
        arrays["classes"] = pack(as_displayed(image, most_likely))

    objects = np.stack([as_displayed(image, layer) for layer in result._layers])
    arrays["objects"] = pack(objects.astype("<u4" if has_wide_ids(result) else "<u2"))
    return arrays


def has_wide_ids(result: Segmentation) -> bool:
    """Return whether object ids need four bytes."""
    return any(bool(layer.max(initial=0) > MAX_UINT16) for layer in result._layers)


def image_that_fits(image: MedicalImage, bytes_taken: int) -> ShownImage:
    """Return the image, shrunk until the page with all its arrays is small enough."""
    limit = MAX_BYTES_OF_IMAGE if image.is_single else MAX_BYTES_OF_VOLUME
    stack = to_8_bits(to_stack(image).pixels)
    height, width = stack.shape[1:3]
    channels = 1 if stack.ndim == 3 else stack.shape[3]

    for shrink in SHRINKS:
        size = (-(-height // shrink), -(-width // shrink))

        # A few slices tell that the whole will be far too large.
        sample = stack[:: max(1, len(stack) // SAMPLED_SLICES)]
        sampled = pack(np.stack([resize(np.ascontiguousarray(pixels), size) for pixels in sample]))
        expected = len(sampled) * len(stack) / len(sample)
        is_sampled = len(sample) < len(stack) and shrink != SHRINKS[-1]
        if is_sampled and expected > FAR_TOO_LARGE * (limit - bytes_taken):
            continue

        slices = [resize(np.ascontiguousarray(pixels), size) for pixels in stack]
        shown = ShownImage(pack(np.stack(slices)), size=size, channels=channels, shrink=shrink)
        if len(shown.packed) <= limit - bytes_taken:
            break
    return shown


def facts_of_arrays(result: Segmentation, levels: Levels, shown: ShownImage) -> dict[str, Any]:
    """Return what the page's JavaScript needs to know about its arrays."""
    image = result.image
    layers, *shape = levels.values.shape
    depth = shape[0]
    is_movie = image.axes.startswith("T")
    spacing = to_stack(image).spacing or (1.0, 1.0, 1.0)
    return {
        "shape": shape,
        "layers": layers,
        "shown": shown.size,
        "channels": shown.channels,
        "steps": levels.steps.tolist(),
        "threshold": int(np.searchsorted(levels.steps, np.float32(result.threshold))),
        "spacing": three_steps(spacing),
        "wide": has_wide_ids(result),
        "frame": slices_per_frame(image, depth),
        "own": own_order(result),
        "planes": not is_movie and depth > 1,
        "method": result.card.instance_method,
        "body": image.lies_in_space and image.oriented,
    }


def three_steps(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Return mm per px along slices, rows and columns; 1 for axes that an image does not have."""
    steps = (1.0, 1.0, 1.0, *(float(step) for step in spacing))
    return steps[-3:]


def own_order(result: Segmentation) -> dict[str, Any]:
    """Return how displayed pixels map to the image's own order.

    'start' is the index of the first displayed pixel in the flattened array. 'steps' are the
    differences in this index to the next slice, row and column; 0 along an axis of length 1.
    """
    shape = np.array(result.labels.shape)
    strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))])

    # A tiny image, at most two pixels along each axis, is displayed in the same order.
    positions = np.indices(np.minimum(shape, 2))
    displayed = np.array([as_displayed(result.image, along_axis) for along_axis in positions])
    first = displayed[:, 0, 0, 0]

    steps = []
    for axis in range(3):
        second = displayed.take(1 % displayed.shape[axis + 1], axis + 1)[:, 0, 0]
        steps.append(int((second - first) @ strides))

    # An axis that is displayed from its end begins with its last pixel.
    start = np.where(first > 0, shape - 1, 0)
    return {"shape": result.labels.shape, "start": int(start @ strides), "steps": steps}


def facts_of_table(result: Segmentation, table: pd.DataFrame) -> dict[str, Any]:
    """Return what the page's JavaScript needs to know about the objects and their classes."""
    rows = table.round(4).head(MAX_ROWS).to_json(orient="values")
    return {
        "name": f"{result.image.name}_{result.card.name}",
        "classes": result.card.classes,
        "colors": result.card.colors,
        "share": component_share(result),
        "columns": list(table),
        "rows": json.loads(rows),
        "measures": result.card.measures,
        **facts_of_sizes(result.image, table),
    }


def facts_of_sizes(image: MedicalImage, table: pd.DataFrame) -> dict[str, Any]:
    """Return how the page measures objects: flat or not, along which axes, and in which units."""
    is_flat = "area_px" in table
    size = "area" if is_flat else "volume"
    factors = physical_factors(image, size)
    unit = None
    for name, (of, factor) in factors.items():
        # The last is the one that people use: mL rather than mm³.
        if of == f"{size}_px" and name in SIZES:
            unit = {"factor": factor, "name": SIZES[name]}
    return {
        "flat": is_flat,
        "axes": image.axes.lstrip("T")[:3].lower(),
        "factors": {name: {"of": of, "factor": factor} for name, (of, factor) in factors.items()},
        "unit": unit,
    }


def notes_on_page(shown: ShownImage, table: pd.DataFrame) -> list[str]:
    """Return sentences about what the page leaves out."""
    notes = []
    if shown.shrink > 1:
        notes.append(
            f"To keep the file small the image is shown {shown.shrink} times smaller;"
            " mask and numbers are not."
        )
    if len(table) > MAX_ROWS:
        notes.append(
            f"The table below holds the first {MAX_ROWS:,} of {len(table):,} rows;"
            " measure() has them all."
        )
    return notes


def pack(values: np.ndarray) -> str:
    """Return an array's bytes, zlib-compressed, in base64."""
    packed = zlib.compress(np.ascontiguousarray(values).tobytes(), 9)
    return base64.b64encode(packed).decode()


def digest(text: str) -> str:
    """Return the hash by which a content security policy allows an inline script or style."""
    sha256 = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(sha256).decode()}"


def report_index(folder: str | Path) -> Path:
    """Write ``index.html`` with a link to every report in a folder.

    An earlier index is replaced.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where `Segmentation.report` has written pages; ``~`` is the home.

    Returns
    -------
    pathlib.Path
        The absolute path of the index.

    Raises
    ------
    SaveError
        There is no report in the folder, or another program's file has that name.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import unet_helpers as uh
    >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
    >>> with TemporaryDirectory() as folder:
    ...     path = result.report(f"{folder}/first.html")
    ...     uh.report_index(folder).name
    'index.html'
    """
    folder = output_path(folder)
    path = folder / "index.html"
    if path.exists() and INDEX_MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise SaveError(f"{path} is another program's file: move it away first.")

    names = sorted(file.name for file in folder.glob("*.html") if file != path)
    if not names:
        raise SaveError(f"{folder} holds no report: write some with result.report first.")

    style = (PAGE / "page.css").read_text(encoding="utf-8")
    template = TEMPLATES.get_template("index.html.j2")
    text = template.render(names=names, style=style, style_hash=digest(style))
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(os.path.abspath(path))
