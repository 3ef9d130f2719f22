"""What a notebook's cell shows of a result: its picture, and its warnings and notes as text."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ..palette import VERMILION

if TYPE_CHECKING:
    from .segmentation import Segmentation

# Muted, since a note is no doubt.
COLOUR_OF_NOTES = "#666666"


def describe(result: Segmentation) -> str:
    """Describe a result in a line: its size, the share of it that was found, how good it is."""
    size = " × ".join(str(length) for length in result.image.spatial_shape)
    share = (result.labels > 0).mean()
    found = f"Segmentation of {result.image.name} by {result.card.name}: {size}, {share:.1%} found"
    return f"{found}; {result.assessment.sentence}"


def remarks(result: Segmentation) -> list[str]:
    """List the warnings and notes of a result, each with its kind, as lines of text."""
    warnings = [text for text in (*result.warnings, result.explain()) if text]
    lines = [f"warning: {text}" for text in warnings]
    lines += [f"note: {text}" for text in result.image.notes]
    return lines


def display_result(result: Segmentation) -> None:
    """Show the picture in a notebook's cell, and below it the warnings and notes."""
    from IPython.display import display

    picture = {"image/png": result._repr_png_(), "text/plain": repr(result)}
    display(picture, raw=True)

    lines = remarks(result)
    if lines:
        display({"text/html": lines_in_html(lines), "text/plain": "\n".join(lines)}, raw=True)


def lines_in_html(lines: list[str]) -> str:
    """Write lines as a list, warnings in the colour of doubt."""
    items = []
    for line in lines:
        colour = VERMILION if line.startswith("warning") else COLOUR_OF_NOTES
        items.append(f'<li style="color:{colour}">{html.escape(line)}</li>')
    return f"<ul>{''.join(items)}</ul>"
