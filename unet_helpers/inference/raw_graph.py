"""An ONNX graph from pixels as they are to probabilities of the image's own size.

Its three parts are those of ``predict_stack``: the image is prepared, the network answers, and the
answer is put back. What a graph cannot do stays outside, and is listed in ``LEFT_OUTSIDE``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import ArgumentError
from ..networks.cards import ModelCard, Preprocessing
from ..networks.unet import UNet
from .onnx_illumination import Box, flattened_colours
from .onnx_intensities import read_channels
from .onnx_nodes import IR_VERSION, OPSET, Nodes, Value, graft, onnx_info
from .onnx_resize import resized
from .working_size import MAX_ZOOM

if TYPE_CHECKING:
    import onnx

PixelType = Literal["uint8", "uint16", "float32"]
# Types of pixels, and what ONNX calls them.
PIXEL_TYPES: dict[PixelType, str] = {"uint8": "UINT8", "uint16": "UINT16", "float32": "FLOAT"}

# Bits of whole numbers; 0: floats.
BITS: dict[PixelType, int] = {"uint8": 8, "uint16": 16, "float32": 0}

# Values beyond these are clipped before the network reads them: ``Prepared.limits``.
LIMITS = (-1.0, 2.0)

# Types and shapes of the inputs of all graphs made here; ``pixels`` have any number of axes.
INPUT_TYPES: dict[str, tuple[str, tuple[str | int, ...] | None]] = {
    "pixels": ("", None),
    "zoom": ("FLOAT", ()),
    "inside": ("BOOL", ("H or 1", "W or 1")),
    "answer": ("FLOAT", ("K", "h", "w")),
    "size": ("INT64", (2,)),
}

# What `segment` does for a card that the graph does not.
LEFT_OUTSIDE = {
    "every card": (
        "reading files, their geometry and their spacing: pixels that are not square are to be made"
        " square before, and a scale that is known goes to the input 'zoom'",
        "missing values (NaN, infinite) are to be filled before",
        "padding of another value, scale bars and frames of one colour are read as they are",
        "an image of nothing but background (empty glass, resin or a dark field) is not recognised,"
        " unless it is constant",
        "warnings, the expected Dice, objects, and components that are too small",
        "tiles: an image is computed as a whole, where `segment` blends tiles of 1280 working px",
    ),
    "field of view": (
        "the search for the lit disc of a photograph: give it as the input 'inside'; without it the"
        " whole image counts",
    ),
    "objects": (
        "the search for the size of objects: give it as the input 'zoom', working px per px;"
        " without it the zoom is 1",
        "the intensities of almost empty fields, and of those with a very bright speck, are not"
        " corrected by their objects",
    ),
}


Shape = tuple[Value, Value]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a raw graph."""

    pixels: Value  # (H, W) or (H, W, 3)
    zoom: Value  # () float32: working px per px; of a field of view it is found if it is 0
    inside: Value  # (H, W) bool, or (1, 1): the field of view, for cards that use one


@dataclass(frozen=True)
class Prepared:
    """What the network reads, and how its answer is put back."""

    image: Value  # (in_channels, h, w) float32
    is_constant: Value  # bool: the answer is background
    height: Value  # of the image
    width: Value
    box: Box | None = None  # the part of the image that was prepared; None: all
    inside: Value | None = None  # (1, h, w) float32, 0 or 1: beyond it answers are 0


def check_raw(card: ModelCard) -> None:
    """Raise ArgumentError if a graph of single images cannot do what the card does."""
    preprocessing = card.preprocessing
    reason = ""
    if card.localise is not None:
        reason = "it searches structures in volumes"
    elif preprocessing.method != "slices" or preprocessing.reads_volumes:
        reason = "it reads whole volumes"
    elif preprocessing.intensities == "local" and preprocessing.channels == "stain":
        reason = "it levels the light of stained tissue"
    if reason:
        raise ArgumentError(
            f"{card.name}: {reason}, which a graph of single images cannot. "
            "Export the network alone, with raw=False."
        )


def left_outside(card: ModelCard) -> list[str]:
    """List what `segment` does for a card that its raw graph does not."""
    texts = [*LEFT_OUTSIDE["every card"], *LEFT_OUTSIDE.get(card.preprocessing.scale, ())]
    if card.preprocessing.smallest_objects:
        texts.append(
            f"images whose objects are narrower than {card.preprocessing.smallest_objects} working"
            " px are not enlarged: give the input 'zoom'"
        )
    if card.preprocessing.context:
        texts.append("neighbouring slices: a slice is read as its own neighbour")
    if card.class_of == "segment":
        texts.append(
            "the votes along vessels: the pixels between two branchings or crossings get the class"
            " of their highest mean probability"
        )
    return texts


def raw_model(model: UNet, network: onnx.ModelProto, pixel_type: PixelType) -> onnx.ModelProto:
    """Join the three parts; ``network`` is the ONNX model of the network alone."""
    card = model.card
    nodes = Nodes("raw_")
    inputs = inputs_of(nodes)
    prepared = prepare_in_graph(inputs, card, model.in_channels, pixel_type)
    answer = averaged_answer(prepared.image, network, card.flips, 2**model.depth)
    probabilities = put_back(answer, prepared, card, model.out_channels)
    return finished(nodes, card, pixel_type, {"probabilities": probabilities})


def inputs_of(nodes: Nodes) -> Inputs:
    """Return the inputs of a graph that reads pixels."""
    return Inputs(nodes.input("pixels"), nodes.input("zoom"), nodes.input("inside"))


def prepare_in_graph(
    inputs: Inputs, card: ModelCard, in_channels: int, pixel_type: PixelType
) -> Prepared:
    """Prepare the pixels as the card says, at its working scale."""
    nodes = inputs.pixels.nodes
    preprocessing = card.preprocessing
    height = nodes.length(inputs.pixels, 0)
    width = nodes.length(inputs.pixels, 1)
    image = inputs.pixels.as_float().reshape(height, width, -1)

    read = read_channels(image, preprocessing, BITS[pixel_type])
    shape = shape_in_graph(inputs, preprocessing, height, width)
    box = None
    inside = None
    pixels = read.pixels
    if preprocessing.intensities == "local":
        whole = nodes.add("Expand", inputs.inside.as_float(), nodes.vector(height, width))
        box = Box.around(whole)
        inside = box.cut(nodes.add("Unsqueeze", whole, [0]))
        shape = (
            rescaled(box.height, shape[0], height),
            rescaled(box.width, shape[1], width),
        )
        inside = resized(inside, *shape, nodes.constant(np.bool_(True)))
        inside = (inside > 0.0).as_float()
        pixels = box.cut(pixels)

    is_integer = read.is_integer
    if preprocessing.intensities == "local":
        is_integer = nodes.constant(np.bool_(False))
    pixels = read.finish(resized(pixels, *shape, is_integer))
    if inside is not None:
        colours = nodes.add("Expand", pixels, nodes.vector(in_channels, *shape))
        pixels = flattened_colours(colours, inside, preprocessing.sigma, in_channels)
    scaled = nodes.clipped((pixels - read.offset) * read.gain, *LIMITS)
    repeated = nodes.add("Expand", scaled, nodes.vector(in_channels, *shape))
    is_constant = nodes.add("ReduceMax", scaled, keepdims=0).equals(
        nodes.add("ReduceMin", scaled, keepdims=0)
    )
    return Prepared(repeated, is_constant, height, width, box, inside)


def shape_in_graph(
    inputs: Inputs, preprocessing: Preprocessing, height: Value, width: Value
) -> Shape:
    """Return the height and width in working px of an image of this height and width in px."""
    nodes = inputs.pixels.nodes
    if preprocessing.scale == "square":
        return nodes.constant(preprocessing.size), nodes.constant(preprocessing.size)

    shape = zoomed(height, inputs.zoom), zoomed(width, inputs.zoom)
    if preprocessing.scale == "field of view":
        return shape_of_field(inputs, preprocessing, shape)
    return shape


def shape_of_field(inputs: Inputs, preprocessing: Preprocessing, zoomed_shape: Shape) -> Shape:
    """Return the shape that gives the field of view its width; a zoom that is given counts.

    See ``zoom_of_width``.
    """
    nodes = inputs.pixels.nodes
    height, width = nodes.length(inputs.pixels, 0), nodes.length(inputs.pixels, 1)
    whole = nodes.add("Expand", inputs.inside.as_float(), nodes.vector(height, width))
    box = Box.around(whole)
    longer = nodes.largest(box.height, box.width)

    size = preprocessing.size
    seen = nodes.clipped(longer, size, max(size, preprocessing.largest_size))
    new = nodes.smallest(longer * int(MAX_ZOOM), seen)
    is_given = inputs.zoom > 0.0
    rows, columns = zoomed_shape
    return (
        nodes.where(is_given, rows, rescaled(height, new, longer)),
        nodes.where(is_given, columns, rescaled(width, new, longer)),
    )


def zoomed(length: Value, zoom: Value) -> Value:
    """Return a length in working px, at least 1."""
    nodes = length.nodes
    return nodes.largest(nodes.add("Round", length.as_float() * zoom).as_int(), 1)


def rescaled(length: Value, new: Value, old: Value) -> Value:
    """Return the rounded length * new / old, at least 1."""
    return length.nodes.largest((length * new * 2 + old) / (old * 2), 1)


def averaged_answer(image: Value, network: onnx.ModelProto, flips: int, step: int) -> Value:
    """Run the network on (C, h, w) and average over mirrored copies: (K, h, w)."""
    nodes = image.nodes
    height, width = nodes.length(image, 1), nodes.length(image, 2)
    padded = nodes.mirrored(image, 1, 0, missing(height, step))
    padded = nodes.mirrored(padded, 2, 0, missing(width, step))
    copies = nodes.add("Unsqueeze", padded, [0])
    if flips > 1:
        # The image is mirrored before it is padded, as `averaged` in tiles.py does.
        mirrored = reversed_columns(image)
        mirrored = nodes.mirrored(mirrored, 1, 0, missing(height, step))
        mirrored = nodes.mirrored(mirrored, 2, 0, missing(width, step))
        copies = nodes.add("Concat", copies, nodes.add("Unsqueeze", mirrored, [0]), axis=0)

    answers = graft(nodes, network, {"image": copies})["probabilities"]
    answers = answers.cut(0, height, axis=2).cut(0, width, axis=3)
    first = answers.at(0)
    if flips == 1:
        return first
    return (first + reversed_columns(answers.at(1))) * 0.5


def missing(length: Value, step: int) -> Value:
    """Return how much is missing to a multiple of ``step``."""
    return -length % step


def reversed_columns(image: Value) -> Value:
    """Mirror (C, H, W) from left to right."""
    last = np.iinfo(np.int64).min
    return image.cut(-1, last, axis=2, step=-1)


def put_back(answer: Value, prepared: Prepared, card: ModelCard, out_channels: int) -> Value:
    """Resize the answer (K, h, w) to the image: (K, H, W)."""
    nodes = answer.nodes
    if card.preprocessing.logit_shifts:
        height = prepared.height if prepared.box is None else prepared.box.height
        zoom = nodes.length(answer, 1).as_float() / height.as_float()
        answer = shifted_logits(answer, zoom, card)

    background = np.zeros((out_channels, 1, 1), np.float32)
    if out_channels > 1 and card.has_background:
        background[0] = 1
    answer = nodes.where(prepared.is_constant, background, answer)

    no_integer = nodes.constant(np.bool_(False))
    if prepared.box is None or prepared.inside is None:
        return resized(answer, prepared.height, prepared.width, no_integer)
    box = prepared.box
    within = resized(answer * prepared.inside, box.height, box.width, no_integer)
    around = nodes.vector(
        0, box.top, box.left, 0, prepared.height - box.bottom, prepared.width - box.right
    )
    whole = nodes.add("Pad", within, around, 0.0)
    if out_channels == 1 or not card.has_background:
        return whole
    # Outside the field of view there is nothing but background.
    classes = whole.cut(1, out_channels, axis=0)
    sum_of_classes = nodes.add("ReduceSum", classes, [0], keepdims=1)
    return nodes.add("Concat", -sum_of_classes + 1.0, classes, axis=0)


def shifted_logits(answer: Value, zoom: Value, card: ModelCard) -> Value:
    """Shift the logits of the foreground: see ``field_of_view.shift_at``."""
    nodes = answer.nodes
    preprocessing = card.preprocessing
    log_width = nodes.add("Log", nodes.constant(np.float32(preprocessing.size)) / zoom)

    # Between two widths the shift follows the logarithm; beyond the first and last it is theirs.
    widths = np.log([width for width, _ in preprocessing.logit_shifts])
    values = [value for _, value in preprocessing.logit_shifts]
    shift = nodes.constant(np.float32(values[0]))
    for i in range(1, len(widths)):
        share = (log_width - float(widths[i - 1])) * float(1 / (widths[i] - widths[i - 1]))
        shift = shift + nodes.clipped(share, 0.0, 1.0) * (values[i] - values[i - 1])

    odds = nodes.add("Exp", shift)
    raised = answer * odds
    if not card.has_background:
        return raised / (raised + 1.0 - answer)
    classes = raised.cut(1, card.out_channels, axis=0)
    weighted = nodes.add("Concat", answer.cut(0, 1, axis=0), classes, axis=0)
    return weighted / nodes.add("ReduceSum", weighted, [0], keepdims=1)


def finished(
    nodes: Nodes,
    card: ModelCard,
    pixel_type: PixelType,
    outputs: dict[str, Value],
    has_defaults: bool = True,
) -> onnx.ModelProto:
    """Make the model of the nodes, with named outputs and metadata.

    ``has_defaults``: whether 'zoom' and 'inside' may be left out, which browsers do not support.
    """
    import onnx
    from onnx import helper

    for name, value in outputs.items():
        nodes.nodes.append(helper.make_node("Identity", [value.name], [name]))

    types = INPUT_TYPES | {"pixels": (PIXEL_TYPES[pixel_type], None)}
    zoom = usual_zoom(card.preprocessing)
    defaults = {"zoom": np.float32(zoom), "inside": np.ones((1, 1), bool)}

    used = names_read(nodes.nodes)
    infos = []
    for name, (type_name, shape) in types.items():
        if name in used:
            infos.append(onnx_info(name, type_name, shape))
        if has_defaults and name in used and name in defaults:
            default = np.asarray(defaults[name])
            nodes.tensors.append(onnx.numpy_helper.from_array(default, name))

    tensors = [tensor for tensor in nodes.tensors if tensor.name in used]
    graph = helper.make_graph(
        nodes.nodes,
        f"{card.name}_raw",
        infos,
        [onnx_info(name, "FLOAT", ("K", "H", "W")) for name in outputs],
        tensors,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    metadata = {
        "card": json.dumps(asdict(card)),
        "outside": json.dumps(left_outside(card)),
        "threshold": str(card.threshold),
    }
    helper.set_model_props(model, metadata)
    return model


def usual_zoom(preprocessing: Preprocessing) -> float:
    """Return the zoom of a graph that is given none; 0: it is found from the field of view."""
    if preprocessing.scale == "field of view":
        return 0.0
    if preprocessing.usual_spacing and preprocessing.spacing:
        return preprocessing.usual_spacing / preprocessing.spacing
    return 1.0


def names_read(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Return the names of all tensors that nodes read, also in their branches."""
    names = set()
    for node in nodes:
        names |= set(node.input)
        for attribute in node.attribute:
            names |= names_read(attribute.g.node)
    return names
