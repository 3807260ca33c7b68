"""Paddle's side: a parcel of weights becomes a Paddle inference model that answers as PyTorch does, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import yaml
from numpy.typing import NDArray
from shitu_edge_export.folders import appearing

from .copying import copy_weights
from .definitions import build_detector, build_extractor
from .inference import run_detector, run_extractor, save
from .parcel import Arrays, Parcel

TOLERANCE = 1e-4
"""Largest difference of a number from PyTorch's."""
_ROUNDINGS = 4
"""Or so many times the error of PyTorch's own float32, which is larger on noise that the network never saw."""

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_CUBIC = 2
_REPORT = "parity.json"
_PACKAGES = ("paddlepaddle", "paddleclas", "paddledet")

Report = dict[str, Any]


def hand_over_extractor(parcel: Path, out: Path) -> Report:
    """Make a Paddle inference model of an extractor's weights, with PaddleClas' definitions.

    Args:
        parcel: folder of `export_weights`.
        out: folder for `inference.pdmodel`, `inference.pdiparams`, `inference.yml` (how its input is made, as
            PaddleClas describes it) and `parity.json`.

    Returns:
        The content of `parity.json`.

    Raises:
        ValueError: the weights do not fit, or Paddle's answers differ from PyTorch's.
    """
    given = Parcel.read(parcel, "extractor")
    facts = {name: fact for name, fact in given.facts.items() if name != "mirrored"}  # of older parcels
    network = build_extractor(**facts)
    copy_weights("extractor", network, given.weights)
    for layer in network.sublayers():
        if hasattr(layer, "re_parameterize"):
            layer.re_parameterize()
    network.eval()
    with paddle.no_grad():
        found = {"embedding": network(paddle.to_tensor(given.images)).numpy()}
    steps: list[Mapping[str, Any]] = [
        {"ResizeImage": {"size": [given.width, given.height], "interpolation": "bilinear", "return_numpy": False}},
        {"NormalizeImage": {"scale": "1.0/255.0", "mean": _MEAN, "std": _STD, "order": "hwc"}},
        {"ToCHWImage": None},
    ]
    with appearing(out, _REPORT) as folder:
        save(network, {"x": (None, 3, given.height, given.width)}, folder)
        _write_yaml(folder / "inference.yml", {"PreProcess": {"transform_ops": steps}})
        return _finish(given, {"network": found, "inference model": run_extractor(folder, given.images)}, folder)


def hand_over_detector(parcel: Path, out: Path) -> Report:
    """Make a Paddle inference model of a detector's weights, with PaddleDetection's definitions.

    It decodes and suppresses as PP-ShiTu's mainbody detector; compared are the head's scores and distances. The input
    is described by `infer_cfg.yml`. For the rest see `hand_over_extractor`.
    """
    given = Parcel.read(parcel, "detector")
    network = build_detector(**given.facts)
    copy_weights("detector", network, given.weights)
    network.eval()
    with paddle.no_grad():
        levels = [network.levels(paddle.to_tensor(image[None])) for image in given.images]
    found = {
        "scores": np.stack([_joined(scores)[:, 0] for scores, _ in levels]),
        "distances": np.stack([_joined(distances) for _, distances in levels]),
    }
    steps = [
        {"type": "Resize", "interp": _CUBIC, "keep_ratio": False, "target_size": [given.height, given.width]},
        {"type": "NormalizeImage", "is_scale": True, "mean": _MEAN, "std": _STD},
        {"type": "Permute"},
    ]
    described = {
        "mode": "paddle",
        "arch": "PicoDet",
        "min_subgraph_size": 3,
        "draw_threshold": 0.5,
        "use_dynamic_shape": False,
        "Preprocess": steps,
        "label_list": ["product"],
    }
    with appearing(out, _REPORT) as folder:
        save(network, {"image": (1, 3, given.height, given.width), "scale_factor": (1, 2)}, folder)
        _write_yaml(folder / "infer_cfg.yml", described)
        return _finish(given, {"network": found, "inference model": run_detector(folder, given.images)}, folder)


def _joined(levels: Sequence[Any]) -> NDArray[np.float32]:
    return np.concatenate([level.numpy()[0] for level in levels])


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _finish(given: Parcel, found: Mapping[str, Arrays], folder: Path) -> Report:
    """Compare and describe."""
    differences = {
        f"{name} by the {where}": np.abs(value - given.answers[name]).reshape(len(value), -1).max(1)
        for where, answers in found.items()
        for name, value in answers.items()
    }
    limits = {name: np.maximum(TOLERANCE, _ROUNDINGS * rounding) for name, rounding in given.rounding.items()}
    columns = differences | {f"{name} by PyTorch's float32": value for name, value in given.rounding.items()}
    report = {
        "kind": given.kind,
        "built_from": given.facts,
        "height": given.height,
        "width": given.width,
        "tolerance": TOLERANCE,
        "largest_differences_from_pytorch_in_float64": [
            {"picture": picture} | {name: float(f"{values[index]:.2g}") for name, values in columns.items()}
            for index, picture in enumerate(given.pictures)
        ],
        "made_with": {**given.made_with, **{name: version(name) for name in _PACKAGES}},
    }
    for name, values in differences.items():
        for picture, value, limit in zip(given.pictures, values, limits[name.partition(" ")[0]], strict=True):
            if not value <= limit:
                raise ValueError(f"{name} is {value:.2g} off PyTorch's on {picture}, more than {limit:.2g}")
    (folder / _REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report
