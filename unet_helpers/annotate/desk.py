"""What lies between a canvas in a browser and a ``Painter``: messages in, replies and PNGs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ImageColor

from ..errors import UNetHelpersError
from ..results.overlay import edges_of, picture
from ..results.segmentation import Segmentation
from .painter import Painter
from .strokes import TOOLS, UNKNOWN, stroke_of
from .teaching import Teaching

# px: pictures for the browser are shrunk to this; strokes stay in px of the image.
LONGEST_SIDE = 2048

# The colour of what was painted as background.
BACKGROUND_COLOR = "#FFFFFF"

# Opacity, 0 to 255, of the answer, and of its rims and of what was painted by hand.
OPACITY = 110
OPACITY_BY_HAND = 255


class Desk:
    """A painter, the file in which its strokes are kept, and the messages of a canvas.

    Parameters
    ----------
    painter : Painter
        The painter.
    path : Path
        The file, which is written after each action.
    """

    def __init__(self, painter: Painter, path: Path) -> None:
        self.painter = painter
        self.path = path
        self.known: set[str] = set()
        self.lock = threading.Lock()
        self.version = 0  # of the last reply

    @property
    def state(self) -> dict[str, Any]:
        """What the canvas needs to begin."""
        height, width = self.painter.shape
        return {
            "key": self.painter.fingerprint(),
            "shape": [height, width],
            "classes": self.classes(),
            "tools": list(TOOLS),
            "file": str(self.path),
            "open": isinstance(self.painter._work, Teaching),
        }

    def classes(self) -> list[dict[str, str]]:
        """Return the names and colours of the classes, background first."""
        colors = (BACKGROUND_COLOR, *self.painter._work.card.colors)
        return [{"name": name, "color": color} for name, color in zip(self.painter.classes, colors)]

    def picture(self) -> bytes:
        """Return the image as a PNG file."""
        shown = shrunk(picture(self.painter.image), cv2.INTER_AREA)
        return png(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))

    def handle(self, message: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Carry out a message of a canvas; returns the reply and the answer as a PNG file.

        A message that was carried out before is only answered again.
        """
        with self.lock:
            started = time.monotonic()
            unanswered = list(message.get("unanswered", ()))
            error = ""
            for one in [*unanswered, message]:
                error = self.carry_out(one) or error

            result = self.painter.result()
            answer = overlay_png(result, self.painter.mask())
            count = int(result.objects.max())
            number = len(self.painter.strokes)
            seconds = time.monotonic() - started
            self.version += 1
            reply = {
                "version": self.version,
                "ids": [one.get("id") for one in [*unanswered, message]],
                "error": error,
                "text": text_of(result, number, count, seconds, self.path),
                "strokes": number,
                "objects": count,
                "classes": self.classes(),
            }
        return reply, answer

    def carry_out(self, message: Mapping[str, Any]) -> str:
        """Carry out one message; returns what is wrong with it, or ''."""
        number = str(message.get("id"))
        if number in self.known:
            return ""
        self.known.add(number)

        action = message.get("action")
        try:
            if action == "stroke":
                self.painter.do(stroke_of(message["stroke"]))
            elif action == "undo":
                self.painter.undo()
            elif action == "redo":
                self.painter.redo()
            elif action == "class":
                self.painter._taught().add_class(str(message["name"]))
            if action != "hello":
                self.painter.save_strokes(self.path)
        except UNetHelpersError as error:
            return str(error)
        return ""


def text_of(result: Segmentation, number: int, count: int, seconds: float, path: Path) -> str:
    """Say in one line how far the painting is."""
    share = np.count_nonzero(result.labels) / result.labels.size
    strokes = "1 stroke" if number == 1 else f"{number} strokes"
    objects = "1 object" if count == 1 else f"{count} objects"
    return (
        f"{strokes}, {objects}, {share:.1%} of the image; {seconds:.2f} s. "
        f"The strokes are saved in {path}."
    )


def overlay_png(result: Segmentation, painted: np.ndarray) -> bytes:
    """Return the answer as a transparent PNG file: classes, rims, and strokes.

    ``painted`` is (H, W) uint8, UNKNOWN where no stroke teaches anything.
    """
    labels = shrunk(result.labels, cv2.INTER_NEAREST_EXACT)
    colors = np.array(
        [ImageColor.getrgb(color) for color in (BACKGROUND_COLOR, *result.card.colors)], np.uint8
    )
    opacity = np.where(labels > 0, OPACITY, 0).astype(np.uint8)

    objects = shrunk(result.objects.astype(np.float32), cv2.INTER_NEAREST_EXACT)
    opacity[edges_of(objects)] = OPACITY_BY_HAND
    if result.card.pixel_features:
        strokes = shrunk(painted, cv2.INTER_NEAREST_EXACT)
        opacity[strokes != UNKNOWN] = OPACITY_BY_HAND

    blue_first = colors[labels][..., ::-1]
    return png(np.dstack([blue_first, opacity]))


def shrunk(values: np.ndarray, interpolation: int) -> np.ndarray:
    """Return (H, W[, C]) values with at most LONGEST_SIDE px on the longer side."""
    zoom = LONGEST_SIDE / max(values.shape[:2])
    if zoom >= 1:
        return values
    return cv2.resize(values, None, fx=zoom, fy=zoom, interpolation=interpolation)


def png(pixels: np.ndarray) -> bytes:
    """Return (H, W, 3 or 4) uint8, blue first, as the bytes of a PNG file."""
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()
