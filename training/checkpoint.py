"""Checkpoints: written whole or not at all."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shitu_edge.system.files import open_aside


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; what was there before stays until the new one is whole on disk."""
    with open_aside(path) as file:
        torch.save(state, file)


def load_checkpoint(path: Path, kind: str) -> dict[str, Any]:
    """Read a checkpoint of a kind of network; tensors and plain values only, nothing in it is run.

    Raises:
        ValueError: it is not there, damaged, or of another kind.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: cannot be read as a checkpoint: {error}") from error
    found = state.get("kind") if isinstance(state, dict) else None
    if found != kind:
        raise ValueError(f"{path}: expected a checkpoint of kind {kind}, found {found or 'something else'}")
    return dict(state)


def save_run(
    path: Path,
    kind: str,
    facts: dict[str, Any],
    learner: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    **more: Any,
) -> None:
    """Write all that `resume_run` needs to go on after `step` steps, and `more`; what is drawn has no state."""
    state = {"network": average.state_dict(), "learner": learner.state_dict(), "optimizer": optimizer.state_dict()}
    save_checkpoint(path, {"kind": kind, "options": facts, **state, "step": step, **more})


def resume_run(
    path: Path,
    kind: str,
    facts: dict[str, Any],
    learner: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Load an interrupted run's checkpoint, if there is one; return the first step that is left.

    Args:
        path, kind: see `load_checkpoint`.
        facts: the options that decide what a run computes, as the checkpoint holds them in `options`.
        learner, average, optimizer: filled with what it holds.

    Raises:
        ValueError: it is no such checkpoint, or of a run with other options.
    """
    if not path.exists():
        return 0
    state = load_checkpoint(path, kind)
    if state["options"] != facts:
        other = [name for name in facts if state["options"].get(name) != facts[name]]
        raise ValueError(f"{path}: was started with other options ({', '.join(other)}): name another folder, or these")
    learner.load_state_dict(state["learner"])
    average.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
