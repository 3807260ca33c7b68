"""Weights, name by name, from PyTorch into a Paddle layer."""

from __future__ import annotations

import re
from typing import Any

from .parcel import Arrays, Kind

_NAMES = {
    "extractor": ((r"^last_conv\.", "backbone.last_conv."), (r"^neck\.", "neck.feat_bn.")),
    "detector": ((r"(cls_conv_[dp]w\d)_", r"\1."),),
}
_STATISTICS = ((r"\.running_mean$", "._mean"), (r"\.running_var$", "._variance"))
_OWN = {
    # Made by `re_parameterize` of the branches beside it.
    "extractor": r"backbone\.stages\.\d\.\d\.dw_conv\.(weight|bias)",
    # The bins' distances 0, 1, 2, ..., and factors of a head that PicoDet's descends from and does not use.
    "detector": r"head\.distribution_project\.project|head\.p\d_feat\.scale_reg",
}


def copy_weights(kind: Kind, network: Any, weights: Arrays) -> None:
    """Fill a Paddle layer.

    Args:
        kind: of network.
        network: Paddle layer, of `definitions`.
        weights: by PyTorch's names; without batch norms' counters.

    Raises:
        ValueError: one side has a parameter or statistic that the other lacks, or of another shape.
    """
    given = {paddle_name(kind, name): value for name, value in weights.items()}
    wanted = {name: value for name, value in network.state_dict().items() if not re.fullmatch(_OWN[kind], name)}
    if unmatched := sorted(given.keys() ^ wanted.keys()):
        sides = [f"{name} (only in {'PyTorch' if name in given else 'Paddle'})" for name in unmatched]
        raise ValueError(f"the {kind}s differ: {', '.join(sides)}")
    for name, tensor in wanted.items():
        if tuple(tensor.shape) != given[name].shape:
            raise ValueError(f"{name}: expected {tuple(tensor.shape)} as in Paddle, found {given[name].shape}")
    for name, tensor in wanted.items():
        tensor.set_value(given[name])


def paddle_name(kind: Kind, name: str) -> str:
    """Return what Paddle calls a parameter or statistic of PyTorch's."""
    for pattern, replacement in (*_NAMES[kind], *_STATISTICS):
        name = re.sub(pattern, replacement, name)
    return name
