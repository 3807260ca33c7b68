"""The layers of an OpenVINO network that can compute in integers, and how their weights are laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

Array = NDArray[np.float32]
Source = tuple[str, int]
"""A value: the name of the node that makes it, and which of its outputs it is."""

_KINDS = ("Convolution", "GroupConvolution", "MatMul")
_BALANCE = 30.0
"""Multiplications that take as long as reading or writing one number beyond a core's own cache, in float32."""
_LARGE = 1 << 18
"""Numbers that such a cache does not hold: 1 MiB in float32."""
_LEAST_INTENSITY = 1.5
"""Multiplications for every number moved below which a layer is not worth it: in an embedding's last layer every weight
serves once, and it stays in float32, and exact."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution or matrix product: its name and what it reads; its multiplications for an image.

    `moved` is how many numbers it reads and writes, weights too.
    """

    name: str
    source: Source
    multiplications: int
    moved: int

    @property
    def work(self) -> float:
        """Its cost in float32, in multiplications."""
        return self.multiplications + _BALANCE * self.moved

    @property
    def pays(self) -> bool:
        """True if integers save time: they multiply faster, and large layers move a quarter."""
        intensity = self.multiplications / self.moved
        return intensity >= _BALANCE or (intensity >= _LEAST_INTENSITY and self.moved >= _LARGE)


def find_layers(model: ov.Model) -> list[Layer]:
    """Return every convolution and matrix product with constant weights that is worth it, in the order of execution."""
    layers = []
    for node in model.get_ordered_ops():
        if node.get_type_name() not in _KINDS or not has_weights(node):
            continue
        weights, value = weights_of(node), node.input_value(0)
        if node.get_type_name() == "MatMul" and (weights.ndim != 2 or node.get_attributes()["transpose_a"]):
            continue
        places = int(np.prod(_shape(node.output(0))[2:], dtype=np.int64))
        moved = weights.size + sum(int(np.prod(_shape(end))) for end in (value, node.output(0)))
        source = (value.get_node().get_friendly_name(), value.get_index())
        layers.append(Layer(node.get_friendly_name(), source, weights.size * max(places, 1), moved))
    return [layer for layer in layers if layer.pays]


def nodes_by_name(model: ov.Model) -> dict[str, Any]:
    """Return the nodes of a network."""
    return {node.get_friendly_name(): node for node in model.get_ordered_ops()}


def has_weights(node: Any) -> bool:
    """Say whether a node's second input is constant."""
    return bool(_constant(node).get_type_name() == "Constant")


def weights_of(node: Any) -> Array:
    """Return a layer's weights."""
    weights: Array = _constant(node).data.astype(np.float32)
    return weights


def channel_axis(node: Any) -> int:
    """Return the axis of the channels in what a layer reads and makes."""
    return len(node.input_value(0).partial_shape) - 1 if node.get_type_name() == "MatMul" else 1


def by_input_channel(node: Any, values: Array) -> Array:
    """Shape one value per input channel so that it multiplies the layer's weights."""
    shape = weights_of(node).shape
    if node.get_type_name() == "GroupConvolution":
        return values.reshape([shape[0], 1, shape[2]] + [1] * (len(shape) - 3))
    if node.get_type_name() == "MatMul":
        return values.reshape(1, -1) if node.get_attributes()["transpose_b"] else values.reshape(-1, 1)
    return values.reshape([1, -1] + [1] * (len(shape) - 2))


def inner_axes(node: Any) -> tuple[int, ...]:
    """Return the axes of the weights over which an output channel sums."""
    if node.get_type_name() == "MatMul":
        return (1,) if node.get_attributes()["transpose_b"] else (0,)
    return tuple(range(2 if node.get_type_name() == "GroupConvolution" else 1, weights_of(node).ndim))


def weight_reach(node: Any) -> Array:
    """Return each input channel's largest weight as a share of its output channel's largest."""
    weights = np.abs(weights_of(node))
    share: Array = weights / np.maximum(weights.max(axis=inner_axes(node), keepdims=True), 1e-12)
    if node.get_type_name() == "GroupConvolution":
        return np.asarray(share.max(axis=(1, *range(3, share.ndim))).reshape(-1), np.float32)
    outer = (1 - inner_axes(node)[0],) if node.get_type_name() == "MatMul" else (0, *range(2, share.ndim))
    return np.asarray(share.max(axis=outer), np.float32)


def _constant(node: Any) -> Any:
    source = node.input_value(1).get_node()
    if source.get_type_name() == "Convert":  # weights stored in half precision
        source = source.input_value(0).get_node()
    return source


def _shape(value: Any) -> list[int]:
    return [dim.get_length() if dim.is_static else 1 for dim in value.partial_shape]
