"""The training loop of the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..checkpoint import load_checkpoint
from ..learning import Run, join_processes
from ..networks.picodet import PicoDet, PicoDetConfig
from ..progress import Progress
from .batches import Batches
from .evaluation import detect, evaluate_ap, normalize
from .losses import detection_losses
from .options import DetectorOptions, Source
from .photos import Photo, read_photos
from .split import split_photos

CHECKPOINT, LOG = "detector.pt", "detector.jsonl"
_WEIGHT_DECAY = 0.05
_LONGEST_GRADIENT = 10.0


def train_detector(options: DetectorOptions, progress: Progress) -> PicoDet:
    """Train a detector, or go on with an interrupted run; return it with its averaged weights.

    Args:
        options: see there.
        progress: called with the steps done and in all.

    Raises:
        ValueError: a photo, a label or the backbone cannot be used, or the run in `out` was started with other options.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)  # photos are too small for more to pay
    torch.manual_seed(options.seed)
    device, rank, world = join_processes()
    folders, held_out = _read(options.sources)
    network = PicoDet(PicoDetConfig(options.scale, options.channels)).to(device, memory_format=torch.channels_last)
    if options.backbone is not None:
        load_backbone(network, options.backbone)
    if options.initial is not None:
        start_from(network, options.initial)
    run = Run.start("detector", options, network, network, _WEIGHT_DECAY, config=asdict(network.config))
    weights = [source.weight for source in options.sources]
    batches = Batches(folders, weights, options.batch // world, options.shapes, options.seed, rank)
    loaded = iter(DataLoader(batches, None, sampler=range(run.first, options.steps), num_workers=options.workers))

    def losses_at(_: int, learner: nn.Module) -> dict[str, Tensor]:
        images, boxes, image = (part.to(device) for part in next(loaded))
        return detection_losses(learner(normalize(images)), boxes, image)

    run.learn(
        losses_at,
        progress,
        log_every=options.eval_every,
        save_every=options.eval_every,
        longest_gradient=_LONGEST_GRADIENT,
        measure=lambda average: _measure(average, held_out, options.side),
    )
    return run.average.eval()


def load_detector(path: Path) -> PicoDet:
    """Return the trained detector of a checkpoint, ready to run.

    Raises:
        ValueError: it is no checkpoint of a detector.
    """
    state = load_checkpoint(path, "detector")
    network = PicoDet(PicoDetConfig(**state["config"]))
    network.load_state_dict(state["network"])
    network.eval()
    return network


def load_backbone(network: PicoDet, path: Path) -> None:
    """Fill a detector's backbone with that of a trained extractor.

    Raises:
        ValueError: it is no checkpoint of an extractor, or one of another width.
    """
    state = load_checkpoint(path, "extractor")
    found, wanted = state["options"]["scale"], network.config.scale
    kind = state["options"]["backbone"]
    if found != wanted or kind != "lcnet":
        raise ValueError(f"{path}: expected lcnet of scale {wanted}, as the detector's, found {kind} of scale {found}")
    prefix = "backbone."
    named = {name: value for name, value in state["network"].items() if name.startswith(prefix)}
    network.backbone.load_state_dict({name.removeprefix(prefix): value for name, value in named.items()})


def start_from(network: PicoDet, path: Path) -> None:
    """Fill a detector with the weights of a trained one.

    Raises:
        ValueError: it is no checkpoint of a detector, or one of another size.
    """
    trained = load_detector(path)
    if trained.config != network.config:
        raise ValueError(f"{path}: expected a detector of {network.config}, found {trained.config}")
    network.load_state_dict(trained.state_dict())


def _read(sources: Sequence[Source]) -> tuple[list[list[Photo]], list[Photo]]:
    folders: list[list[Photo]] = []
    held_out: list[Photo] = []
    for source in sources:
        names, kept = split_photos(source.folder, source.held_out)
        folders.append(read_photos(source.folder, names))
        held_out += read_photos(source.folder, kept)
    return folders, held_out


def _measure(network: PicoDet, held_out: Sequence[Photo], side: int) -> dict[str, float]:
    if not held_out:
        return {}
    found = detect(network, held_out, side)
    return {"ap50": round(evaluate_ap(found, [photo.boxes_xyxy for photo in held_out]), 4)}
