"""Convolutional networks that OpenVINO reads, as PyTorch modules: a teacher that can answer on a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import openvino as ov
import torch
from torch import Tensor, nn
from torch.nn import functional

_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True, slots=True)
class _Step:
    """An operation by its name and kind, the names of what it reads, and its attributes."""

    name: str
    kind: str
    sources: list[str]
    attributes: dict[str, Any]


class Converted(nn.Module):
    """A network's way from images to some of its features.

    It calculates in the type that its buffers are moved to, such as `half()`; quantized activations keep their range
    but not their steps.

    Args:
        network: with one input.
        outputs: of the network; what they do not need is left out.

    Raises:
        ValueError: on the way is an operation unknown here.
    """

    def __init__(self, network: ov.Model, outputs: Sequence[ov.Output]) -> None:
        super().__init__()
        fixed: set[str] = set()
        steps = []
        needed: dict[str, ov.Output] = {}
        for op in ov.Model(list(outputs), network.get_parameters()).get_ordered_ops():
            name, kind = op.get_friendly_name(), op.get_type_name()
            sources = [source.get_source_output() for source in op.inputs()]
            names = [source.get_node().get_friendly_name() for source in sources]
            if kind == "Constant" or (sources and fixed.issuperset(names)):
                fixed.add(name)
            elif kind != "Result":
                if kind not in _RUN:
                    raise ValueError(f"a teacher with {kind} ({name}) cannot be run here: expected a plain network")
                needed |= {n: source for n, source in zip(names, sources, strict=True) if n in fixed}
                steps.append(_Step(name, kind, names, dict(op.get_attributes())))
        self._outputs = [output.get_node().get_friendly_name() for output in outputs]
        constants = ov.Core().compile_model(ov.Model(list(needed.values()), []), "CPU", _EXACT)([]).values()
        known = {name: torch.tensor(value) for name, value in zip(needed, constants, strict=True)}
        self._steps = [_settled(step, known) for step in steps]
        used = [name for step in self._steps for name in step.sources if name in known]
        self._constants = {name: f"constant_{number}" for number, name in enumerate(dict.fromkeys(used))}
        for name, buffer in self._constants.items():
            self.register_buffer(buffer, known[name])

    def forward(self, pixels_rgb: Tensor) -> list[Tensor]:
        """Map what the network eats to its outputs."""
        values = {name: self.get_buffer(buffer) for name, buffer in self._constants.items()}
        kind = next(iter(values.values())).dtype
        for step in self._steps:
            inputs = [values[source] for source in step.sources] or [pixels_rgb.to(kind)]
            values[step.name] = _RUN[step.kind](inputs, step.attributes)
        return [values[name] for name in self._outputs]


def _settled(step: _Step, known: Mapping[str, Tensor]) -> _Step:
    """Take constants that are no weights, such as the order of axes, into a step's attributes."""
    if step.kind == "Transpose":
        return replace(step, sources=step.sources[:1], attributes={"order": known[step.sources[1]].tolist()})
    if step.kind == "FakeQuantize":
        low, high, new_low, new_high = (known[source].item() for source in step.sources[1:])
        factor = (new_high - new_low) / (high - low)
        attributes = {"low": low, "high": high, "factor": factor, "offset": new_low - low * factor}
        return replace(step, sources=step.sources[:1], attributes=attributes)
    return step


def _convolution(inputs: list[Tensor], attributes: dict[str, Any]) -> Tensor:
    images, kernel = inputs
    groups = 1
    if kernel.ndim == 5:  # OpenVINO has the groups in front
        groups, kernel = kernel.shape[0], kernel.flatten(0, 1)
    before, after = list(attributes["pads_begin"]), list(attributes["pads_end"])
    if before != after:
        images, before = functional.pad(images, (before[1], after[1], before[0], after[0])), [0, 0]
    return functional.conv2d(images, kernel, None, attributes["strides"], before, attributes["dilations"], groups)


def _fake_quantize(inputs: list[Tensor], attributes: dict[str, Any]) -> Tensor:
    values = inputs[0].clamp(attributes["low"], attributes["high"])
    if math.isclose(attributes["factor"], 1, abs_tol=1e-6):
        return values
    return values * attributes["factor"] + attributes["offset"]


_Run = Callable[[list[Tensor], dict[str, Any]], Tensor]
_RUN: dict[str, _Run] = {
    "Parameter": lambda inputs, _: inputs[0],
    "Convert": lambda inputs, _: inputs[0],  # all is of one type
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes["order"]),
    "Relu": lambda inputs, _: functional.relu(inputs[0]),
    "Clamp": lambda inputs, attributes: inputs[0].clamp(attributes["min"], attributes["max"]),
    "FakeQuantize": _fake_quantize,
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Subtract": lambda inputs, _: inputs[0] - inputs[1],
    "Multiply": lambda inputs, _: inputs[0] * inputs[1],
    "Divide": lambda inputs, _: inputs[0] / inputs[1],
}
