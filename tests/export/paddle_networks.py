"""Tiny networks in Paddle's two formats: PicoDets with everything that exports put behind the head, extractors, others.

They are built in processes of their own (`paddle_worker_networks.py`), one a format, since importing Paddle takes
seconds and its formats are switched by a flag of the process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Format = Literal["pdmodel", "json"]
FORMATS: tuple[Format, ...] = ("pdmodel", "json")
NEEDED = ("paddle", "paddle2onnx")

_WORKER = Path(__file__).with_name("paddle_worker_networks.py")


@dataclass(frozen=True)
class Detector:
    """A PicoDet; `pre_nms_top_k` is the loop's limit per level, `dynamic` an input of any size.

    PicoDet's levels share the last convolution; `shared` is what else they do: the convolutions before it, or their
    batch norms too.
    """

    name: str
    kind: Literal["raw", "boxes", "nms", "while"]
    strides: tuple[int, ...] = (8, 16, 32)
    classes: int = 1
    reg_max: int = 7
    height: int = 128
    width: int = 160
    dynamic: bool = False
    shared: Literal["last", "convolutions", "all"] = "last"
    iou: float = 0.6
    score_threshold: float = 0.025
    nms_top_k: int = 1000
    keep_top_k: int = 100
    pre_nms_top_k: int = 60


@dataclass(frozen=True)
class Extractor:
    """An extractor like that of PP-ShiTu V1 or V2."""

    name: str
    style: Literal["v1", "v2"]
    dim: int = 32
    height: int = 64
    width: int = 64


@dataclass(frozen=True)
class Other:
    """A network that is neither."""

    name: str
    kind: Literal["segmentation", "eigvals"]
    height: int = 64
    width: int = 64


Network = Detector | Extractor | Other

DETECTORS = (
    Detector("raw_c3_r11", "raw", classes=3, reg_max=11),
    Detector("boxes_s2_96", "boxes", strides=(16, 32), height=96, width=96),
    Detector("nms_c3_r7", "nms", classes=3, iou=0.5, nms_top_k=400, keep_top_k=30, score_threshold=0.05),
    Detector("nms_dynamic_c1_r11", "nms", reg_max=11, dynamic=True),
    Detector("while_c1_r7", "while"),
    Detector("while_s2_c3_r11_96", "while", strides=(16, 32), classes=3, reg_max=11, height=96, width=96, iou=0.7),
)
SHARED_CONVOLUTIONS = Detector(
    "shared_convolutions", "raw", strides=(16, 32), height=96, width=96, shared="convolutions"
)
SHARED_NORMS = Detector("shared_norms", "raw", strides=(16, 32), height=96, width=96, shared="all")
EXTRACTORS = (Extractor("rec_v1", "v1"), Extractor("rec_v2", "v2"))
SEGMENTATION = Other("segmentation", "segmentation")
EIGENVALUES = Other("eigenvalues", "eigvals")
NETWORKS: tuple[Network, ...] = (*DETECTORS, SHARED_CONVOLUTIONS, SHARED_NORMS, *EXTRACTORS, SEGMENTATION, EIGENVALUES)


def missing() -> list[str]:
    """Return which of the packages that these tests need are not installed; none is imported."""
    return [package for package in NEEDED if importlib.util.find_spec(package) is None]


def build(networks: Sequence[Network], file_format: Format, folder: Path) -> None:
    """Export networks, each to `folder` / its name."""
    request = folder / "request.json"
    facts = [{**asdict(one), "what": type(one).__name__, "folder": str(folder / one.name)} for one in networks]
    request.write_text(json.dumps(facts), encoding="utf-8")
    run_paddle([str(_WORKER), str(request)], file_format)


def run_paddle(arguments: Sequence[str], file_format: Format) -> None:
    """Run a script that uses Paddle; its last words are the error's."""
    environment = {
        **os.environ,
        "FLAGS_enable_pir_api": str(int(file_format == "json")),
        "GLOG_minloglevel": "2",
        "CI": "true",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.returncode}: {done.stderr[-3000:]}")
