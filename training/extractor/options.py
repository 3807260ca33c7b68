"""Options of the extractor's trainings; each field with a help text is an option of the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ..learning import cosine_rate
from ..networks.extractor import Backbone
from ..options import EvalEvery, LearningRate, Out, Seed, Share, Threads, facts_of, shares

_MARGIN_WARM_UP = 0.25
_LIGHT_WARM_UP = 0.5

Initial = Annotated[Path | None, typer.Option(help="Checkpoint to start from, of the same backbone and width.")]
BackboneKind = Annotated[Backbone, typer.Option(help="PP-LCNet or PP-LCNetV2.")]
Scale = Annotated[float, typer.Option(help="Width of the backbone.")]
Dim = Annotated[int, typer.Option(help="Length of an embedding.")]
Stages = Annotated[int, typer.Option(min=1, help="Number of the backbone's last stages that the embedding uses.")]
Steps = Annotated[int, typer.Option(min=1, help="Length of the training.")]
Batch = Annotated[int, typer.Option(min=8, help="Images per step, over all processes.")]


@dataclass(frozen=True, slots=True)
class ExtractorOptions:
    """Options of `extractor`.

    Attributes:
        final_share: share of the steps that see images of `final_side`.
        weight_decay: of AdamW.
        margin: ArcMargin's angle, reached after a quarter of the steps.
        save_every: steps between checkpoints.
    """

    out: Out
    products: Annotated[tuple[Share, ...], shares("Packs of products to tell apart.")]
    varied: Annotated[tuple[Share, ...], shares("Packs in which each image is its own product.")] = ()
    initial: Initial = None
    gallery: Annotated[Path | None, typer.Option(help="Pack to measure against, with --queries.")] = None
    queries: Annotated[Path | None, typer.Option(help="Pack whose images are looked up in --gallery.")] = None
    backbone: BackboneKind = "lcnet"
    scale: Scale = 1.0
    dim: Dim = 256
    stages: Stages = 1
    steps: Steps = 4000
    batch: Batch = 128
    side: Annotated[int, typer.Option(min=32, help="Side in pixels, in most steps.")] = 112
    final_side: Annotated[int, typer.Option(min=32, help="Side in pixels, in the last steps.")] = 160
    final_share: float = 0.3
    eval_side: Annotated[int, typer.Option(min=32, help="Side in pixels when measuring.")] = 176
    learning_rate: LearningRate = 2e-3
    weight_decay: float = 0.03
    margin: float = 0.25
    classify: Annotated[float, typer.Option(min=0, help="Weight of ArcMargin; 0: none.")] = 1.0
    triplet: Annotated[float, typer.Option(min=0, help="Weight of the triplet loss; 0: none.")] = 1.0
    distil: Annotated[float, typer.Option(min=0, help="Weight of the teacher; 0: none.")] = 4.0
    eval_every: EvalEvery = 250
    seed: Seed = 1
    threads: Threads = field(default=None, compare=False)
    save_every: int = field(default=200, compare=False)

    def schedule(self) -> list[int]:
        """Return the side in pixels of every step."""
        first = round(self.steps * (1 - self.final_share))
        return [self.side if step < first else self.final_side for step in range(self.steps)]

    def margin_at(self, step: int) -> float:
        """Return a step's margin: none at first, since a network that knows nothing learns nothing against one."""
        return self.margin * min(1.0, step / (_MARGIN_WARM_UP * self.steps))

    def light_at(self, step: int) -> float:
        """Return how much a step's light varies, 0..1: little at first, while colors are all that is understood."""
        return min(1.0, step / (_LIGHT_WARM_UP * self.steps))

    def rate(self, step: int) -> float:
        """Return a step's learning rate."""
        return cosine_rate(step, self.steps, self.learning_rate)

    def facts(self) -> dict[str, Any]:
        """Return, as JSON, the options that decide what a run computes."""
        return facts_of(self, "out", "threads", "eval_every", "save_every", "eval_side", "gallery", "queries")


@dataclass(frozen=True, slots=True)
class DistilOptions:
    """Options of `distil`.

    Attributes:
        weight_decay: of AdamW.
        save_every: steps between checkpoints.
    """

    out: Out
    packs: Annotated[
        tuple[Share, ...],
        typer.Argument(metavar="PACK[=SHARE]...", parser=Share.parse, help="Images to learn from."),
    ]
    models: Annotated[tuple[Path, ...], typer.Option("--model", help="Teacher, see `teach`; may be repeated.")]
    focus: Annotated[Path, typer.Option(help="File of `focus` with the same --model options in the same order.")]
    initial: Initial = None
    backbone: BackboneKind = "lcnet"
    scale: Scale = 1.0
    dim: Dim = 256
    stages: Stages = 5
    steps: Steps = 5000
    batch: Batch = 384
    side: Annotated[int, typer.Option(min=32, help="Side in pixels of what the student sees.")] = 160
    mixed: Annotated[float, typer.Option(min=0, max=1, help="Share of views with a box that shows another image.")] = (
        0.25
    )
    learning_rate: LearningRate = 3e-3
    weight_decay: float = 0.03
    seed: Seed = 1
    save_every: int = field(default=500, compare=False)

    def rate(self, step: int) -> float:
        """Return a step's learning rate."""
        return cosine_rate(step, self.steps, self.learning_rate)

    def facts(self) -> dict[str, Any]:
        """Return, as JSON, the options that decide what a run computes."""
        return facts_of(self, "out", "save_every")
