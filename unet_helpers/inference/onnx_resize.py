"""Resizing as OpenCV does it, as nodes of an ONNX graph: see ``preprocessing.resample.resize``.

Where an image of 8 bits is enlarged, OpenCV 4 and 5 compute with integers of 11 bits
(INTER_RESIZE_COEF_BITS in ``resize.cpp``). The same integers are computed here, because the network
sees the difference of a grey level. Images are (C, H, W) float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .onnx_nodes import Value

# One, in the integers that weights are rounded to.
COEFFICIENT = 2**11


def resized(image: Value, height: Value, width: Value, is_integer: Value) -> Value:
    """Resize (C, H, W) to (C, h, w): averaged if it shrinks, else interpolated.

    With ``is_integer``, a bool, the values are whole numbers from 0 to 255 and stay so.
    """
    nodes = image.nodes
    own_height, own_width = nodes.length(image, 1), nodes.length(image, 2)
    is_same = own_height.equals(height) & own_width.equals(width)
    shrinks = height * width < own_height * own_width

    both_shrink = (height <= own_height) & (width <= own_width)

    def interpolated() -> Value:
        return nodes.choose(
            is_integer,
            lambda: interpolated_integers(image, height, width, Neighbours.of),
            lambda: interpolated_floats(image, height, width),
        )

    def stretched() -> Value:
        return nodes.choose(
            is_integer,
            lambda: interpolated_integers(image, height, width, Neighbours.of_areas),
            lambda: stretched_floats(image, height, width),
        )

    def shrunk() -> Value:
        return nodes.choose(
            both_shrink, lambda: averaged(image, height, width, is_integer), stretched
        )

    return nodes.choose(is_same, lambda: image, lambda: nodes.choose(shrinks, shrunk, interpolated))


def averaged(image: Value, height: Value, width: Value, is_integer: Value) -> Value:
    """Return the means over the area of each new pixel (cv2.INTER_AREA)."""
    nodes = image.nodes
    own_height, own_width = nodes.length(image, 1), nodes.length(image, 2)
    # OpenCV sums whole pixels where it can, and divides once; else it sums weighted pixels. This
    # decides how a mean half-way between two grey levels is rounded.
    is_whole = (own_height % height).equals(0) & (own_width % width).equals(0)
    rows = overlaps(own_height, height, is_whole)
    columns = overlaps(own_width, width, is_whole)
    sums = nodes.add("MatMul", rows, nodes.add("MatMul", image, columns.transposed(1, 0)))

    area = (own_height * own_width).as_float() / (height * width).as_float()
    area = nodes.where(is_whole, area, 1.0)
    means = sums * (nodes.constant(1.0) / area)

    # OpenCV has an own function for halves, which rounds .5 up; elsewhere it rounds to even.
    are_halves = own_height.equals(height * 2) & own_width.equals(width * 2)
    rounded = nodes.where(are_halves, nodes.add("Floor", means + 0.5), nodes.add("Round", means))
    return nodes.where(is_integer, rounded, means)


def overlaps(own_length: Value, length: Value, is_whole: Value) -> Value:
    """Return the matrix (new, old) of the share of a new pixel that lies in an old one.

    Where a new pixel is a whole number of old ones, it is their length in old px instead: 0 or 1.
    Lengths are counted in parts of a pixel of which both are whole numbers.
    """
    nodes = own_length.nodes
    own, new = own_length.as_type("INT32"), length.as_type("INT32")
    zero = nodes.constant(np.int32(0))
    starts = (nodes.range(length).as_type("INT32") * own).reshape(-1, 1)
    pixels = nodes.range(own_length).as_type("INT32") * new
    shared = nodes.smallest(starts + own, pixels + new) - nodes.largest(starts, pixels)
    shared = nodes.largest(shared, zero).as_float()
    return shared / nodes.where(is_whole, length.as_float(), own_length.as_float())


def stretched_floats(image: Value, height: Value, width: Value) -> Value:
    """Resize as INTER_AREA does where one axis shrinks and the other one grows."""
    nodes = image.nodes
    rows = Neighbours.of_areas(nodes.length(image, 1), height, keeps_share=True)
    columns = Neighbours.of_areas(nodes.length(image, 2), width, keeps_share=False)
    along_rows = columns.mixed(image, axis=2, shape=(1, 1, -1))
    return rows.mixed(along_rows, axis=1, shape=(1, -1, 1))


def interpolated_floats(image: Value, height: Value, width: Value) -> Value:
    """Interpolate between the four nearest pixels (cv2.INTER_LINEAR)."""
    nodes = image.nodes
    channels = nodes.length(image, 0)
    sizes = nodes.vector(1, channels, height, width)
    enlarged = nodes.add(
        "Resize",
        nodes.add("Unsqueeze", image, [0]),
        None,
        None,
        sizes,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    return nodes.add("Squeeze", enlarged, [0])


def interpolated_integers(
    image: Value, height: Value, width: Value, find: Callable[[Value, Value, bool], Neighbours]
) -> Value:
    """Interpolate between four pixels, which ``find`` finds along an axis, in OpenCV's integers."""
    nodes = image.nodes
    rows = find(nodes.length(image, 1), height, True)
    columns = find(nodes.length(image, 2), width, False)

    integers = image.as_type("INT32")
    along_rows = (
        integers.at(columns.first, axis=2) * columns.first_weight
        + integers.at(columns.second, axis=2) * columns.second_weight
    )
    sixteenths = along_rows / nodes.constant(np.int32(16))
    high = nodes.constant(np.int32(2**16))
    upper = sixteenths.at(rows.first, axis=1) * rows.first_weight.reshape(-1, 1) / high
    lower = sixteenths.at(rows.second, axis=1) * rows.second_weight.reshape(-1, 1) / high
    quarters = upper + lower + nodes.constant(np.int32(2))
    return (quarters / nodes.constant(np.int32(4))).as_float()


class Neighbours:
    """The two old pixels beside each new one along an axis, and their weights."""

    def __init__(self, first: Value, share: Value, own_length: Value, keeps_share: bool) -> None:
        nodes = first.nodes
        last = own_length - 1
        if not keeps_share:
            is_outside = (first < 0) | (first >= last)
            share = nodes.where(is_outside, 0.0, share)
        self.first = nodes.clipped(first, 0, last)
        self.second = nodes.clipped(first + 1, 0, last)
        self.share = share
        self.second_weight = nodes.add("Round", share * float(COEFFICIENT)).as_type("INT32")
        self.first_weight = nodes.constant(np.int32(COEFFICIENT)) - self.second_weight

    @classmethod
    def of(cls, own_length: Value, length: Value, keeps_share: bool) -> Neighbours:
        """Find the nearest pixels; beyond the border ``keeps_share`` says if weights stay.

        They do in rows. Both neighbours are then the same pixel, so that only the rounding differs.
        """
        nodes = own_length.nodes
        # Positions are (i + 0.5) * own / new - 0.5, and -1 or more: shifted by 1, and counted in
        # parts of a pixel, they are whole numbers.
        parts = length * 2
        shifted = (nodes.range(length) * 2 + 1) * own_length - length + parts
        whole = (shifted / parts - 1).as_float()

        # OpenCV rounds positions to float32 before it takes their share of a pixel.
        position = whole + (shifted % parts).as_float() / parts.as_float()
        floor = nodes.add("Floor", position)
        return cls(floor.as_int(), position - floor, own_length, keeps_share)

    @classmethod
    def of_areas(cls, own_length: Value, length: Value, keeps_share: bool) -> Neighbours:
        """Find the pixels of INTER_AREA where one of the axes grows."""
        nodes = own_length.nodes
        position = nodes.range(length)
        first = position * own_length / length
        parts = (position + 1) * own_length - (first + 1) * length
        share = (nodes.largest(parts, 0) % own_length).as_float() / own_length.as_float()
        return cls(first, share, own_length, keeps_share)

    def mixed(self, image: Value, axis: int, shape: tuple[int, int, int]) -> Value:
        """Interpolate along an axis of (C, H, W); ``shape`` is that of the weights."""
        share = self.share.reshape(*shape)
        return image.at(self.first, axis=axis) * (-share + 1.0) + (
            image.at(self.second, axis=axis) * share
        )
