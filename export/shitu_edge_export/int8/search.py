"""From images to a plan, from the plan to each layer's sensitivity, and to as few float32 layers as the gate needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from .layers import Array, channel_axis, find_layers, nodes_by_name
from .ranges import Feed, choose_scaling, compile_network, sample_channels
from .rewrite import SWITCHES, Plan, apply_plan, make_switchable

Gate = Callable[[ov.Model, int], bool]
"""Says of a quantized network, and of how many layers are left in float32, whether it is good enough."""

_SHIFT_FEEDS = 32
_SENSITIVITY_FEEDS = 8
_FIXED_WORK = 0.002
"""Cost of a layer besides its work, as a share of the network's."""
_MOST_FLOAT = 0.6
"""Share of the work in float32 beyond which integers save nothing worth having."""


@dataclass(frozen=True, slots=True)
class Found:
    """A quantized network, the layers left in float32, and whether the gate held; if not, it is the best there was."""

    model: ov.Model
    kept_float: tuple[str, ...]
    holds: bool


def make_plan(model: ov.Model, feeds: Sequence[Feed]) -> Plan:
    """Choose every activation's scaling from samples, then measure how far quantizing shifts each channel's mean."""
    layers = tuple(find_layers(model))
    nodes = nodes_by_name(model)
    samples = sample_channels(model, layers, feeds)
    readers: dict[tuple[str, int], list[Any]] = {}
    for layer in layers:
        readers.setdefault(layer.source, []).append(nodes[layer.name])
    plan = Plan(layers, {source: choose_scaling(samples[source], readers[source]) for source in readers})
    return Plan(layers, plan.scalings, _measure_shifts(model, plan, _some(feeds, _SHIFT_FEEDS)))


def measure_sensitivity(model: ov.Model, plan: Plan, feeds: Sequence[Feed]) -> dict[str, float]:
    """Return the error with each layer alone in integers: squared error over variance, mean over the outputs."""
    compiled = compile_network(make_switchable(model, plan)[0])
    count = len(plan.layers)
    sensitivity = dict.fromkeys((layer.name for layer in plan.layers), 0.0)
    chosen = _some(feeds, _SENSITIVITY_FEEDS)
    for feed in chosen:
        wanted = _run(compiled, feed, np.zeros(count, np.float32))
        for layer, switch in zip(plan.layers, np.eye(count, dtype=np.float32), strict=True):
            sensitivity[layer.name] += _relative_error(wanted, _run(compiled, feed, switch)) / len(chosen)
    return sensitivity


def search(model: ov.Model, plan: Plan, sensitivity: Mapping[str, float], gate: Gate) -> Found:
    """Keep the most sensitive layers for their work in float32, as few as the gate needs, by bisection."""
    work = {layer.name: layer.work for layer in plan.layers}
    total = sum(work.values())
    order = sorted(sensitivity, key=lambda name: -sensitivity[name] / (work[name] + _FIXED_WORK * total))

    def holds(count: int) -> bool:
        return gate(apply_plan(model, plan, order[:count]), count)

    most = _count_within(_MOST_FLOAT * total, [work[name] for name in order])
    counts = [0, *(1 << power for power in range(2, 20) if 1 << power < most), most]
    low = high = -1
    for count in counts:
        low, high = high, count
        if holds(high):
            break
    else:
        return Found(apply_plan(model, plan, order[:most]), tuple(order[:most]), holds=False)
    while high - low > max(1, high // 8):
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return Found(apply_plan(model, plan, order[:high]), tuple(order[:high]), holds=True)


def _count_within(budget: float, costs: Sequence[float]) -> int:
    """Return how many costs, taken in order, a budget pays."""
    return int(np.searchsorted(np.cumsum(costs), budget, side="right"))


def _some(feeds: Sequence[Feed], count: int) -> Sequence[Feed]:
    return feeds[:: max(1, len(feeds) // count)][:count]


def _measure_shifts(model: ov.Model, plan: Plan, feeds: Sequence[Feed]) -> dict[str, Array]:
    """Return the mean difference per output channel that each layer makes when all before it are in float32."""
    switchable, differences = make_switchable(model, plan)
    nodes, means = nodes_by_name(model), []
    for layer, difference in zip(plan.layers, differences, strict=True):
        axis = channel_axis(nodes[layer.name])
        others = [position for position in range(len(difference.output(0).partial_shape)) if position != axis]
        means.append(ops.result(ops.reduce_mean(difference, ops.constant(np.array(others, np.int64)), True)))
    compiled = compile_network(ov.Model(means, switchable.get_parameters(), "shifts"))
    off = np.zeros(len(plan.layers), np.float32)
    totals: list[Any] = [0.0] * len(means)
    for feed in feeds:
        answers = compiled({**feed, SWITCHES: off})
        totals = [total + answers[position] for position, total in enumerate(totals)]
    names = (layer.name for layer in plan.layers)
    return {name: np.asarray(total / len(feeds), np.float32) for name, total in zip(names, totals, strict=True)}


def _run(compiled: Any, feed: Feed, switches: Array) -> list[Array]:
    answers = compiled({**feed, SWITCHES: switches})
    return [answers[position].copy() for position in range(len(compiled.outputs))]


def _relative_error(wanted: Sequence[Array], found: Sequence[Array]) -> float:
    shares = [((f - w) ** 2).mean() / max(float(w.var()), 1e-12) for w, f in zip(wanted, found, strict=True)]
    return float(np.mean(shares))
