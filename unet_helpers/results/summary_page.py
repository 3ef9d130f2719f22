"""The summary of a folder as one HTML page: thumbnails, a table that sorts, doubt first."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from PIL import Image

from ..errors import SaveError
from ..files import written_whole
from .report import PAGE, TEMPLATES, digest
from .request import read_manifest
from .save import MANIFEST, OVERLAY, REPORT

if TYPE_CHECKING:
    import pandas as pd

# Text in every page that is written here: a file without it is another program's.
MARK = "unet_helpers summary"

# px: the longer side of a thumbnail.
THUMBNAIL = 120

# Most images with a thumbnail, each about 4 kB, so that the page of a large folder stays small.
MAX_THUMBNAILS = 1000

# From the first row of the page to the last: what to look at first.
ORDER = ("failed", "not done", "doubtful", "lower", "warned", "unknown", "usual", "left out")

# Columns of the summary that the page shows in its own way.
SHOWN_APART = (
    "input",
    "status",
    "assessment",
    "notes",
    "warnings",
    "explanation",
    "error",
    "result",
)


@dataclass(frozen=True)
class Line:
    """What the page shows of one image."""

    name: str
    folder: str
    concern: str  # one of ORDER
    numbers: dict[str, Any]  # by column
    assessment: str
    texts: tuple[str, ...]  # the error, warnings and notes
    picture: str = ""  # a JPEG in base64
    overlay: str = ""  # the address of the overlay, relative to the page
    report: str = ""  # that of the report, if there is one


def refuse_other_page(path: Path) -> None:
    """Raise SaveError if a file of this name is another program's."""
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise SaveError(
            f"{path} is another program's file: move it away first, or choose another folder."
        )


def write_summary_page(table: pd.DataFrame, path: Path) -> None:
    """Write the page about the rows of a summary; SaveError if it cannot be written."""
    columns = [str(name) for name in table if name not in SHOWN_APART]
    used = [name for name in columns if (table[name].notna() & (table[name] != "")).any()]
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    lines = [line_of(row, used, path.parent) for row in rows]
    lines.sort(key=lambda line: ORDER.index(line.concern))
    pictured = [with_picture(line, path.parent) for line in lines[:MAX_THUMBNAILS]]

    script = (PAGE / "summary.js").read_text("utf-8")
    style = (PAGE / "page.css").read_text("utf-8") + (PAGE / "summary.css").read_text("utf-8")
    concerns = [line.concern for line in lines]
    text = TEMPLATES.get_template("summary.html.j2").render(
        mark=MARK,
        lines=[*pictured, *lines[MAX_THUMBNAILS:]],
        columns=used,
        counts={name: concerns.count(name) for name in ORDER if name in concerns},
        script=script,
        style=style,
        script_hash=digest(script),
        style_hash=digest(style),
    )
    try:
        with written_whole(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SaveError(f"{path}: could not be written ({error.strerror or error}).") from error


def line_of(row: dict[str, Any], columns: list[str], folder: Path) -> Line:
    """Return what is shown of a row of the summary."""
    source = Path(str(row["input"]))
    texts = [row["error"], *str(row["warnings"]).split(" | "), row["explanation"]]
    manifest_path = Path(row["result"]) if row["result"] else None
    manifest: dict[str, Any] = {}
    overlay = report = ""
    if manifest_path is not None and manifest_path.exists():
        manifest = read_manifest(manifest_path)
        stem = str(manifest_path)[: -len(MANIFEST)]
        overlay = address(Path(stem + OVERLAY), folder)
        report = address(Path(stem + REPORT), folder)
    return Line(
        name=source.name,
        folder=str(source.parent),
        concern=concern_of(row, manifest),
        numbers={name: number_in_words(row[name]) for name in columns},
        assessment=row["assessment"],
        texts=tuple(dict.fromkeys(text for text in texts if text not in row["assessment"])),
        overlay=overlay,
        report=report,
    )


def concern_of(row: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Return how much an image needs a look, one of ORDER."""
    if row["status"] not in ("saved", "done before"):
        return str(row["status"])
    level = str(manifest.get("level", "unknown"))
    if level in ("usual", "unknown") and row["warnings"]:
        return "warned"
    return level


def number_in_words(value: Any) -> str:
    """Write a cell: numbers with their first digits, missing ones empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    number = float(value)
    return f"{number:,.0f}" if number.is_integer() or number >= 1000 else f"{number:.4g}"


def address(path: Path, folder: Path) -> str:
    """Return the address of a file relative to the page; '' if there is no file."""
    if not path.exists():
        return ""
    return quote(os.path.relpath(path, folder).replace(os.sep, "/"))


def with_picture(line: Line, folder: Path) -> Line:
    """Add a thumbnail of the overlay, if there is one."""
    if not line.overlay:
        return line
    try:
        with Image.open(folder / unquote(line.overlay)) as stored:
            picture = stored.convert("RGB")
    except OSError:
        return line
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = BytesIO()
    picture.save(file, "jpeg", quality=75)
    return replace(line, picture=base64.b64encode(file.getvalue()).decode())
