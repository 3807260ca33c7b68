"""Versions of the tools, and the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

from shitu_edge.system.cpu import read_cpu

from .convert import Route
from .worker import OPSET

_PACKAGES = (
    "shitu-edge",
    "shitu-edge-export",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "paddle2onnx",
    "paddlepaddle",
)


def tool_versions(routes: Iterable[Route]) -> Mapping[str, str]:
    """Return the versions of the packages that took part, the ONNX opset asked for, and the processor."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if any(route.name == "paddle2onnx" for route in routes):
        found["onnx opset"] = str(OPSET)
    cpu = read_cpu()
    return {**found, "cpu": cpu.model, "cpu features": " ".join(cpu.features), "threads": str(cpu.threads)}
