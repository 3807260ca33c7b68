"""Networks with some layers in integers: for good, or with a switch for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from .layers import Array, Layer, Source, by_input_channel, channel_axis, nodes_by_name, weights_of
from .ranges import ACTIVATION_LEVELS, WEIGHT_LIMIT, Scaling, weight_steps

SWITCHES = "int8_switches"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that quantizing needs: the layers, a scaling for what they read, how far each shifts its output's mean."""

    layers: tuple[Layer, ...]
    scalings: Mapping[Source, Scaling]
    shifts: Mapping[str, Array] = field(default_factory=dict)


def apply_plan(model: ov.Model, plan: Plan, kept_float: Iterable[str] = ()) -> ov.Model:
    """Return a copy of the network with every layer in integers but those named."""
    result = model.clone()
    nodes, skipped = nodes_by_name(result), set(kept_float)
    quantized: dict[Source, Any] = {}
    for layer in plan.layers:
        if layer.name in skipped:
            continue
        node, scaling = nodes[layer.name], plan.scalings[layer.source]
        if layer.source not in quantized:
            quantized[layer.source] = _quantize_activation(node, scaling)
        weights = _quantize_weights(node, scaling)
        node.input(0).replace_source_output(quantized[layer.source])
        node.input(1).replace_source_output(weights)
        if layer.name in plan.shifts:
            _subtract(node, plan.shifts[layer.name])
    result.validate_nodes_and_infer_types()
    return result


def make_switchable(model: ov.Model, plan: Plan) -> tuple[ov.Model, list[Any]]:
    """Return a copy that computes both variants of every layer, and the nodes of their differences.

    It has one more input, `SWITCHES`: a number per layer, 0 for float32 and 1 for integers. So no layer needs a network
    of its own, compiled for it alone.
    """
    result = model.clone()
    nodes = nodes_by_name(result)
    switches = ops.parameter([len(plan.layers)], np.float32, SWITCHES)
    switches.output(0).set_names({SWITCHES})
    quantized: dict[Source, Any] = {}
    differences = []
    for position, layer in enumerate(plan.layers):
        node, scaling = nodes[layer.name], plan.scalings[layer.source]
        readers = list(node.output(0).get_target_inputs())
        if layer.source not in quantized:
            quantized[layer.source] = _quantize_activation(node, scaling)
        twin = _repeat(node, quantized[layer.source], _quantize_weights(node, scaling))
        if layer.name in plan.shifts:
            twin = ops.subtract(twin, ops.constant(plan.shifts[layer.name]))
        difference = ops.subtract(twin, node)
        switch = ops.gather(switches, ops.constant(position), ops.constant(0))
        mixed = ops.add(node, ops.multiply(difference, switch))
        for reader in readers:
            reader.replace_source_output(mixed.output(0))
        differences.append(difference)
    result.add_parameters([switches])
    result.validate_nodes_and_infer_types()
    return result, differences


def _quantize_activation(node: Any, scaling: Scaling) -> Any:
    source = node.input_value(0)
    shape = [1] * len(source.partial_shape)
    shape[channel_axis(node)] = -1
    scale = scaling.scale.reshape(shape)
    low, high = np.float32(scaling.low), np.float32(scaling.high)
    return ops.fake_quantize(source, scale * low, scale * high, low, high, ACTIVATION_LEVELS).output(0)


def _quantize_weights(node: Any, scaling: Scaling) -> Any:
    values = (weights_of(node) * by_input_channel(node, scaling.scale)).astype(np.float32)
    limit = (weight_steps(node, values) * np.float32(WEIGHT_LIMIT)).astype(np.float32)
    return ops.fake_quantize(ops.constant(values), -limit, limit, -limit, limit, 2 * WEIGHT_LIMIT + 1).output(0)


def _subtract(node: Any, shift: Array) -> None:
    """Take a value per channel off a node's output, in its bias where it has one."""
    readers = list(node.output(0).get_target_inputs())
    if len(readers) == 1 and readers[0].get_node().get_type_name() == "Add":
        other = readers[0].get_node().input(1 - readers[0].get_index())
        bias = other.get_source_output().get_node()
        if bias.get_type_name() == "Constant" and bias.data.size == shift.size:
            corrected = (bias.data - shift.reshape(bias.data.shape)).astype(np.float32)
            other.replace_source_output(ops.constant(corrected).output(0))
            return
    moved = ops.add(node, ops.constant(-shift))
    for reader in readers:
        reader.replace_source_output(moved.output(0))


def _repeat(node: Any, data: Any, weights: Any) -> Any:
    """Return the same operation on other inputs."""
    facts = node.get_attributes()
    if node.get_type_name() == "MatMul":
        return ops.matmul(data, weights, facts["transpose_a"], facts["transpose_b"])
    build = ops.convolution if node.get_type_name() == "Convolution" else ops.group_convolution
    return build(
        data, weights, facts["strides"], facts["pads_begin"], facts["pads_end"], facts["dilations"], facts["auto_pad"]
    )
