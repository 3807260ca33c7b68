"""What a detector is trained with, and how its steps differ."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..learning import cosine_rate

SIDE_STEP = 32

_SMALL, _SMALL_STEPS = 0.8, 0.6
_LAST_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Source:
    """A YOLO folder to learn from.

    Attributes:
        folder: holds `images/` and `labels/`.
        weight: share of the pictures drawn, relative to the other sources'.
        held_out: what is kept for measuring: a fraction of the photos (`split_photos`) or a text file of names, one a
            line.
    """

    folder: Path
    weight: float = 1.0
    held_out: float | Path = 0.0


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What the detector is trained with.

    Attributes:
        sources: where photos come from.
        out: folder of checkpoint and log; an interrupted run there goes on.
        scale: width of the PP-LCNet backbone.
        channels: of neck and head.
        side: pixels a side of the input, a multiple of 32.
        steps, batch: how long, and pictures a step over all processes.
        learning_rate: of AdamW, at the peak of a cosine with warm-up.
        eval_every: steps between measurements; each writes the checkpoint.
        seed: of everything drawn.
        backbone: checkpoint of a trained extractor of the same width, to start the backbone from.
        initial: checkpoint of a trained detector of the same size to start from.
        workers: processes that make batches; 0 makes them between the steps.
        threads: of PyTorch; None leaves its default.
    """

    sources: tuple[Source, ...]
    out: Path
    scale: float = 0.5
    channels: int = 64
    side: int = 320
    steps: int = 4000
    batch: int = 16
    learning_rate: float = 2e-3
    eval_every: int = 250
    seed: int = 1
    backbone: Path | None = None
    initial: Path | None = None
    workers: int = field(default=0, compare=False)
    threads: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.side <= 0 or self.side % SIDE_STEP:
            raise ValueError(f"side: expected a multiple of {SIDE_STEP}, found {self.side}")
        if not self.sources:
            raise ValueError("sources: expected at least one folder")

    def sides(self, step: int) -> list[int]:
        """Return the sides that a step's pictures may have: smaller ones first, which is faster, then about `side`."""
        share = _SMALL if step < _SMALL_STEPS * self.steps else 1.0
        middle = round(self.side * share / SIDE_STEP) * SIDE_STEP
        return [max(SIDE_STEP, middle + offset) for offset in (-SIDE_STEP, 0, SIDE_STEP)]

    def rate(self, step: int) -> float:
        """Return a step's learning rate."""
        return cosine_rate(step, self.steps, self.learning_rate, _LAST_RATE)

    def facts(self) -> dict[str, Any]:
        """Return, as JSON, the options that decide what a run computes."""
        facts: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        for name in ("out", "eval_every", "workers", "threads"):
            del facts[name]
        return facts
