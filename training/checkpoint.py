"""Checkpoints: written whole or not at all."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

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
