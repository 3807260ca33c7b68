"""Which layers are worth computing in integers."""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from shitu_edge_export.int8.layers import find_layers


def pointwise(features: ov.Node, channels: int, name: str) -> ov.Node:
    weights = np.ones((channels, features.output(0).get_shape()[1], 1, 1), np.float32)
    layer = ops.convolution(features, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    layer.set_friendly_name(name)
    return layer


def depthwise(features: ov.Node, stride: int, name: str) -> ov.Node:
    weights = np.ones((features.output(0).get_shape()[1], 1, 1, 3, 3), np.float32)
    layer = ops.group_convolution(features, weights, [stride, stride], [1, 1], [1, 1], [1, 1])
    layer.set_friendly_name(name)
    return layer


def test_a_layer_whose_weights_serve_once_is_none() -> None:
    """As the last one of an embedding: it multiplies once for every weight that it reads."""
    image = ops.parameter([1, 128, 16, 16], np.float32)
    features = pointwise(image, 128, "on 256 places")
    embedding = pointwise(ops.reduce_mean(features, np.array([2, 3]), True), 256, "on one place")
    (found,) = find_layers(ov.Model([embedding], [image]))
    assert found.name == "on 256 places"
    assert found.multiplications == 128 * 128 * 256
    assert found.moved == 128 * 128 + 2 * 128 * 256


def test_little_arithmetic_is_worth_it_where_the_cache_does_not_hold_what_is_moved() -> None:
    image = ops.parameter([1, 64, 64, 64], np.float32)
    on_large, on_small = depthwise(image, 1, "on 4096 places"), depthwise(image, 4, "on 256 places")
    found = find_layers(ov.Model([on_large, on_small], [image]))
    assert [(layer.name, layer.multiplications) for layer in found] == [("on 4096 places", 9 * 64 * 4096)]
