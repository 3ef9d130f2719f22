"""A result as one HTML file that needs nothing else: no server, no kernel, no network."""

import base64
import hashlib
import json
import os
import zlib
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import SaveError
from ..files import written_whole
from ..images.stack import as_displayed, to_stack
from ..preprocessing.resample import resize
from .exports import made_aside
from .measurements import in_words
from .overlay import to_8_bits
from .save import manifest

PAGE = Path(__file__).with_name("report_page")
TEMPLATES = Environment(loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined)
BYTES = {True: 4_500_000, False: 7_500_000}  # of all arrays in base64: a single image, a volume
MAX_ROWS = 2000  # of the table in the page; the whole of it is in the CSV file that ``save`` writes


def write_report(result, path: Path, overwrite: bool = False) -> Path:
    with made_aside(path, path.parent, overwrite) as aside:
        (aside / path.name).write_text(page_of(result), encoding="utf-8")
    return path


def page_of(result) -> str:
    table, image, card = result.measure(), result.image, result.card
    script = "".join(
        (PAGE / f"{name}.js").read_text("utf-8") for name in ("mask", "files", "table", "page")
    )
    style = (PAGE / "page.css").read_text("utf-8")
    arrays, facts, notes = arrays_of(result)
    rows = table.round(4).head(MAX_ROWS).to_json(orient="values")
    if len(table) > MAX_ROWS:
        notes.append(
            f"The table below holds the first {MAX_ROWS:,} of {len(table):,} rows; measure() has them all."
        )
    facts |= {
        "name": f"{image.name}_{card.name}",
        "classes": card.classes,
        "colors": card.colors,
        "share": card.min_component_share,
        "columns": list(table),
        "rows": json.loads(rows),
    }
    return TEMPLATES.get_template("report.html.j2").render(
        result=result,
        image=image,
        card=card,
        style=style,
        script=script,
        arrays=arrays,
        facts=facts,
        summary=in_words(result.summary()),
        manifest=manifest(result, len(table)),
        warnings=[text for text in (result.explain(), *result.warnings) if text],
        notes=[*image.notes, *notes],
        script_hash=digest(script),
        style_hash=digest(style),
        shape=" × ".join(map(str, image.spatial_shape)),
    )


def arrays_of(result) -> tuple[dict[str, str], dict, list[str]]:
    """The page's arrays, deflated and in base64; what it must know of them; and what was left out, in sentences."""
    image, depth = result.image, len(as_displayed(result.image, result.labels))
    steps = np.unique(np.append(np.arange(201) / 200, result.threshold)).astype(np.float32)
    foreground = as_displayed(image, result.foreground)
    # the last step that a probability reaches, compared in float32 as ``labels`` does: the mask of a step is exact
    levels = np.clip(np.searchsorted(steps, foreground, side="right") - 1, 0, None).astype(np.uint8)
    arrays = {"levels": pack(levels)}
    if len(result.probabilities) > 2:
        arrays["classes"] = pack(
            as_displayed(image, result.probabilities[1:].argmax(0).astype(np.uint8) + np.uint8(1))
        )
    objects = as_displayed(image, result.objects)
    arrays["objects"] = pack(objects.astype("<u4" if objects.max() > 65535 else "<u2"))
    left, notes = BYTES[image.is_single] - sum(map(len, arrays.values())), []
    pixels = to_8_bits(to_stack(image).pixels)
    for shrink in (1, 2, 3, 4, 6, 8, 12, 16):
        size = tuple(-(-n // shrink) for n in pixels.shape[1:3])
        shown = np.stack([resize(np.ascontiguousarray(part), size) for part in pixels])
        arrays["pixels"] = pack(shown)
        if len(arrays["pixels"]) <= left:
            break
    if shrink > 1:
        notes.append(
            f"To keep the file small the image is shown {shrink} times smaller; mask and numbers are not."
        )
    spacing = to_stack(image).spacing or (1.0, 1.0, 1.0)
    # where each displayed pixel lies in the image's own order
    order = as_displayed(
        image, np.arange(result.labels.size, dtype=np.int64).reshape(result.labels.shape)
    )
    corner = int(order[0, 0, 0])
    first = [int(order.take(1 % n, axis).flat[0]) - corner for axis, n in enumerate(order.shape)]
    facts = {
        "shape": levels.shape,
        "shown": shown.shape[1:3],
        "channels": 1 if shown.ndim == 3 else shown.shape[3],
        "steps": steps.tolist(),
        "threshold": int(np.searchsorted(steps, np.float32(result.threshold))),
        "spacing": ((1.0,) * 3 + tuple(map(float, spacing)))[-3:],
        "wide": bool(objects.max() > 65535),
        "frame": depth // len(image.pixels) if image.axes.startswith("T") else depth,
        "own": {"shape": result.labels.shape, "start": corner, "steps": first},
        "planes": not image.axes.startswith("T") and depth > 1,
        "method": result.card.instance_method,
        "body": image.lies_in_space and image.oriented,
    }
    return arrays, facts, notes


def pack(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()


def digest(text: str) -> str:
    """What a content security policy knows an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def report_index(folder) -> Path:
    """Write ``index.html`` with a link to every report in ``folder``; returns its path. Raises SaveError where there is
    no report, or another program's file has that name.
    """
    folder, style = Path(folder), (PAGE / "page.css").read_text(encoding="utf-8")
    path = folder / "index.html"
    if path.exists() and "unet_helpers report index" not in path.read_text(
        encoding="utf-8", errors="replace"
    ):
        raise SaveError(f"{path} is another program's file: move it away first.")
    names = sorted(file.name for file in folder.glob("*.html") if file != path)
    if not names:
        raise SaveError(f"{folder} holds no report: write some with result.report first.")
    text = TEMPLATES.get_template("index.html.j2").render(
        names=names, style=style, style_hash=digest(style)
    )
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(os.path.abspath(path))
