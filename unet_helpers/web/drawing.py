"""The drawing of a network in its page: the diagram of ``diagram``, as a page can hold it."""

from __future__ import annotations

import re
from html import escape, unescape

from ..figures.diagram import diagram
from ..figures.frames import svg_of
from ..networks.unet import UNet

DESCRIPTION = "The network as a U: its levels, and the skip connections between them"


def drawing_of(model: UNet) -> str:
    """Return the diagram of a network as an SVG element whose parts can be clicked.

    Its sizes are those of a window of 256 × 256 px, as the page shows it (see inside_worker.js).
    """
    return without_styles(svg_of(diagram(model), DESCRIPTION, role="group"))


def without_styles(svg: str) -> str:
    """Turn the styles of an SVG drawn by Matplotlib into attributes.

    The security policy of a page allows no styles but those of its own style sheet.
    """
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    return re.sub(r' style="([^"]*)"', attributes_of, svg)


def attributes_of(style: re.Match[str]) -> str:
    """Return ' fill="none" stroke="#000"' for the match of 'fill: none; stroke: #000'."""
    attributes = ""
    for declaration in unescape(style[1]).split(";"):
        name, _, value = declaration.partition(":")
        attributes += f' {name.strip()}="{escape(value.strip())}"'
    return attributes
