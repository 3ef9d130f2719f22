"""What a person does with the mouse: strokes, clicks and rings, as points on an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ArgumentError, ImageError, SaveError
from ..files import did_you_mean, written_whole

# The name of class 0.
BACKGROUND = "background"

# Value of pixels that nobody has painted, as in masks for ``fine_tune``.
UNKNOWN = 255

# px: width of a stroke if none is given.
USUAL_WIDTH = 5.0

# Number of points that each tool needs.
TOOLS = {"stroke": 1, "erase": 1, "remove": 1, "split": 2, "join": 2, "ring": 3}

# Binary digits behind the point in OpenCV's coordinates: lines then start at fractions of a px.
FRACTION_BITS = 4


@dataclass(frozen=True)
class Stroke:
    """One action of a person.

    Parameters
    ----------
    tool : str
        'stroke', 'erase', 'remove', 'split', 'join' or 'ring'.
    points : tuple of tuple of float
        (row, column) in px of the image; pixel (0, 0) has its centre at (0, 0).
    name : str
        The class that is painted, or that a ring adds; '' for other tools.
    width : float
        px.

    Examples
    --------
    >>> from unet_helpers.annotate.strokes import Stroke
    >>> int(Stroke("stroke", ((5, 2), (5, 8)), "gland", width=1).mask((10, 10)).sum())
    7
    """

    tool: str
    points: tuple[tuple[float, float], ...]
    name: str = ""
    width: float = USUAL_WIDTH

    def __post_init__(self) -> None:
        if self.tool not in TOOLS:
            raise ArgumentError(f"There is no tool {self.tool!r}: choose from {', '.join(TOOLS)}.")
        needed = TOOLS[self.tool]
        if len(self.points) < needed:
            raise ArgumentError(
                f"{self.tool!r} needs {needed} points or more, each a (row, column)."
            )
        if not np.isfinite(self.points).all():
            raise ArgumentError(f"{self.tool!r}: the points must be finite numbers.")
        if not 0 < self.width < np.inf:
            raise ArgumentError(f"width={self.width!r} is no width: give px above 0.")

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Draw the stroke: (H, W) bool. A ring is filled."""
        drawn = np.zeros(shape, np.uint8)
        columns_first = np.array(self.points, np.float64)[:, ::-1]
        corners = np.round(columns_first * 2**FRACTION_BITS).astype(np.int32)
        if self.tool == "ring":
            cv2.fillPoly(drawn, [corners], color=1, shift=FRACTION_BITS)
            return drawn > 0

        thickness = max(1, round(self.width))
        # A single point is a line to itself.
        if len(corners) == 1:
            corners = np.repeat(corners, 2, axis=0)
        cv2.polylines(
            drawn, [corners], isClosed=False, color=1, thickness=thickness, shift=FRACTION_BITS
        )
        return drawn > 0

    def within(self, shape: tuple[int, int]) -> Stroke:
        """Return the stroke; ArgumentError if no part of it lies in an image of this shape."""
        if not self.mask(shape).any():
            raise ArgumentError(
                f"The stroke is outside the image of {shape[0]} × {shape[1]} px. "
                "Points are (row, column), not (x, y)."
            )
        return self

    def as_json(self) -> dict[str, Any]:
        """Return the stroke in the types that JSON has."""
        points = [[round(float(row), 2), round(float(column), 2)] for row, column in self.points]
        return {"tool": self.tool, "points": points, "name": self.name, "width": self.width}


def stroke_of(fields: Mapping[str, Any]) -> Stroke:
    """Make a stroke from its JSON; ArgumentError if it is none."""
    try:
        return Stroke(
            tool=str(fields["tool"]),
            points=points_of(fields["points"]),
            name=str(fields.get("name", "")),
            width=float(fields.get("width", USUAL_WIDTH)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"{fields!r} is no stroke ({error}).") from error


def points_of(points: Any) -> tuple[tuple[float, float], ...]:
    """Return (row, column) pairs of a list of pairs, an array (N, 2), or a single pair."""
    try:
        array = np.atleast_2d(np.asarray(points, np.float64))
    except (TypeError, ValueError) as error:
        raise ArgumentError("The points are no list of (row, column) pairs.") from error
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise ArgumentError(
            f"The points have the shape {array.shape}: give (row, column) pairs, (N, 2)."
        )
    return tuple((float(row), float(column)) for row, column in array)


def fingerprint_of(pixels: np.ndarray, start: str) -> str:
    """Return 12 hexadecimal digits: a sum over an image, and over what is painted on it."""
    total = hashlib.sha256(pixels.tobytes())
    total.update(json.dumps([start, list(pixels.shape)]).encode())
    return total.hexdigest()[:12]


def write_strokes(path: Path, strokes: Sequence[Stroke], about: Mapping[str, Any]) -> None:
    """Write strokes, and what they were painted on, as JSON; an existing file is replaced."""
    content = {**about, "strokes": [stroke.as_json() for stroke in strokes]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise SaveError(f"{path}: the strokes could not be saved ({error}).") from error


def read_strokes(path: Path) -> tuple[list[Stroke], dict[str, Any]]:
    """Read a file of ``write_strokes``: its strokes, and what they were painted on."""
    if not path.exists():
        raise ImageError(f"{path}: there is no such file{did_you_mean(path)} ({Path.cwd()}).")
    try:
        content = dict(json.loads(path.read_text("utf-8")))
        strokes = [stroke_of(fields) for fields in content.pop("strokes")]
    except (ValueError, TypeError, KeyError, OSError, ArgumentError) as error:
        raise ImageError(
            f"{path} is no file of strokes ({error}). Move it away, and new ones are written."
        ) from error
    return strokes, content
