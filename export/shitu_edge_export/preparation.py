"""Preprocessing of a network, from the `.yml` that PaddleDetection, PaddleClas and PaddleX put next to a model.

Without one, PP-ShiTu's own values are taken (PaddleClas, `deploy/configs/inference_general.yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import yaml

from shitu_edge.system.files import read_bounded

from .errors import ModelError

Color = tuple[float, float, float]

IMAGENET_MEAN: Color = (0.485, 0.456, 0.406)
IMAGENET_STD: Color = (0.229, 0.224, 0.225)
_INTERPOLATIONS: Mapping[Any, Literal["bilinear", "cubic"]] = {
    1: "bilinear",
    "bilinear": "bilinear",
    "linear": "bilinear",
    2: "cubic",
    "bicubic": "cubic",
    "cubic": "cubic",
}
_LARGEST_SIDE = 8192
_IDLE = ("Permute", "ToCHWImage", "KeepKeys", "DecodeImage")


@dataclass(frozen=True, slots=True)
class Preparation:
    """From RGB pixels to a network's input, as `shitu_edge.bundle.InputSpec` has it; sides of None: as the graph."""

    resize: Literal["bilinear", "cubic"]
    height: int | None = None
    width: int | None = None
    scale: float = 1 / 255
    mean: Color = IMAGENET_MEAN
    std: Color = IMAGENET_STD


_MAX_BYTES = 1 << 20

DETECTOR = Preparation("cubic")
EXTRACTOR = Preparation("bilinear")


def read_preparation(path: Path | None, default: Preparation) -> Preparation:
    """Read a description of the input; `default` where there is none.

    Raises:
        ModelError: it cannot be read, or asks for something that the runtime does not do (letterboxing, cropping).
    """
    if path is None:
        return default
    try:
        text = read_bounded(path, _MAX_BYTES).decode()
        if any(isinstance(event, yaml.ScalarEvent) and event.value == "<<" for event in yaml.parse(text)):
            raise ModelError(f"{path}: merges mappings (<<), which may double what it says with every line")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ModelError(f"{path}: is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # such as a date that there is not
        raise ModelError(f"{path}: is not YAML: {' '.join(str(error).split())[:200]}") from error
    # A step that is not mentioned is not done: the graph may normalize.
    preparation = replace(default, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    try:
        steps = _steps(content)
        for name, facts in steps:
            preparation = _apply(preparation, name, facts, path)
        _check(preparation)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path}: a step of pre-processing cannot be read: {error!r:.100}") from error
    return preparation if steps else default


def _steps(content: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the steps of PaddleDetection's (`Preprocess`) or PaddleClas' (`PreProcess.transform_ops`) description."""
    if not isinstance(content, dict):
        return []
    if isinstance(content.get("Preprocess"), list):
        return [(str(step["type"]), step) for step in content["Preprocess"] if isinstance(step, dict)]
    section = content.get("PreProcess") or content.get("RecPreProcess") or {}
    steps = section.get("transform_ops") if isinstance(section, dict) else None
    return [(name, facts or {}) for step in steps or [] if isinstance(step, dict) for name, facts in step.items()]


def _apply(preparation: Preparation, name: str, facts: Mapping[str, Any], path: Path) -> Preparation:
    if name in ("Resize", "ResizeImage", "DetResize"):
        return _resize(preparation, facts, path)
    if name == "NormalizeImage":
        plain = facts.get("norm_type", "mean_std") == "none"
        scale = (
            _number(facts["scale"]) if facts.get("scale") is not None else 1 / 255 if facts.get("is_scale", True) else 1
        )
        mean = (0.0, 0.0, 0.0) if plain else _color(facts.get("mean", IMAGENET_MEAN))
        std = (1.0, 1.0, 1.0) if plain else _color(facts.get("std", IMAGENET_STD))
        return replace(preparation, scale=scale, mean=mean, std=std)
    padded = name == "PadStride" and any((side or 0) % int(facts["stride"]) for side in _sides(preparation))
    if name in _IDLE or (name == "PadStride" and not padded):  # the official detector's file pads 640 to 640
        return preparation
    raise ModelError(f"{path}: pre-processing by {name} is not among what the runtime does (resize, normalize)")


def _resize(preparation: Preparation, facts: Mapping[str, Any], path: Path) -> Preparation:
    if facts.get("keep_ratio") or facts.get("resize_short") is not None:
        raise ModelError(
            f"{path}: resizes with the aspect ratio kept; the runtime resizes to the input's sides, as PP-ShiTu does: "
            "export the model with keep_ratio: false"
        )
    sides = facts.get("target_size") or facts.get("size")
    height, width = (sides, sides) if isinstance(sides, int) else (sides or (None, None))
    if not facts.get("target_size"):
        height, width = width, height  # PaddleClas' `size` begins with the width, PaddleDetection's `target_size` not
    kernel = facts.get("interp", facts.get("interpolation"))
    if kernel is not None and kernel not in _INTERPOLATIONS:
        raise ModelError(f"{path}: resizes by interpolation {kernel!r}; the runtime knows bilinear (1) and cubic (2)")
    resize = _INTERPOLATIONS[kernel] if kernel is not None else preparation.resize
    return replace(preparation, resize=resize, height=height, width=width)


def _check(preparation: Preparation) -> None:
    numbers = (preparation.scale, *preparation.mean, *preparation.std)
    if not all(map(isfinite, numbers)) or min(preparation.std) <= 0 or preparation.scale <= 0:
        raise ValueError("expected finite numbers, and a scale and deviations above 0")
    if not all(side is None or (type(side) is int and 0 < side <= _LARGEST_SIDE) for side in _sides(preparation)):
        raise ValueError(f"expected sides of 1 to {_LARGEST_SIDE} pixels, found {_sides(preparation)}")


def _sides(preparation: Preparation) -> tuple[int | None, int | None]:
    return preparation.height, preparation.width


def _number(value: Any) -> float:
    """Read a number, also as PaddleClas writes it: `1.0/255.0`."""
    numerator, _, denominator = str(value).partition("/")
    return float(numerator) / float(denominator or 1)


def _color(values: Any) -> Color:
    red, green, blue = (_number(value) for value in values)
    return red, green, blue
