"""Pages of frames: a drawing, of which each frame marks a part, and what the frame shows and says.

A page works alone, without a kernel or the internet: buttons, a slider and the keyboard go from
frame to frame, and a list has all texts for those who do not see the pictures. Frames follow each
other by themselves only after a click on *Play*, and without transitions where the reader's system
asks for less motion.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from IPython.display import HTML

PAGE = Path(__file__).with_name("frames_page")
TEMPLATES = Environment(loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined)

# A part of a drawing is an artist whose gid begins with this.
PART = "part-"

# Quality of pictures as WebP, 1 to 100; a row of three feature maps has about 6 kB.
QUALITY = 40


@dataclass(frozen=True)
class Frame:
    """One frame of a page."""

    title: str
    text: str
    picture: bytes  # WebP file
    description: str  # of the picture, for those who do not see it
    parts: tuple[str, ...]  # of the drawing, by the names given to ``mark``


def mark(name: str) -> str:
    """Return the gid of an artist that is the part ``name`` of a drawing."""
    return PART + name


def page_of_frames(title: str, drawing: Figure, description: str, frames: Sequence[Frame]) -> str:
    """Return an HTML page with the drawing, described in words, and all frames."""
    pictures: dict[bytes, int] = {}
    facts = []
    for frame in frames:
        # Frames may share a picture, which is then stored once.
        number = pictures.setdefault(frame.picture, len(pictures))
        facts.append(
            {
                "title": frame.title,
                "text": frame.text,
                "picture": number,
                "description": frame.description,
                "parts": frame.parts,
            }
        )

    addresses = [f"data:image/webp;base64,{base64.b64encode(p).decode()}" for p in pictures]
    return TEMPLATES.get_template("frames.html.j2").render(
        title=title,
        drawing=svg_of(drawing, description),
        frames=frames,
        facts=json.dumps({"frames": facts, "pictures": addresses}).replace("<", "\\u003c"),
        style=(PAGE / "frames.css").read_text("utf-8"),
        script=(PAGE / "frames.js").read_text("utf-8"),
    )


def svg_of(figure: Figure, description: str, role: str = "img") -> str:
    """Return a figure as an SVG element, with its parts marked by ``data-part``.

    ``role`` is its ARIA role: 'group' if a page lets people act on its parts.
    """
    file = StringIO()
    # Texts stay texts, and the same drawing gives the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "frames"}):
        figure.savefig(file, format="svg", metadata={"Date": None})

    # The XML declaration and the document type before the element have no place inside a page.
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]

    # Several artists may be one part, but ids have to be unique.
    svg = re.sub(rf'id="{PART}([^"]+)"', r'data-part="\1"', svg)
    label = f'role="{role}" aria-label="{escape(description)}"'
    return re.sub(
        r'<svg [^>]*viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" {label}>', svg, count=1
    )


def webp(pixels: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint8, RGB, as a WebP file."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return encoded.tobytes()


def framed(page: str, title: str, height: int) -> HTML:
    """Return a page inside a frame of ``height`` px, which a notebook's cell shows."""
    from IPython.display import HTML

    style = f"width:100%;height:{height}px;border:1px solid #777"
    frame = f'<iframe title="{escape(title)}" style="{style}" srcdoc="{escape(page)}"></iframe>'
    return HTML(f"<div>{frame}</div>")
