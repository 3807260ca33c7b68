"""The way back: a Paddle inference model of ours becomes weights that training can start from."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from .inference import read_weights
from .parcel import Kind, write_weights

_PARITY = "parity.json"


def take_back(kind: Kind, folder: Path, out: Path) -> None:
    """Write the weights of a model that `hand_over` made, by Paddle's names, for `python -m training import-weights`.

    Args:
        kind: of the network.
        folder: the model's, with the `parity.json` that says what it is built from.
        out: folder to write.

    Raises:
        ValueError: it is no such model, or one of another kind.
    """
    try:
        report: dict[str, Any] = json.loads((folder / _PARITY).read_bytes())
        found, facts = report["kind"], report["built_from"]
        weights = read_weights(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{folder}: no Paddle model that `training.paddle` made: {error}") from error
    if found != kind:
        raise ValueError(f"{folder}: expected a model of kind {kind}, found {found}")
    write_weights(out, weights, {"kind": kind, "facts": facts})
