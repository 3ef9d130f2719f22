"""The picture of a result that a notebook's cell shows: the overlay, with its assessment below."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .overlay import in_proportion, png

if TYPE_CHECKING:
    from .segmentation import Segmentation

# px: height of the letters' font, of a line, and of the space around the text.
FONT_SIZE = 14
LINE_HEIGHT = 19
MARGIN = 8

# px: width of a letter, on average; narrower pictures get a white border on the right.
LETTER_WIDTH = 7
LEAST_WIDTH = 420

# px: width of the bar in the colour of the assessment, left of the text.
BAR_WIDTH = 6


def captioned_png(result: Segmentation) -> bytes:
    """Return the overlay of a result with its assessment below, as the bytes of a PNG file."""
    picture = in_proportion(result.overlay(), result.image)
    width = max(LEAST_WIDTH, picture.shape[1])
    on_white = np.full((picture.shape[0], width, 3), 255, np.uint8)
    on_white[:, : picture.shape[1]] = picture

    assessment = result.assessment
    caption = write_caption(assessment.sentence, assessment.colour, width)
    return png(np.concatenate([on_white, caption]))


def write_caption(text: str, colour: str, width: int) -> np.ndarray:
    """Write text in a colour, with a bar at its left, on white: (h, width, 3) uint8."""
    letters = max(1, (width - BAR_WIDTH - 3 * MARGIN) // LETTER_WIDTH)
    lines = wrap(text, letters, break_on_hyphens=False)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN

    strip = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    draw.rectangle((0, MARGIN, BAR_WIDTH - 1, height - MARGIN), fill=colour)
    font = ImageFont.load_default(FONT_SIZE)
    for index, line in enumerate(lines):
        corner = (BAR_WIDTH + MARGIN, MARGIN + index * LINE_HEIGHT)
        draw.text(corner, line, fill=colour, font=font)
    return np.asarray(strip)
