"""The numbers that integers stand for: a range and channel scales of a layer's input, a step for its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from .layers import Array, Layer, Source, by_input_channel, channel_axis, inner_axes, nodes_by_name, weight_reach
from .layers import weights_of as weights

Feed = Mapping[str, NDArray[Any]]

ACTIVATION_LEVELS = 256
WEIGHT_LIMIT = 127
_PAIR_LIMIT = 128
"""Two weights that `vpmaddubsw` adds: 255 * 128 is the last multiple below 2**15."""
_ROWS_A_FEED = 48
_SHAPES_OF_SCALES = ((0.0, 0.0), (0.25, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 0.0), (0.5, 0.5), (0.75, 0.25))
"""Exponents of a channel's reach and of its weights' reach; (0, 0) is one scale for all."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Map of an activation to integers 0 to 255: `value = scale[channel] * (low + integer * (high - low) / 255)`."""

    scale: Array
    low: float
    high: float


def sample_channels(model: ov.Model, layers: Sequence[Layer], feeds: Sequence[Feed]) -> dict[Source, Array]:
    """Return rows of channel values (n, C) of what each layer reads: random places and every channel's extremes."""
    tapped = model.clone()
    nodes = nodes_by_name(tapped)
    axes = {layer.source: channel_axis(nodes[layer.name]) for layer in layers}
    taps = [ops.result(nodes[name].output(port)) for name, port in axes]
    compiled = compile_network(ov.Model(taps, tapped.get_parameters(), "taps"))
    random = np.random.default_rng(0)
    rows: dict[Source, list[Array]] = {source: [] for source in axes}
    for feed in feeds:
        answers = compiled(feed)
        for position, (source, axis) in enumerate(axes.items()):
            values = np.moveaxis(answers[position], axis, -1)
            table = values.reshape(-1, values.shape[-1])
            chosen = table[random.integers(0, len(table), _ROWS_A_FEED)]
            rows[source].append(np.concatenate([chosen, table.min(axis=0)[None], table.max(axis=0)[None]]))
    return {source: np.concatenate(parts) for source, parts in rows.items()}


def choose_scaling(samples: Array, readers: Sequence[Any]) -> Scaling:
    """Return the scaling with the least estimated noise at the outputs of the layers that read the activation."""
    low, high = samples.min(axis=0), samples.max(axis=0)
    reach = np.maximum(np.maximum(-low, high), 1e-6 + 1e-3 * np.abs(samples).max())
    share = np.maximum(np.max([weight_reach(node) for node in readers], axis=0), 1e-3)
    best: tuple[float, Scaling] | None = None
    for by_reach, by_weight in _SHAPES_OF_SCALES:
        scale = (reach**by_reach / share**by_weight).astype(np.float32)
        scale /= np.exp(np.log(scale).mean())
        scaling = _from_range(scale, float((low / scale).min()), float((high / scale).max()))
        spread = ((_apply(scaling, samples) - samples) ** 2).mean(axis=0)
        noise = sum(_noise_of_weights(node, scale, samples) + _noise(node, spread, samples) for node in readers)
        if best is None or noise < best[0]:
            best = noise, scaling
    assert best is not None
    return best[1]


def weight_steps(node: Any, values: Array) -> Array:
    """Return each output channel's step: 8 bits, less where two weights that `vpmaddubsw` adds could pass int16."""
    largest = np.abs(values).max(axis=inner_axes(node), keepdims=True)
    step = np.maximum(largest / WEIGHT_LIMIT, _largest_pair(node, values) / _PAIR_LIMIT)
    return np.asarray(np.maximum(step, 1e-12), np.float32)


def compile_network(model: ov.Model) -> Any:
    """Compile for the CPU in float32."""
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})


def _from_range(scale: Array, low: float, high: float) -> Scaling:
    """Move a range so that zero is an integer: padding and ReLU need it."""
    low, high = min(low, 0.0), max(high, 1e-6)
    step = (high - low) / (ACTIVATION_LEVELS - 1)
    zero = round(-low / step)
    return Scaling(scale, -zero * step, (ACTIVATION_LEVELS - 1 - zero) * step)


def _apply(scaling: Scaling, values: Array) -> Array:
    step = (scaling.high - scaling.low) / (ACTIVATION_LEVELS - 1)
    levels = np.rint((np.clip(values / scaling.scale, scaling.low, scaling.high) - scaling.low) / step)
    return np.asarray((levels * step + scaling.low) * scaling.scale, np.float32)


def _noise_of_weights(node: Any, scale: Array, samples: Array) -> float:
    """Return the noise that rounding the scaled weights makes, as a share of the signal."""
    factor = by_input_channel(node, scale)
    scaled = weights(node) * factor
    step = weight_steps(node, scaled)
    error = (np.rint(scaled / step) * step - scaled) / factor
    return _power(node, error, (samples**2).mean(axis=0)) / _power(node, weights(node), samples.var(axis=0))


def _noise(node: Any, spread: Array, samples: Array) -> float:
    """Return the noise at the output, as a share of the signal, of independent noise per input channel."""
    return _power(node, weights(node), spread) / _power(node, weights(node), samples.var(axis=0))


def _power(node: Any, values: Array, by_channel: Array) -> float:
    return float((values**2 * by_input_channel(node, by_channel)).sum()) + 1e-12


def _largest_pair(node: Any, values: Array) -> Array:
    """Return per output channel the largest sum that two weights multiplied together can have.

    Kernels for matrix products take neighboring input channels in pairs; of other kernels any two may meet, and a
    depthwise one with a single input channel adds its products in 32 bits.
    """
    axes = inner_axes(node)
    largest = np.abs(values).max(axis=axes, keepdims=True)
    if node.get_type_name() == "GroupConvolution" and values.shape[2] == 1:
        return np.zeros_like(largest)
    channels = axes[0]
    wide = values.ndim > 2 and values[0].size != values.shape[channels]
    if wide or values.shape[channels] % 4:
        return np.asarray(2 * largest, np.float32)
    moved = np.moveaxis(values, channels, -1)
    pairs = np.abs(moved.reshape(*moved.shape[:-1], -1, 2).sum(axis=-1)).max(axis=-1)
    return np.asarray(pairs.reshape(largest.shape), np.float32)
