"""A network on its way from PyTorch to Paddle: its weights, its arguments, and answers to compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Kind = Literal["extractor", "detector"]
Arrays = Mapping[str, NDArray[np.float32]]

_FACTS, _WEIGHTS, _SAMPLES = "network.json", "weights.npz", "samples.npz"
_FACTS_OF = ("kind", "facts", "pictures", "made_with")
_ROUNDING = "rounding of "


class Network(str, Enum):
    """The kinds, for command lines."""

    extractor = "extractor"
    detector = "detector"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A trained network, in files that NumPy reads.

    Attributes:
        kind: of the network.
        facts: what it is built from: arguments of `Extractor`, or the fields of `PicoDetConfig`.
        images: what each of `images` shows.
        made_with: versions.
        weights: parameters and statistics, by PyTorch's names.
        images: (N, 3, H, W) float32, as the network eats them.
        answers: to `images`, computed in float64. Of an extractor `embedding` (N, D); of a detector `scores` (N, A) in
            0..1 and `distances` (N, A, 4 · (REG_MAX + 1)), logits, over all anchors, finest level first.
        rounding: per answer and image, (N,), the most that PyTorch's own float32 is off.
    """

    kind: Kind
    facts: Mapping[str, Any]
    pictures: Sequence[str]
    made_with: Mapping[str, str]
    weights: Arrays
    images: NDArray[np.float32]
    answers: Arrays
    rounding: Arrays

    @property
    def height(self) -> int:
        """Of the network's input, in pixels."""
        return self.images.shape[2]

    @property
    def width(self) -> int:
        """Of the network's input, in pixels."""
        return self.images.shape[3]

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        write_weights(folder, self.weights, {name: getattr(self, name) for name in _FACTS_OF})
        rounding = {_ROUNDING + name: value for name, value in self.rounding.items()}
        np.savez(folder / _SAMPLES, allow_pickle=False, images=self.images, **self.answers, **rounding)

    @classmethod
    def read(cls, folder: Path, kind: Kind) -> Parcel:
        """Read a parcel of a kind of network.

        Raises:
            ValueError: there is none, or one of another kind.
        """
        weights, facts = read_weights(folder, kind)
        try:
            samples = _load(folder / _SAMPLES)
        except (OSError, ValueError, BadZipFile) as error:
            raise ValueError(f"{folder}: holds no exported weights: {error}") from error
        images = samples.pop("images")
        rounding = {name.removeprefix(_ROUNDING): value for name, value in samples.items() if _ROUNDING in name}
        answers = {name: value for name, value in samples.items() if _ROUNDING not in name}
        return cls(**facts, weights=weights, images=images, answers=answers, rounding=rounding)


def write_weights(folder: Path, weights: Arrays, facts: Mapping[str, Any]) -> None:
    """Write weights and what the network is built from (`kind` and `facts`, see `Parcel`), without answers."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / _WEIGHTS, allow_pickle=False, **weights)
    (folder / _FACTS).write_text(json.dumps(dict(facts), indent=2) + "\n", encoding="utf-8")


def read_weights(folder: Path, kind: Kind) -> tuple[Arrays, dict[str, Any]]:
    """Return what `write_weights` wrote.

    Raises:
        ValueError: there is nothing, or of another kind of network.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        weights = _load(folder / _WEIGHTS)
    except (OSError, ValueError, BadZipFile) as error:
        raise ValueError(f"{folder}: holds no exported weights: {error}") from error
    if facts["kind"] != kind:
        raise ValueError(f"{folder}: expected weights of kind {kind}, found {facts['kind']}")
    return weights, facts


def _load(path: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
