"""What both trainings do alike: where they run, which weights decay, and the averaged weights."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

_EMA_HORIZON = 400
_LONGEST_WARM_UP = 200


def join_processes() -> tuple[torch.device, int, int]:
    """Return this process's device, its rank and how many processes there are, as PyTorch's launcher set them."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        device = torch.device("cuda")
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device, rank, world


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in two groups for an optimizer: only weights of convolutions and linear maps decay."""
    weights = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def cosine_rate(step: int, steps: int, peak: float, last: float = 0.01) -> float:
    """Return a step's learning rate: a linear rise, then half a cosine, down to the share `last` of the peak."""
    warm_up = max(1, min(steps // 20, _LONGEST_WARM_UP))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (last + (1 - last) * (1 + math.cos(math.pi * done)) / 2)


@torch.no_grad()
def follow(average: nn.Module, current: nn.Module, step: int) -> None:
    """Move the averaged weights toward the current ones, faster in the beginning."""
    decay = min(1 - 1 / _EMA_HORIZON, (step + 1) / (step + 10))
    for kept, new in zip(average.state_dict().values(), current.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def log_line(file: Path, line: dict[str, Any]) -> None:
    """Append a line of JSON."""
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
