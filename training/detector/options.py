"""Options of the detector's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ..learning import cosine_rate
from ..options import EvalEvery, LearningRate, Out, Seed, Threads, facts_of

SIDE_STEP = 32

_SMALL, _SMALL_STEPS = 0.8, 0.6
_LONGER = 1.25
"""Sides of a wide image, in those of a square one: 1.25 and 1 / 1.25, nearly 16 : 10."""
_LAST_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Source:
    """A YOLO folder to learn from.

    Attributes:
        folder: holds `images/` and `labels/`.
        weight: share of the images drawn, relative to the other sources'.
        held_out: share of the photos that is kept for measuring (`split_photos`).
    """

    folder: Path
    weight: float = 1.0
    held_out: float = 0.0


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """Options of the detector's training; each field with a help text is an option of the command line.

    Attributes:
        sources: where photos come from.
        workers: processes that make batches; 0 makes them between the steps.
    """

    sources: tuple[Source, ...]
    out: Out
    scale: Annotated[float, typer.Option(help="Width of PP-LCNet.")] = 0.5
    channels: Annotated[int, typer.Option(help="Channels of neck and head.")] = 64
    side: Annotated[int, typer.Option(help="Side of the input in pixels, a multiple of 32.")] = 320
    steps: Annotated[int, typer.Option(min=1, help="Length of the training.")] = 3200
    batch: Annotated[int, typer.Option(min=1, help="Photos per step, over all processes.")] = 16
    learning_rate: LearningRate = 2e-3
    eval_every: EvalEvery = 250
    seed: Seed = 1
    backbone: Annotated[
        Path | None, typer.Option(help="Checkpoint of an extractor of the same width to start from.")
    ] = None
    initial: Annotated[Path | None, typer.Option(help="Checkpoint of a detector of the same size to start from.")] = (
        None
    )
    workers: int = field(default=0, compare=False)
    threads: Threads = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.side <= 0 or self.side % SIDE_STEP:
            raise ValueError(f"side: expected a multiple of {SIDE_STEP}, found {self.side}")
        if not self.sources:
            raise ValueError("sources: expected at least one folder")

    def shapes(self, step: int) -> list[tuple[int, int]]:
        """Return the shapes (H, W) that a step's images may have: smaller ones first, which is faster.

        Then about `side`; square, wide and tall ones of about as many pixels.
        """
        share = _SMALL if step < _SMALL_STEPS * self.steps else 1.0
        sides = [self.side * share + offset for offset in (-SIDE_STEP, 0, SIDE_STEP)]
        return [
            (_step(side / longer), _step(side * longer)) for side in sides for longer in (1 / _LONGER, 1.0, _LONGER)
        ]

    def rate(self, step: int) -> float:
        """Return a step's learning rate."""
        return cosine_rate(step, self.steps, self.learning_rate, _LAST_RATE)

    def facts(self) -> dict[str, Any]:
        """Return, as JSON, the options that decide what a run computes."""
        return facts_of(self, "out", "eval_every", "workers", "threads")


def _step(length: float) -> int:
    return max(SIDE_STEP, round(length / SIDE_STEP) * SIDE_STEP)
