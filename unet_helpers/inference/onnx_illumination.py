"""Flat illumination as nodes of an ONNX graph: see ``preprocessing.field_of_view``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..preprocessing.field_of_view import MIN_DEVIATION_SHARE
from .onnx_intensities import percentile_below
from .onnx_nodes import Nodes, Value

# Standard deviations of a Gaussian up to which OpenCV computes its weights, of float32 images.
RADIUS_OVER_SIGMA = 4


@dataclass(frozen=True)
class Box:
    """Rows and columns: the smallest box around a mask, or all of them if it is empty."""

    top: Value
    bottom: Value
    left: Value
    right: Value

    @classmethod
    def around(cls, mask: Value) -> Box:
        """Return the box around (H, W) float32, 0 or 1."""
        top, bottom = ends(mask, axis=1)
        left, right = ends(mask, axis=0)
        return cls(top, bottom, left, right)

    def cut(self, image: Value) -> Value:
        """Cut the box out of (C, H, W)."""
        return image.cut(self.top, self.bottom, axis=1).cut(self.left, self.right, axis=2)

    @property
    def height(self) -> Value:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> Value:
        """Number of columns."""
        return self.right - self.left


def ends(mask: Value, axis: int) -> tuple[Value, Value]:
    """Return the first and one past the last index with a 1, along the other axis."""
    nodes = mask.nodes
    is_used = nodes.add("ReduceMax", mask, [axis], keepdims=0)
    length = nodes.length(is_used, 0)
    is_empty = ~(nodes.add("ReduceMax", is_used, keepdims=0) > 0.0)
    first = nodes.add("ArgMax", is_used, axis=0, keepdims=0)
    last = nodes.add("ArgMax", is_used, axis=0, keepdims=0, select_last_index=1)
    return nodes.where(is_empty, 0, first), nodes.where(is_empty, length, last + 1)


def flattened_colours(colours: Value, inside: Value, sigma: float, count: int) -> Value:
    """Compute the local z-score of each of ``count`` colours (C, h, w) inside a mask (1, h, w)."""
    nodes = colours.nodes
    smooth = Gaussian(nodes, nodes.length(colours, 1), nodes.length(colours, 2), sigma)
    flat = [flattened(colours.at([colour]), inside, smooth) for colour in range(count)]
    return nodes.add("Concat", *flat, axis=0)


def flattened(pixels: Value, inside: Value, smooth: Gaussian) -> Value:
    """Compute the local z-score of (1, h, w) inside a mask (1, h, w) of 0 and 1, from 0 to 1."""
    nodes = pixels.nodes
    weight = nodes.largest(smooth.blur(inside), 1e-3)
    mean = smooth.blur(pixels * inside) / weight
    difference = (pixels - mean) * inside
    deviation = nodes.add("Sqrt", smooth.blur(difference * difference) / weight)

    # Where nothing is inside, the difference is 0 everywhere: no smallest deviation is needed.
    is_inside = inside.reshape(-1) > 0.0
    has_inside = nodes.add("ReduceMax", inside, keepdims=0) > 0.0
    used = nodes.add("Compress", deviation.reshape(-1), is_inside | ~has_inside)
    least = percentile_below(used, 50) * MIN_DEVIATION_SHARE
    deviation = nodes.largest(deviation, least)
    return nodes.clipped(difference / (deviation * 6.0 + 1e-6) + 0.5, 0.0, 1.0)


class Gaussian:
    """A Gaussian filter for images of one size, as two matrices: fast wherever products are."""

    def __init__(self, nodes: Nodes, height: Value, width: Value, sigma: float) -> None:
        self.nodes = nodes
        self.radius = round(RADIUS_OVER_SIGMA * sigma)
        offsets = np.arange(-self.radius, self.radius + 1)
        weights = np.exp(-0.5 * (offsets / sigma) ** 2)
        # A 0 at the end, for pixels that are too far away.
        self.weights = nodes.constant(np.append(weights / weights.sum(), 0).astype(np.float32))
        self.rows = self.matrix(height)
        self.columns = self.matrix(width).transposed(1, 0)

    def matrix(self, length: Value) -> Value:
        """Return the weights (new, padded) of an axis."""
        taps = 2 * self.radius + 1
        padded = self.nodes.range(length + 2 * self.radius)
        distance = padded - self.nodes.range(length).reshape(-1, 1)
        is_near = (distance >= 0) & (distance < taps)
        return self.weights.at(self.nodes.where(is_near, distance, taps))

    def blur(self, image: Value) -> Value:
        """Smooth (1, h, w), mirrored at its borders."""
        mirrored = self.nodes.mirrored(image, 1, self.radius, self.radius)
        rows = self.nodes.add("MatMul", self.rows, mirrored)
        mirrored = self.nodes.mirrored(rows, 2, self.radius, self.radius)
        return self.nodes.add("MatMul", mirrored, self.columns)
