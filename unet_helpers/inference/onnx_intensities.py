"""Channels and intensities as nodes of an ONNX graph: see ``preprocessing.intensities``.

Images are (H, W, C) float32, with 1 or 3 channels, and become (C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..networks.card import IN_COLOUR
from ..networks.cards import Preprocessing
from ..preprocessing.intensities import (
    CAMERA_BITS,
    HEAD_LEVEL,
    LEAST_LIGHT_RANGE,
    LIGHT_BACKGROUND,
    LUMA,
    MARKER_HEIGHT,
    MAX_SAMPLE,
)
from .onnx_nodes import Value

# Percentiles are told in parts of the whole: a thousandth of a percent.
PARTS = 100_000

# Where the 95th percentile stands for the highest one, see ``intensity_range``.
UPPER_PERCENTILE = 95


@dataclass(frozen=True)
class Read:
    """What a network reads of an image, before it is resized."""

    pixels: Value  # (C, H, W) float32
    offset: Value
    gain: Value

    # Whether the pixels are whole numbers of 8 bits, which are resized with integers.
    is_integer: Value

    # What turns resized pixels (C, h, w) into those that are scaled.
    finish: Callable[[Value], Value]


def read_channels(image: Value, preprocessing: Preprocessing, bits: int) -> Read:
    """Choose the channels of ``image``, and find their scaling.

    Its pixels are integers of 8 or 16 ``bits``; 0 stands for floats.
    """
    read = read_any(image, preprocessing, bits)
    if bits != 16:
        return read

    # OpenCV rounds resized pixels of 16 bits, but a mean of colours is a float before.
    nodes = image.nodes
    is_mean = nodes.constant(np.bool_(False))
    if preprocessing.channels == "grey":
        is_mean = nodes.length(image, 2).equals(3)

    def finish(resized: Value) -> Value:
        return read.finish(nodes.where(is_mean, resized, nodes.add("Round", resized)))

    return replace(read, finish=finish)


def read_any(image: Value, preprocessing: Preprocessing, bits: int) -> Read:
    """Choose the channels and find their scaling; resized pixels are not rounded."""
    nodes = image.nodes
    is_colour = nodes.length(image, 2).equals(3)
    white = white_of(image, bits)
    of_bytes = nodes.constant(np.bool_(bits == 8))

    channels = preprocessing.channels
    if channels in IN_COLOUR and preprocessing.intensities == "local":
        return unscaled(image.transposed(2, 0, 1), of_bytes)
    if channels in IN_COLOUR:
        return read_colours(image, preprocessing, is_colour, white, of_bytes)

    if channels == "grey":
        table = np.append(LUMA, np.float32(1))
        first = nodes.where(is_colour, 0, 3)
        weights = nodes.constant(table).cut(first, nodes.where(is_colour, 3, 4))
        grey = nodes.add("MatMul", image, weights)
        of_bytes = of_bytes & ~is_colour
    else:
        grey = image.at(nodes.where(is_colour, 1, 0), axis=2)
    pixels = nodes.add("Unsqueeze", grey, [0])

    if preprocessing.intensities == "local":
        return unscaled(pixels, of_bytes)
    values = pixels.reshape(-1)
    if preprocessing.intensities == "head":
        values = values_of_a_head(values)
    has_marker = preprocessing.scale != "objects"
    offset, gain = intensity_range(sampled(values), preprocessing.percentiles, has_marker)
    return Read(pixels, offset, gain, of_bytes, lambda resized: resized)


def white_of(image: Value, bits: int) -> Value:
    """Return the value of white, as ``preprocessing.intensities.white_of`` does."""
    nodes = image.nodes
    brightest = nodes.add("ReduceMax", image, keepdims=0)
    if not bits:
        return nodes.largest(brightest, 1e-6)
    white = nodes.constant(float(2**bits - 1))
    for fewer in sorted((depth for depth in CAMERA_BITS if depth < bits), reverse=True):
        lower = float(2**fewer - 1)
        white = nodes.where(brightest > lower, white, lower)
    return white


def unscaled(pixels: Value, is_integer: Value) -> Read:
    """Return pixels that are not scaled here, because their light is levelled later."""
    zero, one = pixels.nodes.constant(0.0), pixels.nodes.constant(1.0)
    return Read(pixels, zero, one, is_integer, lambda resized: resized)


def read_colours(
    image: Value, preprocessing: Preprocessing, is_colour: Value, white: Value, of_bytes: Value
) -> Read:
    """Choose colours: as they are, or without the brown of a stain; dark fields become grey."""
    nodes = image.nodes
    is_bright = is_colour & is_bright_field(image, white)
    channels_first = image.transposed(2, 0, 1)
    has_marker = preprocessing.scale != "objects"

    def plain() -> Value:
        return channels_first

    def brightest() -> Value:
        return nodes.add("ReduceMax", channels_first, [0], keepdims=1)

    if preprocessing.channels == "stain":
        pixels = nodes.choose(is_bright, plain, brightest)
        sample = nodes.choose(
            is_bright,
            lambda: without_brown(sampled_colours(image), white, axis=1).reshape(-1),
            lambda: sampled(pixels.reshape(-1)),
        )

        def finish(resized: Value) -> Value:
            return nodes.choose(
                is_bright, lambda: without_brown(resized, white, axis=0), lambda: resized
            )

    else:
        pixels = channels_first
        sample = sampled(image.reshape(-1))

        def finish(resized: Value) -> Value:
            return resized

    offset, gain = intensity_range(sample, preprocessing.percentiles, has_marker)
    offset, gain = below_white(offset, gain, white, is_bright)
    return Read(pixels, offset, gain, of_bytes, finish)


def sampled(values: Value) -> Value:
    """Take every n-th of (N,) values, so that about MAX_SAMPLE are left."""
    nodes = values.nodes
    size = nodes.length(values, 0)
    return values.cut(0, size, step=nodes.largest(size / MAX_SAMPLE, 1))


def sampled_colours(image: Value) -> Value:
    """Take every n-th pixel of (H, W, 3): (N, 3), about MAX_SAMPLE values."""
    nodes = image.nodes
    size = nodes.add("Size", image)
    colours = image.reshape(-1, 3)
    return colours.cut(0, nodes.length(colours, 0), step=nodes.largest(size / MAX_SAMPLE, 1))


def values_of_a_head(values: Value) -> Value:
    """Return the values brighter than air; all if none is."""
    nodes = values.nodes
    lowest = nodes.add("ReduceMin", values, keepdims=0)
    highest = nodes.add("ReduceMax", values, keepdims=0)
    is_head = values > lowest + (highest - lowest) * HEAD_LEVEL
    is_head = is_head | ~(highest > lowest)
    return nodes.add("Compress", values, is_head)


def is_bright_field(image: Value, white: Value) -> Value:
    """Return whether (H, W, C) has a light background."""
    nodes = image.nodes
    thin = image
    for axis in (0, 1):
        length = nodes.length(image, axis)
        thin = thin.cut(0, length, axis=axis, step=nodes.largest(length / 256, 1))
    brightest = nodes.add("ReduceMax", thin, [2], keepdims=0).reshape(-1)
    return percentile_below(brightest, 50) > white * LIGHT_BACKGROUND


def intensity_range(
    values: Value, percentiles: tuple[float, float], has_marker: bool
) -> tuple[Value, Value]:
    """Return (offset, gain) that map two percentiles of (N,) to 0 and 1."""
    nodes = values.nodes
    low, high = percentiles
    bottom = percentile_below(values, low)
    top = percentile_above(values, high)
    if has_marker:
        upper = percentile_above(values, UPPER_PERCENTILE)
        usual = (upper - bottom) * MARKER_HEIGHT
        is_marker = (usual > 0.0) & (usual < top - bottom)
        top = nodes.where(is_marker, upper, top)
    extent = top - bottom
    is_constant = extent <= 0.0
    gain = nodes.where(
        is_constant, 0.0, nodes.constant(1.0) / nodes.where(is_constant, 1.0, extent)
    )
    return bottom, gain


def below_white(offset: Value, gain: Value, white: Value, is_bright: Value) -> tuple[Value, Value]:
    """Widen the range of a bright-field image, downwards, if it is only that of glass."""
    nodes = offset.nodes
    least = white * LEAST_LIGHT_RANGE
    extent = nodes.constant(1.0) / nodes.where(gain.equals(0.0), 1.0, gain)
    widens = is_bright & (gain > 0.0) & (extent < least)
    wide_offset = offset + extent - least
    wide_gain = nodes.constant(1.0) / least
    return nodes.where(widens, wide_offset, offset), nodes.where(widens, wide_gain, gain)


def percentile_below(values: Value, percent: float) -> Value:
    """Return a low percentile of (N,), from the lowest values alone."""
    return percentile(values, percent, largest=0)


def percentile_above(values: Value, percent: float) -> Value:
    """Return a high percentile of (N,), from the highest values alone."""
    return percentile(values, 100 - percent, largest=1)


def percentile(values: Value, percent: float, largest: int) -> Value:
    """Interpolate between two sorted values, counted from the lowest, or from the largest."""
    nodes = values.nodes
    last = nodes.length(values, 0) - 1
    # In whole numbers, because float32 does not tell neighbours of millions of values apart.
    position = last * round(percent / 100 * PARTS)
    first = position / PARTS
    share = (position % PARTS).as_float() / float(PARTS)
    second = nodes.smallest(first + 1, last)
    count = nodes.add("Reshape", second + 1, [1])
    ordered, _ = nodes.add_many("TopK", 2, values, count, largest=largest, sorted=1)
    low, high = ordered.at(first), ordered.at(second)
    return low + (high - low) * share


def without_brown(colours: Value, white: Value, axis: int) -> Value:
    """Remove the brown of DAB from colours, whose three channels are along ``axis``."""
    # Imported here, because `import unet_helpers` must not load scikit-image.
    from skimage.color import hed_from_rgb, rgb_from_hed

    nodes = colours.nodes
    shares = nodes.clipped(colours / white, 1e-6, 1.0)
    log_of_least = float(np.log(1e-6))
    densities = nodes.add("Log", shares) / log_of_least
    dyes = [nodes.largest(dye, 0.0) for dye in mixed(densities, hed_from_rgb, axis)]
    # The last dye is DAB.
    dyes[2] = nodes.smallest(dyes[2], 0.0)
    stacked = nodes.add("Concat", *dyes, axis=axis)
    logs = nodes.add("Concat", *mixed(stacked, rgb_from_hed, axis), axis=axis) * log_of_least
    return nodes.clipped(nodes.add("Exp", logs), 0.0, 1.0) * white


def mixed(channels: Value, matrix: np.ndarray, axis: int) -> list[Value]:
    """Multiply the three channels along ``axis`` by a (3, 3) matrix: old x new."""
    nodes = channels.nodes
    parts = [channels.at([index], axis=axis) for index in range(3)]
    results = []
    for column in matrix.T:
        weighted = [part * float(weight) for part, weight in zip(parts, column)]
        results.append(nodes.add("Sum", *weighted))
    return results
