"""The training loop of the extractor."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoint import load_checkpoint
from ..learning import Run, join_processes
from ..networks.extractor import Extractor
from ..progress import Progress
from .batches import Batch, Batches, Course
from .evaluate import evaluate
from .losses import ArcMargin, Distillation, MapDistillation, triplet_angular_margin
from .options import ExtractorOptions
from .packs import Pack
from .teacher import MAP_DEPTHS
from .views import in_new_light

CHECKPOINT, LOG = "extractor.pt", "extractor.jsonl"
LONGEST_GRADIENT = 5.0


class _Learner(nn.Module):
    """The extractor and its losses: one forward pass gives what a batch costs."""

    def __init__(self, options: ExtractorOptions, classes: int, teacher_dim: int) -> None:
        super().__init__()
        self.extractor = Extractor(options.scale, options.dim, backbone=options.backbone, stages=options.stages)
        self.arc = ArcMargin(options.dim, classes, options.margin) if classes and options.classify else None
        self.distillation = Distillation(options.dim, teacher_dim) if teacher_dim else None
        channels = self.extractor.backbone.stage_channels
        self.map_distillation = MapDistillation((channels[-1], channels[-2]), MAP_DEPTHS) if teacher_dim else None
        self._options = options

    def forward(self, images: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return each loss, weighted."""
        features = self.extractor.backbone(images)
        # The neck has centered what all losses see: before it a common offset makes all cosines nearly 1, and their
        # gradients nothing.
        after = self.extractor.embed(self.extractor.average(features))
        losses = {}
        if self.arc is not None:
            losses["arc"] = self._options.classify * self.arc(after[: len(batch.classes)], batch.classes)
        if self._options.triplet:
            losses["triplet"] = self._options.triplet * triplet_angular_margin(after, batch.labels)
        if self.distillation is not None and len(batch.taught):
            losses["distil"] = self._options.distil * self.distillation(after[batch.taught], batch.vectors)
        if self.map_distillation is not None and len(batch.taught):
            taught = [feature[batch.taught] for feature in (features[-1], features[-2])]
            losses["maps"] = self._options.distil * self.map_distillation(taught, batch.maps)
        return losses


def train_extractor(options: ExtractorOptions, progress: Progress) -> Extractor:
    """Train an extractor, or go on with an interrupted run; return it with its averaged weights.

    Args:
        options: see there.
        progress: called with the steps done and in all.

    Raises:
        ValueError: a pack is not one, or the run in `out` was started with other options.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device, rank, world = join_processes()
    distil = options.distil > 0
    courses = [Course.open(path, share, classify=True, distil=distil) for path, share in options.products]
    courses += [Course.open(*pair, classify=False, distil=distil) for pair in options.varied]
    batches = Batches(courses, options.batch // world, options.seed, rank)
    learner = _Learner(options, batches.classes, batches.teacher_dim).to(device, memory_format=torch.channels_last)
    if options.initial is not None:
        start_from(learner.extractor, options.initial)
    run = Run.start("extractor", options, learner, learner.extractor, options.weight_decay)
    ahead = batches.ahead(run.first, options.steps, options.schedule())

    def losses_at(step: int, wrapped: nn.Module) -> dict[str, Tensor]:
        if learner.arc is not None:
            learner.arc.margin = options.margin_at(step)
        _, batch = next(ahead)
        images = in_new_light(batch.images.float(), (options.seed, step, rank), options.light_at(step)).to(device)
        return wrapped(images, batch.to(device))

    run.learn(
        losses_at,
        progress,
        log_every=options.eval_every,
        save_every=options.save_every,
        longest_gradient=LONGEST_GRADIENT,
        measure=lambda network: _measure(network, options),
    )
    return run.average


def _measure(extractor: Extractor, options: ExtractorOptions) -> dict[str, float]:
    if options.gallery is None or options.queries is None:
        return {}
    found = evaluate(extractor, Pack.open(options.gallery), Pack.open(options.queries), options.eval_side)
    return {"recall_at_1": round(found.recall_at_1, 4), "map": round(found.mean_average_precision, 4)}


def start_from(extractor: Extractor, path: Path) -> None:
    """Take over a checkpoint's weights; those of last layer and neck only where they are of the same size.

    Raises:
        ValueError: it is no checkpoint of an extractor, or its backbone is another.
    """
    state = load_checkpoint(path, "extractor")
    own = extractor.state_dict()
    fitting = {n: value for n, value in state["network"].items() if n in own and own[n].shape == value.shape}
    if any(name.startswith("backbone.") for name in own.keys() - fitting.keys()):
        raise ValueError(f"{path}: its backbone is another, of width {state['options']['scale']}")
    extractor.load_state_dict(own | fitting)


def load_extractor(path: Path) -> Extractor:
    """Return the trained extractor of a checkpoint, ready to run.

    Raises:
        ValueError: it is no checkpoint of an extractor.
    """
    state = load_checkpoint(path, "extractor")
    extractor = Extractor.of(state["options"])
    extractor.load_state_dict(state["network"])
    return extractor.eval()
