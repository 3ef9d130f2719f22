"""``Nodes``: write an ONNX graph as if it were arithmetic; and join it with another graph.

Neither float64 nor 16-bit integers are used, which ONNX Runtime for browsers does not have.

The operators are those of https://onnx.ai/onnx/operators/, in the version ``OPSET``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

# Versions of ONNX's operators and of its file format, which ONNX Runtime 1.18 and later read.
OPSET = 20
IR_VERSION = 9


@dataclass(frozen=True)
class Value:
    """A tensor that a node computes. Operators add nodes to the graph.

    Both operands need the same type: int constants are int64, float constants float32.
    """

    nodes: Nodes
    name: str

    def __add__(self, other: Any) -> Value:
        return self.nodes.add("Add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.nodes.add("Sub", self, other)

    def __mul__(self, other: Any) -> Value:
        return self.nodes.add("Mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.nodes.add("Div", self, other)

    def __mod__(self, other: Any) -> Value:
        return self.nodes.add("Mod", self, other)

    def __neg__(self) -> Value:
        return self.nodes.add("Neg", self)

    def __gt__(self, other: Any) -> Value:
        return self.nodes.add("Greater", self, other)

    def __ge__(self, other: Any) -> Value:
        return self.nodes.add("GreaterOrEqual", self, other)

    def __lt__(self, other: Any) -> Value:
        return self.nodes.add("Less", self, other)

    def __le__(self, other: Any) -> Value:
        return self.nodes.add("LessOrEqual", self, other)

    def __and__(self, other: Any) -> Value:
        return self.nodes.add("And", self, other)

    def __or__(self, other: Any) -> Value:
        return self.nodes.add("Or", self, other)

    def __invert__(self) -> Value:
        return self.nodes.add("Not", self)

    def equals(self, other: Any) -> Value:
        """Return where it equals another value; ``==`` keeps Python's meaning."""
        return self.nodes.add("Equal", self, other)

    def as_type(self, name: str) -> Value:
        """Convert to ``'FLOAT'``, ``'INT64'``, ``'INT32'`` or ``'BOOL'``."""
        import onnx

        return self.nodes.add("Cast", self, to=getattr(onnx.TensorProto, name))

    def as_float(self) -> Value:
        """Convert to float32."""
        return self.as_type("FLOAT")

    def as_int(self) -> Value:
        """Convert to int64, towards 0."""
        return self.as_type("INT64")

    def reshape(self, *sizes: Value | int) -> Value:
        """Change the shape; -1 is what remains."""
        return self.nodes.add("Reshape", self, self.nodes.vector(*sizes))

    def at(self, index: Any, axis: int = 0) -> Value:
        """Take values along an axis: ``numpy.take``."""
        return self.nodes.add("Gather", self, index, axis=axis)

    def cut(
        self, start: Value | int, stop: Value | int, axis: int = 0, step: Value | int = 1
    ) -> Value:
        """Take a slice along an axis."""
        vector = self.nodes.vector
        return self.nodes.add("Slice", self, vector(start), vector(stop), [axis], vector(step))

    def transposed(self, *axes: int) -> Value:
        """Permute the axes."""
        return self.nodes.add("Transpose", self, perm=list(axes))


class Nodes:
    """The nodes of a graph, in the order in which they are computed.

    Parameters
    ----------
    prefix
        The beginning of the names of all tensors, which keeps those of two graphs apart.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.count = 0
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def new_name(self) -> str:
        """Return a name that no other tensor has."""
        self.count += 1
        return f"{self.prefix}{self.count}"

    def input(self, name: str) -> Value:
        """Return an input of the graph."""
        return Value(self, name)

    def constant(self, values: Any) -> Value:
        """Add a constant: Python numbers become int64 or float32, arrays keep their type."""
        from onnx import numpy_helper

        array = np.asarray(values)
        if not isinstance(values, np.ndarray | np.generic):
            array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)
        name = self.new_name()
        self.tensors.append(numpy_helper.from_array(array, name))
        return Value(self, name)

    def add(self, operator: str, *operands: Any, **attributes: Any) -> Value:
        """Add a node with one output, and return it; None is an input that is left out."""
        return self.add_many(operator, 1, *operands, **attributes)[0]

    def add_many(
        self, operator: str, outputs: int, *operands: Any, **attributes: Any
    ) -> list[Value]:
        """Add a node with several outputs, and return them."""
        from onnx import helper

        inputs = [self.name_of(operand) for operand in operands]
        names = [self.new_name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return [Value(self, name) for name in names]

    def name_of(self, operand: Any) -> str:
        """Return the name of an operand, which becomes a constant if it is no value."""
        if operand is None:
            return ""
        if isinstance(operand, Value):
            return operand.name
        return self.constant(operand).name

    def vector(self, *numbers: Value | int) -> Value:
        """Return whole numbers as one tensor of int64."""
        if not any(isinstance(number, Value) for number in numbers):
            return self.constant(list(numbers))
        one = self.constant([1])
        parts = [
            self.add("Reshape", number, one) if isinstance(number, Value) else [number]
            for number in numbers
        ]
        return self.add("Concat", *parts, axis=0)

    def choose(
        self, condition: Value, then: Callable[[], Value], otherwise: Callable[[], Value]
    ) -> Value:
        """Compute one of two values: only the nodes of that one are run."""
        name = self.new_name()
        branches = {
            "then_branch": self.branch(f"{name}_then", then),
            "else_branch": self.branch(f"{name}_else", otherwise),
        }
        from onnx import helper

        self.nodes.append(helper.make_node("If", [condition.name], [name], **branches))
        return Value(self, name)

    def branch(self, name: str, compute: Callable[[], Value]) -> onnx.GraphProto:
        """Return the nodes that a function adds as a graph of its own."""
        from onnx import helper

        outside = self.nodes
        self.nodes = []
        output = self.add("Identity", compute())
        inside, self.nodes = self.nodes, outside
        output_info = onnx_info(output.name)
        return helper.make_graph(inside, name, [], [output_info])

    # What several parts of a graph need.

    def length(self, value: Value, axis: int) -> Value:
        """Return the length of an axis, a scalar."""
        shape = self.add("Shape", value)
        return shape.at(axis)

    def range(self, stop: Value) -> Value:
        """Return 0, 1, ... before ``stop``: int64."""
        return self.add("Range", 0, stop, 1)

    def where(self, condition: Value, value: Any, otherwise: Any) -> Value:
        """Choose between two values, at each element."""
        return self.add("Where", condition, value, otherwise)

    def smallest(self, *values: Any) -> Value:
        """Return the smallest value at each element."""
        return self.add("Min", *values)

    def largest(self, *values: Any) -> Value:
        """Return the largest value at each element."""
        return self.add("Max", *values)

    def clipped(self, value: Value, lowest: Any, highest: Any) -> Value:
        """Limit values to a range."""
        return self.smallest(self.largest(value, lowest), highest)

    def mirrored(self, value: Value, axis: int, before: Any, after: Any) -> Value:
        """Pad an axis as ``numpy.pad(mode='reflect')`` does, by any number of elements."""
        length = self.length(value, axis)
        position = self.range(length + before + after) - before
        period = self.largest((length - 1) * 2, 1)
        # Mod of a negative number has the sign of the period, as in Python.
        folded = position % period
        return value.at(self.smallest(folded, period - folded), axis)


def onnx_info(name: str, type_name: str = "", shape: Sequence[Any] | None = None) -> Any:
    """Describe an input or output; without a type only by its name, as in the branches of If."""
    import onnx

    if not type_name:
        return onnx.ValueInfoProto(name=name)
    element = getattr(onnx.TensorProto, type_name)
    return onnx.helper.make_tensor_value_info(name, element, shape)


def graft(nodes: Nodes, model: onnx.ModelProto, inputs: dict[str, Value]) -> dict[str, Value]:
    """Add the graph of another model, whose inputs are given by name; return its outputs."""
    renamed = {name: value.name for name, value in inputs.items()}

    def new(name: str) -> str:
        if name and name not in renamed:
            renamed[name] = f"network_{name}"
        return renamed.get(name, "")

    for tensor in model.graph.initializer:
        copied = type(tensor)()
        copied.CopyFrom(tensor)
        copied.name = new(tensor.name)
        nodes.tensors.append(copied)
    for node in model.graph.node:
        added = type(node)()
        added.CopyFrom(node)
        added.input[:] = [new(name) for name in node.input]
        added.output[:] = [new(name) for name in node.output]
        nodes.nodes.append(added)
    return {output.name: Value(nodes, new(output.name)) for output in model.graph.output}
